//! What the tests share: commands, patience, and finding every process that carries a test's mark.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ebbtide::process::{CommandSpec, Guardian};
use rustix::process::{Pid, Signal, kill_process};

/// The variable by which a test's processes are known: whatever they fork, exec or detach, it stays with them.
pub(crate) const MARK: &str = "EBBTIDE_TEST_MARK";

/// A guardian of the test's own.
pub(crate) fn start() -> Guardian {
    Guardian::start().unwrap()
}

/// A shell as the command: the one program at hand that can do anything.
pub(crate) fn shell(script: &str) -> CommandSpec {
    CommandSpec::new("sh").args(["-c", script])
}

/// Runs to the end and gives what was written.
pub(crate) fn output(guardian: &Guardian, spec: CommandSpec) -> String {
    let (read, write) = std::io::pipe().unwrap();
    let child = guardian.spawn(spec.stdout(OwnedFd::from(write))).unwrap();
    let mut text = String::new();
    File::from(OwnedFd::from(read)).read_to_string(&mut text).unwrap();
    let exit = child.wait();
    assert!(exit.success(), "{exit}: {text}");
    text
}

/// A mark that no other test has.
pub(crate) fn fresh_mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The living processes with this mark.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let entry = format!("{MARK}={mark}");
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == entry.as_bytes())
    };
    pids().into_iter().filter(carries).collect()
}

/// The zombies whose parent this is.
pub(crate) fn zombies_of(parent: u32) -> Vec<i32> {
    let is = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().take(2).eq(["Z", &parent.to_string()])
    };
    pids().into_iter().filter(is).collect()
}

/// How many descriptors a process has open.
pub(crate) fn open_descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Waits until it is so; panics when it is not within twenty seconds.
#[expect(clippy::disallowed_methods, reason = "looks at foreign processes from outside")]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// SIGKILL to a process the test knows to be there.
pub(crate) fn sigkill(pid: u32) {
    send(pid, Signal::KILL);
}

/// A signal to a process the test knows to be there.
pub(crate) fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

fn pids() -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect()
}
