//! Looking again for a moment before lying down: a thread that sleeps costs whoever wakes it as much as a hundred short tasks.
//!
//! How long is learnt: what came in time is worth waiting for twice as long the next time, what did not half as long. On a machine with one
//! processor nobody spins: what is waited for could not happen meanwhile.

use std::{hint, sync::OnceLock, time::Duration};

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
/// Looks between two readings of the clock.
const LOOKS: u32 = 8;

/// How long one place is worth spinning at, in nanoseconds.
pub(crate) struct Spin(AtomicU32);

impl Spin {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(LONGEST.as_nanos() as u32))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(LONGEST.as_nanos() as u32))
    }

    /// Looks until `done`, or until it is not worth it any more. True if it was done.
    pub(crate) fn until(&self, mut done: impl FnMut() -> bool) -> bool {
        if sync::IN_A_MODEL {
            // A model has no time, only turns.
            sync::yield_now();
            return done();
        }
        if !is_worth_it() {
            return done();
        }
        let budget = Duration::from_nanos(u64::from(self.0.load(Ordering::Relaxed)));
        let until = Moment::now().plus(budget);
        let came = loop {
            if (0..LOOKS).any(|_| {
                hint::spin_loop();
                done()
            }) {
                break true;
            }
            // What is waited for may have been put on this very core.
            sync::yield_now();
            if Moment::now() >= until {
                break false;
            }
        };
        let next = if came { budget * 2 } else { budget / 2 }.clamp(SHORTEST, LONGEST);
        self.0.store(next.as_nanos() as u32, Ordering::Relaxed);
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
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1))
}
