//! Waiting in tests: for a condition, with a limit that only a hang reaches.

use std::time::{Duration, Instant};

/// Longer than any wait that is not a hang, on the slowest machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Waits until `condition` holds; fails with what was waited for if it never does.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test's own clock, not the library's")]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LONG, "never came true: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}
