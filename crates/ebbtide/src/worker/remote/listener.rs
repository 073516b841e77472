//! Who listens: the reader's thread, or the driver's while single short tasks come one after the other.
//!
//! A task that comes to an idle worker wakes its driver. If that listened for the answer as well, no other thread would be woken but the one who
//! waits for the task; with the reader in between there are two more. So after a few single tasks the reader rests, and the driver listens for a moment
//! after it has sent one; what takes longer it leaves to the reader, which it calls.
//!
//! Invariant: while something is under way or an answer is waited for, the driver listens or the reader does not rest. Who rests says so, and then looks once
//! more; who sends looks afterwards whether somebody rests.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::reader::{Reader, Turn, Who};
use crate::{
    clock::Moment,
    sync::{
        self, Mutex, Thread,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::isolation::Isolation,
};

/// So long the driver listens after it has sent a single task.
const SINGLE: Duration = Duration::from_millis(1);
/// How long the reader rests at a time. Whatever else the worker says meanwhile waits for so long at most.
const REST: Duration = Duration::from_millis(20);

pub(super) struct Listener<I: Isolation> {
    reader: Mutex<Reader<I>>,
    calls: Arc<Calls>,
}

/// How the reader's thread is called back from a rest.
#[derive(Default)]
pub(super) struct Calls {
    thread: OnceLock<Thread>,
    resting: AtomicBool,
    /// How many tasks the driver has listened for.
    singles: AtomicU64,
}

impl Calls {
    /// Somebody has to listen who is not the driver.
    pub(super) fn call(&self) {
        if self.resting.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            self.resting.store(false, Ordering::SeqCst);
            thread.unpark();
        }
    }
}

impl<I: Isolation> Listener<I> {
    pub(super) fn new(reader: Reader<I>, calls: Arc<Calls>) -> Self {
        Self { reader: Mutex::new(reader), calls }
    }

    /// The life of the reader's thread.
    pub(super) fn run(&self) {
        let _ = self.calls.thread.set(sync::current());
        let mut seen = 0;
        while self.listen() {
            self.calls.resting.store(true, Ordering::SeqCst);
            if !self.reader.lock().may_rest() {
                self.calls.resting.store(false, Ordering::SeqCst);
                continue;
            }
            sync::park_timeout(REST);
            self.calls.resting.store(false, Ordering::SeqCst);
            let singles = self.calls.singles.load(Ordering::Relaxed);
            if std::mem::replace(&mut seen, singles) == singles {
                // Nobody came meanwhile: it listens again itself, for as long as it takes.
                self.reader.lock().wake_up();
            }
        }
    }

    /// Listens until there is nothing to do but what the driver can do; false once the process is no more.
    fn listen(&self) -> bool {
        let mut reader = self.reader.lock();
        loop {
            // Who may rest only glances at what has come meanwhile.
            let turn = if reader.may_rest() { Who::Glance } else { Who::Reader };
            match reader.turn(turn) {
                Turn::Over => {
                    reader.end();
                    return false;
                }
                Turn::GoOn if reader.may_rest() => return true,
                Turn::GoOn => {}
            }
        }
    }

    /// The driver has sent a task and listens for its end, if nobody else does. Where it takes longer the reader is called.
    pub(super) fn listen_for_one(&self) {
        let Some(mut reader) = self.reader.try_lock() else {
            // The reader listens, or just looked whether it may rest: if it decided so, it must look again.
            return self.calls.call();
        };
        self.calls.singles.fetch_add(1, Ordering::Relaxed);
        let until = Moment::now().plus(SINGLE);
        while reader.has_one() {
            let left = until.since(Moment::now());
            if left.is_zero() || reader.turn(Who::Driver(left)) == Turn::Over {
                break;
            }
        }
        let done = reader.may_rest();
        drop(reader);
        if !done {
            self.calls.call();
        }
    }
}
