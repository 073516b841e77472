//! Why a worker goes.

use std::fmt;

/// Why a worker was (or is to be) retired. Given to the retire hook and to events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetireReason {
    /// It was idle for the idle timeout, above the minimum.
    Idle,
    /// It ran as many tasks as it may.
    Tasks,
    /// It reached its age.
    Age,
    /// Its state reported a size above the limit.
    Size,
    /// Too many of its tasks failed in a row.
    Failures,
    /// A task panicked, so its state is suspect.
    Panicked,
    /// Its process died under its tasks, or between them.
    Crashed,
    /// Its process was ended by force: for a task that did not obey, or for its memory.
    Killed,
    /// The pool was made smaller.
    Resized,
    /// A rolling restart replaced it.
    Rolling,
    /// Its generation ended: a restart or a shutdown.
    Stopped,
}

impl fmt::Display for RetireReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Tasks => "ran its number of tasks",
            Self::Age => "reached its age",
            Self::Size => "grew past its size",
            Self::Failures => "too many failures in a row",
            Self::Panicked => "a task panicked",
            Self::Crashed => "its process died",
            Self::Killed => "it was ended by force",
            Self::Resized => "the pool was made smaller",
            Self::Rolling => "rolling restart",
            Self::Stopped => "its generation ended",
        })
    }
}
