//! How tasks end: the nine outcomes, their counters, and the reasons that go with them.

use std::{fmt, sync::Arc};

/// How an accepted task ended. Every accepted task gets exactly one.
///
/// It names how the body ended, not what was asked for: a task that was asked to cancel and returned a
/// value all the same is `Completed`. A task that was *rejected* was never accepted and has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The body returned a value.
    Completed,
    /// The body returned an error it declared as such (`submit_fallible`).
    Failed,
    /// The body panicked; the payload is kept.
    Panicked,
    /// Cancelled before it started, or ended by obeying a request to cancel.
    Cancelled,
    /// The same, where the request was the task's own timeout or deadline.
    TimedOut,
    /// It did not obey and what ran it was ended by us.
    Killed,
    /// What ran it died under it.
    Crashed,
    /// A thread task that ignored the request past its grace; its thread still runs and is named in reports.
    Abandoned,
    /// Accepted, never started, handed back.
    Returned,
}

impl Outcome {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 9] = [
        Self::Completed,
        Self::Failed,
        Self::Panicked,
        Self::Cancelled,
        Self::TimedOut,
        Self::Killed,
        Self::Crashed,
        Self::Abandoned,
        Self::Returned,
    ];

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    #[inline]
    pub(crate) fn from_index(index: usize) -> Self {
        Self::ALL[index]
    }

    /// The word used in reports and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
            Self::Abandoned => "abandoned",
            Self::Returned => "returned",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str().replace('_', " "))
    }
}

/// One counter per outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "each field is the outcome of its name")]
pub struct Outcomes {
    pub completed: u64,
    pub failed: u64,
    pub panicked: u64,
    pub cancelled: u64,
    pub timed_out: u64,
    pub killed: u64,
    pub crashed: u64,
    pub abandoned: u64,
    pub returned: u64,
}

impl Outcomes {
    /// The counter of one outcome.
    #[must_use]
    pub const fn get(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Completed => self.completed,
            Outcome::Failed => self.failed,
            Outcome::Panicked => self.panicked,
            Outcome::Cancelled => self.cancelled,
            Outcome::TimedOut => self.timed_out,
            Outcome::Killed => self.killed,
            Outcome::Crashed => self.crashed,
            Outcome::Abandoned => self.abandoned,
            Outcome::Returned => self.returned,
        }
    }

    /// Sum over all outcomes: how many tasks have ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        Outcome::ALL.iter().map(|outcome| self.get(*outcome)).sum()
    }

    pub(crate) fn add(&mut self, outcome: Outcome, count: u64) {
        let counter = match outcome {
            Outcome::Completed => &mut self.completed,
            Outcome::Failed => &mut self.failed,
            Outcome::Panicked => &mut self.panicked,
            Outcome::Cancelled => &mut self.cancelled,
            Outcome::TimedOut => &mut self.timed_out,
            Outcome::Killed => &mut self.killed,
            Outcome::Crashed => &mut self.crashed,
            Outcome::Abandoned => &mut self.abandoned,
            Outcome::Returned => &mut self.returned,
        };
        *counter += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for outcome in Outcome::ALL {
            self.add(outcome, other.get(outcome));
        }
    }

    /// What was counted since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut difference = Self::default();
        for outcome in Outcome::ALL {
            difference.add(outcome, self.get(outcome).saturating_sub(earlier.get(outcome)));
        }
        difference
    }
}

/// Why a task was asked to cancel (or was cancelled while it waited).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// By the owner of its handle or of a token, with what they said about it.
    Requested(Option<Arc<str>>),
    /// Its own timeout, counted from its start, passed.
    Timeout,
    /// Its own deadline, counted from its submission, passed.
    Deadline,
    /// The pool was aborted.
    Abort,
    /// The token it was submitted under was cancelled; that one's reason, if it had one.
    Parent(Option<Arc<str>>),
    /// The queue was full and a newer task took its place.
    Shed,
}

impl CancelReason {
    /// The outcome of a task that obeys this request.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Timeout | Self::Deadline => Outcome::TimedOut,
            _ => Outcome::Cancelled,
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested(None) => f.write_str("requested"),
            Self::Requested(Some(why)) => write!(f, "requested: {why}"),
            Self::Timeout => f.write_str("its timeout passed"),
            Self::Deadline => f.write_str("its deadline passed"),
            Self::Abort => f.write_str("the pool was aborted"),
            Self::Parent(None) => f.write_str("its parent was cancelled"),
            Self::Parent(Some(why)) => write!(f, "its parent was cancelled: {why}"),
            Self::Shed => f.write_str("shed: the queue was full and a newer task took its place"),
        }
    }
}

/// Why an accepted task was handed back unstarted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReturnReason {
    /// The pool was stopped, aborted or restarted before the task's turn came.
    PoolStopped,
    /// It was to run at a later time, and its pool or its schedule was stopped before.
    NotDue,
    /// The pool is broken: its workers cannot be started. The text is the cause.
    Broken(Arc<str>),
}

impl fmt::Display for ReturnReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoolStopped => f.write_str("its pool was stopped or restarted"),
            Self::NotDue => f.write_str("not due"),
            Self::Broken(cause) => write!(f, "broken: {cause}"),
        }
    }
}
