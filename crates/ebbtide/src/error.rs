//! One error type per operation, in the words of a person who has to do something about it.

use std::{error::Error, fmt, sync::Arc, sync::Mutex, sync::PoisonError, time::Duration};

use crate::task::error::{Cancelled, TaskError};

/// Why a task was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// The queue is full, and the pool (or the call) does not wait for room.
    #[error("the queue is full")]
    Full,
    /// The pool was told to shut down.
    #[error("the pool is shutting down")]
    ShuttingDown,
    /// The pool has shut down.
    #[error("the pool has terminated")]
    Terminated,
    /// The pool's workers cannot be started; the text is the cause. `restart` repairs it.
    #[error("the pool is broken: {0}")]
    Broken(Arc<str>),
    /// A scope on the last worker of its own pool: nobody would be left to run its tasks.
    #[error("waiting for the task would deadlock: the scope holds the last worker of its own pool")]
    WouldDeadlock,
    /// The task's deadline passed before there was room for it.
    #[error("its deadline passed before there was room for it")]
    TimedOut,
    /// The token that the task was put under was cancelled before there was room for it.
    #[error("it was cancelled before there was room for it")]
    Cancelled,
}

/// The pool did not accept a task; it never runs, and comes back with [`into_task`](Self::into_task).
///
/// A closure is seldom `Sync`; this error is all the same, so `?` turns it into any error type.
pub struct SubmitError<F> {
    task: Mutex<F>,
    reason: RejectReason,
}

/// The pool accepted only some of the tasks given to `submit_many`.
pub struct SubmitManyError<H, F> {
    /// Handles of those that were accepted, in order; they run.
    pub accepted: Vec<H>,
    /// Those that were not, in order.
    pub rejected: Vec<F>,
    /// Why.
    pub reason: RejectReason,
}

/// Waiting for a task did not give its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The task ended without a value; how is in the error.
    #[error(transparent)]
    Task(TaskError),
    /// The time given for waiting passed; the task goes on.
    #[error("the time to wait passed; the task goes on")]
    TimedOut,
    /// Whoever waits was asked to cancel; the task goes on. A body that returns this was cancelled.
    #[error("the wait was cancelled; the task that was waited for goes on")]
    Cancelled(#[source] Cancelled),
    /// Blocking here would leave the pool without a worker to run what is waited for.
    #[error("waiting here would deadlock: the last worker of the pool would wait for its own pool")]
    WouldDeadlock,
}

/// An option of a pool's builder is wrong; nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct BuildError {
    option: &'static str,
    problem: String,
}

/// An application cannot be put together; nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// Two components have one name.
    #[error("two components are named \"{name}\"; give each a name of its own")]
    Duplicate {
        /// The name.
        name: Arc<str>,
    },
    /// A component is named that was not declared.
    #[error("\"{by}\" names \"{name}\", which is not a component of this application{}", there_are(.known))]
    Unknown {
        /// The name that is not known.
        name: Arc<str>,
        /// Who names it.
        by: Arc<str>,
        /// Those that are.
        known: Vec<Arc<str>>,
    },
    /// Components depend on each other in a circle; no order could be right.
    #[error("components depend on each other in a circle: {}", .circle.join(" -> "))]
    Cycle {
        /// The circle; its last depends on its first, which is named twice.
        circle: Vec<Arc<str>>,
    },
    /// An option is wrong or contradicts another.
    #[error("{option}: {problem}")]
    Option {
        /// Which, by the name of its method or variable.
        option: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// A shutdown or restart was not over in the time given to wait for it. It goes on.
#[derive(Clone, Debug)]
pub struct StillStopping {
    /// How long was waited.
    pub waited: Duration,
    /// Who still runs: worker, task, and since when.
    pub running: Vec<String>,
    /// How many tasks still wait in the queue.
    pub queued: u64,
    /// True if the caller is a worker of the pool, which would wait for itself.
    pub would_deadlock: bool,
}

impl<F> SubmitError<F> {
    pub(crate) fn new(task: F, reason: RejectReason) -> Self {
        Self { task: Mutex::new(task), reason }
    }

    /// Why it was not accepted.
    pub fn reason(&self) -> &RejectReason {
        &self.reason
    }

    /// The task itself, to be kept, tried again or dropped.
    pub fn into_task(self) -> F {
        self.task.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if trying again later can help.
    pub fn is_full(&self) -> bool {
        self.reason == RejectReason::Full
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pool did not accept the task: {}", self.reason)
    }
}

impl<F> Error for SubmitError<F> {}

impl<H, F> fmt::Debug for SubmitManyError<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitManyError")
            .field("accepted", &self.accepted.len())
            .field("rejected", &self.rejected.len())
            .field("reason", &self.reason)
            .finish()
    }
}

impl<H, F> fmt::Display for SubmitManyError<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, all) = (self.accepted.len(), self.accepted.len() + self.rejected.len());
        write!(f, "the pool accepted {accepted} of {all} tasks: {}", self.reason)
    }
}

impl<H, F> Error for SubmitManyError<H, F> {}

impl WaitError {
    /// How the task ended, if it did.
    #[must_use]
    pub fn task(&self) -> Option<&TaskError> {
        match self {
            Self::Task(error) => Some(error),
            _ => None,
        }
    }

    /// True if the time to wait passed. (Not a task that timed out: that is in [`task`](Self::task).)
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// True if blocking here was refused because nobody would be left to run the task.
    #[must_use]
    pub fn is_would_deadlock(&self) -> bool {
        matches!(self, Self::WouldDeadlock)
    }
}

impl BuildError {
    pub(crate) fn new(option: &'static str, problem: impl Into<String>) -> Self {
        Self { option, problem: problem.into() }
    }

    /// The option that is wrong, by the name of its builder method.
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }
}

impl fmt::Display for StillStopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.would_deadlock {
            return f.write_str("waiting here would deadlock: a worker would wait for its own pool to stop");
        }
        write!(f, "not over after {:?}: {} waiting", self.waited, self.queued)?;
        for runner in &self.running {
            write!(f, "; {runner}")?;
        }
        Ok(())
    }
}

impl Error for StillStopping {}

fn there_are(names: &[Arc<str>]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) }
}
