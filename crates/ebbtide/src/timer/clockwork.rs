//! The thread that rings alarms.
//!
//! An ordered map under one lock; the thread sleeps until the earliest is due and does not run while there is none.
//! An alarm that is dropped is gone at once.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

#[cfg(target_os = "linux")]
use std::num::NonZeroU64;

use crate::{
    clock::Moment,
    sync::{self, Mutex, Thread},
};

pub(crate) type Key = (Moment, u64);

type Ring = Box<dyn FnOnce() + Send>;

struct Clockwork {
    alarms: BTreeMap<Key, Ring>,
    next: u64,
    thread: Option<Thread>,
}

static CLOCKWORK: Mutex<Clockwork> = Mutex::new(Clockwork { alarms: BTreeMap::new(), next: 0, thread: None });

/// Has `ring` called at a moment, unless the key is removed before.
pub(crate) fn insert(moment: Moment, ring: Ring) -> Key {
    let mut clockwork = CLOCKWORK.lock();
    clockwork.next += 1;
    let key = (moment, clockwork.next);
    let first = clockwork.alarms.first_key_value().is_none_or(|(first, _)| key < *first);
    clockwork.alarms.insert(key, ring);
    if first {
        clockwork.wake_or_start();
    }
    key
}

pub(crate) fn remove(key: Key) {
    // Dropped after the lock is released: what rings may own anything.
    let ring = CLOCKWORK.lock().alarms.remove(&key);
    drop(ring);
}

impl Clockwork {
    fn wake_or_start(&mut self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
            return;
        }
        let started = sync::spawn("ebbtide-timer".to_owned(), Some(256 * 1024), run);
        // Without a thread the next alarm tries again; a machine that cannot start one starts no workers either.
        self.thread = started.ok().map(|handle| handle.thread().clone());
    }

    /// Takes one alarm that is due, or says how long to sleep.
    fn next_due(&mut self, now: Moment) -> Result<Ring, Option<Moment>> {
        match self.alarms.first_entry() {
            Some(entry) if entry.key().0 <= now => Ok(entry.remove()),
            Some(entry) => Err(Some(entry.key().0)),
            None => Err(None),
        }
    }
}

fn run() {
    loop {
        let now = Moment::now();
        let due = CLOCKWORK.lock().next_due(now);
        match due {
            // What rings is ours, but a panic in it must not stop the clock for everybody.
            Ok(ring) => drop(catch_unwind(AssertUnwindSafe(ring))),
            Err(Some(moment)) => sleep(moment.since(now)),
            Err(None) => sync::park(),
        }
    }
}

/// Sleeps without the slack that the kernel gives to every thread, 50 µs as a rule, to wake several at once: it would be what everything
/// timed is late by.
#[cfg(target_os = "linux")]
fn sleep(duration: Duration) {
    use rustix::thread::set_current_timer_slack as set_slack;

    // Where it may not be set, it is later by that much.
    let _ = set_slack(Some(NonZeroU64::MIN));
    sync::park_timeout(duration);
    // Threads inherit it, and an alarm may start workers: how they sleep is not ours to say.
    let _ = set_slack(None);
}

#[cfg(not(target_os = "linux"))]
fn sleep(duration: Duration) {
    sync::park_timeout(duration);
}
