//! One attempt at one task: start the command, read what it writes, wait for its end, ask it to end, end it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ebbtide::process::{Child, Signal, SpawnError};
use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;

use super::{Budget, Capture, Keep, Launcher};
use crate::clock::{self, timespec};

const CHUNK: usize = 64 * 1024;

/// Who may end it, and how patiently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asks<'a> {
    /// Readable: ask it to end (SIGTERM), and kill it after the grace.
    pub(crate) cancel: BorrowedFd<'a>,
    /// Readable: kill it now.
    pub(crate) force: BorrowedFd<'a>,
    pub(crate) grace: Duration,
}

/// How an attempt ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) verdict: Verdict,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
}

/// What the end of a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exit code 0, whatever was asked: the truth counts.
    Completed,
    /// Another exit code, and nobody had asked.
    Failed,
    /// It ended after our SIGTERM.
    Cancelled,
    /// It needed our SIGKILL.
    Killed,
    /// A signal that was not ours, or its guardian died.
    Crashed,
}

/// What has been done to the command so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    Nothing,
    /// SIGTERM is sent, SIGKILL is due then.
    Asked(Instant),
    Killed,
}

thread_local! {
    /// What a reader keeps between two tasks of its thread.
    static PIECE: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Runs `argv` once. Returns when its command has ended and everything it wrote until then is captured; what its
/// left-over descendants write later is not waited for.
pub(crate) fn attempt(
    launcher: &Launcher,
    argv: &[OsString],
    asks: Asks<'_>,
    keep: Keep,
    budget: &Budget,
) -> Result<Attempt, SpawnError> {
    let mut ours = None;
    let child = launcher.spawn(argv, || {
        let (out, out_child) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (err, err_child) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        ours = Some([out, err]);
        Ok([out_child, err_child])
    })?;
    let [out, err] = ours.expect("a command that was started has its pipes");
    let streams = [Stream::new(out, keep, budget), Stream::new(err, keep, budget)];
    let mut running = Running { child, streams, doing: Doing::Nothing };
    PIECE.with_borrow_mut(|piece| while running.turn(asks, piece) == Turn::Again {});
    Ok(running.finish())
}

struct Stream {
    /// `None` at its end.
    fd: Option<OwnedFd>,
    capture: Capture,
}

struct Running {
    child: Child,
    streams: [Stream; 2],
    doing: Doing,
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Again,
    Ended,
}

impl Running {
    /// Waits for something to happen and reacts to it.
    fn turn(&mut self, asks: Asks<'_>, piece: &mut [u8]) -> Turn {
        let (out, err, ended, cancelled, forced) = match self.wait(asks) {
            Ok(seen) => (seen.out, seen.err, seen.ended, seen.cancelled, seen.forced),
            // Without poll we can neither read nor listen: end it rather than lose it.
            Err(_) => (false, false, true, false, true),
        };
        if forced || matches!(self.doing, Doing::Asked(until) if clock::until(until).is_zero()) {
            self.kill();
        } else if cancelled {
            self.ask(asks.grace);
        }
        for (stream, readable) in self.streams.iter_mut().zip([out, err]) {
            if readable {
                stream.read(piece);
            }
        }
        if !ended {
            return Turn::Again;
        }
        self.streams.iter_mut().for_each(|stream| stream.read_the_rest(piece));
        Turn::Ended
    }

    fn wait(&self, asks: Asks<'_>) -> io::Result<Seen> {
        let [out, err] = [0, 1].map(|index| self.streams[index].fd.as_ref().map(OwnedFd::as_fd));
        let listens = self.doing == Doing::Nothing;
        let fds = [
            Some(self.child.exit_fd()),
            out,
            err,
            (self.doing != Doing::Killed).then_some(asks.force),
            listens.then_some(asks.cancel),
        ];
        let mut polled: Vec<PollFd<'_>> =
            fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let patience = match self.doing {
            Doing::Asked(until) => Some(timespec(clock::until(until))),
            Doing::Nothing | Doing::Killed => None,
        };
        match rustix::event::poll(&mut polled, patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = polled.iter().map(|fd| !fd.revents().is_empty());
        let mut next = |asked: bool| asked && events.next().unwrap_or(false);
        Ok(Seen {
            ended: next(true),
            out: next(out.is_some()),
            err: next(err.is_some()),
            forced: next(self.doing != Doing::Killed),
            cancelled: next(listens),
        })
    }

    fn ask(&mut self, grace: Duration) {
        // An error means that it has just ended; the next turn sees that.
        let _ = self.child.signal(Signal::TERM);
        self.doing = Doing::Asked(clock::now() + grace);
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        self.doing = Doing::Killed;
    }

    fn finish(self) -> Attempt {
        let exit = self.child.wait();
        let (exit_code, signal) = (exit.code(), exit.signal());
        let [stdout, stderr] = self.streams.map(|stream| stream.capture);
        Attempt { verdict: verdict(exit_code, signal, self.doing), exit_code, signal, stdout, stderr }
    }
}

struct Seen {
    ended: bool,
    out: bool,
    err: bool,
    forced: bool,
    cancelled: bool,
}

impl Stream {
    fn new(fd: OwnedFd, keep: Keep, budget: &Budget) -> Stream {
        Stream { fd: Some(fd), capture: Capture::new(keep, budget) }
    }

    /// One read, after poll said that there is something.
    fn read(&mut self, piece: &mut [u8]) -> usize {
        let Some(fd) = &self.fd else { return 0 };
        match rustix::io::read(fd, &mut *piece) {
            Ok(0) => self.fd = None,
            Ok(read) => {
                self.capture.push(&piece[..read]);
                return read;
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => self.fd = None,
        }
        0
    }

    /// What is in the pipe now that the command has ended: not more, for a process that left its group may hold the
    /// other end for ever.
    fn read_the_rest(&mut self, piece: &mut [u8]) {
        let Some(fd) = &self.fd else { return };
        let mut rest = rustix::io::ioctl_fionread(fd).unwrap_or(0);
        while rest > 0 {
            let most = piece.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
            match self.read(&mut piece[..most]) {
                0 => break,
                read => rest = rest.saturating_sub(read as u64),
            }
        }
    }
}

fn verdict(exit_code: Option<i32>, signal: Option<i32>, doing: Doing) -> Verdict {
    match (exit_code, signal, doing) {
        (Some(0), _, _) => Verdict::Completed,
        (_, Some(9), Doing::Killed) => Verdict::Killed,
        (_, _, Doing::Asked(_) | Doing::Killed) => Verdict::Cancelled,
        (Some(_), _, Doing::Nothing) => Verdict::Failed,
        (None, _, Doing::Nothing) => Verdict::Crashed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_how_it_ended_not_what_was_asked() {
        let asked = Doing::Asked(clock::now());
        for (code, signal, doing, expected) in [
            (Some(0), None, Doing::Nothing, Verdict::Completed),
            (Some(0), None, asked, Verdict::Completed),
            (Some(0), None, Doing::Killed, Verdict::Completed),
            (Some(3), None, Doing::Nothing, Verdict::Failed),
            (Some(3), None, asked, Verdict::Cancelled),
            (None, Some(15), asked, Verdict::Cancelled),
            (None, Some(15), Doing::Nothing, Verdict::Crashed),
            (None, Some(9), Doing::Nothing, Verdict::Crashed),
            (None, Some(9), Doing::Killed, Verdict::Killed),
            (None, Some(15), Doing::Killed, Verdict::Cancelled),
            (None, None, Doing::Nothing, Verdict::Crashed),
        ] {
            assert_eq!(verdict(code, signal, doing), expected, "{code:?} {signal:?} {doing:?}");
        }
    }
}
