//! The pool of a run: threads that each mind a command, or worker processes. The same to everybody who watches or stops it.

use std::sync::Arc;
use std::time::Duration;

use ebbtide::{Closing, Outcomes, Pool, Processes, Report, RunningTask, Shutdown, Stateless};

use crate::workers::{Answer, Request};

/// What the pool gets on top of a command's own grace: a killed command is reaped and logged within it, so that the
/// pool never has to abandon the thread that waits for it.
const MARGIN: Duration = Duration::from_secs(2);

/// A pool of worker processes.
pub(crate) type Workers = Pool<Processes<Request, Answer>>;

/// Whoever does the work.
#[derive(Debug, Clone)]
pub(crate) enum Crew {
    Commands(Arc<Pool<Stateless>>),
    Workers(Arc<Workers>),
}

impl Crew {
    /// Starts to end it.
    pub(crate) fn shutdown(&self, how: Shutdown) -> Closing {
        match self {
            Crew::Commands(pool) => pool.shutdown(how),
            Crew::Workers(pool) => pool.shutdown(how),
        }
    }

    /// Who runs what now.
    pub(crate) fn running(&self) -> Vec<RunningTask> {
        match self {
            Crew::Commands(pool) => pool.stats().running_tasks,
            Crew::Workers(pool) => pool.stats().running_tasks,
        }
    }

    /// How much longer than a task's own grace the pool waits before it ends or abandons it: commands are ended by the thread that minds
    /// them, workers by their pool.
    pub(crate) fn margin(&self) -> Duration {
        match self {
            Crew::Commands(_) => MARGIN,
            Crew::Workers(_) => Duration::ZERO,
        }
    }

    /// How tasks ended during the stop. A pool of workers counts what was submitted again each time, so there our own `tally` counts.
    pub(crate) fn during(&self, report: &Report, tally: Outcomes) -> Outcomes {
        match self {
            Crew::Commands(_) => report.during,
            Crew::Workers(_) => tally,
        }
    }
}

/// What a pool gets to end a task that was asked, on top of `margin`.
pub(crate) fn pool_grace(grace: Duration, margin: Duration) -> Duration {
    grace + margin
}

/// A deadline that leaves the pool that grace (it takes at most half of what is not reserve). The run's own deadline
/// is kept by [`Stopper::watch`](crate::stop::Stopper::watch), for the pool counts what it abandons, and we what we kill.
pub(crate) fn pool_deadline(grace: Duration, margin: Duration) -> Duration {
    (pool_grace(grace, margin) * 3).max(3 * MARGIN)
}

/// Of a pool of commands, which is built before there is a crew.
pub(crate) const COMMANDS_MARGIN: Duration = MARGIN;
