//! What a worker has taken from its lane beyond the task it runs, so that it need not come to the queue for each.
//!
//! A task on a tray is still queued: its owner may cancel it, a worker that finds nothing takes it from here, a stop returns it.
//! Invariants:
//! - tasks are put onto a tray, and taken off by anybody but its worker, only under the queue's lock; its worker takes them one by one
//!   under the tray's own, which comes second where both are held;
//! - what lies on a tray waits in its lane: while a worker of that lane is idle another is on its way to it (`room`, invariant 3), and whoever
//!   finds nothing in the queue takes from the trays before it becomes idle;
//! - all tasks on a tray are of one level and in the order they came;
//! - what was started from a tray is told to the queue's books by [`Tray::settle`], under both locks: until then the queue counts it as
//!   waiting.

use std::{collections::VecDeque, time::Duration};

use crate::{
    clock::Moment,
    sync::{
        IN_A_MODEL, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{
        entry::Entry,
        id::WorkerId,
        isolation::Isolation,
        spin::{Linger, Spin},
    },
};

/// At most so many lie on a tray.
pub(super) const MOST: usize = 255;
/// A worker takes as many as it runs in so long. A task that is longer than that goes alone.
const STRETCH: Duration = Duration::from_micros(50);

/// A line of its own: neighbours would slow each other down.
#[repr(align(128))]
pub(crate) struct Tray<I: Isolation> {
    pub(crate) worker: WorkerId,
    pub(crate) lane: u32,
    /// How many lie here; a hint for those who do not hold the lock. Only its worker and those under the queue's lock write it.
    count: AtomicUsize,
    /// How many waited for each worker of the lane when this one last came to the queue.
    each: AtomicUsize,
    load: Mutex<Load<I>>,
    /// How long its worker looks again before it sleeps.
    pub(super) spin: Spin,
    pub(super) linger: Linger,
}

struct Load<I: Isolation> {
    entries: VecDeque<Entry<I>>,
    level: usize,
    /// Started from here and not yet told to the queue.
    started: u64,
    /// How often something was started from here, and how often that was when somebody looked.
    starts: u64,
    seen: u64,
    pace: Pace,
}

/// How many tasks of late fit into a [`STRETCH`].
#[derive(Default)]
struct Pace {
    /// When the last ones were taken, and how many.
    taken: Option<(Moment, usize)>,
    most: usize,
}

/// What was taken off a tray.
pub(super) struct Unloaded<I: Isolation> {
    pub(super) entries: VecDeque<Entry<I>>,
    pub(super) level: usize,
    pub(super) started: u64,
}

impl<I: Isolation> Tray<I> {
    pub(crate) fn new(worker: WorkerId, lane: u32) -> Self {
        let load = Load {
            entries: VecDeque::new(),
            level: 0,
            started: 0,
            starts: 0,
            seen: 0,
            pace: Pace::default(),
        };
        Self {
            worker,
            lane,
            count: AtomicUsize::new(0),
            each: AtomicUsize::new(0),
            load: Mutex::new(load),
            spin: Spin::new(),
            linger: Linger::default(),
        }
    }

    /// Takes the next task and makes it the worker's. Only by the worker.
    pub(crate) fn next(&self) -> Option<Entry<I>> {
        if self.is_empty() {
            return None;
        }
        let mut load = self.load.lock();
        while let Some(entry) = load.entries.pop_front() {
            self.count.store(load.entries.len(), Ordering::Relaxed);
            // Else a tombstone: it was ended while it lay here.
            if entry.start(self.worker) {
                load.started += 1;
                load.starts += 1;
                return Some(entry);
            }
        }
        None
    }

    pub(crate) fn each(&self) -> usize {
        self.each.load(Ordering::Relaxed)
    }

    pub(super) fn set_each(&self, tasks: usize) {
        self.each.store(tasks, Ordering::Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// The level its tasks are of, and how many were started since this was last asked.
    pub(super) fn settle(&self) -> (usize, u64) {
        let mut load = self.load.lock();
        (load.level, std::mem::take(&mut load.started))
    }

    /// How many tasks its worker may take beyond the next: as many as it lately ran in a short while.
    pub(super) fn pace(&self) -> usize {
        self.load.lock().pace.most
    }

    /// The worker takes `count` tasks, the one it runs now among them.
    pub(super) fn step(&self, count: usize, now: Moment) {
        self.load.lock().pace.step(count, now);
    }

    /// The worker slept or left: how long that took says nothing of its tasks.
    pub(super) fn rest(&self) {
        self.load.lock().pace.taken = None;
    }

    /// Puts the first `count` of a level's queue here.
    pub(super) fn fill(&self, level: usize, queue: &mut VecDeque<Entry<I>>, count: usize) {
        let mut load = self.load.lock();
        debug_assert!(load.entries.is_empty() || load.level == level);
        load.level = level;
        if load.entries.is_empty() && count == queue.len() {
            // The queue's slots come here and the empty ones of this tray go there: nothing is moved.
            std::mem::swap(&mut load.entries, queue);
        } else {
            load.entries.extend(queue.drain(..count));
        }
        self.count.store(load.entries.len(), Ordering::Relaxed);
    }

    /// Takes everything off.
    pub(super) fn unload(&self) -> Unloaded<I> {
        self.unload_some(usize::MAX)
    }

    /// Takes the older half off.
    pub(super) fn unload_half(&self) -> Unloaded<I> {
        self.unload_some(self.count.load(Ordering::Relaxed).div_ceil(2))
    }

    fn unload_some(&self, most: usize) -> Unloaded<I> {
        let mut load = self.load.lock();
        let count = most.min(load.entries.len());
        let entries = load.entries.drain(..count).collect();
        self.count.store(load.entries.len(), Ordering::Relaxed);
        Unloaded { entries, level: load.level, started: std::mem::take(&mut load.started) }
    }

    /// True if tasks lie here and none was started since this was last asked.
    pub(super) fn is_stuck(&self) -> bool {
        let mut load = self.load.lock();
        let starts = load.starts;
        std::mem::replace(&mut load.seen, starts) == starts && !load.entries.is_empty()
    }
}

impl Pace {
    fn step(&mut self, count: usize, now: Moment) {
        if IN_A_MODEL {
            // A model has no time.
            self.most = MOST;
            return;
        }
        if let Some((then, before)) = self.taken {
            let fits = STRETCH.as_nanos() as usize * before / (now.since(then).as_nanos() as usize).max(1);
            // Slowly up, at once down.
            self.most = fits.min(self.most * 2 + 1).min(MOST);
        }
        self.taken = Some((now, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_rises_slowly_and_falls_at_once() {
        let mut pace = Pace::default();
        let mut now = Moment::default();
        let mut step = |pace: &mut Pace, nanos: usize| {
            let count = pace.most + 1;
            pace.step(count, now);
            now = now.plus(Duration::from_nanos((count * nanos) as u64));
            pace.most
        };
        let short: Vec<_> = (0..9).map(|_| step(&mut pace, 100)).collect();
        assert_eq!(short, [0, 1, 3, 7, 15, 31, 63, 127, 255]);
        step(&mut pace, 100_000);
        assert_eq!(step(&mut pace, 100_000), 0, "a long task goes alone");
    }
}
