//! The kernel's: sockets, pipes, a wait for all of them, the size of a process, and what of a machine a pool holds on to.

use std::{
    fs::File,
    io::IoSlice,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown},
};

use super::{cap::Caps, kin::Kin};
use crate::{
    sync::Mutex,
    worker::{
        process::Guardian,
        remote::{outgoing::Patience, plan::Wishes},
    },
};

/// A limit on data counts what is reserved and not used, stacks of threads above all.
const DATA_ROOM: u64 = 128 << 20;

/// Our end of a worker's socket.
pub(crate) struct Socket(OwnedFd);

/// The end of a worker's output that is read.
pub(crate) struct Pipe(OwnedFd);

/// What there is to read.
pub(crate) struct Ready {
    pub(crate) socket: bool,
    /// The process has ended.
    pub(crate) ended: bool,
    pub(crate) outputs: bool,
}

/// What a pool holds of the machine: who starts its workers, and what caps their memory.
pub(crate) struct Host {
    pub(crate) caps: Caps,
    guardian: Mutex<Option<Guardian>>,
}

/// Reads the resident set of one process, through a descriptor that is kept: about a microsecond a look.
#[derive(Debug)]
pub(crate) struct Meter(Option<File>);

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Gives how many bytes it took, which may be fewer.
    pub(crate) fn send(&self, pieces: [&[u8]; 3], patience: Patience) -> Result<usize, Errno> {
        let flags = match patience {
            Patience::Wait => SendFlags::NOSIGNAL,
            Patience::DoNotWait => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        };
        match pieces {
            [bytes, [], []] => rustix::net::send(&self.0, bytes, flags),
            pieces => {
                let pieces = pieces.map(IoSlice::new);
                rustix::net::sendmsg(&self.0, &pieces, &mut SendAncillaryBuffer::default(), flags)
            }
        }
    }

    /// What is there already; 0 = the other end is closed.
    pub(crate) fn receive(&self, space: &mut [u8]) -> Result<usize, Errno> {
        rustix::net::recv(&self.0, space, RecvFlags::DONTWAIT).map(|(n, _)| n)
    }

    /// Ends it for everybody who holds either end: whoever waits to send waits no more.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.0, Shutdown::Both);
    }
}

impl Pipe {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// What is there already; 0 = nobody writes any more.
    pub(crate) fn read(&self, space: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(&self.0, space)
    }
}

/// Waits until one of them has something, so long at most.
pub(crate) fn wait(
    socket: &Socket,
    kin: &Kin,
    outputs: [Option<&Pipe>; 2],
    patience: Option<Duration>,
) -> Ready {
    let (socket, ended) = (socket.0.as_fd(), kin.exit_fd());
    let mut fds = Vec::with_capacity(4);
    fds.push(PollFd::new(&socket, PollFlags::IN));
    fds.push(PollFd::new(&ended, PollFlags::IN));
    fds.extend(outputs.into_iter().flatten().map(|pipe| PollFd::new(&pipe.0, PollFlags::IN)));
    let patience = patience.map(|patience| Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    });
    match poll(&mut fds, patience.as_ref()) {
        Ok(0) | Err(Errno::INTR) => return Ready { socket: false, ended: false, outputs: false },
        Ok(_) => {}
        // Want of kernel memory: the next look says whether there is more to it.
        Err(_) => std::thread::yield_now(),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut next = || ready.next().unwrap_or(false);
    Ready { socket: next(), ended: next(), outputs: ready.any(|ready| ready) }
}

impl Host {
    pub(crate) fn new(wishes: &Wishes) -> Self {
        Self { caps: Caps::find(wishes), guardian: Mutex::new(wishes.guardian.clone()) }
    }

    /// The guardian, started when it is first needed, and again when it has gone; `None` where this program cannot have one.
    pub(crate) fn guardian(&self) -> Result<Option<Guardian>, String> {
        let mut own = self.guardian.lock();
        if let Some(guardian) = own.as_ref().filter(|guardian| guardian.is_there()) {
            return Ok(Some(guardian.clone()));
        }
        let guardian = Guardian::shared().map_err(|error| error.to_string())?;
        own.clone_from(&guardian);
        Ok(guardian)
    }

    /// The limit on data of a worker that no control group holds: with room for what it reserves and does not use.
    pub(crate) fn data_limit(&self, wishes: &Wishes) -> Option<u64> {
        let hard = wishes.memory.hard.filter(|_| self.caps == Caps::Data)?;
        Some(hard.saturating_add(DATA_ROOM))
    }
}

impl Meter {
    pub(crate) fn of(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/statm")).ok())
    }

    /// In bytes; `None` once the process has ended.
    pub(crate) fn read(&self) -> Option<u64> {
        let mut bytes = [0; 128];
        let n = self.0.as_ref()?.read_at(&mut bytes, 0).ok()?;
        let text = std::str::from_utf8(&bytes[..n]).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        (pages > 0).then(|| pages * rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_can_be_read() {
        let meter = Meter::of(std::process::id());
        assert!(meter.read().is_some_and(|bytes| bytes > 1 << 20), "{meter:?}");
        assert_eq!(Meter::of(u32::MAX).read(), None);
    }
}
