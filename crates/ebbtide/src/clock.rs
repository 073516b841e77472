//! The one place that reads the time. Decisions are handed a [`Moment`] and never look themselves.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

// Named by its path: a measurement takes this file by its own.
#[cfg(shuttle)]
#[path = "clock/simulated.rs"]
pub(crate) mod simulated;

/// A monotonic instant: nanoseconds since this process first asked.
///
/// A plain number, so that decisions can be tested with invented times and states can be compared and printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Reads the monotonic clock (about 50 ns: never once per task unless asked for).
    #[expect(clippy::disallowed_methods, reason = "this is the clock the lint points to")]
    #[inline]
    pub(crate) fn now() -> Self {
        #[cfg(shuttle)]
        if let Some(now) = simulated::now() {
            return now;
        }
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let epoch = *EPOCH.get_or_init(Instant::now);
        // One is added so that zero can mean "never" in packed words.
        Self(nanos(epoch.elapsed()).saturating_add(1))
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, zero if that is in the future.
    #[inline]
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    #[inline]
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

/// Reads the calendar's clock: a moment on a scale of its own, nanoseconds since 1970. Others set it, so it may jump.
pub(crate) fn calendar_now() -> Moment {
    #[cfg(shuttle)]
    if let Some(now) = simulated::calendar_now() {
        return now;
    }
    calendar(SystemTime::now())
}

/// A time of the calendar on that scale; before 1970 is 1970.
pub(crate) fn calendar(time: SystemTime) -> Moment {
    Moment(time.duration_since(UNIX_EPOCH).map_or(0, nanos))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
