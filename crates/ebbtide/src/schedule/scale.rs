//! The two scales of time a job may live on, and alarms on them.

use std::{sync::atomic::AtomicI64, sync::atomic::Ordering, time::Duration};

use crate::{
    clock::{self, Moment},
    timer::Alarm,
};

/// Which clock a job goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// The monotonic one: distances.
    Running,
    /// The calendar's: dates and cron lines. Others set it, and it goes on while the machine sleeps.
    Calendar,
}

/// How often a job looks at the calendar while it waits for a point of it: what it may be late after the clock was set forward, or
/// the machine slept.
const LOOK: Duration = Duration::from_secs(60);
/// Within this the two clocks are taken to go alike.
const TOLERANCE: Duration = Duration::from_millis(1);

impl Scale {
    pub(crate) fn now(self) -> Moment {
        match self {
            Self::Running => Moment::now(),
            Self::Calendar => clock::calendar_now(),
        }
    }

    /// Now, for an alarm that was set to `due`: one that rang a hair early rang in time.
    pub(crate) fn now_for(self, due: Option<Moment>) -> Moment {
        let now = self.now();
        match (self, due) {
            (Self::Calendar, Some(due)) if due > now && due.since(now) <= 2 * TOLERANCE => due,
            _ => now,
        }
    }

    /// An alarm at a moment of this scale, or somewhat before.
    pub(crate) fn alarm(self, due: Moment, ring: impl FnOnce() + Send + 'static) -> Alarm {
        match self {
            Self::Running => Alarm::at(due, ring),
            Self::Calendar => {
                let (now, calendar) = both();
                Alarm::at(now.plus(LOOK).min(monotonic(due, now, calendar)), ring)
            }
        }
    }
}

/// Both clocks, read as if at once: again, if something came between.
fn both() -> (Moment, Moment) {
    const AT_ONCE: Duration = Duration::from_micros(50);
    let mut read = (Moment::now(), clock::calendar_now(), Moment::now());
    for _ in 0..10 {
        if read.2.since(read.0) <= AT_ONCE {
            break;
        }
        read = (Moment::now(), clock::calendar_now(), Moment::now());
    }
    (read.0, read.1)
}

/// A moment of the calendar on the monotonic scale. The difference is kept while the clocks go alike, so that equal times of the
/// calendar are equal moments and ring in the order in which they were set.
fn monotonic(due: Moment, now: Moment, calendar: Moment) -> Moment {
    static DIFFERENCE: AtomicI64 = AtomicI64::new(0);
    let fresh = calendar.nanos().cast_signed().saturating_sub(now.nanos().cast_signed());
    let kept = DIFFERENCE.load(Ordering::Relaxed);
    let difference = if u128::from(fresh.abs_diff(kept)) <= TOLERANCE.as_nanos() {
        kept
    } else {
        DIFFERENCE.store(fresh, Ordering::Relaxed);
        fresh
    };
    Moment::from_nanos(due.nanos().saturating_sub_signed(difference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_are_equal_moments_until_the_clock_is_set() {
        let at = |nanos| Moment::from_nanos(nanos);
        let (second, year) = (1_000_000_000, 50 * 365 * 86_400 * 1_000_000_000);
        let due = at(year + 20 * second);
        let first = monotonic(due, at(10 * second), at(year + 11 * second));
        assert_eq!(first, at(19 * second));
        // A few microseconds passed between reading the one clock and the other.
        assert_eq!(monotonic(due, at(12 * second), at(year + 13 * second + 7_000)), first);
        // Set forward by five seconds: it is due five seconds sooner.
        assert_eq!(monotonic(due, at(12 * second), at(year + 18 * second)), at(14 * second));
    }
}
