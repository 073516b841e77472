//! Writing to a descriptor that somebody may have closed, or holds open and does not read.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::bell::Bell;
use crate::{clock, messages};

/// What poll calls writable takes at least this much without blocking (POSIX: PIPE_BUF).
const SURE: usize = 4_096;

/// How long we wait for somebody to read what we print.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Rung when the run is forced: no more waiting.
    pub(crate) force: Arc<Bell>,
    /// Set when a stop begins: no waiting beyond it.
    pub(crate) until: OnceLock<Instant>,
}

/// Why something was not printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("{0} was closed by its reader")]
    Closed(&'static str),
    #[error("cannot write to {0}: {1}")]
    Write(&'static str, io::Error),
    #[error("{0} was not read by anybody until the end of the stop")]
    NotRead(&'static str),
    #[error("an output that was spooled cannot be read again: {0}")]
    Spool(#[from] io::Error),
}

/// The standard output or error.
#[derive(Debug)]
pub(crate) struct Sink {
    fd: BorrowedFd<'static>,
    name: &'static str,
    patience: Arc<Patience>,
    kind: Kind,
}

/// How a descriptor is written to without ever being stuck in it.
#[derive(Debug)]
enum Kind {
    /// A regular file never makes us wait.
    File,
    /// A pipe, opened a second time so that only our own writes do not block: whoever shares the first is not disturbed.
    Pipe(OwnedFd),
    /// A terminal, a socket: small pieces, each after poll says that there is room.
    Other,
}

impl Sink {
    pub(crate) fn stdout(patience: &Arc<Patience>) -> Sink {
        Sink::new(rustix::stdio::stdout(), "the standard output", patience)
    }

    pub(crate) fn stderr(patience: &Arc<Patience>) -> Sink {
        Sink::new(rustix::stdio::stderr(), "the standard error", patience)
    }

    fn new(fd: BorrowedFd<'static>, name: &'static str, patience: &Arc<Patience>) -> Sink {
        let kind = match rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile) => Kind::File,
            Ok(FileType::Fifo) => open_again(fd).map_or(Kind::Other, Kind::Pipe),
            _ => Kind::Other,
        };
        Sink { fd, name, patience: Arc::clone(patience), kind }
    }

    /// Writes all of `bytes`, or says why not.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), OutputError> {
        messages::beside_the_bar(|| self.write_all(bytes))
    }

    fn write_all(&self, mut bytes: &[u8]) -> Result<(), OutputError> {
        while !bytes.is_empty() {
            let (fd, most) = match &self.kind {
                Kind::File => (self.fd, bytes.len()),
                Kind::Pipe(again) => (again.as_fd(), bytes.len()),
                Kind::Other => (self.fd, bytes.len().min(SURE)),
            };
            if !matches!(self.kind, Kind::File) {
                self.wait()?;
            }
            match rustix::io::write(fd, &bytes[..most]) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::PIPE) => return Err(OutputError::Closed(self.name)),
                Err(error) => return Err(OutputError::Write(self.name, error.into())),
            }
        }
        Ok(())
    }

    /// Until there is room.
    fn wait(&self) -> Result<(), OutputError> {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.fd, PollFlags::OUT),
                PollFd::new(&*self.patience.force, PollFlags::IN),
            ];
            // A look each second: the end of the patience may be set while we wait.
            let look = Timespec { tv_sec: 1, tv_nsec: 0 };
            match rustix::event::poll(&mut fds, Some(&look)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(OutputError::Write(self.name, error.into())),
            }
            if !fds[0].revents().is_empty() {
                return Ok(());
            }
            let forced = !fds[1].revents().is_empty();
            let late = self.patience.until.get().is_some_and(|until| clock::until(*until) == Duration::ZERO);
            if forced || late {
                return Err(OutputError::NotRead(self.name));
            }
        }
    }
}

fn open_again(pipe: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}
