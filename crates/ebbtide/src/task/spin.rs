//! Looking again for a moment before lying down: a thread that sleeps costs whoever wakes it as much as a hundred short tasks.
//!
//! How long is learnt: what came in time is worth waiting for twice as long the next time, what did not half as long. On a machine with one
//! processor nobody spins: what is waited for could not happen meanwhile.
//!
//! Between two looks the core is given away, for what is waited for may have been put on this very core. Where somebody else has it then, it comes back a
//! turn of theirs later: milliseconds for microseconds. So where that happened nobody spins for a while; who sleeps is let in at once when it is woken.

use std::{hint, time::Duration};

use crate::{
    clock::Moment,
    sync::{
        self,
        atomic::{AtomicU32, Ordering},
    },
};

/// Spinning longer than a wake-up takes gains nothing.
const LONGEST: Duration = Duration::from_micros(20);
const SHORTEST: Duration = Duration::from_micros(8);
/// Whoever comes this much too late did not have the core.
const LATE: Duration = Duration::from_micros(200);
/// Looks between two readings of the clock.
const LOOKS: u32 = 8;

/// How long one place is worth spinning at.
pub(crate) struct Spin {
    /// In nanoseconds.
    budget: AtomicU32,
    rest: Rest,
}

/// What cost the core is not tried for a while. Whatever is lost when two threads count at once is of no weight.
pub(crate) struct Rest {
    /// So many times more it is left out.
    left: AtomicU32,
    /// How many times that was at last, if it was in vain then as well.
    last: AtomicU32,
}

/// So many times it is left out, and twice as many each time that it was in vain again: a turn of somebody else's is 3 ms.
const FIRST_REST: u32 = 512;
const LONGEST_REST: u32 = 8_192;

impl Rest {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { left: AtomicU32::new(0), last: AtomicU32::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { left: AtomicU32::new(0), last: AtomicU32::new(0) }
    }

    pub(crate) fn begin(&self) {
        let rest = (self.last.load(Ordering::Relaxed) * 2).clamp(FIRST_REST, LONGEST_REST);
        self.last.store(rest, Ordering::Relaxed);
        self.left.store(rest, Ordering::Relaxed);
    }

    /// It was tried, and did not cost the core.
    pub(crate) fn went_well(&self) {
        if self.last.load(Ordering::Relaxed) > 0 {
            self.last.store(0, Ordering::Relaxed);
        }
    }

    /// True if it is over; counts.
    pub(crate) fn is_over(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }
}

impl Spin {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { budget: AtomicU32::new(LONGEST.as_nanos() as u32), rest: Rest::new() }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { budget: AtomicU32::new(LONGEST.as_nanos() as u32), rest: Rest::new() }
    }

    /// Looks until `done`, or until it is not worth it any more. True if it was done.
    pub(crate) fn until(&self, mut done: impl FnMut() -> bool) -> bool {
        if sync::IN_A_MODEL {
            // A model has no time, only turns.
            sync::yield_now();
            return done();
        }
        if !is_worth_it() || !self.rest.is_over() {
            return done();
        }
        let budget = Duration::from_nanos(u64::from(self.budget.load(Ordering::Relaxed)));
        let mut last = Moment::now();
        let until = last.plus(budget);
        let came = loop {
            if (0..LOOKS).any(|_| {
                hint::spin_loop();
                done()
            }) {
                break true;
            }
            sync::yield_now();
            let now = Moment::now();
            if now.since(last) > LATE {
                self.rest.begin();
                return done();
            }
            if now >= until {
                break false;
            }
            last = now;
        };
        self.rest.went_well();
        let next = if came { budget * 2 } else { budget / 2 }.clamp(SHORTEST, LONGEST);
        self.budget.store(next.as_nanos() as u32, Ordering::Relaxed);
        came
    }
}

/// Waiting a moment more after something has come: in a stream the next ones come before the first is worth fetching, and a thread that
/// fetches them one by one slows down whoever brings them. Learnt as well: every so often it is tried, and kept where it gave several.
#[derive(Default)]
pub(crate) struct Linger {
    nanos: AtomicU32,
    times: AtomicU32,
}

/// It is tried once in so many times.
const TRY: u32 = 64;
const FIRST: u32 = 500;
const MOST: u32 = 2_000;
/// So many at once are a stream.
const STREAM: usize = 4;

impl Linger {
    /// Waits, or not. What has come is not looked at: looking would disturb.
    pub(crate) fn wait(&self) {
        let nanos = self.nanos.load(Ordering::Relaxed);
        if nanos == 0 || sync::IN_A_MODEL {
            return;
        }
        let until = Moment::now().plus(Duration::from_nanos(nanos.into()));
        while Moment::now() < until {
            hint::spin_loop();
        }
    }

    /// Learns from how many had come.
    pub(crate) fn learn(&self, found: usize) {
        let nanos = self.nanos.load(Ordering::Relaxed);
        let times = self.times.load(Ordering::Relaxed).wrapping_add(1);
        self.times.store(times, Ordering::Relaxed);
        let next = match nanos {
            0 if times.is_multiple_of(TRY) => FIRST,
            0 => 0,
            _ if found >= STREAM => (nanos * 2).min(MOST),
            _ => 0,
        };
        self.nanos.store(next, Ordering::Relaxed);
    }
}

fn is_worth_it() -> bool {
    sync::cores() > 1
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Looks until it gives up; as if the core was lost meanwhile, where that is wanted. Gives whether it looked more than once.
    fn spins(spin: &Spin, loses_the_core: bool) -> bool {
        let looks = Cell::new(0_u32);
        let came = spin.until(|| {
            looks.set(looks.get() + 1);
            let begun = Moment::now();
            while loses_the_core && Moment::now().since(begun) < 2 * LATE {
                hint::spin_loop();
            }
            false
        });
        assert!(!came);
        looks.get() > 1
    }

    #[test]
    fn nobody_spins_for_a_while_where_the_core_was_lost_by_it() {
        if !is_worth_it() {
            return;
        }
        let spin = Spin::new();
        assert!(spins(&spin, true), "it did not know");
        assert!((0..FIRST_REST).all(|_| !spins(&spin, false)), "one look each");
        assert!(spins(&spin, true), "it is tried again");
        assert!((0..2 * FIRST_REST).all(|_| !spins(&spin, false)), "twice as many");
        assert!(spin.until(|| true), "it is tried once more, and does not cost the core");
        assert!(spins(&spin, true));
        assert!((0..FIRST_REST).all(|_| !spins(&spin, false)), "as at first");
    }
}
