//! Driving the example service as its users would: started, asked whether it is ready, signalled, its report read.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{run::command, servers::now};

const PATIENCE: Duration = Duration::from_secs(60);

/// A service that runs. Killed when dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Where it serves.
    pub api: SocketAddr,
    /// Where it says how it is.
    pub health: SocketAddr,
    folder: TempDir,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard error.
    pub stderr: String,
    /// The report it wrote; null if it wrote none.
    pub report: Value,
}

impl Service {
    /// Starts a program on free ports and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(program: &Path, options: &[&str]) -> Self {
        let (mut child, folder) = spawn(program, options);
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("its first line");
        let addresses: Vec<SocketAddr> = line
            .split("http://")
            .skip(1)
            .filter_map(|text| text.split([',', '\n']).next()?.trim().parse().ok())
            .collect();
        let &[api, health] = &*addresses else { panic!("two addresses in {line:?}") };
        let service = Self { child, api, health, folder };
        let begin = now();
        while service.probe("/readyz").0 != 200 {
            assert!(begin.elapsed() < PATIENCE, "it becomes ready");
            thread::park_timeout(Duration::from_millis(2));
        }
        service
    }

    /// Starts a program that is not expected to serve, and waits for its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn fail(program: &Path, options: &[&str]) -> Ended {
        let (child, folder) = spawn(program, options);
        end(child, &folder)
    }

    /// The same with an address of the caller's.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn fail_on(program: &Path, address: &str) -> Ended {
        let (child, folder) = spawn_on(program, address, &[]);
        end(child, &folder)
    }

    /// What the health port says: status and text; status 0 if it is not there.
    #[must_use]
    pub fn probe(&self, path: &str) -> (u16, String) {
        probe(self.health, path)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is no more.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come within a minute.
    #[must_use]
    pub fn wait(mut self) -> Ended {
        let stand_in = command("true").spawn().expect("true");
        let child = std::mem::replace(&mut self.child, stand_in);
        end(child, &self.folder)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One question to a health port.
#[must_use]
pub fn probe(address: SocketAddr, path: &str) -> (u16, String) {
    let ask = || {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text).map(|_| text)
    };
    let text = ask().unwrap_or_default();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// A moment, for those who compare with what clients saw.
#[must_use]
pub fn moment() -> Instant {
    now()
}

fn spawn(program: &Path, options: &[&str]) -> (Child, TempDir) {
    spawn_on(program, "127.0.0.1:0", options)
}

fn spawn_on(program: &Path, address: &str, options: &[&str]) -> (Child, TempDir) {
    let folder = tempfile::Builder::new().prefix("ebbtide-service-").tempdir().expect("a folder");
    let mut start: Command = command(program);
    start.args(["--listen", address, "--health", "127.0.0.1:0", "--report", "report.json"]);
    start.args(options).current_dir(folder.path());
    start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (start.spawn().expect("the service starts"), folder)
}

fn end(mut child: Child, folder: &TempDir) -> Ended {
    let mut errors = child.stderr.take().expect("piped");
    // Whoever writes more than a pipe holds is read while it is waited for.
    let reader = thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        errors.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let begin = now();
    let code = loop {
        match child.try_wait().expect("it is ours") {
            Some(status) => break status.code(),
            None if begin.elapsed() > PATIENCE => {
                let _ = child.kill();
                panic!("it did not end within {PATIENCE:?}");
            }
            None => thread::park_timeout(Duration::from_millis(2)),
        }
    };
    let stderr = reader.expect("a thread").join().expect("it reads").expect("a pipe");
    let report = std::fs::read_to_string(folder.path().join("report.json")).unwrap_or_default();
    Ended { code, stderr, report: serde_json::from_str(&report).unwrap_or(Value::Null) }
}
