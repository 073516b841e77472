//! Alarms, and the thread that rings them.
//!
//! An ordered map under one lock; the thread sleeps until the earliest is due and does not run while there is none.
//! An alarm that is dropped is gone at once. What rings must be quick and must not block: it rings for all pools.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    clock::Moment,
    sync::{self, Mutex, Thread},
};

type Ring = Box<dyn FnOnce() + Send>;
type Key = (Moment, u64);

/// Calls something once at a moment, unless it is dropped before.
#[must_use = "dropping an alarm switches it off"]
pub(crate) struct Alarm {
    key: Key,
}

struct Clockwork {
    alarms: BTreeMap<Key, Ring>,
    next: u64,
    thread: Option<Thread>,
}

#[cfg(not(shuttle))]
static CLOCKWORK: Mutex<Clockwork> = Mutex::new(Clockwork { alarms: BTreeMap::new(), next: 0, thread: None });

impl Alarm {
    #[cfg(not(shuttle))]
    pub(crate) fn at(moment: Moment, ring: impl FnOnce() + Send + 'static) -> Self {
        let mut clockwork = CLOCKWORK.lock();
        clockwork.next += 1;
        let key = (moment, clockwork.next);
        let first = clockwork.alarms.first_key_value().is_none_or(|(first, _)| key < *first);
        clockwork.alarms.insert(key, Box::new(ring));
        if first {
            clockwork.wake_or_start();
        }
        Self { key }
    }

    /// A model has no time: there an alarm never rings.
    #[cfg(shuttle)]
    pub(crate) fn at(moment: Moment, ring: impl FnOnce() + Send + 'static) -> Self {
        drop(ring);
        Self { key: (moment, 0) }
    }
}

impl Alarm {
    /// Lets it ring although nobody holds it.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        #[cfg(not(shuttle))]
        {
            // Dropped after the lock is released: what rings may own anything.
            let ring = CLOCKWORK.lock().alarms.remove(&self.key);
            drop(ring);
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("at", &self.key.0).finish()
    }
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

#[cfg(not(shuttle))]
fn run() {
    loop {
        let now = Moment::now();
        let due = CLOCKWORK.lock().next_due(now);
        match due {
            // What rings is ours, but a panic in it must not stop the clock for everybody.
            Ok(ring) => drop(catch_unwind(AssertUnwindSafe(ring))),
            Err(Some(moment)) => sync::park_timeout(moment.since(now)),
            Err(None) => sync::park(),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn rings_in_order_and_not_when_dropped() {
        let (sender, receiver) = mpsc::channel();
        let now = Moment::now();
        let alarms: Vec<_> = [30_u64, 10, 20]
            .into_iter()
            .map(|millis| {
                let sender = sender.clone();
                Alarm::at(now.plus(Duration::from_millis(millis)), move || {
                    sender.send(millis).unwrap_or_default()
                })
            })
            .collect();
        let silent = sender.clone();
        drop(Alarm::at(now.plus(Duration::from_millis(5)), move || silent.send(5).unwrap_or_default()));
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [10, 20, 30]);
        drop(alarms);
    }

    #[test]
    fn a_panic_does_not_stop_the_clock() {
        let (sender, receiver) = mpsc::channel();
        let bad = Alarm::at(Moment::now(), || panic!("on purpose"));
        let good = Alarm::at(Moment::now(), move || sender.send(()).unwrap_or_default());
        assert!(receiver.recv_timeout(Duration::from_secs(10)).is_ok());
        drop((bad, good));
    }
}
