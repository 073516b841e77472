//! The books of the soak: how every accepted task ended, as its handle said; and what the pools told of their workers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use ebbtide::{Event, Outcome, Outcomes, RetireReason, Stats};

/// By outcome.
#[derive(Default)]
pub(crate) struct Books {
    ends: [AtomicU64; 9],
    sum: AtomicU64,
}

impl Books {
    pub(crate) fn end(&self, outcome: Outcome) {
        self.ends[outcome as usize].fetch_add(1, SeqCst);
        self.sum.fetch_add(1, SeqCst);
    }

    pub(crate) fn ends(&self) -> [u64; 9] {
        std::array::from_fn(|place| self.ends[place].load(SeqCst))
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum.load(SeqCst)
    }
}

/// What the pools told, all pools of a soak together.
#[derive(Default)]
pub(crate) struct Log {
    told: Mutex<Told>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Worker processes that died, by how.
    pub(crate) deaths: BTreeMap<String, u64>,
    /// Workers that went, by why.
    pub(crate) retired: BTreeMap<RetireReason, u64>,
    pub(crate) started: u64,
    /// Starts that failed, by how.
    pub(crate) unstarted: BTreeMap<String, u64>,
    pub(crate) quarantined: u64,
    pub(crate) lines: u64,
    pub(crate) broken: u64,
    /// The ends of tasks, by the counters of the pools that are over.
    pub(crate) ends: [u64; 9],
    pub(crate) accepted: u64,
    pub(crate) pools: u64,
}

impl Log {
    /// An event.
    pub(crate) fn hear(&self, event: &Event) {
        let mut told = self.told.lock().unwrap();
        match event {
            Event::WorkerDied { how, .. } => *told.deaths.entry(kind(how)).or_default() += 1,
            Event::WorkerStarted { .. } => told.started += 1,
            Event::WorkerStartFailed { cause, .. } => *told.unstarted.entry(kind(cause)).or_default() += 1,
            Event::TaskQuarantined { .. } => told.quarantined += 1,
            Event::WorkerOutput { .. } => told.lines += 1,
            Event::Broken { .. } => told.broken += 1,
            _ => {}
        }
    }

    /// A pool is over.
    pub(crate) fn over(&self, stats: &Stats) {
        let mut told = self.told.lock().unwrap();
        for (place, count) in counts(&stats.outcomes).into_iter().enumerate() {
            told.ends[place] += count;
        }
        for (reason, count) in &stats.retired {
            *told.retired.entry(*reason).or_default() += count;
        }
        told.accepted += stats.accepted;
        told.pools += 1;
    }

    pub(crate) fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }
}

/// In the order of [`Outcome::ALL`].
pub(crate) fn counts(outcomes: &Outcomes) -> [u64; 9] {
    Outcome::ALL.map(|outcome| outcomes.get(outcome))
}

/// What one death has in common with others: not its numbers, not its last words.
fn kind(how: &str) -> String {
    let short = how.split([';', '\n']).next().unwrap_or_default();
    let mut kind = String::new();
    for word in short.split(' ').take(12) {
        let number = word.starts_with(|first: char| first.is_ascii_digit());
        // A signal or a code is what it was about; and which task it was that a worker did not have.
        let about = ["signal ", "code ", "end of task "].iter().any(|about| kind.ends_with(about));
        kind += if number && !about { "…" } else { word };
        kind.push(' ');
    }
    kind.trim_end().to_owned()
}
