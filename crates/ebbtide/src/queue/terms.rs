//! What is asked of the queue and what it answers.

use std::task::Waker;

use crate::{
    error::RejectReason,
    sync::Thread,
    task::{entry::Entry, gate::Refusal, id::TaskId, isolation::Isolation, outcome::Outcomes},
};

/// Whether tasks from outside are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    Closed(RejectReason),
}

/// What the ledger is made of, as far as the queue counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) started: u64,
    /// Ended without having been started.
    pub(crate) ended: Outcomes,
    pub(crate) queued: usize,
    pub(crate) idle: usize,
    pub(crate) waiting_for_room: usize,
}

/// What must be done after the lock is released.
#[derive(Default)]
#[must_use = "an effect that is not applied leaves somebody asleep"]
pub(crate) struct Effect {
    pub(crate) worker: Option<Thread>,
    pub(crate) submitters: Vec<Waker>,
    /// Only to be dropped.
    pub(super) replaced: Option<Waker>,
    /// The worker that watches must hear of it.
    pub(super) ring: bool,
    /// Tasks wait, nobody is idle, and the roster may start somebody for this lane.
    pub(crate) hungry: Option<u32>,
    /// A lane that takes nothing more from outside has nothing waiting any more.
    pub(crate) quiet: bool,
}

/// What became of an accepted task.
pub(crate) enum Accepted<I: Isolation> {
    Queued(TaskId),
    /// The queue was full: the caller runs it, on behalf of this lane. It counts as started.
    CallerRuns(Entry<I>, u32),
}

/// What to do with what had to make room.
pub(crate) struct Overflow<I: Isolation>(pub(crate) Option<Entry<I>>);

/// What the gate said.
pub(crate) type Admission<I> = Result<(Accepted<I>, Overflow<I>), Refusal>;

/// Where a worker that asks for work comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// For the first time: it was expected.
    Fresh,
    FromRun,
    FromSleep,
    /// From [`Queue::watch`].
    FromWatch,
}

pub(crate) enum Take<I: Isolation> {
    Task(Entry<I>),
    /// Nothing to do; before it sleeps the worker watches the queue, and then asks again. What the bell said is given.
    Watch(u32),
    /// Nothing to do; the worker is now idle and must park.
    Sleep,
    /// Nothing to do and nothing will come: the worker goes.
    Leave,
}

/// Why a task that had not begun was not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// It was asked to cancel.
    Asked,
    /// Its generation takes nothing any more.
    Stopped,
    /// The pool is broken.
    Broken(std::sync::Arc<str>),
}

/// A waiting task as it is seen from outside.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: TaskId,
    pub(crate) name: Option<std::sync::Arc<str>>,
}

/// Whether tasks may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    Yes,
    No,
}
