//! What lies in a queue: a task's number, when it came (if that is timed), and its body.

use std::sync::Arc;

use super::{
    cell::Runnable,
    error::TaskError,
    id::{TaskId, WorkerId},
    inline::InlineTask,
    isolation::Isolation,
    outcome::{CancelReason, Outcome, ReturnReason},
    panics,
};
use crate::clock::Moment;

pub(crate) struct Entry<I: Isolation> {
    pub(crate) id: TaskId,
    /// When it was accepted; `Moment::default()` where waiting is not timed.
    pub(crate) accepted_at: Moment,
    pub(crate) body: Body<I>,
}

pub(crate) enum Body<I: Isolation> {
    /// Nobody holds a handle: the queue's slot is the task.
    Inline(InlineTask<I>),
    /// Shared with a handle, which may end it while it waits.
    Cell(Arc<dyn Runnable<I>>),
}

impl<I: Isolation> Entry<I> {
    /// Makes it the worker's. False if it was ended while it waited: then it is only a tombstone.
    #[must_use]
    pub(crate) fn start(&self, worker: WorkerId) -> bool {
        match &self.body {
            Body::Inline(_) => true,
            Body::Cell(cell) => cell.header().start(worker),
        }
    }

    /// Takes it for ending unrun. False if it is a tombstone.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        match &self.body {
            Body::Inline(_) => true,
            Body::Cell(cell) => cell.header().claim(),
        }
    }

    /// False if it is a tombstone.
    pub(crate) fn is_live(&self) -> bool {
        match &self.body {
            Body::Inline(_) => true,
            Body::Cell(cell) => cell.header().is_queued(),
        }
    }

    /// Ends a claimed task as cancelled. Its outcome must have been counted.
    pub(crate) fn end_cancelled(self, reason: CancelReason) {
        match self.body {
            Body::Inline(task) => panics::drop_quietly(task),
            Body::Cell(cell) => {
                let outcome = reason.outcome();
                cell.end_unrun(TaskError::cancelled(reason));
                cell.header().settle(outcome);
            }
        }
    }

    /// Ends a claimed task as returned. Its outcome must have been counted. Gives it back, unless it borrows from a
    /// scope: such a body is dropped before its handle resolves and never leaves.
    pub(crate) fn end_returned(self, reason: &ReturnReason) -> Option<Self> {
        if let Body::Cell(cell) = &self.body {
            let header = cell.header();
            if header.extras().is_some_and(|extras| extras.scoped) {
                cell.end_unrun(TaskError::returned(reason.clone()));
                header.settle(Outcome::Returned);
                return None;
            }
            header.note_return(reason);
            header.settle(Outcome::Returned);
        }
        Some(self)
    }
}
