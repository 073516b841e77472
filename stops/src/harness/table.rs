//! The results for a terminal.

use std::fmt;

use super::{
    results::{Contender, Results},
    round::{DELAY, WINDOW, WORK, WORKERS},
};

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.contenders.iter().map(|contender| contender.rounds.len()).max().unwrap_or(0);
        writeln!(
            f,
            "SIGTERM under load, {rounds} rounds each, sums. {WORKERS} increments at a time, {WORK:?} each; clients go on for {WINDOW:?} after \
             the signal; who can serve on after it does so for {DELAY:?}.\n"
        )?;
        writeln!(
            f,
            "{:<24} {:>8} {:>8} {:>6} {:>6} {:>8} {:>10} {:>7} {:>6} {:>5} {:>6} {:>16}  exit",
            "contender",
            "2xx",
            "applied",
            "lost",
            "503",
            "refused",
            "no answer",
            "errors",
            "runs",
            "cut",
            "failed",
            "stop ms (worst)",
        )?;
        for contender in &self.contenders {
            row(contender, f)?;
        }
        writeln!(f)?;
        for contender in &self.contenders {
            writeln!(f, "{}: {}", contender.name, contender.about)?;
        }
        if let Some(absent) = &self.absent {
            writeln!(f, "not here: {absent}")?;
        }
        f.write_str(
            "\n2xx: promised to the client; applied: counted in Redis; lost: promised and never applied; 503: told so; refused: nobody listened; no answer: sent, \
             then reset or closed;\nerrors: increments that found Redis gone; runs of the refresh job, those cut off in the middle, those that failed.",
        )
    }
}

fn row(contender: &Contender, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sums = contender.sums();
    let exits: Vec<String> = sums.exits.iter().map(|(exit, count)| format!("{exit} ×{count}")).collect();
    let seen = sums.seen;
    writeln!(
        f,
        "{:<24} {:>8} {:>8} {:>6} {:>6} {:>8} {:>10} {:>7} {:>6} {:>5} {:>6} {:>16}  {}",
        contender.name,
        seen.answered,
        sums.applied,
        sums.lost,
        seen.other,
        seen.refused,
        seen.unanswered + seen.reads_lost,
        sums.errors,
        sums.runs.begun,
        sums.runs.cut,
        sums.runs.failed,
        format!("{} ({})", sums.stop_median_ms, sums.stop_max_ms),
        exits.join(", "),
    )
}
