//! The report as a person reads it: one screen of plain text, the conclusion first.
//!
//! Pure: no clock, no input or output, no colours. Whatever the pool, its workers and tasks are called, no line
//! is wider than 100 columns and nothing in it can forge another line.

mod picture;
mod turns;
pub(super) mod words;

use std::{fmt, time::Duration};

use self::words::{REASON, WIDTH, columns, counted, cut, duration, number, plain, quoted, verb, wrapped};
use super::value::{LongRun, Mode, Procedure, Report, Turn, WorkerReport};
use crate::task::outcome::Outcome;

/// Lines of one screen: the workers get what the rest leaves of them.
const SCREEN: usize = 30;
/// The workers get at least so many lines in any case,
const WORKER_LINES_MIN: usize = 6;
/// and never more than these: an axis, sixteen workers and the fold.
const WORKER_LINES_MAX: usize = 18;
/// So many abandoned workers get a sentence each.
const SENTENCES: usize = 3;
/// Columns a line begins with that goes on with the one before.
const HANGING: usize = 4;
/// Room for the pool's name.
const POOL_NAME: usize = 34;

/// Shows the report on one screen: at most 100 columns, about 30 lines. No line end after the last line.
///
/// Durations are cut, not rounded; numbers are grouped as `1_204`; characters that cannot be printed are escaped.
/// Of many workers those are shown that mattered: abandoned, the slowest, then the last to end.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut above = headline(self);
        above.extend(failure(self));
        above.extend(broken_law(self));
        above.extend(held_up(self));
        above.extend(outcomes(self));
        let below = turns::turns(self);
        let room = SCREEN.saturating_sub(above.len() + below.len()).clamp(WORKER_LINES_MIN, WORKER_LINES_MAX);
        let lines = [above, picture::workers(self, room), below].concat();
        f.write_str(&lines.join("\n"))
    }
}

fn headline(report: &Report) -> Vec<String> {
    let whose = match report.procedure {
        Procedure::Shutdown => String::new(),
        Procedure::Restart | Procedure::RollingRestart => format!(", generation {}", report.generation),
    };
    let (took, deadline) = (duration(report.duration), duration(report.deadline));
    let limits = match report.duration.checked_sub(report.deadline) {
        Some(over) if !over.is_zero() => format!("{} past its deadline of {deadline}", duration(over)),
        _ => format!("deadline {deadline}"),
    };
    let grace = match report.mode {
        Some(Mode::Abort) => format!(", grace {}", duration(report.grace)),
        _ => String::new(),
    };
    let pool = quoted(&report.pool, POOL_NAME);
    let (deed, tasks) = (deed(report, &took), tasks(report));
    let mut lines = wrapped(&format!("pool {pool}{whose}: {deed}"), HANGING, 2);
    for clause in [format!("({limits}{grace}),"), tasks] {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(&clause) <= WIDTH => *line = format!("{line} {clause}"),
            _ => lines.push(format!("{:HANGING$}{}", "", cut(&clause, WIDTH - HANGING))),
        }
    }
    lines
}

/// What was done, against what was asked.
fn deed(report: &Report, took: &str) -> String {
    let (noun, done) = match report.procedure {
        Procedure::Shutdown => ("shutdown", "shut down"),
        Procedure::Restart => ("restart", "restarted"),
        Procedure::RollingRestart => ("rolling restart", "restarted one by one"),
    };
    if report.failed.is_some() {
        let asked = report.asked.map(|mode| format!(" (asked to {})", verb(mode))).unwrap_or_default();
        return format!("{noun}{asked} FAILED after {took}");
    }
    match (report.asked, report.mode) {
        (Some(asked), Some(mode)) if asked != mode => {
            let after =
                came_to(report, mode).map(|at| format!(" after {}", duration(at))).unwrap_or_default();
            format!("asked to {}, came to {}{after}, {done} in {took}", verb(asked), verb(mode))
        }
        (_, Some(mode)) => format!("{} and {done} in {took}", participle(mode)),
        (_, None) => format!("{done} in {took}"),
    }
}

/// When it became as strong as it came to be.
fn came_to(report: &Report, strongest: Mode) -> Option<Duration> {
    let reached = |turn: &Turn| matches!(turn, Turn::Escalated { mode, .. } if *mode == strongest);
    report.timeline.iter().find(|entry| reached(&entry.turn)).map(|entry| entry.at)
}

const fn participle(mode: Mode) -> &'static str {
    match mode {
        Mode::Drain => "drained",
        Mode::Stop => "stopped",
        Mode::Abort => "aborted",
    }
}

fn tasks(report: &Report) -> String {
    match report.accepted {
        _ if found(report) != u128::from(report.accepted) => "THE LAW IS BROKEN".to_owned(),
        0 => "no task was ever accepted".to_owned(),
        1 => "its only task accounted for".to_owned(),
        accepted => format!("all {} accounted for", counted(accepted.into(), "task")),
    }
}

/// The other side of the law, for absurd counters too: a report of a bug must not panic.
fn found(report: &Report) -> u128 {
    u128::from(report.queued) + u128::from(report.running) + ended(report)
}

fn ended(report: &Report) -> u128 {
    Outcome::ALL.iter().map(|outcome| u128::from(report.outcomes.get(*outcome))).sum()
}

fn failure(report: &Report) -> Vec<String> {
    match &report.failed {
        Some(why) => wrapped(&format!("failed: {}", plain(why, REASON)), HANGING, 3),
        None => Vec::new(),
    }
}

fn broken_law(report: &Report) -> Vec<String> {
    let (accepted, found) = (u128::from(report.accepted), found(report));
    let wrong = match accepted.checked_sub(found) {
        Some(0) => return Vec::new(),
        Some(missing) => format!("{} missing", counted(missing, "task")),
        None => format!("{} too many", counted(found - accepted, "task")),
    };
    let sum = format!(
        "{} waiting + {} running + {} ended",
        number(report.queued.into()),
        number(report.running.into()),
        number(ended(report))
    );
    let text = format!(
        "!!! THE LAW IS BROKEN: accepted {}, but {sum} = {}: {wrong}. This is a bug in ebbtide; please report it.",
        number(accepted),
        number(found)
    );
    wrapped(&text, HANGING, 3)
}

/// Who it waited for, and in vain.
fn held_up(report: &Report) -> Vec<String> {
    let abandoned: Vec<&WorkerReport> = report.abandoned().collect();
    if abandoned.is_empty() {
        return slowest(report).map(|line| wrapped(&line, HANGING, 2)).unwrap_or_default();
    }
    let mut lines = Vec::new();
    for worker in abandoned.iter().take(SENTENCES) {
        lines.extend(wrapped(&given_up(report, &picture::name(worker), worker.ran.as_ref()), HANGING, 2));
    }
    let more = abandoned.len().saturating_sub(SENTENCES);
    if more > 0 {
        lines.push(format!("abandoned: {}", counted(more as u128, "more worker")));
    }
    lines
}

/// `abandoned: thumbnails-3 with task 88 "render", running for at least 6.20 s`.
fn given_up(report: &Report, name: &str, run: Option<&LongRun>) -> String {
    let Some(run) = run else {
        return format!("abandoned: {name}, which hung outside of any task");
    };
    let (task, ran) = (picture::task_of(run), duration(run.ran));
    let without = match report.duration.checked_sub(run.cost) {
        Some(without) if !run.cost.is_zero() => format!("; without it {}", duration(without)),
        _ => String::new(),
    };
    format!("abandoned: {name} with {task}, running for at least {ran}{without}")
}

/// `task 88 "render" on thumbnails-3 held it up by 0.62 s: without it 0.61 s`.
fn slowest(report: &Report) -> Option<String> {
    let run = report.slowest.as_ref()?;
    let name = picture::name_of(report, run.worker);
    let Some(ended) = run.ended else {
        return Some(given_up(report, &name, Some(run)));
    };
    let task = picture::task_of(run);
    if run.cost.is_zero() {
        let ended = duration(ended);
        return Some(format!("{task} on {name} was the last to end, after {ended}, and held nothing up"));
    }
    let (cost, without) = (duration(run.cost), duration(report.duration.saturating_sub(run.cost)));
    Some(format!("{task} on {name} held it up by {cost}: without it {without}"))
}

/// The outcomes that occurred, and what else the law counts, as a table of two columns.
fn outcomes(report: &Report) -> Vec<String> {
    let mut rows: Vec<(String, Option<u64>, u64, &str)> = Vec::new();
    for outcome in Outcome::ALL {
        let (during, life) = (report.during.get(outcome), report.outcomes.get(outcome));
        if during > 0 || life > 0 {
            rows.push((outcome.to_string(), Some(during), life, ""));
        }
    }
    let others = [
        ("waiting", report.queued, ""),
        ("running", report.running, ""),
        ("rejected", report.rejected, "  never accepted"),
    ];
    for (what, count, remark) in others {
        if count > 0 {
            rows.push((what.to_owned(), None, count, remark));
        }
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let title = match report.procedure {
        Procedure::Shutdown => "in this shutdown",
        Procedure::Restart | Procedure::RollingRestart => "in this restart",
    };
    let in_life = "in the pool's life";
    let cell = |count: Option<u64>| count.map_or_else(String::new, |count| number(count.into()));
    let wide = |cells: &mut dyn Iterator<Item = String>, least: usize| {
        cells.map(|cell| columns(&cell)).max().unwrap_or(0).max(least)
    };
    let first = wide(&mut rows.iter().map(|row| cell(row.1)), title.len());
    let second = wide(&mut rows.iter().map(|row| cell(Some(row.2))), in_life.len());
    let mut lines = vec![format!("  {:<11}  {title:>first$}  {in_life:>second$}", "tasks")];
    for (what, during, life, remark) in rows {
        let (during, life) = (cell(during), cell(Some(life)));
        lines.push(format!("    {what:<9}  {during:>first$}  {life:>second$}{remark}"));
    }
    lines
}

#[cfg(test)]
mod tests;
