//! What a user holds of a schedule.

use std::{fmt, future::poll_fn, sync::Arc, task::Poll, task::Waker, time::Duration};

use super::{series::Series, timetable::Event as Tick};
use crate::{
    clock::Moment,
    error::WaitError,
    pool::JobEnd,
    task::{
        gate::HomeId,
        handle::{Waiting, next_key},
        isolation::Isolation,
        outcome::{Outcome, Outcomes},
        wait,
    },
};

/// A schedule at work: pause it, run it now, end it, look at it. Cheap to clone; the clones are the same job. Dropping all of them detaches it:
/// the job goes on until it is over or its pool is told to shut down. It does not keep the pool open.
///
/// A run that fails is an outcome and an event, never the silent end of the job.
#[derive(Clone)]
#[must_use = "dropping it detaches the job, which goes on"]
#[doc(alias = "ScheduledFuture")]
pub struct Job {
    face: Arc<dyn Face>,
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It runs when it is due.
    Active,
    /// It does not run until it is resumed, or until the application that it belongs to has started.
    Paused,
    /// Nothing begins by it any more.
    Over(JobEnd),
}

/// A job in numbers. From [`Job::stats`].
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct JobStats {
    /// Its name.
    pub name: Arc<str>,
    /// When it runs, in words.
    pub schedule: Arc<str>,
    /// Where it is in its life.
    pub state: JobState,
    /// How many runs have begun.
    pub runs: u64,
    /// How many were fired and have not ended: they wait for room, wait in the queue, or run.
    pub under_way: u32,
    /// How its runs ended.
    pub outcomes: Outcomes,
    /// Runs that ended neither `Completed` nor `Cancelled` nor `Returned`.
    pub failures: u64,
    /// The same, since the last run that completed.
    pub failures_in_row: u32,
    /// Runs that were due and did not take place: the one before had not ended, or the pool did not take them.
    pub missed: u64,
    /// Runs that would have been due while it was paused.
    pub skipped: u64,
    /// The last run that ended.
    pub last: Option<LastRun>,
    /// How long until the next run; `None` while that depends on the end of one under way, and when it is over. Counted also while it is paused.
    #[serde(rename = "next_in_ms", serialize_with = "crate::report::as_some_millis::serialize")]
    pub next_in: Option<Duration>,
}

/// The last run of a job.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LastRun {
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, if it did not complete.
    pub error: Option<String>,
    /// How long it ran; `None` if it never began.
    #[serde(rename = "took_ms", serialize_with = "crate::report::as_some_millis::serialize")]
    pub took: Option<Duration>,
    /// How long ago it ended.
    #[serde(rename = "ended_ms_ago", serialize_with = "crate::report::millis")]
    pub ended_ago: Duration,
}

/// A job was not run out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RunNowError {
    /// As many of its runs are under way as may be; it does not overlap with itself unless it was told to.
    #[error("as many runs of the job are under way as may be")]
    UnderWay,
    /// It is over.
    #[error("the job is over")]
    Over,
}

/// A job of any pool, as its handle knows it.
trait Face: Send + Sync {
    fn name(&self) -> &str;
    fn schedule(&self) -> &str;
    fn home(&self) -> HomeId;
    fn tell(&self, tick: Tick);
    fn run_now(&self) -> bool;
    fn stats(&self) -> JobStats;
    fn poll_idle(&self, key: usize, waker: &Waker) -> bool;
    /// Who waited for that under this key waits no more.
    fn forget(&self, key: usize);
}

/// Waits for a job to be idle, and leaves nothing behind: a run may take for ever, and be waited for without number.
struct Visit<'j> {
    face: &'j dyn Face,
    key: usize,
}

impl Visit<'_> {
    fn is_idle(&self, waker: &Waker) -> bool {
        self.face.poll_idle(self.key, waker)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.face.forget(self.key);
    }
}

impl Job {
    pub(crate) fn new<I: Isolation>(series: Arc<Series<I>>) -> Self {
        Self { face: series }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.face.name()
    }

    /// When it runs, in words: `every 100ms, fixed delay`.
    #[must_use]
    pub fn schedule(&self) -> &str {
        self.face.schedule()
    }

    /// Nothing begins by itself until [`resume`](Self::resume); what runs goes on. What would have been due meanwhile is skipped, at a fixed
    /// rate and on a cron line; with a fixed delay, and for a single run, what became due runs at once then.
    pub fn pause(&self) {
        self.face.tell(Tick::Paused);
    }

    /// It runs again when it is due.
    pub fn resume(&self) {
        self.face.tell(Tick::Resumed);
    }

    /// Runs it now, out of turn, also while it is paused. Its rate or cron line goes on as before; a fixed delay counts from the end
    /// of this run.
    ///
    /// # Errors
    /// [`RunNowError`], and nothing runs.
    pub fn run_now(&self) -> Result<(), RunNowError> {
        match self.face.run_now() {
            true => Ok(()),
            false if self.is_over() => Err(RunNowError::Over),
            false => Err(RunNowError::UnderWay),
        }
    }

    /// Ends the job at once: its timer is gone, a run that has not begun ends `Cancelled`, one that runs is asked to cancel.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        self.face.tell(Tick::Over(JobEnd::Cancelled));
    }

    /// Ends the job and lets what runs end undisturbed: when this returns, no run begins any more. A run that has not begun ends `Returned`. It is what
    /// a shutdown of the pool does first, to all of its jobs.
    pub fn stop(&self) {
        self.face.tell(Tick::Over(JobEnd::Stopped));
    }

    /// True once nothing begins by it any more. A run may still be under way.
    #[must_use]
    #[doc(alias = "isCancelled")]
    #[doc(alias = "isDone")]
    pub fn is_over(&self) -> bool {
        matches!(self.stats().state, JobState::Over(_))
    }

    /// The job now, in numbers.
    #[must_use]
    pub fn stats(&self) -> JobStats {
        self.face.stats()
    }

    /// Blocks until no run of it is under way, at most `timeout` if one is given. After [`stop`](Self::stop): until its last run has ended.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`]; [`WaitError::WouldDeadlock`] on the last worker of its pool.
    pub fn wait_idle(&self, timeout: Option<Duration>) -> Result<(), WaitError> {
        let until = timeout.map(|timeout| Moment::now().plus(timeout));
        let visit = self.visit();
        if visit.is_idle(Waker::noop()) {
            return Ok(());
        }
        let _waiting = Waiting::begin(self.face.home())?;
        let idle = wait::block_until(until, |waker| visit.is_idle(waker).then_some(()));
        idle.ok_or(WaitError::TimedOut)
    }

    /// Waits until no run of it is under way, without blocking a thread; on any runtime.
    pub async fn idle(&self) {
        let visit = self.visit();
        poll_fn(|poller| if visit.is_idle(poller.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn visit(&self) -> Visit<'_> {
        Visit { face: &*self.face, key: next_key() }
    }

    /// Its clock stands until it is released as often as it was held; see the timetable.
    pub(crate) fn hold(&self) {
        self.face.tell(Tick::Held);
    }

    pub(crate) fn release(&self) {
        self.face.tell(Tick::Released);
    }

    pub(crate) fn home(&self) -> HomeId {
        self.face.home()
    }
}

impl<I: Isolation> Face for Series<I> {
    fn name(&self) -> &str {
        &self.label.name
    }

    fn schedule(&self) -> &str {
        &self.label.schedule
    }

    fn home(&self) -> HomeId {
        self.home
    }

    fn tell(&self, tick: Tick) {
        Self::tell(self, tick);
    }

    fn run_now(&self) -> bool {
        Self::run_now(self)
    }

    fn stats(&self) -> JobStats {
        Self::stats(self)
    }

    fn poll_idle(&self, key: usize, waker: &Waker) -> bool {
        Self::poll_idle(self, key, waker)
    }

    fn forget(&self, key: usize) {
        Self::forget(self, key);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Job")
            .field("name", &stats.name)
            .field("schedule", &stats.schedule)
            .field("state", &stats.state)
            .field("runs", &stats.runs)
            .field("under_way", &stats.under_way)
            .field("missed", &stats.missed)
            .finish_non_exhaustive()
    }
}
