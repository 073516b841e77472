//! A pool that renews itself: every so often, on a cron line, when it has grown, or because an event asks for it.
//!
//! A renewal is a restart, rolling unless asked otherwise; one that comes while another is under way joins it.

use std::{fmt, sync::Weak, time::Duration};

use super::{core::Core, events::Event, request::Restart, roster::shortened};
use crate::{
    clock::Moment,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{isolation::Isolation, panics},
    timer::Alarm,
};

type Asks = Box<dyn Fn(&Event) -> bool + Send + Sync>;

/// When a pool renews all of its workers by itself; see `PoolBuilder::renew`.
#[must_use = "pass it to the pool's builder"]
pub struct Renew {
    pub(crate) every: Option<Duration>,
    pub(crate) jitter: f64,
    #[cfg(feature = "cron")]
    pub(crate) cron: Option<crate::timer::cron::Line>,
    pub(crate) total_size: Option<u64>,
    pub(crate) asks: Option<Asks>,
    pub(crate) how: Restart,
}

pub(crate) struct Renewal {
    plan: Renew,
    alarm: Mutex<Option<Alarm>>,
    /// A renewal was asked for and has not begun its restart yet.
    pending: AtomicBool,
}

impl Renew {
    /// Never, until one of the methods says when.
    pub const fn new() -> Self {
        Self {
            every: None,
            jitter: crate::policy::JITTER,
            #[cfg(feature = "cron")]
            cron: None,
            total_size: None,
            asks: None,
            how: Restart::rolling(),
        }
    }

    /// Every so often, less up to [`jitter`](Self::jitter) of it.
    pub const fn every(mut self, interval: Duration) -> Self {
        self.every = Some(interval);
        self
    }

    /// How far the interval is spread, in parts of one. Default: 0.1.
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// On a cron line (five fields, or six with seconds first) in a time zone by its IANA name. Parsed here; the error says what
    /// is wrong.
    ///
    /// # Errors
    /// [`BuildError`](crate::BuildError) for a line that does not parse or a zone that is not known.
    #[cfg(feature = "cron")]
    pub fn cron(mut self, line: &str, zone: &str) -> Result<Self, crate::error::BuildError> {
        self.cron = Some(crate::timer::cron::Line::parse("renew", line, zone)?);
        Ok(self)
    }

    /// When the sizes that the workers' states report add up to more than `bytes`. Needs `size` on the builder.
    pub const fn when_larger_than(mut self, bytes: u64) -> Self {
        self.total_size = Some(bytes);
        self
    }

    /// When `asks` says so of an event. It must be quick; it is called on the thread the event came from.
    pub fn when(mut self, asks: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        self.asks = Some(Box::new(asks));
        self
    }

    /// Which restart it is. Default: [`Restart::rolling`]. What a stop or an abort hands back lies in the pool until it is taken: take it, or
    /// every renewal adds to it ([`Stats::untaken`](crate::Stats::untaken)).
    pub const fn how(mut self, restart: Restart) -> Self {
        self.how = restart;
        self
    }
}

impl Default for Renew {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Renew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renew")
            .field("every", &self.every)
            .field("total_size", &self.total_size)
            .field("how", &self.how)
            .finish_non_exhaustive()
    }
}

impl Renewal {
    pub(crate) fn new(plan: Renew) -> Self {
        Self { plan, alarm: Mutex::new(None), pending: AtomicBool::new(false) }
    }

    /// Arms the next renewal by time.
    pub(crate) fn arm<I: Isolation>(&self, core: &Core<I>) {
        let Some(pause) = self.pause() else { return };
        let me = Weak::clone(&core.me);
        let alarm = Alarm::at(Moment::now().plus(pause), move || {
            if let Some(core) = me.upgrade().filter(|core| !core.control.lock().shut) {
                drop(core.restart(core.renewal.plan.how));
                core.renewal.arm(&*core);
            }
        });
        let old = self.alarm.lock().replace(alarm);
        drop(old);
    }

    fn pause(&self) -> Option<Duration> {
        let every = self.plan.every.map(|every| {
            // The clock's own noise spreads the renewals of many pools.
            let part = (Moment::now().nanos() % 1_000) as f64 / 1_000.0;
            shortened(every, self.plan.jitter * part)
        });
        #[cfg(feature = "cron")]
        let every =
            every.into_iter().chain(self.plan.cron.as_ref().and_then(crate::timer::cron::Line::pause)).min();
        every
    }

    /// True if a hook may ask for a renewal because of an event.
    pub(crate) fn watches(&self) -> bool {
        self.plan.asks.is_some()
    }

    /// A worker reported its size.
    pub(crate) fn size_changed<I: Isolation>(&self, core: &Core<I>) {
        let Some(most) = self.plan.total_size else { return };
        let total = || core.control.lock().desks.values().map(|desk| desk.seat.size()).sum::<u64>();
        if !self.pending.load(Ordering::Relaxed) && total() > most {
            self.renew(core);
        }
    }

    /// Something happened: does the hook ask for a renewal?
    pub(crate) fn saw<I: Isolation>(&self, core: &Core<I>, event: &Event) {
        if let Event::Restart { over: true, .. } = event {
            self.pending.store(false, Ordering::Relaxed);
        }
        if let Some(asks) = &self.plan.asks
            && panics::quietly(|| asks(event)).unwrap_or(false)
        {
            self.renew(core);
        }
    }

    fn renew<I: Isolation>(&self, core: &Core<I>) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            drop(core.restart(self.plan.how));
        }
    }
}
