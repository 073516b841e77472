//! A pool's stop or restart as a picture: a row per worker, what it ran, the turns as flags.

use std::{cmp::Reverse, time::Duration};

use super::{
    super::{
        text::words::{counted, duration},
        value::{LongRun, Mode, Procedure, Report, Turn, WorkerEnd, WorkerReport},
    },
    app_picture::{Bar, ENDS, Flag, NAMES, bar, flag, limit, open},
    axis::{Axis, Tall},
    ink::{Ink, Safe, ink},
};

/// Workers that are drawn.
const SHOWN: usize = 40;
const LEFT: f64 = 216.0;
const RIGHT: f64 = 985.0;
const TOP: f64 = 72.0;
const ROW: f64 = 30.0;
const BAR_TOP: f64 = 7.0;
const BAR: f64 = 16.0;

/// A task that a stop waited for, or in vain.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongTask<'r> {
    worker: &'r WorkerReport,
    run: &'r LongRun,
    /// When the stop of its pool began.
    pub(super) began: Duration,
    /// When it ended.
    pub(super) ended: Option<Duration>,
}

/// The tasks that mattered to the stop of a pool that began at `began`, at most so many: those that did not end, then the last to end.
pub(super) fn long_tasks(report: &Report, most: usize, began: Duration) -> Vec<LongTask<'_>> {
    let mut tasks: Vec<LongTask<'_>> = report
        .workers
        .iter()
        .filter_map(|worker| {
            let run = worker.ran.as_ref()?;
            let mattered = !run.cost.is_zero() || run.ended.is_none_or(|ended| ended >= report.duration / 4);
            if !mattered {
                return None;
            }
            Some(LongTask { worker, run, began, ended: run.ended.map(|ended| began + ended) })
        })
        .collect();
    tasks.sort_by_key(|task| (task.ended.is_some(), Reverse(task.ended)));
    tasks.truncate(most);
    tasks
}

impl LongTask<'_> {
    pub(super) fn till(&self, end: Duration) -> Duration {
        self.ended.unwrap_or(end)
    }

    /// `task 88 on thumbnails-3`, or with its name instead.
    pub(super) fn label(&self) -> String {
        match &self.run.name {
            Some(name) => format!("{} {name}", self.run.task),
            None => format!("task {}", self.run.task),
        }
    }

    /// What is said beside its bar.
    pub(super) fn note(&self) -> String {
        match self.ended {
            Some(_) if !self.run.cost.is_zero() => format!("cost {}", duration(self.run.cost)),
            Some(_) => String::new(),
            None => "did not end".to_owned(),
        }
    }

    pub(super) fn told(&self) -> String {
        let ran = duration(self.run.ran);
        format!("task {} on {}, ran for {ran}", self.label(), self.worker.name)
    }
}

/// The picture as an SVG file.
pub(super) fn picture(report: &Report) -> String {
    let workers = chosen(report);
    let bottom = TOP + ROW * workers.len() as f64 + 4.0;
    let near = report.duration.mul_f64(1.6) >= report.deadline;
    let total = if near { report.duration.max(report.deadline) } else { report.duration };
    let axis = Axis::new(LEFT, RIGHT, total);
    let mut ink = Ink::default();
    open(&mut ink, bottom + 62.0, &format!("The workers of pool {}", Safe(&report.pool, 80)));
    for (x, text) in [(NAMES, "worker"), (LEFT, "from the request on"), (ENDS, "end")] {
        ink!(ink, r#"<text class="title" x="{x}" y="18">{text}</text>"#);
    }
    for index in (0..workers.len()).step_by(2) {
        let y = TOP + ROW * index as f64;
        ink!(ink, r#"<rect class="stripe" x="0" y="{y:.1}" width="1120" height="{ROW}"/>"#);
    }
    axis.draw(&mut ink, 38.0, Tall(48.0, bottom));
    for (worker, index) in workers.iter().zip(0_u32..) {
        row(&mut ink, report, &axis, worker, TOP + ROW * f64::from(index));
    }
    marks(&mut ink, report, &axis, bottom);
    let left_out = report.workers.len() - workers.len();
    if left_out > 0 {
        let (y, more) = (bottom + 14.0, counted(left_out as u128, "worker"));
        ink!(ink, r#"<text class="small" x="{NAMES}" y="{y:.1}">… and {more} more</text>"#);
    }
    legend(&mut ink, bottom + 32.0);
    ink!(ink, "</svg>");
    ink.finish()
}

fn row(ink: &mut Ink, report: &Report, axis: &Axis, worker: &WorkerReport, y: f64) {
    let base = y + 19.0;
    ink!(ink, r#"<text class="name" x="{NAMES}" y="{base:.1}">{}</text>"#, Safe(&worker.name, 25));
    let begun = moment(report, |turn| matches!(turn, Turn::Started { worker: id } if *id == worker.id));
    let from = axis.x(begun.unwrap_or_default());
    let to = axis.x(worker.ended.unwrap_or(report.duration));
    let class = if worker.end == WorkerEnd::Abandoned { "c-bad" } else { "c-serve" };
    ink!(ink, r#"<g data-worker="{}">"#, Safe(&worker.name, 80));
    let place = Bar { class, from, to, y: y + BAR_TOP, height: BAR };
    bar(ink, &place, &format!("{}: {}", worker.name, counted(worker.tasks.into(), "task")));
    if worker.end == WorkerEnd::Abandoned {
        bar(ink, &Bar { class: "hatch", ..place }, "");
    }
    if let Some(run) = &worker.ran {
        let task = LongTask { worker, run, began: Duration::ZERO, ended: run.ended };
        if let Some(ended) = run.ended {
            bar(ink, &Bar { class: "c-drain", to: axis.x(ended), ..place }, &task.told());
        }
        let text = [task.label(), task.note()].join("  ");
        let x = to + 8.0;
        // Where there is no room beside the bar, the bar's own title and the text below say it.
        if x + 6.6 * text.chars().count() as f64 <= ENDS {
            ink!(ink, r#"<text class="small" x="{x:.1}" y="{base:.1}">{}</text>"#, Safe(&text, 80));
        } else if axis.x(run.ended.unwrap_or_default()) - from > 7.0 * text.chars().count() as f64 {
            let x = from + 8.0;
            ink!(ink, r#"<text class="on-bar" x="{x:.1}" y="{base:.1}">{}</text>"#, Safe(&text, 80));
        }
    }
    ink!(ink, "</g>");
    let (class, text) = end(worker);
    ink!(ink, r#"<text class="{class}" x="{ENDS}" y="{base:.1}">{text}</text>"#);
}

fn end(worker: &WorkerReport) -> (&'static str, String) {
    let at = worker.ended.map(|ended| format!(" {}", duration(ended))).unwrap_or_default();
    match worker.end {
        WorkerEnd::Joined => ("small", format!("joined{at}")),
        WorkerEnd::Abandoned => ("wrong", format!("ABANDONED{at}")),
        WorkerEnd::Serving => ("small", "serves on".to_owned()),
    }
}

/// What was asked, and what it came to.
fn marks(ink: &mut Ink, report: &Report, axis: &Axis, bottom: f64) {
    let mut planted = 0_u32;
    for entry in &report.timeline {
        let word = match &entry.turn {
            Turn::Asked { mode: Some(mode), .. } | Turn::Escalated { mode, .. } => verb(*mode),
            Turn::Asked { mode: None, .. } => "rolling restart",
            _ => continue,
        };
        let top = 46.0 + f64::from(planted % 2) * 11.0;
        flag(ink, &Flag { class: "mark", x: axis.x(entry.at), top, bottom }, word);
        planted += 1;
        if planted == 4 {
            break;
        }
    }
    if report.procedure == Procedure::Shutdown && report.deadline <= report.duration.mul_f64(1.6) {
        let text = format!("deadline {}", duration(report.deadline));
        limit(ink, axis.x(report.deadline), Tall(48.0, bottom), &text);
    }
}

const fn verb(mode: Mode) -> &'static str {
    match mode {
        Mode::Drain => "drain",
        Mode::Stop => "stop",
        Mode::Abort => "abort",
    }
}

/// Those that matter most, in the order of their numbers.
fn chosen(report: &Report) -> Vec<&WorkerReport> {
    let mut order: Vec<usize> = (0..report.workers.len()).collect();
    let slowest = report.slowest.as_ref().map(|run| run.worker);
    order.sort_by_key(|index| {
        let worker = &report.workers[*index];
        let rank = match worker.end {
            WorkerEnd::Abandoned => 0,
            _ if slowest == Some(worker.id) => 1,
            WorkerEnd::Joined => 2,
            WorkerEnd::Serving => 3,
        };
        (rank, Reverse(worker.ended))
    });
    order.truncate(SHOWN);
    order.sort_unstable();
    order.into_iter().map(|index| &report.workers[index]).collect()
}

fn moment(report: &Report, wanted: impl Fn(&Turn) -> bool) -> Option<Duration> {
    report.timeline.iter().find(|entry| wanted(&entry.turn)).map(|entry| entry.at)
}

fn legend(ink: &mut Ink, y: f64) {
    let entries = [
        ("c-drain", "the task it ran when it began", 200.0),
        ("c-serve", "there, for other tasks", 170.0),
        ("c-bad", "abandoned", 100.0),
    ];
    let mut x = NAMES;
    for (class, text, room) in entries {
        let (text_x, base) = (x + 18.0, y + 10.0);
        ink!(ink, r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="12" height="12"/>"#);
        if class == "c-bad" {
            ink!(ink, r#"<rect class="hatch" x="{x:.1}" y="{y:.1}" width="12" height="12"/>"#);
        }
        ink!(ink, r#"<text class="small" x="{text_x:.1}" y="{base:.1}">{text}</text>"#);
        x += room;
    }
}
