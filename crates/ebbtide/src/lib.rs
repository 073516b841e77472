//! Worker pools that stop right: every accepted task ends in exactly one known way, however the pool ends.
//!
//! A [`Pool`] is workers, one bounded queue and one lifecycle. It needs no async runtime; handles are plain futures and threads can
//! wait on them. Its end is a procedure with a deadline, and what it did is a [`Report`].
//!
//! ```
//! use std::time::Duration;
//! use ebbtide::{Cancelled, Outcome, Pool, Shutdown};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let pool = Pool::builder().name("words").workers(1..=4).queue(64).build()?;
//!
//! for handle in ["ebb", "tide", "slack water"].map(|word| pool.submit(move |_| word.len())) {
//!     println!("{} letters", handle?.wait()?);
//! }
//! // An hour's work that looks whether it was asked to stop: `?` on `sleep` and `check` obeys.
//! let long = pool.task("long").submit_fallible(|task| {
//!     task.sleep(Duration::from_secs(3_600))?;
//!     Ok::<_, Cancelled>("done")
//! })?;
//!
//! let report = pool.shutdown(Shutdown::drain().within(Duration::from_secs(1))).wait()?;
//! println!("{report}"); // who did what, how long it took, what came back
//! assert_eq!(long.outcome(), Some(Outcome::Cancelled));
//! assert!(report.law_holds());
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! | promise | where |
//! |---|---|
//! | Every accepted task gets exactly one of nine [outcomes](Outcome); what was never accepted is *rejected*, and its submitter has it back | [`SubmitError::into_task`] |
//! | The law: `accepted = queued + running + Σ outcomes`, in every snapshot | [`Pool::stats`], [`Report::law_holds`] |
//! | A handle resolves once, after the body has ended, however the pool ends; only an *abandoned* task resolves earlier | [`Handle`] |
//! | Drain, stop and abort are over by their deadline; each turns into the next stronger one by itself | [`Shutdown`], [`manual::stopping`] |
//! | Unstarted tasks come back once, as closures | [`Pool::take_returned`] |
//! | A restart leaves the pool open; a rolling one disturbs nobody | [`Pool::restart`] |
//! | A panic ends its task, not the pool | [`TaskError::panic_message`], [`AfterPanic`] |
//! | A worker's wait for its own pool that could never end is refused | [`WaitError::WouldDeadlock`] |
//! | A task that borrows ends before its scope does | [`Pool::scope`] |
//! | A shutdown stops the clock first: no run of a job begins after it; one that runs ends undisturbed | [`Job`], [`manual::schedules`] |
//! | A resource is not closed while a pool uses it, and one that was moved into a pool comes back once | [`Resource`], [`PoolBuilder::owning`](PoolBuilder#method.owning) |
//!
//! Not promised: ending a thread by force. No safe program can. A task that ignores a request to cancel past its grace is
//! [`Abandoned`](Outcome::Abandoned): its handle resolves, its worker is replaced, and its thread is named in stats and reports for as long as it
//! runs. What must be killable belongs in a process: see [`process`].
//!
//! # Defaults
//!
//! All of them. Durations of the machine's own (how often it looks) are in [`policy`] too.
//!
//! | option | default | constant |
//! |---|---|---|
//! | [`workers`](PoolBuilder::workers) | `1..=cores` | – |
//! | [`queue`](PoolBuilder::queue) | 1024 | [`QUEUE`](policy::QUEUE) |
//! | [`children_reserve`](PoolBuilder::children_reserve) | as large as the queue | – |
//! | [`when_full`](PoolBuilder::when_full) | wait | – |
//! | [`idle_timeout`](PoolBuilder::idle_timeout) | 60 s | [`IDLE_TIMEOUT`](policy::IDLE_TIMEOUT) |
//! | [`deadline`](PoolBuilder::deadline) | 30 s | [`DEADLINE`](policy::DEADLINE) |
//! | part of the deadline that is kept back | 10 % | [`RESERVE_PERCENT`](policy::RESERVE_PERCENT) |
//! | [`grace`](PoolBuilder::grace) | 5 s | [`GRACE`](policy::GRACE) |
//! | [`warm`](PoolBuilder::warm) | no: workers start with the first tasks | – |
//! | [`retire`](PoolBuilder::retire), [`renew`](PoolBuilder::renew) | never | – |
//! | [`jitter`](Retirement::jitter) of both | 0.1 | [`JITTER`](policy::JITTER) |
//! | [`after_panic`](PoolBuilder::after_panic) | replace the worker; without state keep it | – |
//! | [`old_first`](PoolBuilder::old_first) | no: the replacement is warm first | – |
//! | [`surge`](PoolBuilder::surge) | 1 | [`SURGE`](policy::SURGE) |
//! | [`snapshot_timeout`](PoolBuilder::snapshot_timeout) | 2 s | [`SNAPSHOT_BOX`](policy::SNAPSHOT_BOX) |
//! | [`restart_intensity`](PoolBuilder::restart_intensity): failed starts | 5 | [`RESTART_INTENSITY`](policy::RESTART_INTENSITY) |
//! | … within | 10 s | [`RESTART_PERIOD`](policy::RESTART_PERIOD) |
//! | pause after a failed start, at first | 100 ms | [`BACKOFF_MIN`](policy::BACKOFF_MIN) |
//! | … and at most | 10 s | [`BACKOFF_MAX`](policy::BACKOFF_MAX) |
//! | [`abandoned_cap`](PoolBuilder::abandoned_cap) | as many as `workers` may be | – |
//! | [`timing`](PoolBuilder::timing): one task in | 64 | [`TIMING_SAMPLE`](policy::TIMING_SAMPLE) |
//! | [`stack_size`](PoolBuilder::stack_size) | the platform's | – |
//! | [`credits`](PoolBuilder::credits): tasks at a worker process at a time, while they are short | 256 | [`CREDITS`](policy::CREDITS) |
//! | [`start_timeout`](PoolBuilder::start_timeout) of a worker process | 30 s | [`START_TIMEOUT`](policy::START_TIMEOUT) |
//! | [`max_body`](PoolBuilder::max_body) of a request or reply | 64 MiB | [`MAX_BODY`](policy::MAX_BODY) |
//! | [`spares`](PoolBuilder::spares), [`memory`](PoolBuilder::memory) limits, [`snapshots`](PoolBuilder::snapshots) of worker processes | none | – |
//! | unread [`events`](Pool::events) per stream | 1024 | [`EVENTS`](policy::EVENTS) |
//! | jobs of a pool at a time ([`Job`], [`OneShot`]) | 1000000 | [`JOBS`](policy::JOBS) |
//! | who runs is looked at every | 100 ms | [`LOOK`](policy::LOOK) |
//! | a lower [`Priority`] is taken after so many higher ones | 16 | [`AGE_AFTER`](policy::AGE_AFTER) |
//! | an application's [`deregistration_delay`](AppBuilder::deregistration_delay) | 0 s | [`DEREGISTRATION_DELAY`](policy::DEREGISTRATION_DELAY) |
//! | what the start of one of its components may take | 30 s | [`START_TIMEOUT`](policy::START_TIMEOUT) |
//! | what work gets when an application's stop is forced | 500 ms | [`FORCED_WORK`](policy::FORCED_WORK) |
//! | … and everything | 800 ms | [`FORCED_ALL`](policy::FORCED_ALL) |
//! | signals within so long are one | 250 ms | [`DEBOUNCE`](policy::DEBOUNCE) |
//! | the watchdog ends the process so long after the deadline | 150 ms | [`WATCHDOG_MARGIN`](policy::WATCHDOG_MARGIN) |
//! | a stopping HTTP ingress waits for the head of a request | 1 s | [`INGRESS_HEADS`](policy::INGRESS_HEADS) |
//! | … for its body | 5 s | [`INGRESS_BODIES`](policy::INGRESS_BODIES) |
//! | … for streams, after they were told | 5 s | [`INGRESS_STREAMS`](policy::INGRESS_STREAMS) |
//! | connections of an HTTP ingress | 10000 | [`INGRESS_CONNECTIONS`](policy::INGRESS_CONNECTIONS) |
//! | a client's time for a head, or between two | 30 s | [`INGRESS_HEAD_TIMEOUT`](policy::INGRESS_HEAD_TIMEOUT) |
//! | a task's [`timeout`](Task::timeout), [`deadline`](Task::deadline) | none | – |
//!
//! # Where to go on
//!
//! - [`manual::coming_from`]: the words of Piscina, the JDK, Spring, rayon, tokio, gunicorn and Python, and what is different here;
//! - [`manual::application`]: resources, pools, schedules and ingress that start and stop in the right order;
//! - [`manual::stopping`]: modes, deadlines, escalation, reports;
//! - [`manual::schedules`]: jobs by time;
//! - [`manual::state`]: warm state, retirement, snapshots, restarts;
//! - the examples `01_first_pool` and on, read in order.
//!
//! # Features
//!
//! None is on by default. `tracing`: a span around every task and the pool's events. `metrics`: the pool's numbers through the `metrics`
//! facade. `cron`: jobs and [`Renew`] on a cron line in a time zone. `http`: [`http`], an HTTP ingress for axum, hyper or any tower service, and a health port; on tokio.

mod app;
mod clock;
mod component;
mod error;
#[cfg(all(feature = "http", not(any(shuttle, loom))))]
pub mod http;
pub mod manual;
pub mod policy;
mod pool;
mod queue;
mod report;
mod schedule;
#[cfg(all(test, shuttle))]
mod simulation;
mod sync;
mod task;
mod timer;
mod worker;

#[cfg(not(target_os = "linux"))]
pub use worker::init;
#[cfg(target_os = "linux")]
pub use worker::process::{self, init};

#[cfg(all(target_os = "linux", not(loom)))]
pub use worker::remote::{Memory, Processes, WorkerCommand};

pub use bytes::Bytes;
pub use bytesize::ByteSize;

#[cfg(feature = "tokio")]
pub use app::Tasks;
pub use app::{App, AppBuilder, AppPlan, AppState, Closed, Part, PlanStep, Running, Status, StopHandle};
pub use component::{
    Component, Declared, Detail, Lease, Monitor, Progress, Resource, Source, Starting, StillHeld, Stopping,
};
pub use error::{AppError, BuildError, RejectReason, StillStopping, SubmitError, SubmitManyError, WaitError};
pub use policy::{Priority, Timing, WhenFull};
pub use pool::{
    Closing, Completions, Event, Events, Finished, FirstError, IntoResourceError, JobEnd, MissedBecause,
    Phase, Pool, PoolBuilder, Quantiles, Renew, Restart, Retirement, Scope, ScopedHandle, Shutdown, Stats,
    Submitter, Timings, Using, WorkerStats, join_all,
};
pub use report::{
    AppEntry, AppReport, AppTurn, ComponentEnd, ComponentKind, ComponentReport, CriticalStep, ForcedBy,
    LongRun, Mode, Procedure, Report, RunningTask, SignalMark, SignalMeaning, Span, StopReason,
    TimelineEntry, Turn, WorkerEnd, WorkerReport,
};
pub use schedule::{
    Job, JobState, JobStats, LastRun, Later, MissedTicks, OneShot, RunNowError, Schedule, ScheduleError,
};
pub use task::{
    cancel::{CancelGuard, CancelToken, WaitCancelled},
    context::Context,
    error::{BoxError, Cancelled, Crashed, Killed, TaskError},
    gate::TaskInfo,
    handle::{Handle, Watch},
    header::{TaskState, Wrap},
    id::{TaskId, WorkerId},
    isolation::{Isolation, Stateless, Threads},
    options::Task,
    outcome::{CancelReason, Outcome, Outcomes, ReturnReason},
    panics::{drop_panics, locate_panics},
    returned::Returned,
};
pub use worker::{
    craft::{AfterPanic, WorkerInfo},
    output::OutputSource,
    reason::RetireReason,
};

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
