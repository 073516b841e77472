//! A worker process and the pool's end of its socket.
#![expect(
    clippy::disallowed_methods,
    reason = "a test starts its own processes, in no group of the guardian's"
)]

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ebbtide_worker::frame::Decoder;
use tempfile::TempDir;

use crate::expect::{Facts, Received};

/// A safety net: nothing here takes this long.
const LIMIT: Duration = Duration::from_secs(20);

/// How a language's worker is started.
#[derive(Clone)]
pub(crate) struct Language {
    pub(crate) name: String,
    program: String,
    script: Option<String>,
    target: String,
}

/// Where the worker finds its socket.
pub(crate) enum Transport {
    Zero,
    Descriptor(u32),
    Path,
}

/// How the process must end.
#[derive(Clone, Copy)]
pub(crate) enum Exit {
    Zero,
    Failure,
    Any,
}

/// What the socket brought.
pub(crate) enum Heard {
    Frame(Received),
    End,
    Garbage(String),
}

pub(crate) struct Running {
    facts: Facts,
    socket: UnixStream,
    heard: Receiver<Heard>,
    ended: Receiver<io::Result<ExitStatus>>,
    cut: usize,
    printed: Arc<Mutex<Vec<u8>>>,
    /// Where its gates are.
    folder: TempDir,
}

impl Language {
    pub(crate) fn of(name: &str, program: &str, script: Option<String>, target: &str) -> Self {
        Self { name: name.to_owned(), program: program.to_owned(), script, target: target.to_owned() }
    }

    /// Why it cannot be run here.
    pub(crate) fn missing(&self) -> Option<String> {
        if let Some(script) = &self.script {
            if !Path::new(script).exists() {
                return Some(format!("there is no {script}"));
            }
            let version = Command::new(&self.program).arg("--version").stdout(Stdio::null()).status();
            if !version.is_ok_and(|status| status.success()) {
                return Some(format!("{} is not installed", self.program));
            }
        }
        None
    }

    fn command(&self, transport: &Transport) -> Command {
        let mut command = match transport {
            // The shell moves the descriptor, which a command of std cannot.
            Transport::Descriptor(number) => {
                let mut shell = Command::new("sh");
                shell
                    .arg("-c")
                    .arg(format!("exec \"$@\" {number}<&0 0</dev/null"))
                    .arg("sh")
                    .arg(&self.program);
                shell.env("EBBTIDE_FD", number.to_string());
                shell
            }
            _ => Command::new(&self.program),
        };
        command.args(&self.script).env("EBBTIDE_PROTO", "1").env("EBBTIDE_NONCE", "a-nonce");
        if !self.target.is_empty() {
            command.env("EBBTIDE_TARGET", &self.target);
        }
        // The worker program lies in the repository, which stays as it is.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

impl Running {
    pub(crate) fn start(
        language: &Language,
        environment: &[(String, String)],
        transport: &Transport,
    ) -> io::Result<Self> {
        let mut command = language.command(transport);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let folder = tempfile::tempdir()?;
        command.env("CONFORMANCE_GATES", folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (socket, child) = if let Transport::Path = transport {
            let path = folder.path().join("socket");
            let listener = UnixListener::bind(&path)?;
            let child = command.env("EBBTIDE_SOCKET", &path).stdin(Stdio::null()).spawn()?;
            (listener.accept()?.0, child)
        } else {
            let (ours, theirs) = UnixStream::pair()?;
            (ours, command.stdin(OwnedFd::from(theirs)).spawn()?)
        };
        // The command keeps its copy of the worker's end, and the end of the stream would never come.
        drop(command);
        Self::around(language, socket, child, folder)
    }

    fn around(
        language: &Language,
        socket: UnixStream,
        mut child: Child,
        folder: TempDir,
    ) -> io::Result<Self> {
        let facts = Facts { pid: child.id(), language: language.name.clone() };
        let printed = Arc::new(Mutex::new(Vec::new()));
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            keep(out, &printed)?;
            keep(err, &printed)?;
        }
        let (hearing, heard) = channel();
        let reading = socket.try_clone()?;
        beside(move || listen(reading, &hearing))?;
        let (ending, ended) = channel();
        beside(move || drop(ending.send(child.wait())))?;
        Ok(Self { facts, socket, heard, ended, cut: usize::MAX, printed, folder })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn cut(&mut self, most: usize) {
        self.cut = most;
    }

    /// A worker that does not take it is found out by what it does not answer.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.cut) {
            if self.socket.write_all(piece).is_err() {
                return;
            }
        }
    }

    pub(crate) fn open(&self, gate: &str) -> io::Result<()> {
        std::fs::write(self.folder.path().join(gate), "")
    }

    pub(crate) fn hang_up(&mut self) {
        // Both ways: a pool that is gone does not read either.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    pub(crate) fn hear(&mut self) -> Result<Heard, String> {
        match self.heard.recv_timeout(LIMIT) {
            Ok(Heard::Garbage(what)) => Err(format!("the worker sent what is no frame: {what}")),
            Ok(heard) => Ok(heard),
            Err(RecvTimeoutError::Timeout) => Err(format!("nothing came for {} seconds", LIMIT.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Ok(Heard::End),
        }
    }

    pub(crate) fn ends(&mut self, exit: Exit) -> Result<(), String> {
        if let Heard::Frame(frame) = self.hear()? {
            return Err(format!("{frame} came, and the worker should have nothing more to say"));
        }
        let status = match self.ended.recv_timeout(LIMIT) {
            Ok(status) => status.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("the process did not end within {} seconds", LIMIT.as_secs())),
        };
        match (exit, status.code()) {
            (Exit::Zero, Some(0)) | (Exit::Any, Some(_)) => Ok(()),
            (Exit::Failure, Some(code)) if code != 0 => Ok(()),
            _ => Err(format!("the process ended with {status}")),
        }
    }

    /// What it printed, for the message of a failure.
    pub(crate) fn last_words(&self) -> String {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&printed).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It was not waited for if this is a failure: then its number is still its own.
        if let (Err(_), Some(pid)) =
            (self.ended.try_recv(), rustix::process::Pid::from_raw(self.facts.pid as i32))
        {
            let _ = self.socket.shutdown(Shutdown::Both);
            if self.ended.recv_timeout(Duration::from_millis(500)).is_err() {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn listen(mut socket: UnixStream, hearing: &Sender<Heard>) {
    let mut decoder = Decoder::new();
    loop {
        // A worker that exits with unread bytes resets the connection: that is its end too.
        let n = socket.read(decoder.space()).unwrap_or_default();
        decoder.filled(n);
        loop {
            let pending = decoder.pending();
            let heard = match decoder.next() {
                Ok(Some(frame)) => Heard::Frame(Received {
                    kind: frame.kind,
                    flags: frame.flags,
                    id: frame.id,
                    meta: frame.meta.to_vec(),
                    body: frame.body.to_vec(),
                }),
                Ok(None) if n > 0 => break,
                Ok(None) if pending > 0 => Heard::Garbage("half a frame".to_owned()),
                Ok(None) => Heard::End,
                Err(malformed) => Heard::Garbage(malformed.to_string()),
            };
            let goes_on = matches!(heard, Heard::Frame(_));
            if hearing.send(heard).is_err() || !goes_on {
                return;
            }
        }
    }
}

fn keep(mut from: impl Read + Send + 'static, printed: &Arc<Mutex<Vec<u8>>>) -> io::Result<()> {
    let printed = Arc::clone(printed);
    beside(move || {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            printed.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..n]);
        }
    })
}

fn beside(what: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().spawn(what).map(drop)
}
