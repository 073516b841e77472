//! What ships as a component: resources, pools and schedules.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::{
    clock::Moment,
    component::{Component, Declared, Detail, Monitor, Progress, Starting, StillHeld, Stopping},
    pool::{Event, Pool, Shutdown},
    report::{Mode, Report},
    schedule::{Job, JobState},
    sync::Mutex,
    task::{error::BoxError, isolation::Isolation},
};

/// How long a lease that is still out when everybody has stopped is waited for: the last of a pool's are given back a moment after it
/// has terminated. Whoever holds one longer holds it for good.
const LAST_LEASE: Duration = Duration::from_millis(250);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What a resource's closing gives: nothing, or a result. Sealed.
pub trait Closed: sealed::Sealed {
    #[doc(hidden)]
    fn closed(self) -> Result<(), BoxError>;
}

mod sealed {
    #[expect(unnameable_types, reason = "sealed: there are two ways to end")]
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
}

impl Closed for () {
    fn closed(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Closed for Result<(), E> {
    fn closed(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

type Open<R> = Box<dyn FnOnce(&Starting) -> Result<R, BoxError> + Send>;
type Close<R> = Box<dyn FnOnce(R, &Stopping) -> Result<(), BoxError> + Send>;

/// A resource: opened by its start, closed by its stop, if nobody holds it.
pub(crate) struct ResourcePart<R> {
    declared: Declared<R>,
    open: Mutex<Option<Open<R>>>,
    close: Mutex<Option<Close<R>>>,
}

impl<R: Send + Sync + 'static> ResourcePart<R> {
    pub(crate) fn new<E: Into<BoxError>, C: Closed>(
        declared: Declared<R>,
        open: impl FnOnce() -> Result<R, E> + Send + 'static,
        close: impl FnOnce(R) -> C + Send + 'static,
    ) -> Self {
        let open: Open<R> = Box::new(move |_| open().map_err(Into::into));
        let close: Close<R> = Box::new(move |value, _| close(value).closed());
        Self { declared, open: Mutex::new(Some(open)), close: Mutex::new(Some(close)) }
    }

    pub(crate) fn asynchronous<E: Into<BoxError>, C: Closed, O, D>(
        declared: Declared<R>,
        open: impl FnOnce() -> O + Send + 'static,
        close: impl FnOnce(R) -> D + Send + 'static,
    ) -> Self
    where
        O: Future<Output = Result<R, E>>,
        D: Future<Output = C>,
    {
        let open: Open<R> = Box::new(move |starting| starting.wait_for(open())?.map_err(Into::into));
        let close: Close<R> =
            Box::new(move |value, stopping| stopping.wait_to_the_end(close(value))?.closed());
        Self { declared, open: Mutex::new(Some(open)), close: Mutex::new(Some(close)) }
    }
}

impl<R: Send + Sync + 'static> Component for ResourcePart<R> {
    fn start(&self, starting: &Starting) -> Result<(), BoxError> {
        let open = self.open.lock().take().ok_or("it was opened before")?;
        self.declared.open(open(starting)?);
        Ok(())
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        let until = Moment::now().plus(LAST_LEASE.min(stopping.remaining() / 2));
        let value = loop {
            match self.declared.close() {
                Ok(value) => break value,
                Err(still) if Moment::now() >= until => return Err(Box::<StillHeld>::new(still)),
                Err(_) => crate::sync::park_timeout(LOOK),
            }
        };
        let close = self.close.lock().take();
        match (value, close) {
            (Some(value), Some(close)) => close(value, stopping),
            _ => Ok(()),
        }
    }
}

/// A pool: it exists paused from its declaration, is opened by its start, and drains by its stop.
pub(crate) struct PoolPart<I: Isolation> {
    pool: Arc<Pool<I>>,
    /// So many workers are started with it.
    warm: usize,
    alarm: BrokenAlarm,
    report: Mutex<Option<Report>>,
}

/// Tells whoever runs the application that a pool is broken.
#[derive(Clone)]
pub(crate) struct BrokenAlarm {
    monitor: Arc<Mutex<Option<Monitor>>>,
}

impl BrokenAlarm {
    pub(crate) fn new() -> Self {
        Self { monitor: Arc::new(Mutex::new(None)) }
    }

    pub(crate) fn hear(&self, event: &Event) {
        let Event::Broken { cause } = event else { return };
        let monitor = self.monitor.lock().clone();
        if let Some(monitor) = monitor {
            monitor.ended(Err(format!("the pool is broken: {cause}").into()));
        }
    }
}

impl<I: Isolation> PoolPart<I> {
    pub(crate) fn new(pool: Arc<Pool<I>>, warm: usize, alarm: BrokenAlarm) -> Self {
        pool.pause();
        Self { pool, warm, alarm, report: Mutex::new(None) }
    }
}

impl<I: Isolation> Component for PoolPart<I> {
    fn start(&self, starting: &Starting) -> Result<(), BoxError> {
        *self.alarm.monitor.lock() = Some(starting.monitor().clone());
        self.pool.resume();
        self.pool.warm_up(self.warm);
        // Those of declared jobs stand on, until these are started.
        self.pool.open_clocks();
        Ok(())
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        let how = match stopping.mode() {
            Mode::Drain => Shutdown::drain(),
            Mode::Stop => Shutdown::stop(),
            Mode::Abort => Shutdown::abort(),
        };
        let within = stopping.remaining().max(Duration::from_millis(1));
        let report = self.pool.shutdown(how.within(within)).wait()?;
        *self.report.lock() = Some(report);
        Ok(())
    }

    fn force(&self) {
        drop(self.pool.shutdown(Shutdown::abort().within(FORCED).grace(FORCED / 2)));
    }

    /// What it was given before its start is handed back.
    fn not_started(&self) {
        *self.report.lock() = self.pool.shutdown(Shutdown::stop().within(FORCED)).wait().ok();
    }

    fn progress(&self) -> Option<Progress> {
        let stats = self.pool.stats();
        let text = format!("{} running, {} waiting", stats.running, stats.queued);
        Some(Progress { done: stats.outcomes.total(), text })
    }

    fn report(&self) -> Option<Detail> {
        self.report.lock().clone().map(|report| Detail::Pool(Box::new(report)))
    }
}

/// What a forced pool gets to cancel and to be given up.
const FORCED: Duration = Duration::from_millis(400);

/// A schedule: its clock stands until its start, and stops first of all.
pub(crate) struct JobPart {
    job: Job,
    /// So many of its runs had been returned when the stop began: by restarts of its pool, which are another matter.
    returned_before: AtomicU64,
}

impl JobPart {
    pub(crate) fn new(job: Job) -> Self {
        job.hold();
        Self { job, returned_before: AtomicU64::new(0) }
    }
}

impl Component for JobPart {
    fn start(&self, _: &Starting) -> Result<(), BoxError> {
        // One that was declared paused is resumed by whoever paused it.
        self.job.release();
        Ok(())
    }

    /// Its last run is a task of its pool, which drains later.
    fn stop(&self, _: &Stopping) -> Result<(), BoxError> {
        let stats = self.job.stats();
        // One that is over went with its pool, whose end is in the report as well.
        if !matches!(stats.state, JobState::Over(_)) {
            self.returned_before.store(stats.outcomes.returned, Ordering::Relaxed);
        }
        self.job.stop();
        Ok(())
    }

    fn not_started(&self) {
        self.job.stop();
    }

    fn report(&self) -> Option<Detail> {
        let stats = self.job.stats();
        let returned = stats.outcomes.returned.saturating_sub(self.returned_before.load(Ordering::Relaxed));
        let mut detail = serde_json::to_value(stats).ok()?;
        detail["during"] = json!({ "returned": returned });
        Some(Detail::Json(detail))
    }

    fn worst_stop(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}
