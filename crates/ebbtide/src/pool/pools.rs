//! The face of a pool.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    builder::{PoolBuilder, check_workers},
    closing::Closing,
    core::Core,
    events::Events,
    phase::Phase,
    request::{Restart, Shutdown},
    stats::Stats,
    submitter::Submitter,
    timing::Timings,
};
use crate::{
    error::{BuildError, SubmitError},
    policy::WhenFull,
    queue::Paused,
    task::{
        handle::Handle,
        id::TaskId,
        isolation::{Isolation, Stateless},
        options::{Door, Task},
        outcome::Outcomes,
        returned::Returned,
    },
};

/// A pool of workers with one bounded queue and one lifecycle, whose every accepted task ends in exactly one known way.
///
/// `I` says what the workers are: [`Stateless`] threads, or [`Threads<S>`](crate::Threads) that each own an `S`.
///
/// Dropping it without a shutdown starts a drain with the default deadline and does not block: accepted work runs on as long as the
/// process lives. To know that it is over, [`shutdown`](Self::shutdown) and wait.
///
/// ```
/// use std::time::Duration;
/// use ebbtide::{Pool, Shutdown};
///
/// let pool = Pool::new(2);
/// let answer = pool.submit(|_| 6 * 7)?;
/// assert_eq!(answer.wait()?, 42);
///
/// let report = pool.shutdown(Shutdown::drain().within(Duration::from_secs(10))).wait()?;
/// assert_eq!(report.outcomes.completed, 1);
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[doc(alias = "ThreadPoolExecutor")]
#[doc(alias = "Piscina")]
pub struct Pool<I: Isolation> {
    core: Arc<Core<I>>,
}

impl Pool<Stateless> {
    /// A pool of up to `workers` threads without state, with every default. At least one worker is taken.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self::builder().workers(1..=workers.max(1)).build().expect("the defaults are consistent")
    }

    /// Builds a pool option by option.
    pub fn builder() -> PoolBuilder<Stateless> {
        PoolBuilder::new()
    }
}

impl<I: Isolation> Pool<I> {
    pub(crate) fn from_core(core: Arc<Core<I>>) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Arc<Core<I>> {
        &self.core
    }

    /// Jobs that were started before run from now on, if it was built to be opened later.
    pub(crate) fn open_clocks(&self) {
        self.core.clocks.open();
    }

    pub(crate) fn plain(&self) -> Task<'_, I> {
        Task::new(&*self.core, Door::Outside)
    }

    /// Names a task, to give it options before it is submitted: `pool.task("render").timeout(d).submit(…)`.
    pub fn task(&self, name: impl Into<Arc<str>>) -> Task<'_, I> {
        self.plain().name(name)
    }

    /// The right to submit and nothing else; cheap to clone.
    #[must_use]
    pub fn submitter(&self) -> Submitter<I> {
        Submitter::new(Arc::clone(&self.core))
    }

    /// Ends the pool, for good. Starts the procedure and returns at once; [`Closing::wait`] gives the report.
    ///
    /// Any number of calls from anywhere are one shutdown. A stronger mode escalates, a weaker one changes nothing, an earlier deadline
    /// counts. From a task of the same pool it may be called, but not waited for.
    ///
    /// What it does *not* do: end a thread by force. A task that ignores the request to cancel is abandoned: its handle resolves, its
    /// thread runs on and is named in the report.
    #[doc(alias = "close")]
    #[doc(alias = "destroy")]
    #[doc(alias = "shutdownNow")]
    pub fn shutdown(&self, shutdown: Shutdown) -> Closing {
        self.core.shutdown(shutdown)
    }

    /// Ends the present workers and leaves the pool open: the next generation takes over, its minimum warm. Starts the procedure and returns
    /// at once.
    ///
    /// A weaker or equal restart joins the one under way, a stronger one escalates it; a shutdown supersedes it. It
    /// repairs a broken pool.
    #[doc(alias = "softRestart")]
    pub fn restart(&self, restart: Restart) -> Closing {
        self.core.restart(restart)
    }

    /// Nothing more starts until [`resume`](Self::resume); what runs goes on. A shutdown or restart while paused works.
    pub fn pause(&self) {
        self.core.pause(Paused::Yes);
    }

    /// Tasks start again.
    pub fn resume(&self) {
        self.core.pause(Paused::No);
    }

    /// Changes the least and the most workers, and gives what they were. Workers above the most leave after their present task.
    ///
    /// # Errors
    /// [`BuildError`], with nothing changed, for a range that no pool could have.
    #[doc(alias = "setCorePoolSize")]
    #[doc(alias = "setMaximumPoolSize")]
    pub fn resize(&self, workers: RangeInclusive<usize>) -> Result<RangeInclusive<usize>, BuildError> {
        check_workers(*workers.start(), *workers.end())?;
        let (min, max) = self.core.resize(*workers.start(), *workers.end());
        Ok(min..=max)
    }

    /// Starts up to `count` of the least workers that are not there yet; gives how many those were.
    #[doc(alias = "prestartCoreThread")]
    pub fn warm_up(&self, count: usize) -> usize {
        self.core.warm(count)
    }

    /// Changes what a submit into a full queue does.
    ///
    /// # Errors
    /// [`BuildError`] for caller runs on a pool with state.
    pub fn set_when_full(&self, when_full: WhenFull) -> Result<(), BuildError> {
        let stateless = std::any::TypeId::of::<I>() == std::any::TypeId::of::<Stateless>();
        if when_full == WhenFull::CallerRuns && !stateless {
            return Err(BuildError::new("when_full", "caller runs needs a pool without state"));
        }
        self.core.queue.set_when_full(when_full);
        Ok(())
    }

    /// The unstarted tasks that stops, aborts, restarts or a break-down gave back: each leaves once.
    ///
    /// A task whose handle says `Returned` is here, unless it borrowed from a scope: such a body is dropped, never given away. Once the stop's
    /// [`Closing`] is over, all are.
    #[doc(alias = "shutdownNow")]
    #[must_use = "what is dropped here is gone"]
    #[doc(alias = "drainQueue")]
    pub fn take_returned(&self) -> Vec<Returned<I>> {
        let mut runs = self.core.returned.take().into_iter();
        // The first run, mostly the only one, stays where it is.
        let first: Vec<_> = runs.next().unwrap_or_default().into_iter().map(Returned::new).collect();
        runs.fold(first, |mut all, run| {
            all.extend(run.into_iter().map(Returned::new));
            all
        })
    }

    /// Submits a returned task as a new one, with a new number and a handle without a value.
    ///
    /// # Errors
    /// As `submit`.
    pub fn resubmit(&self, task: Returned<I>) -> Result<Handle<()>, SubmitError<Returned<I>>> {
        self.plain().submit_job(task).map_err(|(task, reason)| SubmitError::new(task, reason))
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.config.name
    }

    /// Where the present generation is in its life.
    #[must_use]
    #[doc(alias = "isShutdown")]
    #[doc(alias = "isTerminated")]
    pub fn phase(&self) -> Phase {
        self.core.phase()
    }

    /// The pool now, in numbers; the law holds in it.
    #[must_use]
    #[doc(alias = "queueSize")]
    #[doc(alias = "completed")]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// How tasks have ended so far.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.core.outcomes()
    }

    /// The tasks that wait, most urgent first, with their names. Walks the queue: for looking, not for deciding.
    #[must_use]
    pub fn waiting(&self) -> Vec<(TaskId, Option<Arc<str>>)> {
        self.core.queue.waiting().into_iter().map(|task| (task.id, task.name)).collect()
    }

    /// How long the timed tasks waited and ran.
    #[must_use]
    #[doc(alias = "histogram")]
    #[doc(alias = "waitTime")]
    #[doc(alias = "runTime")]
    pub fn timings(&self) -> Timings {
        self.core.clockbook.read()
    }

    /// Forgets the timings so far.
    pub fn reset_timings(&self) {
        self.core.clockbook.reset();
    }

    /// What happens in the pool from now on. A bounded stream: who reads too slowly loses the oldest and is told how many.
    #[must_use]
    pub fn events(&self) -> Events {
        self.core.hub.subscribe()
    }

    /// How long a shutdown or restart may take where it does not say so itself.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.core.config.deadline
    }
}

impl<I: Isolation> Drop for Pool<I> {
    fn drop(&mut self) {
        if self.core.control.lock().last.is_none() {
            drop(self.core.shutdown(Shutdown::drain()));
        }
    }
}

impl<I: Isolation> fmt::Debug for Pool<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Pool")
            .field("name", &stats.pool)
            .field("phase", &stats.phase)
            .field("generation", &stats.generation)
            .field("workers", &stats.workers.alive)
            .field("queued", &stats.queued)
            .field("running", &stats.running)
            .finish_non_exhaustive()
    }
}
