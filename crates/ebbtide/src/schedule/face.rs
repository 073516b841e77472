//! Saying when a job runs: `pool.every(…)`, `pool.cron(…)`, `pool.after(…)`, `pool.at(…)` and their options.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    plan::{Beat, When, Wishes},
    timetable::{MissedTicks, Paused},
};
use crate::{
    policy::Priority,
    pool::{Pool, Submitter, core::Core},
    task::isolation::Isolation,
};

/// A job in the making, from `pool.every(…)` or `pool.cron(…)`; ends with one of the `start` methods.
///
/// Each run is a task of the pool: it waits in its queue, runs on its workers, and ends in one of the nine ways. By default a job does not
/// overlap with itself; points in time that pass while a run is under way, or while the pool is full, are *missed*, and
/// [`missed`](Self::missed) says what becomes of them. Where the pool's policy is to wait for room, a run waits too, without blocking anything;
/// where it is to reject, the run is missed.
#[must_use = "a job does nothing until it is started"]
pub struct Schedule<I: Isolation> {
    pub(crate) core: Arc<Core<I>>,
    pub(crate) wishes: Wishes,
}

/// One run at a later time in the making, from `pool.after(…)` or `pool.at(…)`; ends with one of the `start` methods.
#[must_use = "it does nothing until it is started"]
pub struct Later<I: Isolation> {
    pub(crate) core: Arc<Core<I>>,
    pub(crate) wishes: Wishes,
}

impl<I: Isolation> Schedule<I> {
    fn new(core: &Arc<Core<I>>, when: When) -> Self {
        Self { core: Arc::clone(core), wishes: Wishes::new(when) }
    }

    /// From the end of one run to the begin of the next. The default of `every`; changes nothing on a cron line.
    #[doc(alias = "scheduleWithFixedDelay")]
    pub fn delay(self) -> Self {
        self.beat(Beat::Delay)
    }

    /// From the begin of one run to the begin of the next, on a grid that does not drift. Changes nothing on a cron line.
    #[doc(alias = "scheduleAtFixedRate")]
    #[doc(alias = "interval")]
    pub fn rate(self) -> Self {
        self.beat(Beat::Rate)
    }

    fn beat(mut self, new: Beat) -> Self {
        if let When::Every(_, beat) = &mut self.wishes.when {
            *beat = new;
        }
        self
    }

    /// The time zone of a cron line, by its IANA name. Default: UTC. Changes nothing on other schedules.
    #[cfg(feature = "cron")]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        if let When::Cron { zone: own, .. } = &mut self.wishes.when {
            *own = zone.into();
        }
        self
    }

    /// How long after the start the first run is due; on a cron line, the first point after so long. Default: at once; on a cron line at its
    /// next point.
    #[doc(alias = "initialDelay")]
    pub fn first_after(mut self, delay: Duration) -> Self {
        self.wishes.first_after = Some(delay);
        self
    }

    /// What becomes of points that were missed. Default: [`MissedTicks::Skip`].
    #[doc(alias = "misfire")]
    pub fn missed(mut self, missed: MissedTicks) -> Self {
        self.wishes.missed = missed;
        self
    }

    /// Puts each run off by a part, drawn anew each time, of so much. Shorter than the period. Default: none.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.wishes.jitter = most;
        self
    }

    /// Ends the job after so many failures in a row, loudly: with an event, and readable from the job. Default: it goes on whatever
    /// its runs do.
    pub fn give_up_after(mut self, failures: u32) -> Self {
        self.wishes.give_up_after = Some(failures);
        self
    }

    /// Starts it paused: nothing runs until [`Job::resume`](crate::Job::resume).
    pub fn paused(mut self) -> Self {
        self.wishes.paused = Paused::Yes;
        self
    }

    /// Names the job and its tasks. Default: when it runs.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.wishes.name = Some(name.into());
        self
    }

    /// How urgent its runs are in the queue. Default: [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.wishes.priority = priority;
        self
    }

    /// Asks a run to cancel when it has run for so long; after the pool's grace it is abandoned, or its worker process ended. Default: none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.wishes.timeout = Some(timeout);
        self
    }
}

impl<I: Isolation> Later<I> {
    fn new(core: &Arc<Core<I>>, when: When) -> Self {
        Self { core: Arc::clone(core), wishes: Wishes::new(when) }
    }

    /// Names the task. Default: when it runs.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.wishes.name = Some(name.into());
        self
    }

    /// How urgent it is in the queue when it is due. Default: [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.wishes.priority = priority;
        self
    }

    /// Asks it to cancel when it has run for so long; after the pool's grace it is abandoned, or its worker process ended. Default: none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.wishes.timeout = Some(timeout);
        self
    }
}

/// Stamps out the ways to begin a schedule, the same on pools and submitters.
macro_rules! schedules {
    ($($type:ident),*) => {$(
        impl<I: Isolation> $type<I> {
            /// A job with a period. With a fixed delay unless [`rate`](Schedule::rate) is asked for; its first run is due at once.
            #[doc(alias = "setInterval")]
            pub fn every(&self, period: Duration) -> Schedule<I> {
                Schedule::new(self.core(), When::Every(period, Beat::Delay))
            }

            /// A job on a cron line: five fields, or six with seconds first; in UTC unless [`zone`](Schedule::zone) says otherwise.
            ///
            /// In the hour that a zone's clocks leave out, a job at a fixed time runs when that hour is over; in the one that they repeat it runs
            /// once. A job that recurs within the hour (`*/5`) keeps to real time in both.
            #[cfg(feature = "cron")]
            #[doc(alias = "crontab")]
            pub fn cron(&self, line: impl Into<String>) -> Schedule<I> {
                Schedule::new(self.core(), When::Cron { line: line.into(), zone: "UTC".to_owned() })
            }

            /// One run, so long from now. It is accepted when it is started, and counts as queued until it is due.
            #[doc(alias = "setTimeout")]
            #[doc(alias = "schedule")]
            pub fn after(&self, delay: Duration) -> Later<I> {
                Later::new(self.core(), When::After(delay))
            }

            /// One run, at a time of the calendar; at once if that has passed. Follows the system's clock when that is set, within a minute.
            pub fn at(&self, time: SystemTime) -> Later<I> {
                Later::new(self.core(), When::At(time))
            }
        }
    )*};
}

schedules!(Pool, Submitter);

impl<I: Isolation> fmt::Debug for Schedule<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("wishes", &self.wishes).finish_non_exhaustive()
    }
}

impl<I: Isolation> fmt::Debug for Later<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").field("wishes", &self.wishes).finish_non_exhaustive()
    }
}
