//! An application's run as a picture: a row per component in the order of the stop, the critical path in ink.
//!
//! From left to right: the names, the start, a gap for the time it served, the stop on an axis of its own, how each ended. Who waited for whom
//! is an arrow.

use std::time::Duration;

use super::{
    super::{
        app::{AppReport, ComponentEnd, ComponentKind, ComponentReport},
        text::words::{counted, duration},
    },
    axis::{Axis, Tall},
    ink::{Ink, Safe, ink},
    parts::{end, is_bad},
    pool_picture::{LongTask, long_tasks},
    style,
};

/// Components that are drawn.
pub(super) const SHOWN: usize = 40;
/// Tasks shown under a pool.
const TASKS: usize = 3;

pub(super) const WIDTH: f64 = 1120.0;
pub(super) const NAMES: f64 = 16.0;
const START: (f64, f64) = (216.0, 320.0);
const STOP: (f64, f64) = (404.0, 985.0);
pub(super) const ENDS: f64 = 997.0;
/// Where rows begin: below titles, ticks, flags and the critical path.
const TOP: f64 = 112.0;
const ROW: f64 = 44.0;
const TASK_ROW: f64 = 20.0;
pub(super) const BAR: f64 = 20.0;
/// Room for names, in columns.
const NAME: usize = 25;

/// One row, and where it is.
struct Row<'r> {
    y: f64,
    what: What<'r>,
}

enum What<'r> {
    Component(&'r ComponentReport),
    Task(LongTask<'r>),
}

/// Everything that is needed to draw.
struct Sheet<'r> {
    report: &'r AppReport,
    start: Axis,
    stop: Axis,
    rows: Vec<Row<'r>>,
    /// Below the rows.
    bottom: f64,
    left_out: usize,
}

/// The picture as an SVG file.
pub(super) fn picture(report: &AppReport) -> String {
    let sheet = Sheet::new(report);
    let mut ink = Ink::default();
    let height = sheet.bottom + 84.0;
    let title = format!("How {} stopped", Safe(&report.app, NAME));
    open(&mut ink, height, &title);
    sheet.ground(&mut ink);
    sheet.axes(&mut ink);
    sheet.marks(&mut ink);
    sheet.critical_strip(&mut ink);
    sheet.edges(&mut ink);
    for row in &sheet.rows {
        match &row.what {
            What::Component(component) => sheet.component(&mut ink, component, row.y),
            What::Task(task) => sheet.task(&mut ink, task, row.y),
        }
    }
    if sheet.left_out > 0 {
        let more = counted(sheet.left_out as u128, "component");
        let y = sheet.bottom + 14.0;
        ink!(ink, r#"<text class="small" x="{NAMES}" y="{y:.1}">… and {more} more, listed below</text>"#);
    }
    legend(&mut ink, sheet.bottom + 52.0);
    ink!(ink, "</svg>");
    ink.finish()
}

/// The beginning of a picture.
pub(super) fn open(ink: &mut Ink, height: f64, title: &str) {
    ink!(
        ink,
        r#"<svg class="ebb" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" role="img">"#
    );
    ink!(ink, "<title>{title}</title>\n<style>\n{}</style>", style::PICTURE);
    ink!(
        ink,
        r#"<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch-line" x1="0" x2="0" y1="0" y2="8"/></pattern></defs>"#
    );
}

impl<'r> Sheet<'r> {
    fn new(report: &'r AppReport) -> Self {
        let components: Vec<&ComponentReport> = report.components.iter().rev().collect();
        let shown = chosen(report, &components);
        let mut rows = Vec::new();
        let mut y = TOP;
        for component in &shown {
            rows.push(Row { y, what: What::Component(component) });
            y += ROW;
            let began = component.stop.map(|span| span.from).unwrap_or_default();
            let tasks =
                component.pool.as_ref().map(|pool| long_tasks(pool, TASKS, began)).unwrap_or_default();
            let any = !tasks.is_empty();
            for task in tasks {
                rows.push(Row { y: y - 6.0, what: What::Task(task) });
                y += TASK_ROW;
            }
            y += if any { 2.0 } else { 0.0 };
        }
        let started = shown.iter().filter_map(|component| component.start?.to).max();
        let start = started.max(report.ready).unwrap_or(Duration::from_millis(1));
        // The deadline is shown where it was not far.
        let near = report.duration.mul_f64(1.6) >= report.deadline;
        let stop = if near { report.duration.max(report.deadline) } else { report.duration };
        Sheet {
            report,
            start: Axis::new(START.0, START.1, start),
            stop: Axis::new(STOP.0, STOP.1, stop),
            rows,
            bottom: y + 4.0,
            left_out: components.len() - shown.len(),
        }
    }

    /// Stripes, and what is behind the bars.
    fn ground(&self, ink: &mut Ink) {
        let components = self.rows.iter().filter(|row| matches!(row.what, What::Component(_)));
        let tops: Vec<f64> = components.map(|row| row.y).collect();
        let bottoms = tops.iter().skip(1).copied().chain([self.bottom - 4.0]);
        for (top, bottom) in tops.iter().zip(bottoms).step_by(2) {
            let height = bottom - top;
            ink!(ink, r#"<rect class="stripe" x="0" y="{top:.1}" width="{WIDTH}" height="{height:.1}"/>"#);
        }
        if !self.report.delay.is_zero() {
            let (left, width) = (self.stop.left(), self.stop.x(self.report.delay) - self.stop.left());
            let (top, height) = (TOP - 44.0, self.bottom - TOP + 44.0);
            ink!(
                ink,
                r#"<rect class="c-delay" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"><title>deregistration delay: everything is still served</title></rect>"#
            );
            let (x, y) = (left + 4.0, self.bottom + 14.0);
            let text = duration(self.report.delay);
            ink!(
                ink,
                r#"<text class="small" x="{x:.1}" y="{y:.1}">deregistration delay {text}: still served</text>"#
            );
        }
    }

    fn axes(&self, ink: &mut Ink) {
        let lines = Tall(48.0, self.bottom);
        let title = |ink: &mut Ink, x: f64, anchor: &str, text: &str| {
            ink!(ink, r#"<text class="title" x="{x:.1}" y="18" text-anchor="{anchor}">{text}</text>"#);
        };
        title(ink, NAMES, "start", "component");
        title(ink, START.0, "start", "start");
        if let Some(ready) = self.report.ready {
            let text = duration(ready);
            ink!(
                ink,
                r#"<text class="tick" x="{:.1}" y="18" text-anchor="end">{text}</text>"#,
                START.1 - 6.0
            );
        }
        title(ink, f64::midpoint(START.1, STOP.0), "middle", "served");
        title(ink, STOP.0, "start", "stop");
        title(ink, ENDS, "start", "end");
        let served = self.report.uptime.saturating_sub(self.report.ready.unwrap_or(self.report.uptime));
        let (x, text) = (f64::midpoint(START.1, STOP.0), duration(served));
        ink!(ink, r#"<text class="tick" x="{x:.1}" y="38" text-anchor="middle">{text}</text>"#);
        self.start.draw(ink, 38.0, lines);
        self.stop.draw(ink, 38.0, lines);
    }

    /// The critical path as a row of its own.
    fn critical_strip(&self, ink: &mut Ink) {
        if self.report.critical.is_empty() {
            return;
        }
        let (y, height) = (TOP - 36.0, 22.0);
        let base = y + 15.0;
        ink!(ink, r#"<text class="name" x="{NAMES}" y="{base:.1}">critical path</text>"#);
        for step in self.report.critical.iter().take(SHOWN) {
            let (from, to) = (self.stop.x(step.from), self.stop.x(step.to));
            let width = (to - from).max(1.5);
            let what = step.component.as_deref().unwrap_or("delay");
            let because =
                step.because.as_deref().map(|why| format!(": {}", Safe(why, 200))).unwrap_or_default();
            let took = duration(step.to.saturating_sub(step.from));
            ink!(ink, r#"<rect class="path" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{height}">"#);
            ink!(ink, "<title>{}, {took}{because}</title></rect>", Safe(what, 80));
            // A line of paper between the steps.
            ink!(ink, r#"<rect class="gap" x="{from:.1}" y="{y:.1}" width="1" height="{height}"/>"#);
            let label = format!("{what} {took}");
            let room = ((width - 12.0) / 6.4).max(0.0) as usize;
            let label = if label.chars().count() <= room { label } else { what.to_owned() };
            if room >= label.chars().count().min(6) {
                let x = from + 7.0;
                ink!(ink, r#"<text class="on-ink" x="{x:.1}" y="{base:.1}">{}</text>"#, Safe(&label, room));
            }
        }
    }

    /// From the end of whom somebody waited for to the begin of who waited.
    fn edges(&self, ink: &mut Ink) {
        let place = |name: &str| {
            self.rows.iter().find_map(|row| match row.what {
                What::Component(component) if *component.name == *name => Some((component, row.y)),
                _ => None,
            })
        };
        for row in &self.rows {
            let What::Component(waits) = row.what else { continue };
            let Some((other, from_y)) = waits.waited_for.as_deref().and_then(place) else { continue };
            let (Some(ended), Some(begun)) = (other.stop.and_then(|span| span.to), waits.stop) else {
                continue;
            };
            let on = if self.follows(&waits.name, &other.name) { " on" } else { "" };
            let (x, y) = (self.stop.x(ended), from_y + BAR_TOP + BAR);
            let (to_x, to_y) = (self.stop.x(begun.from), row.y + BAR_TOP - 6.0);
            let (turn, tip) = (to_y - 3.0, to_y + 6.0);
            let (left, right) = (to_x - 4.5, to_x + 4.5);
            ink!(ink, r#"<path class="edge{on}" d="M{x:.1} {y:.1}V{turn:.1}H{to_x:.1}V{to_y:.1}">"#);
            ink!(ink, "<title>{} waited for {}</title></path>", Safe(&waits.name, 80), Safe(&other.name, 80));
            ink!(ink, r#"<path class="tip{on}" d="M{left:.1} {to_y:.1}H{right:.1}L{to_x:.1} {tip:.1}Z"/>"#);
        }
    }

    /// True if the one came right after the other on the critical path.
    fn follows(&self, later: &str, sooner: &str) -> bool {
        let pairs = self.report.critical.windows(2);
        pairs.into_iter().any(|pair| {
            pair[0].component.as_deref() == Some(sooner) && pair[1].component.as_deref() == Some(later)
        })
    }

    fn component(&self, ink: &mut Ink, component: &ComponentReport, y: f64) {
        let (first, second) = (y + 18.0, y + 33.0);
        ink!(ink, r#"<text class="name" x="{NAMES}" y="{first:.1}">{}</text>"#, Safe(&component.name, NAME));
        let kind = component.kind.as_str();
        ink!(ink, r#"<text class="kind" x="{NAMES}" y="{second:.1}">{kind}</text>"#);
        ink!(ink, r#"<g data-component="{}">"#, Safe(&component.name, 80));
        self.start_bar(ink, component, y);
        self.stop_bars(ink, component, y);
        ink!(ink, "</g>");
        let class = if is_bad(component.end) { "wrong" } else { "small" };
        ink!(ink, r#"<text class="{class}" x="{ENDS}" y="{first:.1}">{}</text>"#, end(component.end));
        if let Some(text) = took(component) {
            ink!(ink, r#"<text class="small" x="{ENDS}" y="{second:.1}">{text}</text>"#);
        }
    }

    fn start_bar(&self, ink: &mut Ink, component: &ComponentReport, y: f64) {
        let Some(start) = component.start else { return };
        let bad = matches!(component.end, ComponentEnd::StartFailed | ComponentEnd::StartHung);
        let (from, to) =
            (self.start.x(start.from), start.to.map_or(self.start.right(), |to| self.start.x(to)));
        let class = if bad { "c-bad" } else { "c-start" };
        let took = start.took().map_or_else(|| "did not end".to_owned(), duration);
        bar(ink, &Bar { class, from, to, y: y + BAR_TOP, height: BAR }, &format!("start: {took}"));
        if bad {
            bar(ink, &Bar { class: "hatch", from, to, y: y + BAR_TOP, height: BAR }, "");
        }
        if component.end == ComponentEnd::StartFailed || component.end == ComponentEnd::StartHung {
            return;
        }
        // It served from here to its stop, or to the end.
        let till = component.stop.map_or(self.stop.x(self.report.duration), |stop| self.stop.x(stop.from));
        let served = Bar { class: "c-serve", from: to, to: till, y: y + BAR_TOP + 5.0, height: 10.0 };
        bar(ink, &served, "served");
        // Time is left out here.
        let (left, right, top) = (START.1 + 18.0, STOP.0 - 18.0, y + BAR_TOP);
        for x in [left, right] {
            let (x, bottom) = (x - 3.0, top + BAR);
            ink!(ink, r#"<path class="gap" d="M{x:.1} {bottom:.1}l5 -{BAR}h4l-5 {BAR}Z"/>"#);
        }
    }

    fn stop_bars(&self, ink: &mut Ink, component: &ComponentReport, y: f64) {
        let Some(stop) = component.stop else { return };
        let at_end = self.stop.x(self.report.duration);
        let (from, to) = (self.stop.x(stop.from), stop.to.map_or(at_end, |to| self.stop.x(to)));
        let bad = matches!(component.end, ComponentEnd::Hung | ComponentEnd::KeptOpen);
        let class = match component.kind {
            _ if bad => "c-bad",
            ComponentKind::Resource | ComponentKind::Probe => "c-close",
            _ => "c-drain",
        };
        let took = stop.took().map_or_else(|| "did not end".to_owned(), duration);
        let said = format!("{}: {} to stop", component.name, took);
        let on_path = self.report.critical.iter().any(|step| step.component == Some(component.name.clone()));
        let place = Bar { class, from, to, y: y + BAR_TOP, height: BAR };
        if on_path {
            let width = (to - from).max(MIN);
            let top = place.y;
            ink!(
                ink,
                r#"<rect class="on-path" x="{from:.1}" y="{top:.1}" width="{width:.1}" height="{BAR}" fill="none"/>"#
            );
        }
        bar(ink, &place, &said);
        if let Some(forced) = component.forced {
            let from = self.stop.x(forced).max(from);
            bar(ink, &Bar { class: "c-forced", from, to: to.max(from), ..place }, "told to cancel and kill");
        }
        if is_bad(component.end) {
            bar(ink, &Bar { class: "hatch", ..place }, "");
        }
    }

    fn task(&self, ink: &mut Ink, task: &LongTask<'_>, y: f64) {
        let (x, base) = (NAMES + 12.0, y + 14.0);
        ink!(ink, r#"<text class="task-name" x="{x}" y="{base:.1}">{}</text>"#, Safe(&task.label(), 29));
        let (from, to) = (self.stop.x(task.began), self.stop.x(task.till(self.report.duration)));
        let class = if task.ended.is_some() { "c-task" } else { "c-bad" };
        let place = Bar { class, from, to, y: y + 7.0, height: 7.0 };
        bar(ink, &place, &task.told());
        let class = if task.ended.is_some() { "small" } else { "wrong" };
        ink!(ink, r#"<text class="{class}" x="{ENDS}" y="{base:.1}">{}</text>"#, task.note());
    }

    /// Signals, the deadline, and the end.
    fn marks(&self, ink: &mut Ink) {
        for (signal, index) in self.report.signals.iter().take(4).zip(0_u32..) {
            let x = self.stop.x(signal.at);
            flag(
                ink,
                &Flag { class: "mark", x, top: 52.0 + f64::from(index % 2) * 10.0, bottom: self.bottom },
                &signal.signal,
            );
        }
        let last = self.stop.x(self.report.deadline);
        if self.report.deadline <= self.report.duration.mul_f64(1.6) {
            let text = format!("deadline {}", duration(self.report.deadline));
            limit(ink, last, Tall(48.0, self.bottom), &text);
        }
    }
}

/// A bar begins so far below the top of its row.
const BAR_TOP: f64 = 12.0;
/// Nothing is thinner: what happened is seen.
const MIN: f64 = 2.0;

/// A bar to draw.
#[derive(Clone, Copy)]
pub(super) struct Bar<'c> {
    pub(super) class: &'c str,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) y: f64,
    pub(super) height: f64,
}

/// A flag to plant.
pub(super) struct Flag<'c> {
    pub(super) class: &'c str,
    pub(super) x: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

pub(super) fn bar(ink: &mut Ink, bar: &Bar<'_>, said: &str) {
    let Bar { class, from, y, height, to } = *bar;
    let width = (to - from).max(MIN);
    let rect = format_args!(
        r#"<rect class="{class}" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}""#
    );
    if said.is_empty() {
        ink!(ink, "{rect}/>");
    } else {
        ink!(ink, "{rect}><title>{}</title></rect>", Safe(said, 200));
    }
}

pub(super) fn flag(ink: &mut Ink, flag: &Flag<'_>, text: &str) {
    let Flag { class, x, top, bottom } = *flag;
    let (text_x, base) = (x + 11.0, top + 9.0);
    ink!(ink, r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{top:.1}" y2="{bottom:.1}"/>"#);
    ink!(ink, r#"<path class="flag" d="M{x:.1} {top:.1}l8 5l-8 5Z"/>"#);
    ink!(
        ink,
        r#"<text class="wrong" style="font-size:11px" x="{text_x:.1}" y="{base:.1}">{}</text>"#,
        Safe(text, 24)
    );
}

/// A limit, with what it is to the left of it.
pub(super) fn limit(ink: &mut Ink, x: f64, lines: Tall, text: &str) {
    let (text_x, base) = (x - 5.0, lines.0 + 12.0);
    ink!(
        ink,
        r#"<line class="mark limit" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/>"#,
        lines.0,
        lines.1
    );
    ink!(ink, r#"<text class="small" x="{text_x:.1}" y="{base:.1}" text-anchor="end">{text}</text>"#);
}

/// Those that matter most, in the order of the stop.
fn chosen<'r>(report: &AppReport, all: &[&'r ComponentReport]) -> Vec<&'r ComponentReport> {
    if all.len() <= SHOWN {
        return all.to_vec();
    }
    let rank = |component: &ComponentReport| {
        let critical = report.critical.iter().any(|step| step.component.as_ref() == Some(&component.name));
        let took = component.stop.and_then(|span| span.took()).unwrap_or_default();
        (!is_bad(component.end), !critical, std::cmp::Reverse(took))
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|index| rank(all[*index]));
    order.truncate(SHOWN);
    order.sort_unstable();
    order.into_iter().map(|index| all[index]).collect()
}

/// What is said below how it ended.
fn took(component: &ComponentReport) -> Option<String> {
    if let Some(holder) = component.held_by.first() {
        return Some(format!("by {}", Safe(holder, 16)));
    }
    let stop = component.stop?;
    let to = stop.to?;
    Some(format!("{} at {}", duration(stop.took()?), duration(to)))
}

fn legend(ink: &mut Ink, y: f64) {
    let entries = [
        ("c-start", "starts", 84.0),
        ("c-serve", "serves", 86.0),
        ("c-drain", "drains", 86.0),
        ("c-close", "closes", 84.0),
        ("c-forced", "told to cancel and kill", 172.0),
        ("c-bad", "did not end, or wrong", 164.0),
        ("c-task", "a task it waited for", 152.0),
        ("path", "critical path", 110.0),
    ];
    let mut x = NAMES;
    for (class, text, room) in entries {
        let (text_x, base, top) = (x + 18.0, y + 10.0, y);
        ink!(ink, r#"<rect class="{class}" x="{x:.1}" y="{top:.1}" width="12" height="12"/>"#);
        if class == "c-bad" {
            ink!(ink, r#"<rect class="hatch" x="{x:.1}" y="{top:.1}" width="12" height="12"/>"#);
        }
        ink!(ink, r#"<text class="small" x="{text_x:.1}" y="{base:.1}">{text}</text>"#);
        x += room;
    }
    let (base, line, end) = (y + 10.0, y + 6.0, x + 16.0);
    let text_x = x + 26.0;
    ink!(
        ink,
        r#"<path class="edge" d="M{x:.1} {line:.1}H{end:.1}"/><path class="tip" d="M{end:.1} {y:.1}v12l6 -6Z"/>"#
    );
    ink!(ink, r#"<text class="small" x="{text_x:.1}" y="{base:.1}">waited for</text>"#);
}
