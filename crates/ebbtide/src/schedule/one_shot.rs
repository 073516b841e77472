//! The owner's end of a single run at a later time.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll, Waker},
    time::Duration,
};

use super::job::Job;
use crate::{
    clock::Moment,
    error::WaitError,
    sync::Mutex,
    task::{
        error::TaskError,
        handle::{Waiting, next_key},
        outcome::Outcome,
        wait::{self, Wakers},
    },
};

/// The owner's end of one run at a later time, from `pool.after(d).start(…)` or `pool.at(t).start(…)`: wait for its value, cancel it.
/// A plain future, and a thread can wait on it.
///
/// The task is accepted when it is scheduled and counts as queued until it is due; it always ends in one of the nine ways. If its
/// pool is told to shut down before, it ends `Returned`, with the reason `not due`, and its closure is in `take_returned`. Dropping this
/// detaches: the task runs all the same.
#[must_use = "dropping it detaches the run; `.job()` can be kept instead"]
#[doc(alias = "ScheduledFuture")]
pub struct OneShot<T> {
    job: Job,
    promise: Arc<Promise<T>>,
    key: usize,
}

/// Where a single run's end is told.
pub(crate) trait Landing: Send + Sync {
    fn land(&self, result: Result<(), TaskError>);
}

pub(crate) struct Promise<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    value: Option<T>,
    outcome: Option<Outcome>,
    error: Option<TaskError>,
    wakers: Wakers,
}

impl<T: Send + 'static> Promise<T> {
    pub(crate) fn new() -> Arc<Self> {
        let inner = Inner { value: None, outcome: None, error: None, wakers: Wakers::default() };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// The body's value; it can be had once its task has ended.
    pub(crate) fn put(&self, value: T) {
        let _before = self.inner.lock().value.replace(value);
    }

    fn take(&self) -> Option<Result<T, TaskError>> {
        let mut inner = self.inner.lock();
        inner.outcome?;
        match (inner.error.take(), inner.value.take()) {
            (Some(error), _) => Some(Err(error)),
            (None, Some(value)) => Some(Ok(value)),
            (None, None) => None,
        }
    }

    fn poll_outcome(&self, key: usize, waker: &Waker) -> Option<Outcome> {
        let _replaced;
        let mut inner = self.inner.lock();
        if inner.outcome.is_none() {
            _replaced = inner.wakers.register(key, waker);
        }
        inner.outcome
    }
}

impl<T: Send + 'static> Landing for Promise<T> {
    fn land(&self, result: Result<(), TaskError>) {
        let wakers = {
            let mut inner = self.inner.lock();
            if inner.outcome.is_some() {
                // It ended before it had its body.
                return;
            }
            inner.outcome = Some(result.as_ref().map_or_else(TaskError::outcome, |()| Outcome::Completed));
            inner.error = result.err();
            inner.wakers.take()
        };
        wait::wake_all(wakers);
    }
}

impl<T: Send + 'static> OneShot<T> {
    pub(crate) fn new(job: Job, promise: Arc<Promise<T>>) -> Self {
        Self { job, promise, key: next_key() }
    }

    /// The job behind it: pause it, run it now, look at it, without its value.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.promise.inner.lock().outcome
    }

    /// True once it has ended; then waiting gives the result at once.
    #[must_use]
    #[doc(alias = "isDone")]
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// Cancels it. One that is not due, or waits in the queue, ends `Cancelled` at once, and its timer is gone; one that runs is asked.
    /// False if it had ended before, or was cancelled before.
    pub fn cancel(&self) -> bool {
        if self.is_finished() || self.job.is_over() {
            return false;
        }
        self.job.cancel();
        true
    }

    /// Blocks until it has ended and gives its value.
    ///
    /// # Errors
    /// [`WaitError::Task`] says how it ended without one. [`WaitError::WouldDeadlock`], on a worker of the same pool where blocking
    /// would leave nobody to run it; it is then detached and goes on.
    pub fn wait(self) -> Result<T, WaitError> {
        self.block(None)?.unwrap_or(Err(TaskError::taken())).map_err(WaitError::Task)
    }

    /// Blocks until it has ended, but at most `timeout`.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] when the time passed: it goes on and may be waited for again. Otherwise as [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<T, WaitError> {
        match self.block(Some(Moment::now().plus(timeout)))? {
            Some(result) => result.map_err(WaitError::Task),
            None => Err(WaitError::TimedOut),
        }
    }

    /// The result, if it has ended; never blocks. `None` while it has not, and after it was taken.
    pub fn try_take(&mut self) -> Option<Result<T, TaskError>> {
        self.promise.take()
    }

    fn block(&self, until: Option<Moment>) -> Result<Option<Result<T, TaskError>>, WaitError> {
        if !self.is_finished() {
            let _waiting = Waiting::begin(self.job.home())?;
            wait::block_until(until, |waker| self.promise.poll_outcome(self.key, waker));
        }
        let taken = || self.promise.take().unwrap_or_else(|| Err(TaskError::taken()));
        Ok(self.is_finished().then(taken))
    }
}

impl<T: Send + 'static> Future for OneShot<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Self::Output> {
        match self.promise.poll_outcome(self.key, poller.waker()) {
            Some(_) => Poll::Ready(self.promise.take().unwrap_or_else(|| Err(TaskError::taken()))),
            None => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for OneShot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneShot").field("job", &self.job).finish_non_exhaustive()
    }
}
