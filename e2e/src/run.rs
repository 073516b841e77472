//! Driving the binary `ebbtide` as a stranger would: started, fed, signalled, waited for, its report held to the law.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// No wait in these tests is longer: what takes more hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Every run carries it in its environment, and so does everything it starts.
const MARK: &str = "EBBTIDE_E2E_MARK";

/// A run of `ebbtide` that was started.
#[derive(Debug)]
pub struct Run {
    /// `None` once it was waited for.
    child: Option<Child>,
    mark: String,
}

/// `ebbtide` with its arguments, to be started.
#[derive(Debug)]
pub struct Ebbtide {
    command: Command,
    mark: String,
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything on its standard output.
    pub stdout: Vec<u8>,
    /// Everything on its standard error.
    pub stderr: String,
}

impl Ebbtide {
    /// `ebbtide run` with `args`.
    pub fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ebbtide {
        let mut ebbtide = Ebbtide::bare(["run"]);
        ebbtide.command.args(args);
        ebbtide
    }

    /// `ebbtide` with `args`.
    pub fn bare<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ebbtide {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut command = command(binary());
        command.args(args).env(MARK, &mark);
        Ebbtide { command, mark }
    }

    /// Changes the command before it is started.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Ebbtide {
        change(&mut self.command);
        self
    }

    /// Its standard input will be an unlinked file with `bytes`.
    #[must_use]
    pub fn input(self, bytes: impl AsRef<[u8]>) -> Ebbtide {
        self.with(|command| {
            command.stdin(file_with(bytes.as_ref()));
        })
    }

    /// Its standard input will be a pipe, see [`Run::input`].
    #[must_use]
    pub fn piped(self) -> Ebbtide {
        self.with(|command| {
            command.stdin(Stdio::piped());
        })
    }

    /// It will run in `folder`.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Ebbtide {
        self.with(|command| {
            command.current_dir(folder);
        })
    }

    /// Feeds it `input`, waits for its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end within a minute.
    pub fn feed(self, input: impl AsRef<[u8]>) -> Ended {
        self.input(input).start().wait()
    }

    /// Starts it. What was not set by [`Ebbtide::with`]: input as it is here, output and errors into pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut self) -> Run {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.start_as_it_is()
    }

    /// Starts it with the descriptors that [`Ebbtide::with`] set.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_as_it_is(mut self) -> Run {
        let child = self.command.spawn().expect("ebbtide starts");
        Run { child: Some(child), mark: self.mark }
    }
}

impl Run {
    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is no more.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it can be signalled");
    }

    /// The same; it may have ended already.
    pub fn signal_if_there(&self, signal: Signal) {
        // Its pid stays its own until it is waited for.
        let _ = kill_process(self.pid(), signal);
    }

    /// Its pid.
    ///
    /// # Panics
    /// Never: a child's pid fits.
    #[must_use]
    pub fn pid(&self) -> Pid {
        i32::try_from(self.child().id()).ok().and_then(Pid::from_raw).expect("a pid")
    }

    /// The other end of its standard input, where that is a pipe.
    ///
    /// # Panics
    /// When it is none, or was taken.
    pub fn input(&mut self) -> std::process::ChildStdin {
        self.child_mut().stdin.take().expect("a piped input")
    }

    /// The other end of its standard output.
    ///
    /// # Panics
    /// When it was taken.
    pub fn output(&mut self) -> std::process::ChildStdout {
        self.child_mut().stdout.take().expect("a piped output")
    }

    /// Waits for its end and takes what it printed.
    ///
    /// # Panics
    /// When it does not end within a minute.
    pub fn wait(mut self) -> Ended {
        let pid = self.pid();
        let (told, ended) = std::sync::mpsc::channel::<()>();
        // A test that hangs says nothing; one whose run was killed fails.
        let guard = std::thread::Builder::new().spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let mut child = self.child.take().expect("it was not waited for");
        drop(child.stdin.take());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("its end");
        drop(told);
        guard.expect("a thread").join().expect("the guard");
        Ended { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }

    /// Its end, if it has ended.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child_mut().try_wait().expect("its state")
    }

    /// The processes that carry the run's mark: itself, its guardian, its commands, whatever they started.
    #[must_use]
    pub fn family(&self) -> Vec<i32> {
        family(&self.mark)
    }

    /// The mark of [`family`].
    #[must_use]
    pub fn mark(&self) -> String {
        self.mark.clone()
    }

    /// Its own memory at its highest, in bytes.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child().id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }
}

impl Run {
    fn child(&self) -> &Child {
        self.child.as_ref().expect("it was not waited for")
    }

    fn child_mut(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for")
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Run {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ended {
    /// Its standard output as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// Its standard output as sorted lines.
    #[must_use]
    pub fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.text().lines().collect();
        lines.sort_unstable();
        lines
    }

    /// Its standard output as one JSON object per line.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
    }
}

/// The processes that carry `mark` in their environment.
///
/// # Panics
/// Where there is no /proc.
#[must_use]
pub fn family(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    })
    .collect()
}

/// Reads a report and holds it to the law: what was accepted has ended, each in one way, and nothing is inside.
///
/// # Panics
/// When there is no report, or the law is broken.
#[must_use]
pub fn lawful_report(path: &Path) -> Value {
    let text = std::fs::read(path).expect("a report");
    let report: Value = serde_json::from_slice(&text).expect("the report is JSON");
    let number = |value: &Value| value.as_u64().expect("a number");
    let outcomes = report["outcomes"].as_object().expect("outcomes");
    let sum: u64 = outcomes.values().map(number).sum();
    assert_eq!(number(&report["accepted"]), sum, "the law: {report}");
    assert_eq!((number(&report["queued"]), number(&report["running"])), (0, 0), "{report}");
    let returned = report["returned"].as_array().expect("returned lines").len();
    assert_eq!(outcomes["returned"], returned, "{report}");
    report
}

/// Waits until `happens`, looking often.
///
/// # Panics
/// When it does not within a minute; says `what` then.
pub fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    let until = now() + PATIENCE;
    while !happens() {
        assert!(now() < until, "{what}: not within {PATIENCE:?}");
        pause(Duration::from_millis(5));
    }
}

/// Like [`eventually`], but it must happen within `limit`; gives the time it took.
///
/// # Panics
/// When it does not.
pub fn soon(what: &str, limit: Duration, happens: impl FnMut() -> bool) -> Duration {
    let begun = now();
    eventually(what, happens);
    let took = now() - begun;
    assert!(took <= limit, "{what}: took {took:?}, allowed {limit:?}");
    took
}

/// Now.
#[expect(clippy::disallowed_methods, reason = "a test of real processes looks at real time")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "a test of real processes waits in real time")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A number below `limit`, another one in each call and each run.
#[must_use]
pub fn random(limit: u64) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0) % limit.max(1)
}

/// Whether the long form of a test was asked for by `EBBTIDE_LONG=1`.
#[must_use]
pub fn long_form() -> bool {
    std::env::var_os("EBBTIDE_LONG").is_some_and(|value| value == "1")
}

/// The numbers 1..=`last`, a line each.
#[must_use]
pub fn numbers(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

/// An unlinked file with `bytes`, at its beginning.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn file_with(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("its contents");
    std::io::Seek::rewind(&mut file).expect("its beginning");
    file
}

/// A command of the system, for comparisons.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests start what they test; it makes groups of its own"
    )]
    Command::new(program)
}

/// The binary under test: that of `EBBTIDE_BIN`, else built beside this test's own executable.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("EBBTIDE_BIN") {
        Some(given) => PathBuf::from(given),
        None => built("ebbtide-cli", "ebbtide"),
    })
}

/// A program of the workspace, built with the profile of the test that asks.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn built(package: &str, program: &str) -> PathBuf {
    let me = std::env::current_exe().expect("own path");
    let folder = me.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_owned();
    let profile = folder.file_name().and_then(OsStr::to_str).expect("a profile");
    let mut build = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", package, "--bin", program]);
    build.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    build.arg("--target-dir").arg(folder.parent().expect("a target folder"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().expect("cargo").success(), "{package} builds");
    folder.join(program)
}
