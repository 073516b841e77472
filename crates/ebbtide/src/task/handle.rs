//! The owner's end of a task: wait for it, cancel it, look at it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as Poller, Poll, Waker},
    time::Duration,
};

use super::{
    cancel::{CancelToken, WaitCancelled},
    cell::{self, AnyCell, Resolve},
    error::{Cancelled, TaskError},
    gate::{self, Home, HomeId},
    header::TaskState,
    id::{TaskId, WorkerId},
    outcome::{CancelReason, Outcome},
    spin::Spin,
    wait,
};
use crate::{clock::Moment, error::WaitError, sync};

/// The owner's end of an accepted task. A plain future (on any runtime, or none), and a thread can wait on it.
///
/// It resolves exactly once, after the body has ended, however the pool ends (an *abandoned* task is the named exception:
/// its body may still run). Dropping it detaches: the task runs all the same.
#[must_use = "dropping a handle detaches the task; use `execute` where the result does not matter"]
#[doc(alias = "Future")]
#[doc(alias = "JoinHandle")]
#[doc(alias = "FutureTask")]
pub struct Handle<T> {
    cell: Arc<dyn Resolve<T>>,
}

/// Another pair of eyes on a task: waits for its end and learns the outcome, not the value. From [`Handle::watch`].
pub struct Watch {
    cell: Arc<dyn AnyCell>,
    key: usize,
}

/// The handle itself; watchers and completion streams have keys of their own.
const OWN_KEY: usize = 0;

impl<T: Send + 'static> Handle<T> {
    pub(crate) fn new(cell: Arc<dyn Resolve<T>>) -> Self {
        Self { cell }
    }

    /// The task's number in its pool.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.cell.header().id()
    }

    /// The name it was submitted under.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.cell.header().name().map(|name| &**name)
    }

    /// Where the task is in its life, now.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.cell.header().state()
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.cell.header().outcome()
    }

    /// True once it has ended; then waiting gives the result at once.
    #[must_use]
    #[doc(alias = "isDone")]
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// Asks the task to cancel. One that still waits ends at once and never runs; one that runs is asked, and ends
    /// when it looks. False if it has ended already or was asked before.
    ///
    /// The truth counts: a body that returns its value all the same is `Completed`.
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.cancel_because(CancelReason::Requested(None))
    }

    /// The same with a reason, which the body, the error and the report can name.
    pub fn cancel_with(&self, why: impl Into<Arc<str>>) -> bool {
        self.cancel_because(CancelReason::Requested(Some(why.into())))
    }

    fn cancel_because(&self, reason: CancelReason) -> bool {
        cell::cancel(&self.any(), reason)
    }

    /// Blocks until the task has ended and gives its value. A body that waits here does not hear its own cancel before that:
    /// [`wait_unless`](Self::wait_unless) does.
    ///
    /// # Errors
    /// [`WaitError::Task`] says how the task ended without one. [`WaitError::WouldDeadlock`], on a worker of the
    /// same pool where blocking would leave nobody to run the task; the task is then detached and goes on. Pools whose tasks wait for each
    /// other in a circle are *not* detected.
    #[doc(alias = "join")]
    #[doc(alias = "get")]
    pub fn wait(self) -> Result<T, WaitError> {
        self.block(Until::Ended)?.unwrap_or_else(|| Err(TaskError::taken())).map_err(WaitError::Task)
    }

    /// Blocks until the task has ended, but at most `timeout`.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] when the time passed: the task goes on and may be waited for again. Otherwise
    /// as [`wait`](Self::wait). After a result was given once, later calls give [`WaitError::Task`] with a failure
    /// that says so.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<T, WaitError> {
        match self.block(Until::Time(Moment::now().plus(timeout)))? {
            Some(result) => result.map_err(WaitError::Task),
            None => Err(WaitError::TimedOut),
        }
    }

    /// Blocks until the task has ended, or `token` is cancelled: for a body that waits for another task and must hear its own
    /// [cancel](super::context::Context::token) meanwhile.
    ///
    /// # Errors
    /// [`WaitError::Cancelled`] when the token came first: the task goes on, and may be waited for again, or cancelled. Otherwise as
    /// [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use ebbtide::{Outcome, Pool};
    ///
    /// let pool = Pool::new(2);
    /// let parent = pool.submit_fallible(|context| {
    ///     let mut child = context.submit(|context| while !context.is_cancelled() {}).expect("open");
    ///     child.wait_unless(&context.token()).inspect_err(|_| drop(child.cancel()))
    /// })?;
    /// while pool.stats().running < 2 {}
    /// parent.cancel();
    /// assert_eq!(parent.wait().unwrap_err().task().unwrap().outcome(), Outcome::Cancelled);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_unless(&mut self, token: &CancelToken) -> Result<T, WaitError> {
        match self.block(Until::Cancelled(token.cancelled()))? {
            Some(result) => result.map_err(WaitError::Task),
            None => Err(WaitError::Cancelled(Cancelled)),
        }
    }

    /// The result, if the task has ended; never blocks. `None` while it has not, and after it was taken; that a task was returned or
    /// abandoned is said every time.
    pub fn try_take(&mut self) -> Option<Result<T, TaskError>> {
        self.cell.take()
    }

    /// Another pair of eyes: waits for the end without the value. Any number, on any threads.
    pub fn watch(&self) -> Watch {
        Watch::new(self.any())
    }

    pub(crate) fn any(&self) -> Arc<dyn AnyCell> {
        Arc::clone(&self.cell) as _
    }

    pub(crate) fn poll_outcome(&self, key: usize, waker: &Waker) -> Option<Outcome> {
        self.cell.header().poll_outcome(key, waker)
    }

    fn block(&self, until: Until) -> Result<Option<Result<T, TaskError>>, WaitError> {
        let ended = block_on(&*self.cell, OWN_KEY, &until)?;
        debug_assert!(ended || !matches!(until, Until::Ended));
        Ok(ended.then(|| self.cell.take().unwrap_or_else(|| Err(TaskError::taken()))))
    }
}

sync::thread_local! {
    /// How long this thread looks again before it sleeps.
    static SPIN: Spin = const { Spin::new() };
}

/// What else ends waiting for a task.
enum Until {
    /// Only its end.
    Ended,
    Time(Moment),
    Cancelled(WaitCancelled),
}

/// Blocks on a task's end; false if something else came first. Where a worker waits on a task of its own pool, the pool may refuse.
fn block_on<C: AnyCell + ?Sized>(cell: &C, key: usize, until: &Until) -> Result<bool, WaitError> {
    let header = cell.header();
    if header.outcome().is_some() {
        return Ok(true);
    }
    let _waiting = Waiting::begin(header.home())?;
    if SPIN.try_with(|spin| spin.until(|| header.outcome().is_some())).unwrap_or(false) {
        return Ok(true);
    }
    let ended = |waker: &Waker| header.poll_outcome(key, waker).map(|_| true);
    let answer = match until {
        Until::Ended => wait::block_until(None, ended),
        Until::Time(moment) => wait::block_until(Some(*moment), ended),
        Until::Cancelled(request) => {
            wait::block_until(None, |waker| ended(waker).or_else(|| request.is_over(waker).then_some(false)))
        }
    };
    Ok(answer.unwrap_or(false))
}

/// Says that the worker waits no more, also when the wait ends by unwinding.
pub(crate) struct Waiting(Arc<dyn Home>);

impl Waiting {
    /// Says that the calling thread is going to wait for a task of a pool; `None` if it is no worker of that pool.
    pub(crate) fn begin(home: HomeId) -> Result<Option<Self>, WaitError> {
        let home = if gate::is_worker_here(home) { home.find() } else { None };
        match home {
            Some(home) if !home.begin_wait() => Err(WaitError::WouldDeadlock),
            home => Ok(home.map(Self)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.end_wait();
    }
}

impl<T: Send + 'static> Future for Handle<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Self::Output> {
        match self.poll_outcome(OWN_KEY, poller.waker()) {
            Some(_) => Poll::Ready(self.cell.take().unwrap_or_else(|| Err(TaskError::taken()))),
            None => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.cell.header();
        f.debug_struct("Handle")
            .field("id", &header.id())
            .field("name", &header.name())
            .field("state", &header.state())
            .finish()
    }
}

impl Watch {
    fn new(cell: Arc<dyn AnyCell>) -> Self {
        Self { cell, key: next_key() }
    }

    /// The task's number in its pool.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.cell.header().id()
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.cell.header().outcome()
    }

    /// The worker that took it last; `None` while none has.
    #[must_use]
    pub fn worker(&self) -> Option<WorkerId> {
        Some(self.cell.header().worker()).filter(|worker| worker.0 > 0)
    }

    /// Asks the task to cancel; see [`Handle::cancel`].
    pub fn cancel(&self) -> bool {
        cell::cancel(&self.cell, CancelReason::Requested(None))
    }

    /// Blocks until the task has ended, at most `timeout` if one is given, and says how.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] and [`WaitError::WouldDeadlock`], as for a handle.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Outcome, WaitError> {
        let until = timeout.map_or(Until::Ended, |timeout| Until::Time(Moment::now().plus(timeout)));
        block_on(&*self.cell, self.key, &until)?;
        self.outcome().ok_or(WaitError::TimedOut)
    }
}

/// A task may run for as long as the program, and be looked at without number.
impl Drop for Watch {
    fn drop(&mut self) {
        self.cell.header().forget(self.key);
    }
}

impl Clone for Watch {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.cell))
    }
}

impl Future for Watch {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Outcome> {
        match self.cell.header().poll_outcome(self.key, poller.waker()) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("id", &self.id()).field("state", &self.cell.header().state()).finish()
    }
}

/// A key under which nobody else waits.
pub(crate) fn next_key() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(OWN_KEY + 1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
