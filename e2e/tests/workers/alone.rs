//! Every test in a process of its own: this executable with `--alone TEST`. So what it leaves behind can be counted, its memory measured, and
//! nothing that it does to itself touches the others.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ebbtide::{Pool, Shutdown};
use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::kinds;
use crate::tools::{LONG, children_of, descriptors, eventually, mark, marked, now, pause, scratch, status};

/// Whether there is a guardian: `ebbtide::init` was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Guarded,
    /// Started directly by the pool.
    Direct,
}

/// A test: its name, where it makes sense, and itself.
pub(crate) type Test = (&'static str, &'static [Holds], fn());

/// A table of tests, one to a line: the rules of the house look for `("name"` when a paper names a test, and long lines would be cut.
macro_rules! tests {
    ($(($name:literal, $ways:ident, $test:ident),)*) => { &[$(($name, $ways, $test)),*] };
}
pub(crate) use tests;

/// With a guardian.
pub(crate) const G: &[Holds] = &[Holds::Guarded];
/// With and without.
pub(crate) const B: &[Holds] = &[Holds::Guarded, Holds::Direct];

const FLAG: &str = "--alone";
const DIRECT: &str = "--direct";
/// No test takes so long; one that does hangs, and is ended.
const HANGS: Duration = Duration::from_secs(120);

/// The test named on the command line, if one is.
pub(crate) fn asked() -> Option<(Holds, String)> {
    let args: Vec<String> = std::env::args().collect();
    match &args[..] {
        [_, flag, name] if flag == FLAG => Some((Holds::Guarded, name.clone())),
        [_, flag, name, direct] if flag == FLAG && direct == DIRECT => Some((Holds::Direct, name.clone())),
        _ => None,
    }
}

/// As many trials as ways in which it is run.
pub(crate) fn trials((name, ways, _): Test) -> impl Iterator<Item = Trial> {
    ways.iter().map(move |&way| {
        let shown =
            if way == Holds::Direct { format!("{name}::without_a_guardian") } else { name.to_owned() };
        let patience = HANGS * if crate::tools::long() { 10 } else { 1 };
        Trial::test(shown, move || start(name, way, patience).map(drop))
    })
}

/// Runs a test in a process of its own, for at most so long. Gives what it said; if it failed, as the reason.
pub(crate) fn start(name: &str, way: Holds, patience: Duration) -> Result<String, Failed> {
    let mut args = vec![FLAG, name];
    if way == Holds::Direct {
        args.push(DIRECT);
    }
    let mut child = itself(&args);
    let mut said = child.stderr.take().unwrap();
    let (pid, begun) = (Pid::from_child(&child), now());
    let reader = listen(move || {
        let mut text = String::new();
        said.read_to_string(&mut text).map(|_| text)
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > patience {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
            let said = reader.join().unwrap().unwrap_or_default();
            return Err(format!("hangs: ended after {patience:?}\n{said}").into());
        }
        pause(Duration::from_millis(5));
    };
    let said = reader.join().unwrap().unwrap_or_default();
    if status.success() { Ok(said) } else { Err(format!("{status}\n{said}").into()) }
}

#[expect(clippy::disallowed_methods, reason = "a thread of the harness")]
fn listen<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(job)
}

/// This executable once more, in a process group of its own.
#[expect(clippy::disallowed_methods, reason = "plays the user who starts a program")]
pub(crate) fn itself(args: &[&str]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    command.spawn().unwrap()
}

/// Runs the test here, and looks what it has left behind: no process, no descriptor, no thread, no file.
pub(crate) fn run(test: fn()) {
    warm_up();
    let before = footprint();
    test();
    eventually("no process is left", || {
        marked(&mark()).is_empty() && children_of(std::process::id()).is_empty()
    });
    let begun = now();
    loop {
        let last = footprint();
        if last.0 <= before.0 && last.1 <= before.1 {
            break;
        }
        assert!(begun.elapsed() < LONG / 6, "(descriptors, threads) were {before:?} and are {last:?}");
        pause(Duration::from_millis(3));
    }
    let _ = std::fs::remove_dir_all(scratch());
}

/// What is started once and stays: the timer's thread.
fn warm_up() {
    let pool = Pool::processes(kinds::rust().command).workers(1..=1).build::<Value, Value>().unwrap();
    let task = pool.task("warm").timeout(LONG);
    task.submit(serde_json::json!(["echo", 1])).unwrap().wait().unwrap();
    pool.shutdown(Shutdown::drain()).wait().unwrap();
    drop(pool);
    eventually("the first pool is gone", || children_of(std::process::id()).is_empty());
    let mut last = footprint();
    eventually("its threads, too", || {
        pause(Duration::from_millis(10));
        std::mem::replace(&mut last, footprint()) == last
    });
}

fn footprint() -> (usize, u64) {
    (descriptors(), status("self", "Threads"))
}
