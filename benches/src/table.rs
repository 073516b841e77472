//! The results for a terminal: one table per scenario, with ratios to ours and to the best peer.

use std::{collections::BTreeMap, fmt};

use crate::{
    contenders::{OURS, is_ours},
    processes::{self, Verdict},
    results::{Results, Row, Table},
    scenario::Unit,
};

/// Prints as text.
pub(crate) struct Text<'r>(pub(crate) &'r Results);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.0.tables {
            self.table(table, f)?;
        }
        self.summary(f)?;
        self.targets(f)?;
        self.absent(f)?;
        match self.0.noise {
            Some(noise) => writeln!(f, "Noise: {noise}"),
            None => Ok(()),
        }
    }
}

impl Text<'_> {
    fn table(&self, table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = table.unit.word();
        let digits = if table.unit == Unit::Ratio { 2 } else { 1 };
        let (ours, best) = (ours(table), best_peer(table));
        writeln!(f, "{}: {} ({unit})", table.scenario, table.about)?;
        writeln!(
            f,
            "  {:<22} {:>12} {:>12} {:>12} {:>8} {:>8} {:>10} {:>7}",
            "contender", "median", "least", "most", "spread", "× ours", "× best peer", "rounds"
        )?;
        for row in &table.rows {
            let stats = row.stats;
            let spread = (stats.max - stats.min) / stats.median * 100.0;
            let spread = if spread.is_finite() { format!("{spread:.0}%") } else { "-".to_owned() };
            writeln!(
                f,
                "  {:<22} {:>12.digits$} {:>12.digits$} {:>12.digits$} {:>8} {:>8} {:>11} {:>7}",
                row.contender,
                stats.median,
                stats.min,
                stats.max,
                spread,
                ratio(Some(row), ours),
                ratio(Some(row), best),
                row.rounds,
            )?;
        }
        writeln!(f)
    }

    /// Where we stand, scenario by scenario.
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22} {:>12} {:>12} {:<22} {:>6}",
            "ours against the best", "ours", "best peer", "", "ratio"
        )?;
        for table in &self.0.tables {
            let (Some(ours), Some(best)) = (ours(table), best_peer(table)) else { continue };
            writeln!(
                f,
                "{:<22} {:>12.1} {:>12.1} {:<22} {:>6}",
                table.scenario,
                ours.stats.median,
                best.stats.median,
                best.contender,
                ratio(Some(ours), Some(best)),
            )?;
        }
        writeln!(f)
    }

    /// What was wanted, and whether it was reached: ours by the target is at most 1 then.
    fn targets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdicts: Vec<_> = self.0.tables.iter().flat_map(processes::verdicts).collect();
        if verdicts.is_empty() {
            return Ok(());
        }
        writeln!(f, "{:<28} {:<34} {:>12}  met", "target: at most", "", "of target")?;
        for Verdict { scenario, target, of_target, met } in verdicts {
            let of_target = of_target.map_or_else(|| "-".to_owned(), |of_target| format!("{of_target:.2}"));
            let met = match met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "not measured",
            };
            writeln!(f, "{scenario:<28} {target:<34} {of_target:>12}  {met}")?;
        }
        writeln!(f)
    }

    /// Those without a result, with the reason; scenarios with the same reason share a line.
    fn absent(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for absent in &self.0.absent {
            lines.entry((absent.contender, &absent.why)).or_default().push(absent.scenario);
        }
        if !lines.is_empty() {
            writeln!(f, "Without a result:")?;
        }
        for ((contender, why), scenarios) in lines {
            writeln!(f, "  {contender}: {why} [{}]", scenarios.join(" "))?;
        }
        writeln!(f)
    }
}

fn ours(table: &Table) -> Option<&Row> {
    table.rows.iter().find(|row| row.contender == OURS)
}

/// The rows are in order, the best first.
fn best_peer(table: &Table) -> Option<&Row> {
    table.rows.iter().find(|row| !is_ours(row.contender))
}

fn ratio(row: Option<&Row>, to: Option<&Row>) -> String {
    let ratio = row.zip(to).map(|(row, to)| row.stats.median / to.stats.median);
    match ratio {
        Some(ratio) if ratio.is_finite() && ratio >= 100.0 => format!("{ratio:.0}"),
        Some(ratio) if ratio.is_finite() => format!("{ratio:.2}"),
        _ => "-".to_owned(),
    }
}
