//! Waiting on descriptors until an instant. The one place of this room that reads the time.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// An instant to wait until, or never.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) const NEVER: Deadline = Deadline(None);

    /// `span` from now; one too long to be an instant is never.
    pub(super) fn after(span: Duration) -> Deadline {
        Deadline(now().checked_add(span))
    }

    pub(super) fn passed(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// What is left, `None` = for ever.
    pub(super) fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(now()))
    }

    /// Polls until a descriptor is ready (`true`) or the time is over (`false`).
    pub(super) fn poll(self, fds: &mut [PollFd<'_>]) -> Result<bool, Errno> {
        loop {
            let left = self.left().map(timespec);
            match poll(fds, left.as_ref()) {
                Ok(0) if self.passed() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the time is over. A signal does not end it.
    pub(super) fn sleep(self) {
        let _ = self.poll(&mut []);
    }
}

/// A span beyond the range of the type is cut, not refused.
fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "waits on the kernel's descriptors, which no injected clock can wake"
)]
fn now() -> Instant {
    Instant::now()
}
