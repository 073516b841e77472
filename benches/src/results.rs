//! What came of the race: rows, who is absent and why, how noisy it was; as JSON.

use serde::Serialize;

use crate::{
    noise::{Machine, Noise},
    processes::{Verdict, verdicts},
    runner::Miss,
    scenario::{Scenario, Unit},
    stats::Stats,
};

/// Everything that is printed, written and drawn.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// In the order of the scenarios, then of the contenders.
    pub(crate) tables: Vec<Table>,
    pub(crate) absent: Vec<Absent>,
    pub(crate) noise: Option<Noise>,
}

/// One scenario's rows, quickest first.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) scenario: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    pub(crate) rows: Vec<Row>,
}

/// One contender in one scenario.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) contender: &'static str,
    pub(crate) stats: Stats,
    pub(crate) rounds: usize,
}

/// A contender that did not finish a scenario.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Absent {
    pub(crate) scenario: &'static str,
    pub(crate) contender: &'static str,
    pub(crate) why: String,
    /// It was tried and hung, died or did it wrong.
    pub(crate) failed: bool,
}

#[derive(Serialize)]
struct Nanoseconds {
    scenario: &'static str,
    contender: &'static str,
    median_ns: f64,
    min_ns: f64,
    max_ns: f64,
    rounds: usize,
}

#[derive(Serialize)]
struct Bytes {
    scenario: &'static str,
    contender: &'static str,
    median_bytes: f64,
    min_bytes: f64,
    max_bytes: f64,
    rounds: usize,
}

#[derive(Serialize)]
struct Ratio {
    scenario: &'static str,
    contender: &'static str,
    median: f64,
    min: f64,
    max: f64,
    rounds: usize,
}

#[derive(Serialize)]
struct Document<'r> {
    rows: Vec<Nanoseconds>,
    memory: Vec<Bytes>,
    ratios: Vec<Ratio>,
    targets: Vec<Verdict>,
    absent: &'r [Absent],
    machine: Machine,
    noise: Option<Noise>,
}

impl Results {
    pub(crate) fn add(&mut self, scenario: &Scenario, row: Row) {
        let table = self.tables.iter_mut().find(|table| table.scenario == row.scenario);
        if let Some(table) = table {
            table.rows.push(row);
        } else {
            let Scenario { about, unit, .. } = *scenario;
            self.tables.push(Table { scenario: row.scenario, about, unit, rows: vec![row] });
        }
    }

    pub(crate) fn finish(&mut self, noise: Noise) {
        self.noise = Some(noise);
        for table in &mut self.tables {
            table.rows.sort_by(|a, b| a.stats.median.total_cmp(&b.stats.median));
        }
    }

    /// `{"rows": […], "memory": […], "ratios": […], "targets": […], "absent": […], "machine": …, "noise": …}`; `rows` are times, in
    /// nanoseconds.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let of =
            |unit| self.tables.iter().filter(move |table| table.unit == unit).flat_map(|table| &table.rows);
        let document = Document {
            rows: of(Unit::Nanoseconds).map(Nanoseconds::from).collect(),
            memory: of(Unit::Bytes).map(Bytes::from).collect(),
            ratios: of(Unit::Ratio).map(Ratio::from).collect(),
            targets: self.tables.iter().flat_map(verdicts).collect(),
            absent: &self.absent,
            machine: Machine::this(),
            noise: self.noise,
        };
        serde_json::to_string_pretty(&document)
    }
}

impl Row {
    pub(crate) fn new(scenario: &'static str, contender: &'static str, stats: Stats, rounds: usize) -> Self {
        Self { scenario, contender, stats, rounds }
    }
}

impl Absent {
    pub(crate) fn new(
        scenario: &'static str,
        contender: &'static str,
        miss: &Miss,
        rounds_before: usize,
    ) -> Self {
        let (why, failed) = match miss {
            Miss::NotOffered(why) => (why.clone(), false),
            Miss::Failed(why) => (format!("{why} (in round {})", rounds_before + 1), true),
        };
        Self { scenario, contender, why, failed }
    }
}

impl From<&Row> for Nanoseconds {
    fn from(row: &Row) -> Self {
        let Row { scenario, contender, stats, rounds } = *row;
        let Stats { median, min, max } = stats;
        Self { scenario, contender, median_ns: median, min_ns: min, max_ns: max, rounds }
    }
}

impl From<&Row> for Bytes {
    fn from(row: &Row) -> Self {
        let Row { scenario, contender, stats, rounds } = *row;
        let Stats { median, min, max } = stats;
        Self { scenario, contender, median_bytes: median, min_bytes: min, max_bytes: max, rounds }
    }
}

impl From<&Row> for Ratio {
    fn from(row: &Row) -> Self {
        let Row { scenario, contender, stats, rounds } = *row;
        let Stats { median, min, max } = stats;
        Self { scenario, contender, median, min, max, rounds }
    }
}
