//! The connection as the serving thread, the watching thread and a task's threads share it.
//!
//! 1. `reading` is held by whoever reads; what was read is taken in, and answered, before it is let go. So a frame that has come counts
//!    for the next decision under the lock, and nobody can end the process between an answer and its being written.
//! 2. `writing` is held for the length of a write: frames of several threads do not mix. It is taken after `reading`, never before.
//! 3. The serving thread keeps the frames of a task's end to itself until the next START or until it waits, whichever is first; the
//!    user's code runs between neither.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::Duration;
use std::{fmt, io};

use super::inbox::{Broken, Inbox, Next};
use super::socket::{self, Came, Patience};
use crate::cancel::Cancel;
use crate::frame::meta::{LogMeta, cut};
use crate::frame::{Decoder, FrameType, write_frame};
use crate::startup::{Given, Restore};
use crate::task::Level;

/// How long the exit may take once the pool is gone.
const EXIT_MAX: Duration = Duration::from_secs(1);
/// The exit code after what is no frame; that of a software error, as all the SDKs have it.
const MALFORMED: i32 = 70;
/// The most of a text that LOG and PROGRESS take along.
const TEXT_MAX: usize = 64 << 10;
/// Frames of an end that are longer than this do not wait for the next START: joining the two saves nothing.
const OUT_LONG: usize = 32 << 10;
/// The room for what is to be written that is kept after something long was: twice what the reading side keeps, because it grows by doubling.
const OUT_KEPT: usize = 4 << 20;

pub(crate) struct Link {
    socket: OwnedFd,
    most: u32,
    reading: Mutex<Reading>,
    writing: Mutex<()>,
    cancel: Cancel,
    pub(super) pulse: Pulse,
}

struct Reading {
    decoder: Decoder,
    inbox: Inbox,
}

/// How the watching thread sees that one thing takes long.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// 0 while the serving thread waits for the pool, and else a number for what it does.
    doing: AtomicU64,
    last: AtomicU64,
    /// The watching thread sleeps and must be woken.
    pub(super) asleep: AtomicBool,
    pub(super) watcher: OnceLock<Thread>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("socket", &self.socket).field("most", &self.most).finish_non_exhaustive()
    }
}

impl Link {
    /// Takes the pool's socket.
    pub(crate) fn open(given: &Given) -> io::Result<Self> {
        let reading = Reading { decoder: Decoder::with_limit(given.most), inbox: Inbox::new(given.restore) };
        Ok(Self {
            socket: socket::take()?,
            most: given.most,
            reading: Mutex::new(reading),
            writing: Mutex::new(()),
            cancel: Cancel::default(),
            pulse: Pulse::default(),
        })
    }

    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Writes the frames in `out` and empties it. Ends the process if the pool is gone.
    pub(crate) fn flush(&self, out: &mut Vec<u8>) {
        if !out.is_empty() {
            self.write(out);
            out.clear();
            if out.capacity() > OUT_KEPT {
                *out = Vec::new();
            }
        }
    }

    /// Waits for the state of the predecessor. Only before the first task.
    pub(crate) fn wait_for_state(&self, restore: Restore, out: &mut Vec<u8>) -> Option<Vec<u8>> {
        if restore == Restore::Not {
            return None;
        }
        let mut reading = self.lock();
        loop {
            if let Some(state) = reading.inbox.take_restored() {
                return Some(state);
            }
            self.flush(out);
            self.read(&mut reading, Patience::Waits, out);
        }
    }

    /// What is next, after all that has come was read; waits if it is nothing. `ran` is the buffer of the task that ended before.
    /// The frames in `out` are on their way before it waits.
    pub(crate) fn next(&self, ran: Option<Vec<u8>>, out: &mut Vec<u8>) -> Next {
        // A long write may wait for a pool that is writing itself: without the lock, the watching thread reads beside it.
        if out.len() > OUT_LONG {
            self.flush(out);
        }
        let mut reading = self.lock();
        if let Some(request) = ran {
            reading.inbox.ended(request, &self.cancel);
        }
        // With nothing to do the next read waits, and brings all that has come as well.
        if reading.inbox.has_work() {
            self.read(&mut reading, Patience::Looks, out);
        }
        loop {
            match reading.inbox.next() {
                Next::Nothing => {
                    self.flush(out);
                    self.pulse.waits();
                    self.read(&mut reading, Patience::Waits, out);
                    self.pulse.goes_on();
                }
                Next::Stop => {
                    // Under the lock, so that the watching thread has written what it had to.
                    self.flush(out);
                    return Next::Stop;
                }
                next => {
                    self.pulse.begins();
                    return next;
                }
            }
        }
    }

    /// The watching thread's read: what came is taken in and answered, unless the serving thread is at it. Says whether it did.
    pub(super) fn read_beside(&self, doing: u64, replies: &mut Vec<u8>) -> bool {
        let mut reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if self.pulse.doing() != doing {
            return false;
        }
        self.read(&mut reading, Patience::Looks, replies);
        self.flush(replies);
        true
    }

    /// Waits until there is something to read.
    pub(super) fn wait_readable(&self) {
        use rustix::event::{PollFd, PollFlags, poll};

        // An error is an interruption: the caller looks and comes back.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], None);
    }

    pub(crate) fn log(&self, id: u64, level: Level, text: &str) {
        let meta = LogMeta { level: level.name().into() }.to_bytes();
        self.tell(FrameType::Log, id, &meta, text);
    }

    pub(crate) fn progress(&self, id: u64, text: &str) {
        self.tell(FrameType::Progress, id, b"", text);
    }

    /// The start has begun, or the last of it: the watching thread is to look after what may take long.
    pub(crate) fn begins(&self) {
        self.pulse.begins();
        self.pulse.wake();
    }

    fn tell(&self, kind: FrameType, id: u64, meta: &[u8], text: &str) {
        let mut out = Vec::new();
        let most = TEXT_MAX.min((self.most as usize).saturating_sub(64));
        if write_frame(&mut out, kind, 0, id, meta, cut(text, most).as_bytes()).is_ok() {
            self.write(&out);
        }
    }

    fn read(&self, reading: &mut Reading, patience: Patience, out: &mut Vec<u8>) {
        let mut patience = patience;
        loop {
            let space = reading.decoder.space();
            let room = space.len();
            match socket::read(&self.socket, space, patience) {
                Came::Nothing => return,
                Came::Gone => leave(),
                Came::Bytes(n) => {
                    reading.decoder.filled(n);
                    let taken = reading.take_in(&self.cancel, out);
                    if let Err(broken) = taken {
                        // What is done is done, and the pool may have it.
                        self.flush(out);
                        complain(format_args!("the pool sent what is no frame, or not here: {broken}"));
                        end(MALFORMED)
                    }
                    // A read that was not filled took all there was.
                    if n < room {
                        return;
                    }
                    patience = Patience::Looks;
                }
            }
        }
    }

    fn write(&self, bytes: &[u8]) {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if socket::write(&self.socket, bytes).is_err() {
            leave()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn take_in(&mut self, cancel: &Cancel, out: &mut Vec<u8>) -> Result<(), Broken> {
        while let Some(frame) = self.decoder.next()? {
            self.inbox.take(&frame, cancel, out)?;
        }
        Ok(())
    }
}

impl Pulse {
    pub(super) fn doing(&self) -> u64 {
        self.doing.load(Ordering::SeqCst)
    }

    /// Something else than before. Only the serving thread calls it, so the count needs no more than a store.
    fn begins(&self) {
        let number = self.last.load(Ordering::Relaxed) + 1;
        self.last.store(number, Ordering::Relaxed);
        self.doing.store(number, Ordering::Release);
    }

    fn waits(&self) {
        self.doing.store(0, Ordering::Release);
    }

    fn goes_on(&self) {
        self.begins();
        self.wake();
    }

    fn wake(&self) {
        // Pairs with the watching thread, which says that it sleeps and then looks once more: one of the two sees the other.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst)
            && let Some(watcher) = self.watcher.get()
        {
            watcher.unpark();
        }
    }
}

/// Says on standard error why the worker ends; the pool keeps its last lines.
pub(crate) fn complain(why: fmt::Arguments<'_>) {
    use io::Write;

    // Nobody to be told that there is nobody to be told.
    let _ = writeln!(io::stderr(), "ebbtide worker: {why}");
}

/// The pool is gone. The exit runs what the user's libraries left for it, beside a task that goes on; where that hangs, it is cut short.
fn leave() -> ! {
    use rustix::process::{Signal, getpid, kill_process};

    let cut_short = || {
        thread::park_timeout(EXIT_MAX);
        let _ = kill_process(getpid(), Signal::KILL);
    };
    // Without a thread for it, the exit is all there is.
    let _ = thread::Builder::new().spawn(cut_short);
    end(0)
}

/// Ends the process, from whichever thread it is.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker process ends when its pool is gone, whatever its threads do"
)]
pub(crate) fn end(code: i32) -> ! {
    std::process::exit(code)
}
