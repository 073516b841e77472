//! A pool as it is now: a snapshot in which the law holds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::phase::Phase;
use crate::{report::RunningTask, task::outcome::Outcomes, worker::reason::RetireReason};

/// A snapshot of a pool. From `pool.stats()`.
///
/// In every snapshot `accepted = queued + running + Σ outcomes`.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The pool's name.
    pub pool: Arc<str>,
    /// Where the present generation is in its life.
    pub phase: Phase,
    /// The present generation: 1, and one more with every restart.
    pub generation: u32,
    /// Tasks accepted in the pool's life.
    pub accepted: u64,
    /// Tasks that wait, those whose time has not come included.
    pub queued: u64,
    /// Of those: accepted for a later time (`pool.after`), and not in the queue yet.
    pub not_due: u64,
    /// Tasks that run; callers that run their own task for a full pool included, and what was sent to a worker process and has not begun.
    pub running: u64,
    /// Submits that were refused; never a part of `accepted`.
    pub rejected: u64,
    /// How tasks ended.
    pub outcomes: Outcomes,
    /// Tasks that their submitters ran because the queue was full.
    pub caller_runs: u64,
    /// Submitters that wait for room now.
    pub waiting_for_room: usize,
    /// Returned tasks that nobody has taken yet (`take_returned`).
    pub untaken: usize,
    /// The workers.
    pub workers: WorkerStats,
    /// Who runs what, and for how long at least.
    pub running_tasks: Vec<RunningTask>,
    /// True while nothing starts.
    pub paused: bool,
    /// Why the pool is broken, if it is.
    pub broken: Option<Arc<str>>,
    /// How many workers were retired or lost so far, by reason.
    pub retired: BTreeMap<RetireReason, u64>,
}

/// The workers of a pool, in numbers.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The least that are kept once they were started.
    pub min: usize,
    /// The most there may be.
    pub max: usize,
    /// Those there are, starting and leaving ones included.
    pub alive: usize,
    /// Those that have nothing to do.
    pub idle: usize,
    /// The most there ever were at a time.
    pub peak: usize,
    /// How many were ever started.
    pub started: u64,
    /// Threads that were given up with their task and still run.
    pub abandoned: usize,
    /// Sum of what the states last reported as their size; 0 without `size`.
    pub size: u64,
    /// What building a worker's state cost last time.
    #[serde(rename = "build_ms", serialize_with = "crate::report::millis")]
    pub build: Duration,
    /// What building a worker's state made the process grow by last time, in bytes (on Linux; other work at the same
    /// time is in it).
    pub build_memory: u64,
}
