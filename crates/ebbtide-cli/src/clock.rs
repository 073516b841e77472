//! The command line's only look at the monotonic clock.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place of the command line that reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What is left until `instant`; zero when it has passed.
pub(crate) fn until(instant: Instant) -> Duration {
    instant.saturating_duration_since(now())
}

/// Waits for nothing but the time.
pub(crate) fn pause(duration: Duration) {
    // Woken early by a signal: whoever pauses looks again.
    let _ = rustix::event::poll(&mut [], Some(&timespec(duration)));
}

/// Whole milliseconds, as every `…_ms` of ours is written.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As poll takes it, rounded up: waking a moment early would only turn once more for nothing.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    let duration = duration + Duration::from_micros(500);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
