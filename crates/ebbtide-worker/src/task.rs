//! The task that runs, as its function sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::Cancelled;
use crate::frame::JSON;
use crate::link::{Link, Terms, now};

/// The task that runs: what it is, whether it should end, and a way to say how far it is.
///
/// It may be shared with threads that the function joins before it returns.
#[derive(Debug)]
pub struct Task {
    link: Arc<Link>,
    id: u64,
    terms: Option<Arc<Terms>>,
    deadline: Option<Instant>,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For who looks for a fault.
    Debug,
    /// For who wants to know what happens.
    #[default]
    Info,
    /// Something is not as it should be, and it goes on.
    Warn,
    /// Something failed.
    Error,
}

impl Task {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, id: 0, terms: None, deadline: None }
    }

    pub(crate) fn become_of(&mut self, id: u64, terms: Option<Arc<Terms>>, deadline: Option<Instant>) {
        (self.id, self.terms, self.deadline) = (id, terms, deadline);
    }

    /// The pool's number for it. Another attempt may have another.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Which attempt this is; the first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.terms.as_ref().map_or(1, |terms| terms.attempt)
    }

    /// The caller's name for the task, the same in every attempt.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.terms.as_ref()?.key.as_deref()
    }

    /// What the request is: `application/json`, unless the caller said otherwise.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.terms.as_ref().and_then(|terms| terms.content_type.as_deref()).unwrap_or(JSON)
    }

    /// The function the task names. `None` = none, the worker's own default.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.terms.as_ref()?.function.as_deref()
    }

    /// Whether the request is an array, for whose items the function is called one by one.
    pub(crate) fn is_for_each(&self) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.each)
    }

    /// When its time is over, by this process's clock, counted from when the request came. `None` = it may take as long as it likes.
    ///
    /// Nothing happens here at that moment: the pool asks the task to end, and kills the worker after its grace.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much time is left until the [`deadline`](Self::deadline); nothing after it.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now()))
    }

    /// Whether the task was asked to end. One load of an atomic: a loop may ask at every turn.
    ///
    /// While a task runs the pool is listened to from a few milliseconds on; shorter tasks end before they can be asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.link.cancel().is_asked()
    }

    /// For `?`: ends the function if the task was asked to end.
    ///
    /// # Errors
    /// [`Cancelled`], with the pool's reason.
    pub fn check(&self) -> Result<(), Cancelled> {
        self.link.cancel().check()
    }

    /// Sleeps for so long, or until the task is asked to end.
    ///
    /// # Errors
    /// [`Cancelled`], with the pool's reason.
    pub fn sleep(&self, time: Duration) -> Result<(), Cancelled> {
        self.link.cancel().wait(time)
    }

    /// Tells the pool that the task is alive and how far it is. At most 64 KiB, cut at a character. Writes at once.
    pub fn progress(&self, text: impl AsRef<str>) {
        self.link.progress(self.id, text.as_ref());
    }

    /// Sends a line to the pool's log. At most 64 KiB, cut at a character. Writes at once.
    pub fn log(&self, level: Level, text: impl AsRef<str>) {
        self.link.log(self.id, level, text.as_ref());
    }
}

impl Level {
    /// Its name on the wire: `info`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
