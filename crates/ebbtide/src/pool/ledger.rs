//! Decision: what the counters say, and whether the law holds.
//!
//! `accepted = queued + running + Σ outcomes`. The counters are read in this order: ended, then started, then accepted.
//! A task that moves on between two reads is then seen where it was, never twice and never nowhere: `queued` and
//! `running` are what is left.

use crate::task::outcome::Outcomes;

/// The counters as they were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// Ended after having been started. Read first.
    pub(crate) ended_running: Outcomes,
    /// Ended while waiting, and how many were started. Read together, second.
    pub(crate) ended_waiting: Outcomes,
    pub(crate) started: u64,
    /// Read under the same lock as the line above.
    pub(crate) accepted: u64,
    /// Accepted for a later time and not in the queue yet: read under a lock that keeps them from moving there meanwhile.
    pub(crate) not_due: u64,
    /// Ended while they were not due.
    pub(crate) ended_not_due: Outcomes,
}

/// What they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) accepted: u64,
    pub(crate) queued: u64,
    /// Of the queued.
    pub(crate) not_due: u64,
    pub(crate) running: u64,
    pub(crate) outcomes: Outcomes,
}

impl Reading {
    /// Draws the balance; `None` if the counters contradict each other, which would be a bug of the pool.
    pub(crate) fn balance(&self) -> Option<Balance> {
        let running = self.started.checked_sub(self.ended_running.total())?;
        let queued = self.accepted.checked_sub(self.started)?.checked_sub(self.ended_waiting.total())?;
        let mut outcomes = self.ended_running;
        outcomes.merge(&self.ended_waiting);
        outcomes.merge(&self.ended_not_due);
        let accepted = self.accepted + self.not_due + self.ended_not_due.total();
        let (queued, not_due) = (queued + self.not_due, self.not_due);
        Some(Balance { accepted, queued, not_due, running, outcomes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::outcome::Outcome;

    fn outcomes(list: &[(Outcome, u64)]) -> Outcomes {
        let mut outcomes = Outcomes::default();
        list.iter().for_each(|(outcome, count)| outcomes.add(*outcome, *count));
        outcomes
    }

    #[test]
    fn what_has_not_ended_waits_or_runs() {
        let reading = Reading {
            ended_running: outcomes(&[(Outcome::Completed, 3), (Outcome::Panicked, 1)]),
            ended_waiting: outcomes(&[(Outcome::Returned, 2)]),
            started: 5,
            accepted: 10,
            ..Reading::default()
        };
        let balance = reading.balance().expect("consistent");
        assert_eq!((balance.queued, balance.running, balance.outcomes.total()), (3, 1, 6));
        assert_eq!(balance.accepted, balance.queued + balance.running + balance.outcomes.total());
    }

    #[test]
    fn what_is_not_due_waits() {
        let reading = Reading {
            ended_running: outcomes(&[(Outcome::Completed, 1)]),
            started: 1,
            accepted: 2,
            not_due: 4,
            ended_not_due: outcomes(&[(Outcome::Returned, 3)]),
            ..Reading::default()
        };
        let balance = reading.balance().expect("consistent");
        assert_eq!((balance.accepted, balance.queued, balance.outcomes.total()), (9, 5, 4));
    }

    #[test]
    fn counters_that_contradict_each_other_are_seen() {
        let ended = outcomes(&[(Outcome::Completed, 2)]);
        assert_eq!(
            Reading { ended_running: ended, started: 1, accepted: 5, ..Reading::default() }.balance(),
            None
        );
        assert_eq!(
            Reading { ended_waiting: ended, started: 1, accepted: 2, ..Reading::default() }.balance(),
            None
        );
    }
}
