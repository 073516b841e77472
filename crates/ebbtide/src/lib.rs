//! Worker pools that stop right: every accepted task ends in exactly one known way, however the pool ends.

mod clock;
mod error;
pub mod policy;
mod pool;
mod queue;
mod report;
mod sync;
mod task;
mod timer;
mod worker;

#[cfg(not(target_os = "linux"))]
pub use worker::init;
#[cfg(target_os = "linux")]
pub use worker::process::{self, init};

pub use error::{BuildError, RejectReason, StillStopping, SubmitError, SubmitManyError, WaitError};
pub use policy::{Priority, Timing, WhenFull};
pub use pool::{
    Closing, Completions, Event, Events, Finished, FirstError, Phase, Pool, PoolBuilder, Quantiles, Renew,
    Restart, Retirement, Scope, ScopedHandle, Shutdown, Stats, Submitter, Timings, WorkerStats, join_all,
};
pub use report::{
    LongRun, Mode, Procedure, Report, RunningTask, TimelineEntry, Turn, WorkerEnd, WorkerReport,
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
    reason::RetireReason,
};
