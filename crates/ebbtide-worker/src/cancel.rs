//! Whether the task that runs has been asked to end, and why.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The error of a task that ended because it was asked to. A function that returns it, alone or as the source of its own error, ends its
/// task as *cancelled*; by [`Task::check`](crate::Task::check) and [`Task::sleep`](crate::Task::sleep).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    reason: String,
}

impl Cancelled {
    /// Why, as the pool said it. Empty = it did not say.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.reason {
            "" => f.write_str("cancelled"),
            reason => write!(f, "cancelled: {reason}"),
        }
    }
}

impl std::error::Error for Cancelled {}

/// Of the one task that runs. It is set and cleared under the lock of the inbox, which knows which task that is.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    /// A copy of whether there is a reason: a loop may ask at every turn.
    asked: AtomicBool,
    reason: Mutex<Option<String>>,
    changed: Condvar,
}

impl Cancel {
    pub(crate) fn ask(&self, reason: &str) {
        // The first reason stays: it is the one the task may have seen.
        self.reason().get_or_insert_with(|| reason.to_owned());
        self.asked.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    pub(crate) fn clear(&self) {
        // For nearly every task there is nothing to clear, and no lock to be taken.
        if self.is_asked() {
            self.asked.store(false, Ordering::Release);
            *self.reason() = None;
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    pub(crate) fn check(&self) -> Result<(), Cancelled> {
        if self.is_asked() {
            Err(Cancelled::new(self.reason().as_deref().unwrap_or_default()))
        } else {
            Ok(())
        }
    }

    /// Waits for so long, or until asked.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), Cancelled> {
        let reason = self.reason();
        let waited = self.changed.wait_timeout_while(reason, time, |reason| reason.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.check()
    }

    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
