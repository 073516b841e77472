//! What the tests share: patience, signals, and finding every process that carries a test's mark.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

/// The variable by which a test's processes are known: whatever they fork, exec or detach, it stays with them.
pub(crate) const MARK: &str = "EBBTIDE_TEST_MARK";

/// Longer than anything here takes; it only keeps a test that hangs from hanging for ever.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The mark of this test, which has a process of its own; numbers of processes come again.
pub(crate) fn mark() -> String {
    static SINCE: LazyLock<u128> =
        LazyLock::new(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis());
    format!("workers-{}-{}", std::process::id(), *SINCE)
}

/// True for the long forms.
pub(crate) fn long() -> bool {
    std::env::var_os("EBBTIDE_LONG").is_some()
}

/// A path that no other test has, in a directory that the test's process removes at its end.
pub(crate) fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let directory = scratch();
    fs::create_dir_all(&directory).unwrap();
    directory.join(format!("{}-{name}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Where this process's files are.
pub(crate) fn scratch() -> PathBuf {
    std::env::temp_dir().canonicalize().unwrap().join(format!("ebbtide-{}", mark()))
}

/// A file for a worker to load.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path = fresh(name);
    fs::write(&path, text).unwrap();
    path
}

/// A file whose being there opens a gate.
#[derive(Clone)]
pub(crate) struct Gate(PathBuf);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(fresh("gate"))
    }

    pub(crate) fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }

    pub(crate) fn open(&self) {
        fs::write(&self.0, "").unwrap();
    }
}

/// The lines of a file that workers append to.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The living processes with this mark, the one that asks excepted.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let entry = format!("{MARK}={mark}");
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == entry.as_bytes())
    };
    let own = i32::try_from(std::process::id()).unwrap();
    pids().into_iter().filter(|pid| *pid != own && carries(pid)).collect()
}

/// The children of a process, zombies too.
pub(crate) fn children_of(parent: u32) -> Vec<i32> {
    let is = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    pids().into_iter().filter(is).collect()
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn pids() -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect()
}

/// A number of `/proc/self/status`, in KiB where it is memory.
pub(crate) fn status(of: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{of}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until it is so; panics when it is not within a minute.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "not within {LONG:?}: {what}");
        pause(Duration::from_millis(3));
    }
    begun.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "looks at processes from outside")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "looks at processes from outside")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// SIGKILL to a process the test knows to be there.
pub(crate) fn sigkill(pid: u32) {
    send(pid, Signal::KILL);
}

/// A signal to a process the test knows to be there.
pub(crate) fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}
