//! One allocation per task with a handle: its header, its body, and after that its result.
//!
//! The body and the result live in the same place, which is written without a lock. Who may touch it follows
//! from the header's word alone:
//!
//! | word | who may touch the stage |
//! |---|---|
//! | Queued | nobody |
//! | Running, Ending | the one whose `start` or `claim` succeeded |
//! | Done(Returned) | the holder of the queue's reference ([`Returned`](super::returned::Returned)) |
//! | Done(Abandoned) | the worker that still runs it |
//! | Done(other) | the handle |
#![expect(
    unsafe_code,
    reason = "the stage is handed from thread to thread by the header's word; see the table"
)]

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    context::Context,
    error::{BoxError, TaskError},
    header::Header,
    isolation::{Isolation, Job, Parcel, Shape},
    outcome::{CancelReason, Outcome, ReturnReason},
    panics,
};
use crate::sync::UnsafeCell;

/// What every task is, whatever it takes and gives.
pub(crate) trait AnyCell: Send + Sync {
    fn header(&self) -> &Header;
    /// Drops the body unrun and writes the error down. Only after a successful `claim`; does not settle.
    fn end_unrun(&self, error: TaskError);
}

/// A task as its worker sees it.
pub(crate) trait Runnable<I: Isolation>: AnyCell {
    /// Runs the body. Only after a successful `start`; does not settle.
    fn run(&self, state: &mut I::State, context: &Context<'_, I>) -> Outcome;
    /// What the body is to another process: its shape and its content type, unless that is JSON. Only by those who may `write` it.
    fn looks(&self) -> (Shape, Option<Arc<str>>);
    /// Before the body is written for another process: how it ends if it must not begin. Only by those who may `write` it.
    fn set_out(&self) -> Result<(), TaskError>;
    /// What was written has not begun there. Only by its worker, before it gives the task back.
    fn came_back(&self);
    /// Writes the body down for another process. Only by its worker after a successful `start`, or by the holder of the queue's
    /// reference of a returned task.
    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError>;
    /// What would be written, if it is there in one piece already. As `write`.
    fn in_one_piece(&self) -> Option<Bytes>;
    /// Ends the body with what another process made of it: a content type (none is JSON) and a reply, or how it ended. Only after a
    /// successful `start`; does not settle.
    fn complete(&self, reply: Result<(Option<&str>, Parcel<'_>), TaskError>) -> Outcome;
    /// Drops a result that nobody may have any more. Only by the worker of an abandoned task.
    fn discard(&self);
    /// Runs the body of a returned task. Only by the holder of the queue's reference.
    fn run_returned(&self, state: &mut I::State, context: &Context<'_, I>) -> Result<(), BoxError>;
    /// Drops the body of a returned task. Only by the holder of the queue's reference.
    fn drop_returned(&self);
}

/// A task as its handle sees it.
pub(crate) trait Resolve<T>: AnyCell {
    /// Takes the result, once, after the end. `None` if it was taken before.
    fn take(&self) -> Option<Result<T, TaskError>>;
}

pub(crate) struct TaskCell<I: Isolation, J: Job<I>> {
    header: Header,
    stage: UnsafeCell<Stage<J, J::Output>>,
}

enum Stage<J, T> {
    Body(J),
    Value(T),
    Error(TaskError),
    Empty,
}

// SAFETY: the stage is only touched by the one the header's word names (table above), each hand-over being an
// acquire/release pair on that word; what is handed over is Send. Everything else in the cell is Sync.
unsafe impl<I: Isolation, J: Job<I>> Sync for TaskCell<I, J> {}
// SAFETY: it owns a `J` or a `J::Output`, both Send by `Job`.
unsafe impl<I: Isolation, J: Job<I>> Send for TaskCell<I, J> {}

impl<I: Isolation, J: Job<I>> TaskCell<I, J> {
    pub(crate) fn new(header: Header, job: J) -> Arc<Self> {
        Arc::new(Self { header, stage: UnsafeCell::new(Stage::Body(job)) })
    }

    /// Takes the body out of a cell that was never accepted: the only reference there is.
    pub(crate) fn into_job(cell: Arc<Self>) -> Option<J> {
        let cell = Arc::into_inner(cell)?;
        // SAFETY: nobody else has it.
        match unsafe { cell.replace(Stage::Empty) } {
            Stage::Body(job) => Some(job),
            _ => None,
        }
    }

    /// Exchanges what is on the stage.
    ///
    /// # Safety
    /// The caller must be the one that the table in the module's documentation names.
    unsafe fn replace(&self, next: Stage<J, J::Output>) -> Stage<J, J::Output> {
        // SAFETY: the caller is the only one who may touch it now.
        unsafe { self.stage.with_mut(|stage| mem::replace(&mut *stage, next)) }
    }

    /// Looks at the body, if it is there.
    ///
    /// # Safety
    /// As `replace`, and `look` must not come back to this cell.
    unsafe fn with_body<T>(&self, look: impl FnOnce(&J) -> T) -> Option<T> {
        self.stage.with_mut(|stage| {
            // SAFETY: the caller is the only one who may touch it now, and nobody exchanges it meanwhile.
            match unsafe { &*stage } {
                Stage::Body(job) => Some(look(job)),
                _ => None,
            }
        })
    }

    fn call(
        &self,
        job: J,
        state: &mut I::State,
        context: &Context<'_, I>,
    ) -> Result<Result<J::Output, BoxError>, TaskError> {
        let wrap = self.header.extras().and_then(|extras| extras.wrap.lock().take());
        let body = AssertUnwindSafe(|| match wrap {
            None => job.run(state, context),
            Some(wrap) => {
                let (mut job, mut result) = (Some(job), None);
                wrap(&mut || result = job.take().map(|job| job.run(state, context)));
                result.unwrap_or_else(|| Err("the pool's decorator did not run the task".into()))
            }
        });
        catch_unwind(body).map_err(|payload| TaskError::panicked(payload, panics::take_location()))
    }
}

impl<I: Isolation, J: Job<I>> AnyCell for TaskCell<I, J> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn end_unrun(&self, error: TaskError) {
        // SAFETY: the caller's claim succeeded, so the word says Ending and names it.
        let body = unsafe { self.replace(Stage::Error(error)) };
        let wrap = self.header.extras().and_then(|extras| extras.wrap.lock().take());
        panics::drop_quietly((body, wrap));
    }
}

impl<I: Isolation, J: Job<I>> Runnable<I> for TaskCell<I, J> {
    fn run(&self, state: &mut I::State, context: &Context<'_, I>) -> Outcome {
        // Its token may have been cancelled when it was submitted, or be on its way through those under it; so may its deadline.
        if let Some(reason) = self.header.revoked() {
            let outcome = reason.outcome();
            // SAFETY: the caller's start succeeded, so the word says Running and names it.
            let body = unsafe { self.replace(Stage::Error(TaskError::cancelled(reason))) };
            let wrap = self.header.extras().and_then(|extras| extras.wrap.lock().take());
            panics::drop_quietly((body, wrap));
            return outcome;
        }
        // SAFETY: the caller's start succeeded, so the word says Running and names it.
        let Stage::Body(job) = (unsafe { self.replace(Stage::Empty) }) else { return Outcome::Failed };
        let (stage, outcome) = match self.call(job, state, context) {
            Ok(Ok(value)) => (Stage::Value(value), Outcome::Completed),
            Ok(Err(error)) => {
                let error = TaskError::from_body(error, context.cancel_reason());
                let outcome = error.outcome();
                (Stage::Error(error), outcome)
            }
            Err(panicked) => (Stage::Error(panicked), Outcome::Panicked),
        };
        // SAFETY: still Running (or already Done(Abandoned), which also names this worker).
        let _ = unsafe { self.replace(stage) };
        outcome
    }

    fn looks(&self) -> (Shape, Option<Arc<str>>) {
        // SAFETY: the word says Running or Done(Returned), and the caller is the one it names.
        unsafe { self.with_body(|job| (job.shape(), job.content_type())) }.unwrap_or((Shape::One, None))
    }

    fn set_out(&self) -> Result<(), TaskError> {
        // SAFETY: as in `looks`.
        unsafe { self.with_body(Job::set_out) }.unwrap_or(Ok(()))
    }

    fn came_back(&self) {
        // SAFETY: the word says Running, and the caller is its worker.
        let _gone = unsafe { self.with_body(Job::came_back) };
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        // SAFETY: as in `looks`.
        unsafe { self.with_body(|job| job.write(into)) }.unwrap_or_else(|| Err("its body is gone".into()))
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        // SAFETY: as in `looks`.
        unsafe { self.with_body(Job::in_one_piece) }.flatten()
    }

    fn complete(&self, reply: Result<(Option<&str>, Parcel<'_>), TaskError>) -> Outcome {
        let read = |(content_type, reply): (Option<&str>, Parcel<'_>)| {
            // SAFETY: the caller's start succeeded, so the word says Running and names it.
            let value = panics::quietly(|| unsafe { self.with_body(|job| job.read(content_type, reply)) });
            value.flatten().unwrap_or_else(|| Err("reading its reply panicked".into()))
        };
        let (stage, outcome) = match reply.and_then(|reply| read(reply).map_err(TaskError::failed)) {
            Ok(value) => (Stage::Value(value), Outcome::Completed),
            Err(error) => {
                let outcome = error.outcome();
                (Stage::Error(error), outcome)
            }
        };
        // SAFETY: as above.
        let body = unsafe { self.replace(stage) };
        panics::drop_quietly(body);
        outcome
    }

    fn discard(&self) {
        // SAFETY: the word says Done(Abandoned), which names the worker that calls this.
        panics::drop_quietly(unsafe { self.replace(Stage::Empty) });
    }

    fn run_returned(&self, state: &mut I::State, context: &Context<'_, I>) -> Result<(), BoxError> {
        // SAFETY: the word says Done(Returned), which names the holder of the queue's reference: the caller.
        match unsafe { self.replace(Stage::Empty) } {
            Stage::Body(job) => job.run(state, context).map(drop),
            _ => Err("a returned task can run only once".into()),
        }
    }

    fn drop_returned(&self) {
        // SAFETY: as in `run_returned`.
        panics::drop_quietly(unsafe { self.replace(Stage::Empty) });
    }
}

/// A result that nobody took is dropped by whoever drops the handle: a panic in there is none of that thread's.
impl<I: Isolation, J: Job<I>> Drop for TaskCell<I, J> {
    fn drop(&mut self) {
        // SAFETY: nobody else has it any more.
        match unsafe { self.replace(Stage::Empty) } {
            Stage::Empty => {}
            Stage::Value(value) => panics::drop_quietly(value),
            rest => panics::drop_quietly(rest),
        }
    }
}

impl<I: Isolation, J: Job<I>> Resolve<J::Output> for TaskCell<I, J> {
    fn take(&self) -> Option<Result<J::Output, TaskError>> {
        match self.header.outcome()? {
            Outcome::Returned => Some(Err(TaskError::returned(self.header.return_reason()))),
            Outcome::Abandoned => Some(Err(TaskError::abandoned(self.header.reason()))),
            _ => {
                // SAFETY: the word says Done with an outcome that names the handle, and a handle is one owner:
                // the caller.
                match unsafe { self.replace(Stage::Empty) } {
                    Stage::Value(value) => Some(Ok(value)),
                    Stage::Error(error) => Some(Err(error)),
                    Stage::Body(_) | Stage::Empty => None,
                }
            }
        }
    }
}

/// Hands a task back that waits in the queue. False if it has begun or ended.
pub(crate) fn recall(cell: &Arc<dyn AnyCell>, reason: &ReturnReason) -> bool {
    let header = cell.header();
    if !header.claim() {
        return false;
    }
    cell.end_unrun(TaskError::returned(reason.clone()));
    header.note_return(reason);
    if let Some(home) = header.home().find() {
        home.ended_in_queue(header.place(), header.id(), Outcome::Returned);
    }
    header.settle(Outcome::Returned);
    true
}

fn end_claimed(cell: &Arc<dyn AnyCell>, reason: CancelReason) -> bool {
    let header = cell.header();
    let outcome = reason.outcome();
    cell.end_unrun(TaskError::cancelled(reason));
    if let Some(home) = header.home().find() {
        home.ended_in_queue(header.place(), header.id(), outcome);
    }
    header.settle(outcome);
    true
}

/// Asks a task to cancel: one that waits ends at once, one that runs is told. False if it has ended or was asked before.
pub(crate) fn cancel(cell: &Arc<dyn AnyCell>, reason: CancelReason) -> bool {
    let header = cell.header();
    // One that was sent ahead to a process may come back to the queue between two of these looks.
    loop {
        if header.claim() {
            return end_claimed(cell, reason);
        }
        if header.is_running() {
            break;
        }
        if !header.is_queued() {
            return false;
        }
    }
    if !header.ask(reason.clone()) {
        return false;
    }
    if header.claim() {
        return end_claimed(cell, reason);
    }
    if let Some(home) = header.home().find() {
        home.asked(cell);
    }
    true
}
