//! Being process number 1, as in a container: nobody else reaps there what lost its parent, and signals without a handler are ignored.
//!
//! A program cannot tell its own children from those it inherits, and must not reap the former under their owners' hands. So process 1 starts
//! itself once more and stays small: it forwards signals, reaps everybody, and ends as its child ends. When it ends, the kernel ends the rest.

use std::{
    env, io,
    os::unix::process::CommandExt as _,
    process::{self, Command},
};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::{
    consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH},
    iterator::Signals,
};

/// What is passed on. What stops and resumes a terminal's job is not for a process without a shell.
const FORWARDED: [i32; 8] = [SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Returns at once unless this is process 1; then only in its child, or if that could not be started: a program that does not reap is
/// better than none.
pub(super) fn stand_in() {
    if process::id() == 1
        && let Ok(code) = serve()
    {
        exit(code);
    }
}

fn serve() -> io::Result<i32> {
    // Before the child, so that nothing is missed.
    let mut signals = Signals::new(FORWARDED.iter().chain(&[SIGCHLD]))?;
    let child = start()?;
    for signal in signals.forever() {
        if signal == SIGCHLD {
            if let Some(code) = reap(child) {
                return Ok(code);
            }
        } else if let Some(signal) = Signal::from_named_raw(signal) {
            // It may have ended just now.
            let _ = kill_process(child, signal);
        }
    }
    Ok(1)
}

/// This program once more.
fn start() -> io::Result<Pid> {
    let mut args = env::args_os();
    #[expect(clippy::disallowed_methods, reason = "no guardian and no group: it is the program itself")]
    let mut command = Command::new(env::current_exe()?);
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    let child = command.args(args).spawn()?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no pid"))
}

/// Reaps everybody who has ended; the exit code of the child, if it was among them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            code = Some(exit_code(status));
        }
    }
    code
}

/// As a shell would say it.
fn exit_code(status: WaitStatus) -> i32 {
    let by_signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(by_signal).unwrap_or(1)
}

#[expect(clippy::disallowed_methods, reason = "process 1 ends as its child has ended")]
fn exit(code: i32) -> ! {
    process::exit(code)
}
