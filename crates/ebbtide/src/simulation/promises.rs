//! What every pool promises, whatever its workers are: the law at any time, an end by the deadline, and nothing after it.

use std::time::Duration;

use super::director::{Dice, Machine};
use crate::{
    clock::{Moment, simulated},
    pool::{Closing, Phase, Pool, Shutdown},
    report::Report,
    task::{
        isolation::Isolation,
        outcome::{Outcome, Outcomes},
    },
};

/// Another's shutdown that came before has a deadline of its own, at most so long.
const ANOTHERS: Duration = Duration::from_secs(300);

/// The last request to a pool.
pub(super) struct Last {
    closing: Closing,
    within: Duration,
    at: Moment,
    /// How long the machine had slept by then.
    slept: Duration,
}

/// What holds at any time; `resolved` is how those ended whose handles say so, from before this look.
pub(super) fn law<I: Isolation>(pool: &Pool<I>, resolved: &Outcomes) {
    let stats = pool.stats();
    for outcome in Outcome::ALL {
        assert!(
            stats.outcomes.get(outcome) >= resolved.get(outcome),
            "{outcome}: told before it was counted: {stats:?}"
        );
    }
    let sum = stats.queued + stats.running + stats.outcomes.total();
    assert_eq!(stats.accepted, sum, "the law: {stats:?}");
}

impl Last {
    /// Asks for the end, in a way and with a deadline of the dice's.
    pub(super) fn ask(dice: &mut Dice, verbose: bool, shutdown: impl FnOnce(Shutdown) -> Closing) -> Self {
        let within = dice.span();
        let kind = dice.pick(&[Shutdown::drain(), Shutdown::drain(), Shutdown::stop(), Shutdown::abort()]);
        if verbose {
            eprintln!("{:>14?} the end: {kind:?} within {within:?}", Moment::now());
        }
        let (at, slept) = (Moment::now(), simulated::slept());
        Self { closing: shutdown(kind.within(within)), within, at, slept }
    }

    /// It comes by its deadline, says the truth, and is the end.
    pub(super) fn hold_to<I: Isolation>(self, pool: &Pool<I>, machine: Machine, verbose: bool) {
        // If it never came, this run would be a deadlock, and shuttle would say so.
        let report = self.closing.wait().expect("not on a worker");
        let (took, slept) = (Moment::now().since(self.at), simulated::slept() - self.slept);
        if verbose {
            eprintln!("{:>14?} over after {took:?}: {report}", Moment::now());
        }
        // One that is weaker than another's changes nothing about it.
        let within = if report.deadline == self.within { self.within } else { ANOTHERS };
        assert!(
            machine == Machine::Slow || took <= within + slept,
            "it took {took:?} of {within:?} (and the machine slept {slept:?}): {report}"
        );
        over(pool, &report);
    }
}

fn over<I: Isolation>(pool: &Pool<I>, report: &Report) {
    assert!(report.law_holds(), "{report}");
    assert_eq!((report.queued, report.running), (0, 0), "{report}");
    assert_eq!(pool.phase(), Phase::Terminated);
}
