//! The process itself: started through the guardian, or directly where there is none, and the same to everybody else.
//!
//! Directly started ones are held by their own group and by the end of file on their socket; the guardian holds more (its children die with
//! us however we end, and what they left behind is swept).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Child as StdChild,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, kill_process_group, pidfd_open},
};

use crate::{
    sync::Mutex,
    worker::process::{Child, Ended, Exit, Signal, Usage},
};

pub(crate) enum Kin {
    Guarded(Child),
    Direct(Direct),
}

/// A child of this very process.
pub(crate) struct Direct {
    pid: Pid,
    /// Readable once it has ended.
    pidfd: OwnedFd,
    /// Not reaped, so its pid and group are its own; or how it ended.
    child: Mutex<Result<StdChild, Exit>>,
}

impl Direct {
    pub(crate) fn new(child: StdChild) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { pid, pidfd, child: Mutex::new(Ok(child)) })
    }

    /// To its whole group; nobody who is reaped is signalled.
    fn signal(&self, signal: Signal) {
        let child = self.child.lock();
        if child.is_ok()
            && let Some(signal) = rustix::process::Signal::from_named_raw(signal.as_raw())
        {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    fn try_exit(&self) -> Option<Exit> {
        let mut child = self.child.lock();
        let running = match &mut *child {
            Ok(running) => running,
            Err(exit) => return Some(exit.clone()),
        };
        if !is_readable(self.pidfd.as_fd(), Duration::ZERO) {
            return None;
        }
        // A zombie still: the group's number is its own.
        let _ = kill_process_group(self.pid, rustix::process::Signal::KILL);
        let status = running.wait().ok();
        let exit = Exit { ended: ended(status), usage: Usage::default() };
        *child = Err(exit.clone());
        Some(exit)
    }
}

impl Kin {
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Guarded(child) => child.pid(),
            Self::Direct(direct) => direct.pid.as_raw_nonzero().get().unsigned_abs(),
        }
    }

    /// A signal to its group. One that has ended is left alone.
    pub(crate) fn signal(&self, signal: Signal) {
        match self {
            // The guardian is gone, and so is the process.
            Self::Guarded(child) => child.signal(signal).unwrap_or_default(),
            Self::Direct(direct) => direct.signal(signal),
        }
    }

    /// Readable once it has ended.
    pub(super) fn exit_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Guarded(child) => child.exit_fd(),
            Self::Direct(direct) => direct.pidfd.as_fd(),
        }
    }

    /// How it ended, waiting so long for it; `None` = it still runs.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Exit> {
        match self {
            Self::Guarded(child) => child.wait_timeout(patience),
            Self::Direct(direct) => {
                let _ = is_readable(direct.pidfd.as_fd(), patience);
                direct.try_exit()
            }
        }
    }
}

/// A direct child that nobody waits for any more is killed and reaped: a guarded one is the guardian's to end.
impl Drop for Direct {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = is_readable(self.pidfd.as_fd(), Duration::from_secs(1));
        self.try_exit();
    }
}

/// Waits until a descriptor is readable, so long at most.
fn is_readable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
}

fn ended(status: Option<std::process::ExitStatus>) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    match status.map(|status| (status.code(), status.signal(), status.core_dumped())) {
        Some((Some(code), _, _)) => Ended::Exited { code },
        Some((None, Some(signal), core_dumped)) => Ended::Signaled { signal, core_dumped },
        _ => Ended::Lost,
    }
}
