//! How every contender's tasks are counted: a counter per worker thread, which costs about two nanoseconds and no shared cache line.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// More worker threads than this in one process share counters, and would miscount: the counters would then be read as a hang.
const COUNTERS: usize = 4096;

#[repr(align(128))]
struct Counter(AtomicU64);

static ENDED: [Counter; COUNTERS] = [const { Counter(AtomicU64::new(0)) }; COUNTERS];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Cell<Option<&'static Counter>> = const { Cell::new(None) };
}

/// Called at the end of each task: one store that no other thread writes to.
#[inline]
pub(crate) fn ended() {
    let counter = MINE.get().unwrap_or_else(register);
    counter.0.store(counter.0.load(Ordering::Relaxed) + 1, Ordering::Release);
}

#[cold]
fn register() -> &'static Counter {
    let index = THREADS.fetch_add(1, Ordering::Relaxed);
    assert!(index < COUNTERS, "more than {COUNTERS} worker threads in one process");
    let counter = &ENDED[index];
    MINE.set(Some(counter));
    counter
}

/// How many tasks have ended in this process so far.
pub(crate) fn total() -> u64 {
    let threads = THREADS.load(Ordering::Acquire).min(COUNTERS);
    ENDED[..threads].iter().map(|counter| counter.0.load(Ordering::Acquire)).sum()
}

/// Waits until `tasks` more than `before` have ended. Looks every 20 µs or so, so that waiting takes no core from the workers; a contender
/// that loses a task hangs here and is timed out.
pub(crate) fn wait_for(before: u64, tasks: usize) {
    let goal = before + tasks as u64;
    while total() < goal {
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Works for so long by the clock.
pub(crate) fn work_for(duration: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        std::hint::spin_loop();
    }
}
