//! A command that was started: its end, and how to bring it about.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, read};

use super::deadline::Deadline;
use super::frame::{EndRecord, RECORD, Record};
use super::guardian::Link;
use super::signal::{self, Signal};

/// A command started by a [`Guardian`](crate::process::Guardian). Dropping it lets the command run on as long as any handle of
/// the guardian lives; it is reaped all the same.
pub struct Child {
    pid: u32,
    task: u64,
    report: OwnedFd,
    exit: Mutex<Option<Exit>>,
    link: Arc<Link>,
}

/// How a command ended, and what it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// How.
    pub ended: Ended,
    /// What it and the descendants it waited for used; zero where not known.
    pub usage: Usage,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exited {
        /// Its exit code, 0..=255.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
    /// With the guardian, which got SIGKILL: nobody was left to be told. It has ended; how is not known.
    Lost,
}

/// Resources used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory in use at once by any one of the processes, in bytes. The kernel counts the few MiB of the guardian as
    /// the least.
    pub max_rss_bytes: u64,
    /// Time on a processor, in the program.
    pub user: Duration,
    /// Time on a processor, in the kernel for it.
    pub system: Duration,
}

impl Child {
    pub(super) fn new(pid: i32, task: u64, report: OwnedFd, link: Arc<Link>) -> Child {
        Child { pid: pid.unsigned_abs(), task, report, exit: Mutex::new(None), link }
    }

    /// The pid of the command, which is also the number of its process group. It stays its own until the end is reported; to
    /// signal it use [`signal`](Child::signal), which never hits a stranger.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the end of the command. Nothing of its process group lives on then (but see the module's limits; for a process
    /// that does not die of SIGKILL it waits a second).
    pub fn wait(&self) -> Exit {
        loop {
            if let Some(exit) = self.wait_until(Deadline::NEVER) {
                return exit;
            }
        }
    }

    /// The same, at most so long; `None` = it still runs.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Exit> {
        self.wait_until(Deadline::after(timeout))
    }

    /// How it ended, `None` = it still runs. Does not wait, except, when the guardian was killed, for what is left of its
    /// commands to be ended.
    pub fn try_exit(&self) -> Option<Exit> {
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        if exit.is_none() {
            *exit = self.read_exit();
        }
        exit.clone()
    }

    /// Sends a signal to the whole process group. One that has ended is left alone, and that is no error. Not for a command of
    /// another user: the system refuses, and you see it by its not ending.
    ///
    /// # Errors
    /// The guardian is gone, and so is the command.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.link.signal(self.task, signal)
    }

    /// SIGKILL to the whole process group, and to every descendant that can still be traced to the command, also in groups and
    /// sessions of their own. (One whose parents have ended is not: it is ended with the guardian.) Does not wait for the end.
    ///
    /// # Errors
    /// The guardian is gone, and so is the command.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Readable once the command has ended, and ever after: for a poll loop that also reads its pipes. Do not read from it.
    #[must_use]
    pub fn exit_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    fn wait_until(&self, deadline: Deadline) -> Option<Exit> {
        if let Some(exit) = self.try_exit() {
            return Some(exit);
        }
        // It fails only for want of kernel memory, and then the caller's loop or the next look decides.
        let _ = deadline.poll(&mut [PollFd::new(&self.report, PollFlags::IN)]);
        self.try_exit()
    }

    fn read_exit(&self) -> Option<Exit> {
        match read_record(&self.report) {
            Ok(Some(Record::Ended(end))) => Some(Exit::from_record(end)),
            Err(Errno::AGAIN) => None,
            // End of file, or what only a broken guardian would say.
            Ok(_) | Err(_) => {
                self.link.wait_gone();
                Some(Exit { ended: Ended::Lost, usage: Usage::default() })
            }
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl Exit {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }

    /// The exit code, if it exited by itself.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self.ended {
            Ended::Exited { code } => Some(code),
            Ended::Signaled { .. } | Ended::Lost => None,
        }
    }

    /// The number of the signal that ended it, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.ended {
            Ended::Signaled { signal, .. } => Some(signal),
            Ended::Exited { .. } | Ended::Lost => None,
        }
    }

    fn from_record(end: EndRecord) -> Exit {
        let low = end.status & 0x7f;
        let ended = if low == 0 {
            Ended::Exited { code: end.status >> 8 & 0xff }
        } else {
            Ended::Signaled { signal: low, core_dumped: end.status & 0x80 != 0 }
        };
        Exit {
            ended,
            usage: Usage {
                max_rss_bytes: end.max_rss_bytes,
                user: Duration::from_micros(end.user_us),
                system: Duration::from_micros(end.system_us),
            },
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            Ended::Exited { code } => write!(f, "exited with code {code}"),
            Ended::Signaled { signal, core_dumped } => {
                write!(f, "ended by {}", signal::name_of(signal))?;
                if core_dumped { f.write_str(" (core dumped)") } else { Ok(()) }
            }
            Ended::Lost => f.write_str("ended when its guardian was killed"),
        }
    }
}

/// One record; `None` = end of file, or no record. The pipe does not block.
pub(super) fn read_record(report: &OwnedFd) -> Result<Option<Record>, Errno> {
    let mut bytes = [0u8; RECORD];
    loop {
        match read(report, &mut bytes[..]) {
            Ok(RECORD) => return Ok(Record::decode(&bytes)),
            Ok(_) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
