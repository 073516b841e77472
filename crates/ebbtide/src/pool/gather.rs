//! Several tasks at once: as they complete, all of them, or the first that succeeds.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context as Poller, Poll, Wake, Waker},
    time::Duration,
};

use super::{core::Core, pools::Pool};
use crate::{
    clock::Moment,
    error::{RejectReason, SubmitError, SubmitManyError, WaitError},
    sync::Mutex,
    task::{
        cancel::CancelToken,
        context::Context,
        error::{BoxError, TaskError},
        gate::HomeId,
        handle::{Handle, Waiting, next_key},
        id::TaskId,
        isolation::{Isolation, Job, Plain, Stateless, Threads},
        wait::{self, Wakers},
    },
    timer::Alarm,
};

/// Tasks as they complete: put handles in on one side, take results out on the other, in the order of their ends.
///
/// Clones are the same collection. It holds what was put in and not taken out: bounding that is its user's.
#[doc(alias = "ExecutorCompletionService")]
#[doc(alias = "JoinSet")]
#[doc(alias = "as_completed")]
pub struct Completions<T> {
    shared: Arc<Shared<T>>,
    key: usize,
}

/// A task that has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<T> {
    /// Its number.
    pub id: TaskId,
    /// Its value, or how it ended without one.
    pub result: Result<T, TaskError>,
}

/// Why there is no first success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirstError {
    /// No tasks were given.
    #[error("no tasks were given")]
    Empty,
    /// The pool accepted none of them.
    #[error("the pool did not accept the tasks: {0}")]
    Rejected(RejectReason),
    /// All of them ended without success; this is how the last one did.
    #[error("no task succeeded; the last: {0}")]
    AllFailed(TaskError),
    /// On the last worker of the pool: waiting would leave nobody to run them. None was submitted.
    #[error("waiting here would deadlock: the last worker of the pool would wait for its own pool")]
    WouldDeadlock,
    /// The time passed; all were asked to cancel.
    #[error("no task succeeded in time; all were asked to cancel")]
    TimedOut,
}

struct Shared<T> {
    inner: Mutex<Inner<T>>,
    /// Cancelled with the first success.
    decided: Option<CancelToken>,
}

struct Inner<T> {
    /// Those under way, by the number their waker knows.
    open: Vec<Option<Handle<T>>>,
    free: Vec<usize>,
    ended: VecDeque<Finished<T>>,
    closed: bool,
    wakers: Wakers,
}

/// Wakes the collection for one of its handles.
struct Bell<T> {
    shared: Weak<Shared<T>>,
    place: usize,
}

impl<T: Send + 'static> Completions<T> {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::deciding(None)
    }

    fn deciding(decided: Option<CancelToken>) -> Self {
        let inner = Inner {
            open: Vec::new(),
            free: Vec::new(),
            ended: VecDeque::new(),
            closed: false,
            wakers: Wakers::default(),
        };
        Self { shared: Arc::new(Shared { inner: Mutex::new(inner), decided }), key: next_key() }
    }

    /// Puts a task in.
    pub fn push(&self, handle: Handle<T>) {
        let place = {
            let mut inner = self.shared.inner.lock();
            let place = inner.free.pop().unwrap_or(inner.open.len());
            if place == inner.open.len() {
                inner.open.push(None);
            }
            inner.open[place] = Some(handle);
            place
        };
        Bell { shared: Arc::downgrade(&self.shared), place }.look(&self.shared);
    }

    /// No more will be put in: when all are taken out, `take` gives `None`.
    pub fn close(&self) {
        let wakers = {
            let mut inner = self.shared.inner.lock();
            inner.closed = true;
            inner.wakers.take()
        };
        wait::wake_all(wakers);
    }

    /// The next that ended, if one has.
    #[must_use]
    pub fn poll_next(&self) -> Option<Finished<T>> {
        self.shared.inner.lock().ended.pop_front()
    }

    /// Blocks for the next that ends. `None` when it is closed and everything was taken out.
    ///
    /// Not checked, unlike waiting for a handle: on the last worker of the pool whose tasks these are it would wait for ever.
    #[must_use]
    pub fn take(&self) -> Option<Finished<T>> {
        wait::block_until(None, |waker| self.poll_with(waker)).flatten()
    }

    /// The same, but at most for `timeout`: then `None` too.
    #[must_use]
    pub fn take_timeout(&self, timeout: Duration) -> Option<Finished<T>> {
        let until = Moment::now().plus(timeout);
        wait::block_until(Some(until), |waker| self.poll_with(waker)).flatten()
    }

    /// The same, without blocking a thread.
    pub async fn take_async(&self) -> Option<Finished<T>> {
        std::future::poll_fn(|poller: &mut Poller<'_>| match self.poll_with(poller.waker()) {
            Some(next) => Poll::Ready(next),
            None => Poll::Pending,
        })
        .await
    }

    /// Asks everything that is under way to cancel.
    pub fn cancel_all(&self) {
        let cells: Vec<_> = {
            let inner = self.shared.inner.lock();
            inner.open.iter().flatten().map(Handle::watch).collect()
        };
        cells.iter().for_each(|task| {
            task.cancel();
        });
    }

    /// How many are under way or wait to be taken out.
    #[must_use]
    pub fn len(&self) -> usize {
        let inner = self.shared.inner.lock();
        inner.open.iter().flatten().count() + inner.ended.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn poll_with(&self, waker: &Waker) -> Option<Option<Finished<T>>> {
        let _replaced;
        let mut inner = self.shared.inner.lock();
        if let Some(next) = inner.ended.pop_front() {
            return Some(Some(next));
        }
        if inner.closed && inner.open.iter().all(Option::is_none) {
            return Some(None);
        }
        _replaced = inner.wakers.register(self.key, waker);
        None
    }
}

impl<T: Send + 'static> Bell<T> {
    /// Takes the result over if the task has ended; else leaves a waker with it.
    fn look(self, shared: &Arc<Shared<T>>) {
        let place = self.place;
        let waker = Waker::from(Arc::new(self));
        let mut poller = Poller::from_waker(&waker);
        let (decided, wakers) = {
            let mut inner = shared.inner.lock();
            let Some(handle) = inner.open[place].as_mut() else { return };
            let id = handle.id();
            let Poll::Ready(result) = Pin::new(handle).poll(&mut poller) else { return };
            inner.open[place] = None;
            inner.free.push(place);
            let decided = shared.decided.as_ref().filter(|_| result.is_ok());
            inner.ended.push_back(Finished { id, result });
            (decided, inner.wakers.take())
        };
        if let Some(decided) = decided {
            decided.cancel();
        }
        wait::wake_all(wakers);
    }
}

impl<T: Send + 'static> Wake for Bell<T> {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            let place = self.place;
            Bell { shared: Weak::clone(&self.shared), place }.look(&shared);
        }
    }
}

impl<T: Send + 'static> Clone for Completions<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), key: next_key() }
    }
}

impl<T: Send + 'static> Default for Completions<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Completions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").finish_non_exhaustive()
    }
}

/// Waits for all of them and gives their results in the order of the handles. With a `timeout`, those that have not ended when it passes are
/// asked to cancel and then waited for.
///
/// # Errors
/// [`WaitError::WouldDeadlock`] where a handle says so; the rest is detached.
#[doc(alias = "invokeAll")]
pub fn join_all<T: Send + 'static>(
    handles: impl IntoIterator<Item = Handle<T>>,
    timeout: Option<Duration>,
) -> Result<Vec<Result<T, TaskError>>, WaitError> {
    let mut handles: Vec<_> = handles.into_iter().collect();
    let mut results: Vec<Option<Result<T, WaitError>>> = Vec::new();
    if let Some(timeout) = timeout {
        let until = Moment::now().plus(timeout);
        for handle in &mut handles {
            results.push(Some(handle.wait_timeout(until.since(Moment::now()))));
        }
        let late = |result: &Option<Result<T, WaitError>>| matches!(result, Some(Err(WaitError::TimedOut)));
        for (handle, result) in handles.iter().zip(&mut results).filter(|(_, result)| late(result)) {
            handle.cancel_with("the time for all of them passed");
            *result = None;
        }
    } else {
        results.resize_with(handles.len(), || None);
    }
    let all = handles.into_iter().zip(results).map(|(handle, result)| {
        match result.unwrap_or_else(|| handle.wait()) {
            Ok(value) => Ok(Ok(value)),
            Err(WaitError::Task(error)) => Ok(Err(error)),
            Err(other) => Err(other),
        }
    });
    all.collect()
}

/// Submits all of them under one token, which is cancelled with the first success and when the time is up: whoever is under way is asked to
/// cancel, and who waits for room waits no more.
pub(super) fn first<T, F>(
    home: HomeId,
    tasks: impl IntoIterator<Item = F>,
    timeout: Option<Duration>,
    submit: impl Fn(F, &CancelToken) -> Result<Handle<T>, SubmitError<F>>,
) -> Result<T, FirstError>
where
    T: Send + 'static,
{
    let _waiting = Waiting::begin(home).map_err(|_| FirstError::WouldDeadlock)?;
    let token = CancelToken::new();
    let until = timeout.map(|timeout| Moment::now().plus(timeout));
    let _alarm = until.map(|until| {
        let token = token.clone();
        Alarm::at(until, move || {
            token.cancel();
        })
    });
    let completions = Completions::deciding(Some(token.clone()));
    let mut rejected = None;
    for task in tasks {
        match submit(task, &token) {
            Ok(handle) => completions.push(handle),
            Err(error) => {
                rejected = Some(error.reason().clone());
                break;
            }
        }
    }
    completions.close();
    let result = first_of(&completions, until);
    token.cancel();
    match (result, rejected) {
        (Err(FirstError::Empty), Some(RejectReason::Cancelled)) => Err(FirstError::TimedOut),
        (Err(FirstError::Empty), Some(reason)) => Err(FirstError::Rejected(reason)),
        (result, _) => result,
    }
}

/// The first value of those that are under way.
fn first_of<T: Send + 'static>(completions: &Completions<T>, until: Option<Moment>) -> Result<T, FirstError> {
    // Then whoever did not succeed was asked to cancel, or will be.
    let is_late = || until.is_some_and(|until| Moment::now() >= until);
    let mut last = None;
    loop {
        let next = match until {
            Some(until) => completions.take_timeout(until.since(Moment::now())),
            None => completions.take(),
        };
        match next.map(|finished| finished.result) {
            Some(Ok(value)) => return Ok(value),
            None if is_late() => return Err(FirstError::TimedOut),
            Some(Err(error)) => last = Some(error),
            None => return Err(last.map_or(FirstError::Empty, FirstError::AllFailed)),
        }
    }
}

/// So many are put into the queue together.
const TOGETHER: usize = 64;

fn many<I, T, F>(
    core: &Core<I>,
    tasks: impl IntoIterator<Item = F>,
) -> Result<Vec<Handle<T>>, SubmitManyError<Handle<T>, F>>
where
    I: Isolation,
    T: Send + 'static,
    Plain<F, T>: Job<I, Output = T>,
{
    many_jobs(core, tasks.into_iter().map(Plain::new)).map_err(|error| SubmitManyError {
        accepted: error.accepted,
        rejected: error.rejected.into_iter().map(|job| job.0).collect(),
        reason: error.reason,
    })
}

/// The handles of all, or what became of each.
pub(super) type Many<T, J> = Result<Vec<Handle<T>>, SubmitManyError<Handle<T>, J>>;

pub(super) fn many_jobs<I: Isolation, J: Job<I>>(
    core: &Core<I>,
    mut jobs: impl Iterator<Item = J>,
) -> Many<J::Output, J> {
    let mut accepted = Vec::with_capacity(jobs.size_hint().0);
    loop {
        let together: Vec<_> = jobs.by_ref().take(TOGETHER).collect();
        if together.is_empty() {
            return Ok(accepted);
        }
        if let Err((rejected, reason)) = core.submit_together(together, &mut accepted) {
            let rejected = rejected.into_iter().chain(jobs).collect();
            return Err(SubmitManyError { accepted, rejected, reason });
        }
    }
}

macro_rules! gather_methods {
    ([$($generics:tt)*] $isolation:ty, ($($argument:ty),*)) => {
        impl<$($generics)*> Pool<$isolation> {
            /// Submits many tasks, in order, and gives their handles in that order.
            ///
            /// # Errors
            /// [`SubmitManyError`] at the first that is not accepted: with the handles of those that were, and the rest.
            pub fn submit_many<T, F>(
                &self,
                tasks: impl IntoIterator<Item = F>,
            ) -> Result<Vec<Handle<T>>, SubmitManyError<Handle<T>, F>>
            where
                F: FnOnce($($argument),*) -> T + Send + 'static,
                T: Send + 'static,
            {
                many(self.core(), tasks)
            }

            /// Runs all of them and gives the first value; the others are asked to cancel before this returns (and are not waited
            /// for). With a `timeout`, at most so long. Those that find no room in the queue before that are not submitted.
            ///
            /// # Errors
            /// [`FirstError`]: none given, none accepted, all failed (with the last error), or the time passed.
            #[doc(alias = "invokeAny")]
            pub fn first_success<T, E, F>(
                &self,
                tasks: impl IntoIterator<Item = F>,
                timeout: Option<Duration>,
            ) -> Result<T, FirstError>
            where
                F: FnOnce($($argument),*) -> Result<T, E> + Send + 'static,
                T: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                first(self.core().home, tasks, timeout, |task, token| {
                    self.plain().cancelled_by(token).submit_fallible(task)
                })
            }
        }
    };
}

gather_methods!([] Stateless, (&Context<'_, Stateless>));
gather_methods!([S: 'static] Threads<S>, (&mut S, &Context<'_, Threads<S>>));
