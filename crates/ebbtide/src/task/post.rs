//! What drives a worker that can be ended by force: where a seat passes on what its pool asks.
//!
//! A thread has none: it looks for itself what is asked of it, and what it ignores is abandoned. None of these may block: they are called
//! by alarms and under way of a stop.

use std::time::Duration;

use super::{id::TaskId, outcome::CancelReason};

/// Whether a task could be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// It is being ended, or has ended.
    Applied,
    /// Somebody else's task keeps its worker busy: it has not begun, and ends when it would.
    NotBegun,
}

pub(crate) trait Post: Send + Sync {
    /// A task of this worker was asked to cancel: tell it, and at half of the grace tell its process.
    fn ask(&self, task: TaskId, reason: &CancelReason, grace: Duration);

    /// All of them are asked; what has not begun is wanted back.
    fn ask_all(&self, grace: Duration);

    /// What has been sent and has not begun is wanted back.
    fn recall(&self);

    /// Ends the worker by force: for this task, or for the end of its generation.
    fn end(&self, task: Option<TaskId>, reason: Option<CancelReason>) -> Force;

    /// Force did not help either: its tasks are given up. `count` is called for each before its handle resolves.
    fn give_up(&self, count: &dyn Fn());

    /// Its worker has an order to look at.
    fn nudge(&self);
}
