//! Where unstarted tasks lie that were handed back, until somebody takes them.
//!
//! Whoever is told that a task was returned finds it here: its handle resolves under the lock under which the task is laid down. What may
//! call the user's code is put off until that lock is released.

use std::{sync::Arc, task::Waker};

use crate::{
    sync::{Mutex, MutexGuard},
    task::{
        cell::Runnable,
        entry::{Body, Entry},
        error::TaskError,
        isolation::Isolation,
        outcome::{Outcome, ReturnReason},
        wait,
    },
};

/// Tasks that came out of the queue together.
type Run<I> = Vec<Entry<I>>;

pub(crate) struct Shelf<I: Isolation> {
    runs: Mutex<Vec<Run<I>>>,
}

/// Where a run is laid: before what was returned earlier, or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Front,
    Back,
}

/// A run that is being ended and laid down.
pub(crate) struct Laying<'s, I: Isolation> {
    runs: MutexGuard<'s, Vec<Run<I>>>,
    wakers: Vec<(usize, Waker)>,
    /// They borrow from a scope: such a body is dropped before its handle resolves, and never leaves.
    scoped: Vec<(Arc<dyn Runnable<I>>, ReturnReason)>,
}

impl<I: Isolation> Shelf<I> {
    pub(crate) fn new() -> Self {
        Self { runs: Mutex::new(Vec::new()) }
    }

    /// Begins to end a run as returned. Nobody finds any of it before it lies here whole.
    pub(crate) fn lay(&self) -> Laying<'_, I> {
        Laying { runs: self.runs.lock(), wakers: Vec::new(), scoped: Vec::new() }
    }

    /// Lays a task here that has ended; nobody was told so yet.
    pub(crate) fn put(&self, entry: Entry<I>) {
        self.runs.lock().push(vec![entry]);
    }

    pub(crate) fn take(&self) -> Vec<Run<I>> {
        std::mem::take(&mut *self.runs.lock())
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.lock().iter().map(Vec::len).sum()
    }
}

impl<I: Isolation> Laying<'_, I> {
    /// Ends a claimed task. Its outcome must have been counted. False if it does not leave.
    #[must_use]
    pub(crate) fn end(&mut self, entry: &Entry<I>, reason: &ReturnReason) -> bool {
        let Body::Cell(cell) = &entry.body else { return true };
        let header = cell.header();
        if header.extras().is_some_and(|extras| extras.scoped) {
            self.scoped.push((Arc::clone(cell), reason.clone()));
            return false;
        }
        header.note_return(reason);
        self.wakers.append(&mut header.settle_quietly(Outcome::Returned));
        true
    }

    /// Lays down what leaves of the run, and then tells whoever waits for any of it.
    pub(crate) fn down(mut self, run: Run<I>, side: Side) {
        if !run.is_empty() {
            let place = if side == Side::Front { 0 } else { self.runs.len() };
            self.runs.insert(place, run);
        }
        drop(self.runs);
        for (cell, reason) in self.scoped {
            cell.end_unrun(TaskError::returned(reason));
            cell.header().settle(Outcome::Returned);
        }
        wait::wake_all(self.wakers);
    }
}
