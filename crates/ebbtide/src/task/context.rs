//! What a running task is lent: who it is, whether it was asked to cancel, and the gate for its children.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    cancel::CancelToken,
    error::{Cancelled, Withdrawn},
    gate::Gate,
    header::Header,
    id::{TaskId, WorkerId},
    isolation::Isolation,
    options::{Door, Task},
    outcome::{CancelReason, ReturnReason},
    seat::Seat,
};

/// A running task's view of itself and its pool; lent for the time of the body.
///
/// Long bodies should look at [`is_cancelled`](Self::is_cancelled) (or use [`check`](Self::check) with `?`) often: a thread
/// cannot be ended from outside, only asked.
pub struct Context<'t, I: Isolation> {
    pub(crate) seat: &'t Seat,
    pub(crate) header: Option<&'t Header>,
    pub(crate) id: TaskId,
    pub(crate) gate: &'t dyn Gate<I>,
}

impl<I: Isolation> Context<'_, I> {
    /// This task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name it was submitted under.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.header?.name().map(|name| &**name)
    }

    /// The caller's key it was submitted with: the same for every attempt at the same work.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.header?.extras()?.key.as_deref()
    }

    /// Which attempt this is, from 1. A thread never dies under its task, so on threads it is always 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        1
    }

    /// The worker it runs on.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.seat.id
    }

    /// The worker's name, which is also its thread's.
    #[must_use]
    pub fn worker_name(&self) -> &str {
        &self.seat.name
    }

    /// The generation of the worker: 1, and one more with every restart.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.seat.generation
    }

    /// True once this task was asked to cancel: by its handle, a token, its timeout or deadline, or an abort.
    #[must_use]
    #[doc(alias = "interrupted")]
    #[doc(alias = "aborted")]
    pub fn is_cancelled(&self) -> bool {
        self.header.is_some_and(Header::is_asked) || self.seat.is_aborted()
    }

    /// `Err(Cancelled)` once it was asked to cancel. A `submit_fallible` body that returns it ends `Cancelled`
    /// (or `TimedOut`).
    ///
    /// # Errors
    /// [`Cancelled`], when it was asked.
    #[doc(alias = "throwIfAborted")]
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Why it was asked to cancel, if it was.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        let own = self.header.filter(|header| header.is_asked()).and_then(Header::reason);
        own.or_else(|| self.seat.is_aborted().then_some(CancelReason::Abort))
    }

    /// A token that is cancelled when this task is: to hand on to what the body calls, to wait for, or to hang an action on.
    ///
    /// It belongs to this run; after the task has ended nobody cancels it any more.
    #[must_use]
    pub fn token(&self) -> CancelToken {
        self.seat.token(|| self.cancel_reason())
    }

    /// Sleeps, but not through a request to cancel.
    ///
    /// # Errors
    /// [`Cancelled`], as soon as the task is asked.
    pub fn sleep(&self, duration: Duration) -> Result<(), Cancelled> {
        if self.token().wait_timeout(duration) { Err(Cancelled) } else { Ok(()) }
    }

    /// Says how far the task is; shown by `stats` and by reports of who still runs. Only the last word is kept.
    pub fn progress(&self, progress: impl Into<String>) {
        self.seat.set_progress(progress.into());
    }

    /// Names a child, to give it options before it is submitted.
    pub fn task(&self, name: impl Into<Arc<str>>) -> Task<'_, I> {
        self.unnamed_task().name(name)
    }

    /// Asks this very run to cancel: what it was submitted for is not wanted any more.
    pub(crate) fn revoke(&self, reason: CancelReason) -> Cancelled {
        let _was_first = self.header.is_some_and(|header| header.ask(reason));
        Cancelled
    }

    /// Hands this very run back: it was withdrawn between being taken by a worker and its first line, and has not begun.
    pub(crate) fn withdraw(&self) -> Withdrawn {
        if let Some(header) = self.header {
            header.note_return(&ReturnReason::NotDue);
        }
        Withdrawn
    }

    pub(crate) fn unnamed_task(&self) -> Task<'_, I> {
        Task::new(self.gate, Door::Child(self.seat.lane))
    }
}

impl<I: Isolation> fmt::Debug for Context<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("worker", &self.seat.name)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
