//! What is known of one line from one submit to the next: how often it was begun, when, and by whom.

use std::time::{Duration, Instant};

use ebbtide::Watch;

/// The attempts at a line.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Attempts that have ended.
    pub(super) begun: u32,
    /// When the present one was sent to a worker; nothing before that.
    sent: Option<Instant>,
    /// When the first one began.
    first: Option<Instant>,
    /// All that have ended together.
    pub(super) ran: Duration,
    /// Eyes on the present one.
    watch: Option<Watch>,
}

impl Tries {
    /// A new attempt was submitted.
    pub(super) fn submitted(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// Its frame is being written. Again, when it was called back and goes to another worker.
    pub(super) fn sent(&mut self, at: Instant) {
        self.sent = Some(at);
    }

    /// The worker that was sent the present attempt.
    pub(super) fn worker(&self) -> Option<u32> {
        // The pool had chosen one also for a line that is no JSON, which was never sent.
        self.sent?;
        self.watch.as_ref()?.worker().map(|worker| worker.0)
    }

    /// The present attempt has ended, after it was begun no earlier than `floor`. Nothing when it was not sent.
    pub(super) fn ended(&mut self, floor: Option<Instant>, at: Instant) {
        let Some(sent) = self.sent.take() else { return };
        let began = floor.map_or(sent, |floor| floor.max(sent));
        self.begun += 1;
        self.ran += at.saturating_duration_since(began);
        self.first.get_or_insert(began);
    }

    /// The present attempt never began.
    pub(super) fn forgotten(&mut self) {
        self.sent = None;
    }

    /// How long the line waited for its first attempt.
    pub(super) fn waited(&self, read: Instant, now: Instant) -> Duration {
        self.first.unwrap_or(now).saturating_duration_since(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn attempts_add_up_and_one_behind_another_begins_at_its_end() {
        let (read, second) = (clock::now(), Duration::from_secs(1));
        let mut tries = Tries::default();
        tries.sent(read + second);
        // The worker was busy with another for three seconds more.
        tries.ended(Some(read + 4 * second), read + 6 * second);
        assert_eq!((tries.begun, tries.ran, tries.waited(read, read)), (1, 2 * second, 4 * second));
        tries.sent(read + 7 * second);
        tries.forgotten();
        tries.ended(None, read + 9 * second);
        assert_eq!((tries.begun, tries.ran), (1, 2 * second), "what never began is no attempt");
        tries.sent(read + 9 * second);
        tries.ended(None, read + 10 * second);
        assert_eq!((tries.begun, tries.ran, tries.waited(read, read)), (2, 3 * second, 4 * second));
    }
}
