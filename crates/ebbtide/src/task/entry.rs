//! What lies in a queue: a task's number, when it came (if that is timed), and its body.

use std::sync::Arc;

use super::{
    cell::{AnyCell, Runnable, TaskCell},
    error::TaskError,
    gate::Ticket,
    id::{TaskId, WorkerId},
    inline::InlineTask,
    isolation::{Isolation, Job},
    outcome::CancelReason,
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

/// What becomes an entry once there is a place for it.
pub(crate) trait Offer<I: Isolation> {
    fn enter(self, ticket: Ticket) -> Entry<I>;
}

/// A task without a handle, offered.
pub(crate) struct Loose<J>(pub(crate) J);

impl<I: Isolation, J: Job<I>> Offer<I> for Loose<J> {
    #[inline]
    fn enter(self, ticket: Ticket) -> Entry<I> {
        let body = Body::Inline(InlineTask::new(self.0));
        Entry { id: ticket.id, accepted_at: ticket.accepted_at, body }
    }
}

impl<I: Isolation, J: Job<I>> Offer<I> for &Arc<TaskCell<I, J>> {
    #[inline]
    fn enter(self, ticket: Ticket) -> Entry<I> {
        self.header().accepted(ticket);
        Entry { id: ticket.id, accepted_at: ticket.accepted_at, body: Body::Cell(Arc::clone(self) as _) }
    }
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
}
