//! The workers as a picture: one bar each on a common axis of time, the unimportant ones folded.

use std::{cmp::Reverse, time::Duration};

use super::{
    super::value::{LongRun, Procedure, Report, Turn, WorkerEnd, WorkerReport},
    words::{WIDTH, columns, cut, duration, number, padded, plain, quoted},
};
use crate::task::id::WorkerId;

/// Cells of a bar that lasts as long as the procedure.
const BAR: usize = 30;
/// Room for a worker's name.
const NAME: usize = 24;
/// Room for a task's name.
const TASK_NAME: usize = 26;
/// Fewest columns of the names, so that the heading fits above them.
const NAME_MIN: usize = 8;

/// One worker of the picture.
struct Row {
    name: String,
    bar: String,
    /// How it ended.
    end: String,
    /// What it ran.
    ran: String,
}

/// At most `room` lines (at least four, if there are so many workers): the axis, the workers that matter most in
/// the order of their numbers, and one line for the others.
pub(super) fn workers(report: &Report, room: usize) -> Vec<String> {
    if report.workers.is_empty() {
        return Vec::new();
    }
    let (shown, folded) = chosen(report, room.max(4) - 1);
    let rows: Vec<Row> = shown.iter().map(|worker| row(report, worker)).collect();
    let name_width = rows.iter().map(|row| columns(&row.name)).max().unwrap_or(0).max(NAME_MIN);
    let end_width = rows.iter().map(|row| columns(&row.end)).max().unwrap_or(0);

    let mut lines = vec![format!("  {}  {}", padded("workers", name_width + 2), axis(report.duration))];
    for row in rows {
        let (name, end) = (padded(&row.name, name_width), padded(&row.end, end_width));
        let line = format!("    {name}  {}  {end}  {}", row.bar, row.ran);
        lines.push(cut(line.trim_end(), WIDTH));
    }
    if !folded.is_empty() {
        lines.push(cut(&fold(&folded), WIDTH));
    }
    lines
}

/// The name of a worker, at most 24 columns; its number where the report does not know it.
pub(super) fn name_of(report: &Report, id: WorkerId) -> String {
    match report.workers.iter().find(|worker| worker.id == id) {
        Some(worker) => name(worker),
        None => format!("worker {id}"),
    }
}

/// `task 88 "render"`.
pub(super) fn task_of(run: &LongRun) -> String {
    match &run.name {
        Some(name) => format!("task {} {}", run.task, quoted(name, TASK_NAME)),
        None => format!("task {}", run.task),
    }
}

/// A worker's name, at most 24 columns.
pub(super) fn name(worker: &WorkerReport) -> String {
    plain(&worker.name, NAME)
}

/// Whom to show in `room` lines and whom to fold, both in the order of their numbers.
fn chosen(report: &Report, room: usize) -> (Vec<&WorkerReport>, Vec<&WorkerReport>) {
    if report.workers.len() <= room {
        return (report.workers.iter().collect(), Vec::new());
    }
    let mut order: Vec<usize> = (0..report.workers.len()).collect();
    order.sort_by_key(|index| {
        let worker = &report.workers[*index];
        (rank(report, worker), Reverse(worker.ended), *index)
    });
    let mut matters = vec![false; order.len()];
    // One line is for the fold.
    order.iter().take(room - 1).for_each(|index| matters[*index] = true);
    let (mut shown, mut folded) = (Vec::new(), Vec::new());
    for (worker, matters) in report.workers.iter().zip(matters) {
        if matters { shown.push(worker) } else { folded.push(worker) }
    }
    (shown, folded)
}

/// How much a reader wants to see a worker; the smaller the more. Among equals the later end counts.
fn rank(report: &Report, worker: &WorkerReport) -> u8 {
    match worker.end {
        WorkerEnd::Abandoned => 0,
        _ if report.slowest.as_ref().is_some_and(|run| run.worker == worker.id) => 1,
        WorkerEnd::Serving if was_to_end(report, worker) => 2,
        WorkerEnd::Joined if worker.ran.is_some() => 3,
        WorkerEnd::Joined => 4,
        WorkerEnd::Serving => 5,
    }
}

/// True if the procedure was about this worker, and did not merely bring it.
fn was_to_end(report: &Report, worker: &WorkerReport) -> bool {
    report.procedure == Procedure::Shutdown || worker.generation <= report.generation
}

fn row(report: &Report, worker: &WorkerReport) -> Row {
    let started = moment(report, |turn| matches!(turn, Turn::Started { worker: id } if *id == worker.id));
    let given_up =
        || moment(report, |turn| matches!(turn, Turn::Abandoned { worker: id, .. } if *id == worker.id));
    let from = started.unwrap_or(Duration::ZERO);
    let (till, end) = match worker.end {
        WorkerEnd::Joined => (worker.ended, at("joined", worker.ended)),
        WorkerEnd::Abandoned => (None, at("ABANDONED", worker.ended.or_else(given_up))),
        WorkerEnd::Serving if report.procedure == Procedure::Shutdown => (None, "STILL SERVING".to_owned()),
        WorkerEnd::Serving if was_to_end(report, worker) => (None, "NOT REPLACED".to_owned()),
        WorkerEnd::Serving => (None, at("serves since", started)),
    };
    Row {
        name: name(worker),
        bar: bar(worker.end, from, till.unwrap_or(report.duration), report.duration),
        end,
        ran: worker.ran.as_ref().map(task_of).unwrap_or_default(),
    }
}

fn at(what: &str, when: Option<Duration>) -> String {
    when.map_or_else(|| what.to_owned(), |when| format!("{what} {}", duration(when)))
}

fn moment(report: &Report, wanted: impl Fn(&Turn) -> bool) -> Option<Duration> {
    report.timeline.iter().find(|entry| wanted(&entry.turn)).map(|entry| entry.at)
}

/// From the request to the end: `0 ------------------ 1.23 s`, as wide as a whole bar.
fn axis(total: Duration) -> String {
    let end = duration(total);
    let dashes = BAR.saturating_sub(columns(&end) + 3);
    format!("0 {} {end}", "-".repeat(dashes))
}

/// Exactly [`BAR`] columns. However short, everybody who was there is seen.
fn bar(end: WorkerEnd, from: Duration, till: Duration, total: Duration) -> String {
    let halves = BAR * 2;
    let first = position(from, total, halves).min(halves - 1);
    let last = position(till, total, halves).clamp(first + 1, halves);
    let half = |index: usize| (first..last).contains(&index);
    let cell = |index: usize| match (end, half(index * 2), half(index * 2 + 1)) {
        (_, false, false) => ' ',
        (WorkerEnd::Abandoned, ..) => 'x',
        (WorkerEnd::Serving, ..) => '░',
        (WorkerEnd::Joined, true, true) => '█',
        (WorkerEnd::Joined, true, false) => '▌',
        (WorkerEnd::Joined, false, true) => '▐',
    };
    (0..BAR).map(cell).collect()
}

/// Where `moment` is on an axis of `total` with so many `steps`, to the nearest; zero on an axis without length.
fn position(moment: Duration, total: Duration, steps: usize) -> usize {
    let (moment, total) = (moment.min(total).as_nanos(), total.as_nanos());
    if total == 0 {
        return 0;
    }
    // Less than 2^94 · 60: no overflow. At most `steps`, as `moment` is at most `total`.
    usize::try_from((moment * steps as u128 + total / 2) / total).unwrap_or(steps)
}

/// `… 48 more, all joined by 1.20 s`.
fn fold(folded: &[&WorkerReport]) -> String {
    let count = |end: WorkerEnd| folded.iter().filter(|worker| worker.end == end).count();
    let (joined, serving) = (count(WorkerEnd::Joined), count(WorkerEnd::Serving));
    let abandoned = count(WorkerEnd::Abandoned);
    let last = folded
        .iter()
        .filter(|worker| worker.end == WorkerEnd::Joined)
        .filter_map(|worker| worker.ended)
        .max();
    let by = last.map(|last| format!(" by {}", duration(last))).unwrap_or_default();
    let more = number(folded.len() as u128);
    if joined == folded.len() {
        return format!("    … {more} more, all joined{by}");
    }
    if serving == folded.len() {
        return format!("    … {more} more, all serving");
    }
    let mut parts = Vec::new();
    if abandoned > 0 {
        parts.push(format!("{} ABANDONED", number(abandoned as u128)));
    }
    if joined > 0 {
        parts.push(format!("{} joined{by}", number(joined as u128)));
    }
    if serving > 0 {
        parts.push(format!("{} serving", number(serving as u128)));
    }
    format!("    … {more} more: {}", parts.join(", "))
}
