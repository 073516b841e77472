//! What is wanted of ours, and whether it was reached.

use serde::Serialize;

use crate::{
    contenders::{OURS, is_ours},
    results::{Row, Table},
};

/// What our median is held against.
enum Mark {
    /// So many times the best peer that has a result, at most.
    Best(f64),
    /// So many times this peer, at most.
    Peer(&'static str, f64),
    /// This, at most, in the scenario's own unit.
    Value(f64),
}

const MS: f64 = 1e6;
const MIB: f64 = 1_048_576.0;

/// By the name of the row; where there is none, the figure is only reported.
const MARKS: [(&str, Mark); 17] = [
    ("process-node", Mark::Peer("piscina", 0.25)),
    ("process-node-one-p50", Mark::Peer("piscina", 1.0)),
    ("process-node-mib", Mark::Peer("piscina", 1.0)),
    ("process-node-mib", Mark::Peer("piscina string", 1.0)),
    ("process-python", Mark::Best(0.5)),
    ("process-python-chunked", Mark::Best(1.0)),
    ("process-python-mib", Mark::Best(1.0 / 3.0)),
    // 500 000 a second.
    ("process-rust", Mark::Value(2000.0)),
    ("commands", Mark::Peer("xargs", 1.2)),
    ("commands", Mark::Peer("parallel", 0.3)),
    // At least 90 % of before in every second.
    ("rolling-slowdown", Mark::Value(1.0 / 0.9)),
    ("rolling-p99", Mark::Value(2.0)),
    ("kill-node-beyond-start", Mark::Value(20.0 * MS)),
    ("kill-python-beyond-start", Mark::Value(20.0 * MS)),
    ("kill-spare-ready", Mark::Value(20.0 * MS)),
    ("supervisor-memory", Mark::Value(30.0 * MIB)),
    ("process-node-one-p99", Mark::Peer("piscina", 1.0)),
];

/// One target and how it went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) scenario: &'static str,
    pub(crate) target: String,
    /// Ours by the target, where both are there: up to 1 it is met.
    pub(crate) of_target: Option<f64>,
    pub(crate) met: Option<bool>,
}

/// The targets of this table.
pub(crate) fn verdicts(table: &Table) -> Vec<Verdict> {
    let named = |name: &str| table.rows.iter().find(|row| row.contender == name);
    let marks = MARKS.iter().filter(|(scenario, _)| *scenario == table.scenario);
    let judge = |mark: &Mark| {
        let median = |row: &Row| row.stats.median;
        let (target, limit) = match *mark {
            Mark::Best(times) => {
                let best = table.rows.iter().find(|row| !is_ours(row.contender));
                (format!("{times:.2} × the best peer"), best.map(|row| median(row) * times))
            }
            Mark::Peer(name, times) => {
                (format!("{times:.2} × {name}"), named(name).map(|row| median(row) * times))
            }
            Mark::Value(value) => (format!("{value:.2} {}", table.unit.word()), Some(value)),
        };
        let of_target = named(OURS).zip(limit).map(|(row, limit)| median(row) / limit);
        let met = of_target.map(|of_target| of_target <= 1.0);
        Verdict { scenario: table.scenario, target, of_target, met }
    };
    marks.map(|(_, mark)| judge(mark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{processes::SCENARIOS, scenario::Unit, stats::Stats};

    #[test]
    fn every_target_is_of_a_row_that_there_is() {
        for (scenario, _) in MARKS {
            assert!(SCENARIOS.iter().any(|known| known.rows.contains(&scenario)), "{scenario}");
        }
    }

    #[test]
    fn ours_is_held_against_the_peer_that_is_named_and_not_against_ourselves() {
        let row = |contender, median| {
            Row::new("process-python", contender, Stats { median, min: median, max: median }, 1)
        };
        let rows = vec![row("ebbtide, submit_many", 1.0), row("ebbtide", 6.0), row("loky", 10.0)];
        let table = Table { scenario: "process-python", about: "", unit: Unit::Nanoseconds, rows };
        let verdicts = verdicts(&table);
        assert_eq!((verdicts.len(), verdicts[0].of_target, verdicts[0].met), (1, Some(1.2), Some(false)));
    }
}
