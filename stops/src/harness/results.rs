//! All rounds of everybody, and what they add up to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    load::Seen,
    round::{Round, Runs},
};

/// The contender that must keep its promise.
pub(crate) const OURS: &str = "ebbtide";

#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) contenders: Vec<Contender>,
    /// Who could not take part, and why.
    pub(crate) absent: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) rounds: Vec<Round>,
}

/// The sums of a contender's rounds.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) seen: Seen,
    pub(crate) applied: u64,
    pub(crate) lost: u64,
    pub(crate) errors: u64,
    pub(crate) runs: Runs,
    pub(crate) stop_median_ms: u64,
    pub(crate) stop_max_ms: u64,
    /// How often it ended how.
    pub(crate) exits: BTreeMap<String, usize>,
}

impl Results {
    /// What ours promised and did not keep: a line each.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let ours = self.contenders.iter().filter(|contender| contender.name == OURS);
        let rounds = ours.flat_map(|contender| contender.rounds.iter().zip(1..));
        rounds.flat_map(|(round, number)| broken(round, number)).collect()
    }
}

impl Contender {
    pub(crate) fn sums(&self) -> Sums {
        let of = |field: fn(&Round) -> u64| self.rounds.iter().map(field).sum::<u64>();
        let mut stops: Vec<u64> = self.rounds.iter().map(|round| round.stop_ms).collect();
        stops.sort_unstable();
        let mut exits = BTreeMap::new();
        for round in &self.rounds {
            *exits.entry(round.exit.clone()).or_default() += 1;
        }
        Sums {
            seen: self.rounds.iter().map(|round| round.seen).fold(Seen::default(), Seen::plus),
            applied: of(|round| round.applied),
            lost: of(|round| round.lost),
            errors: of(|round| round.errors),
            runs: Runs {
                begun: of(|round| round.runs.begun),
                failed: of(|round| round.runs.failed),
                cut: of(|round| round.runs.cut),
            },
            stop_median_ms: stops.get(stops.len() / 2).copied().unwrap_or(0),
            stop_max_ms: stops.last().copied().unwrap_or(0),
            exits,
        }
    }
}

fn broken(round: &Round, number: u32) -> Vec<String> {
    let seen = round.seen;
    let most = seen.answered + seen.unanswered;
    let promises = [
        (round.lost == 0, format!("{} answered increments were lost", round.lost)),
        (
            round.applied <= most,
            format!("applied {}, but at most {most} were sent and accepted", round.applied),
        ),
        (seen.refused == 0, format!("{} requests were refused", seen.refused)),
        (seen.unanswered == 0, format!("{} increments got no answer", seen.unanswered)),
        (seen.reads_lost == 0, format!("{} reads got no answer", seen.reads_lost)),
        (seen.other == 0, format!("{} increments were not accepted", seen.other)),
        (round.errors == 0, format!("{} increments found Redis gone", round.errors)),
        (round.runs.failed == 0, format!("{} runs of the job failed", round.runs.failed)),
        (round.runs.cut == 0, format!("{} runs of the job were cut", round.runs.cut)),
        (round.exit == "0", format!("it ended with {}", round.exit)),
    ];
    let said = round.said.as_ref().map(|line| format!(" ({line})")).unwrap_or_default();
    let broken = promises.into_iter().filter(|(kept, _)| !kept);
    broken.map(|(_, what)| format!("{OURS}, round {number}: {what}{said}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Round {
        let seen = Seen { answered: 10, reads: 3, ..Seen::default() };
        let runs = Runs { begun: 4, failed: 0, cut: 0 };
        Round {
            seen,
            applied: 10,
            lost: 0,
            errors: 0,
            runs,
            stop_ms: 7,
            exit: "0".into(),
            disturbed: false,
            said: None,
        }
    }

    #[test]
    fn a_clean_round_breaks_nothing_and_every_wrong_is_seen() {
        assert_eq!(broken(&clean(), 1), Vec::<String>::new());
        let wrongs: [fn(&mut Round); 10] = [
            |round| round.lost = 1,
            |round| round.applied = 11,
            |round| round.seen.refused = 1,
            |round| round.seen.unanswered = 1,
            |round| round.seen.reads_lost = 1,
            |round| round.seen.other = 1,
            |round| round.errors = 1,
            |round| round.runs.failed = 1,
            |round| round.runs.cut = 1,
            |round| round.exit = "hung".into(),
        ];
        for (wrong, index) in wrongs.iter().zip(0..) {
            let mut round = clean();
            wrong(&mut round);
            assert_eq!(broken(&round, 1).len(), 1, "wrong {index}: {:?}", broken(&round, 1));
        }
    }

    #[test]
    fn rounds_are_added_up() {
        let rounds = vec![clean(), Round { stop_ms: 900, exit: "hung".into(), ..clean() }, clean()];
        let sums = Contender { name: OURS.into(), about: String::new(), rounds }.sums();
        assert_eq!((sums.seen.answered, sums.applied, sums.runs.begun), (30, 30, 12));
        assert_eq!((sums.stop_median_ms, sums.stop_max_ms), (7, 900));
        assert_eq!(sums.exits, BTreeMap::from([("0".to_owned(), 2), ("hung".to_owned(), 1)]));
    }
}
