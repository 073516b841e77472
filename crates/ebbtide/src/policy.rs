//! Every default of the library, in one place, and the small types that options are made of.

use std::time::Duration;

/// How many tasks may wait before a submit does (or is refused).
pub const QUEUE: usize = 1024;
/// How long a worker above the minimum stays without work.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between asking a task to cancel and ending (or abandoning) its worker.
pub const GRACE: Duration = Duration::from_secs(5);
/// Time a whole shutdown or restart may take.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The part of the deadline that is kept back for what comes after the tasks.
pub const RESERVE_PERCENT: u32 = 10;
/// At most so many worker starts may fail within [`RESTART_PERIOD`].
pub const RESTART_INTENSITY: u32 = 5;
/// See [`RESTART_INTENSITY`].
pub const RESTART_PERIOD: Duration = Duration::from_secs(10);
/// First pause after a failed worker start; it doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest pause after a failed worker start.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How many replacements a rolling restart starts at a time.
pub const SURGE: usize = 1;
/// How far limits are spread over the workers, in parts of one.
pub const JITTER: f64 = 0.1;
/// Every so many tasks one is timed, per worker.
pub const TIMING_SAMPLE: u32 = 64;
/// How long a snapshot of a worker's state is waited for.
pub const SNAPSHOT_BOX: Duration = Duration::from_secs(2);
/// How many events a subscriber may be behind before the oldest are dropped (and counted).
pub const EVENTS: usize = 1024;
/// How many jobs, single runs at a later time included, a pool may have at a time; one more is rejected as full.
pub const JOBS: usize = 1_000_000;
/// How many tasks may be at a worker process at a time while they are short: more than 16 only while all of them together take less than a
/// millisecond.
pub const CREDITS: usize = 256;
/// The longest request to a worker process or reply from one, in bytes.
pub const MAX_BODY: u32 = 64 << 20;
/// How often a busy pool is looked at to know who runs and since when.
pub const LOOK: Duration = Duration::from_millis(100);
/// A waiting task of a lower priority is taken after so many of higher ones went before it.
pub const AGE_AFTER: u32 = 16;
/// How long an application serves on after it was asked to stop.
pub const DEREGISTRATION_DELAY: Duration = Duration::ZERO;
/// What the start of one component may take.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What work gets to end when a stop is forced.
pub const FORCED_WORK: Duration = Duration::from_millis(500);
/// What everything gets to end when a stop is forced.
pub const FORCED_ALL: Duration = Duration::from_millis(800);
/// Signals that come within so long are one.
pub const DEBOUNCE: Duration = Duration::from_millis(250);
/// The watchdog ends the process so long after the deadline.
pub const WATCHDOG_MARGIN: Duration = Duration::from_millis(150);
/// When an HTTP ingress stops: how long it waits for the head of a request.
pub const INGRESS_HEADS: Duration = Duration::from_secs(1);
/// The same for the body of a request.
pub const INGRESS_BODIES: Duration = Duration::from_secs(5);
/// The same for answers of unknown length and upgraded connections, after they were told.
pub const INGRESS_STREAMS: Duration = Duration::from_secs(5);
/// How many connections an HTTP ingress has open; more wait in the backlog.
pub const INGRESS_CONNECTIONS: usize = 10_000;
/// How long a client may take for the head of a request, or be idle between two.
pub const INGRESS_HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How urgent a waiting task is. Lower levels are aged: none starves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Taken when nothing more urgent waits, or after 16 others went before.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Taken before the others.
    High,
}

impl Priority {
    /// How many levels there are.
    pub(crate) const LEVELS: usize = 3;

    /// Index of the level, most urgent first.
    #[inline]
    pub(crate) const fn level(self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

/// What happens to a submit when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The caller waits for room (backpressure). `try_submit` does not wait and is rejected.
    #[default]
    Wait,
    /// The submit is rejected and the task handed back (shedding).
    Reject,
    /// The submitting thread runs the task itself. Stateless thread pools only; a nested submit and one
    /// into a pool that shuts down are rejected.
    CallerRuns,
    /// The oldest waiting task of the lowest level that is not above the newcomer's ends `Cancelled(shed)`;
    /// if there is none the newcomer is rejected.
    ShedOldest,
}

/// How many tasks are timed for the wait and run histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Timing {
    /// None; no clock is read per task.
    Off,
    /// One in 64 (the default).
    #[default]
    Sampled,
    /// Every task: two clock reads each.
    Every,
}

/// How long an idle worker above the minimum is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IdleTimeout {
    After(Duration),
    Never,
}
