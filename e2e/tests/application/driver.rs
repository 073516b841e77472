//! Starting an application of `src/bin/application`, hearing what it says, signalling it, and waiting for its end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// No wait here is longer: what takes more hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    folder: tempfile::TempDir,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
    /// None if it did not get as far as to write one.
    pub(crate) report: Option<Value>,
}

pub(crate) fn command(scenario: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the test's own child")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_application"));
    command.arg(scenario);
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "EBBTIDE_STOP_TIMEOUT"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn start(scenario: &str) -> Program {
    Program::start(command(scenario))
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a test's own sleep")]
pub(crate) fn nap(time: Duration) {
    std::thread::sleep(time);
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        command.env("REPORT", Self::path(&folder));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let out = child.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        let read = move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        drop(std::thread::Builder::new().spawn(read).expect("a thread"));
        Self { child, lines, seen: Vec::new(), folder }
    }

    fn path(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("report.json")
    }

    /// Waits until it has said something.
    pub(crate) fn until(&mut self, wanted: &str) -> &mut Self {
        let end = now() + PATIENCE;
        while !self.seen.iter().any(|line| line == wanted) {
            let left = end.saturating_duration_since(now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("it never said {wanted:?} but {:?}", self.seen),
            }
        }
        self
    }

    pub(crate) fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid")
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        kill_process(self.pid(), signal).expect("it is there");
        self
    }

    pub(crate) fn term(&mut self) -> &mut Self {
        self.signal(Signal::TERM)
    }

    pub(crate) fn is_there(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Waits for its end; how long that took is measured from here.
    pub(crate) fn end(mut self) -> (Ended, Duration) {
        let begin = now();
        while self.is_there() {
            if begin.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("it does not end; it said {:?}", self.seen);
            }
            nap(Duration::from_millis(2));
        }
        let took = begin.elapsed();
        let mut stderr = String::new();
        let pipe = self.child.stderr.as_mut().expect("a pipe");
        pipe.read_to_string(&mut stderr).expect("text");
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.seen.push(line);
        }
        let report = std::fs::read(Self::path(&self.folder)).ok();
        let report = report.map(|json| serde_json::from_slice(&json).expect("valid JSON"));
        let code = self.child.wait().expect("its end").code();
        (Ended { code, lines: self.seen.clone(), stderr, report }, took)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn report(&self) -> &Value {
        self.report.as_ref().unwrap_or_else(|| panic!("no report; it said {:?} {}", self.lines, self.stderr))
    }

    pub(crate) fn component(&self, name: &str) -> &Value {
        let components = self.report()["components"].as_array().expect("components");
        components.iter().find(|one| one["name"] == name).expect("the component")
    }

    pub(crate) fn said(&self, line: &str) -> bool {
        self.lines.iter().any(|said| said == line)
    }

    /// From the end of a component's stop to the begin of another's: not negative if they were in order.
    pub(crate) fn gap(&self, first: &str, second: &str) -> f64 {
        let end = self.component(first)["stop"]["to_ms"].as_f64().expect("an end");
        self.component(second)["stop"]["from_ms"].as_f64().expect("a begin") - end
    }
}
