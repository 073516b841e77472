//! An application's report while it is being written.

use std::{sync::Arc, time::Duration};

use super::builder::Declaration;
use crate::{
    clock::Moment,
    component::Detail,
    report::{
        AppEntry, AppReport, AppTurn, ComponentEnd, ComponentReport, ForcedBy, SignalMark, SignalMeaning,
        Span, StopReason,
    },
};

/// A timeline is cut at so many entries.
const TIMELINE_MAX: usize = 4_096;

pub(crate) struct Draft {
    began: Moment,
    asked: Option<Moment>,
    reason: Option<StopReason>,
    ready: Option<Moment>,
    delay_over: Option<Moment>,
    forced: Option<Moment>,
    signals: Vec<(Moment, Arc<str>, SignalMeaning)>,
    timeline: Vec<(Moment, AppTurn)>,
    notes: Vec<Note>,
    warnings: Vec<String>,
}

/// What was seen of one component.
#[derive(Default)]
struct Note {
    starting: Option<Moment>,
    started: Option<Moment>,
    stopping: Option<Moment>,
    stopped: Option<Moment>,
    budget: Option<Duration>,
    forced: Option<Moment>,
    waited_for: Option<usize>,
    held_by: Vec<Arc<str>>,
    end: Option<ComponentEnd>,
    error: Option<String>,
    progress: Option<String>,
}

/// What only the hands know at the end.
pub(crate) struct Frame<'a> {
    pub(crate) app: &'a Arc<str>,
    pub(crate) parts: &'a [Declaration],
    pub(crate) needs: &'a [Vec<usize>],
    pub(crate) sequence: &'a [usize],
    pub(crate) deadline: Duration,
    pub(crate) reserve: Duration,
    pub(crate) details: Vec<Option<Detail>>,
}

impl Draft {
    pub(crate) fn new(components: usize, warnings: Vec<String>, now: Moment) -> Self {
        Self {
            began: now,
            asked: None,
            reason: None,
            ready: None,
            delay_over: None,
            forced: None,
            signals: Vec::new(),
            timeline: Vec::new(),
            notes: (0..components).map(|_| Note::default()).collect(),
            warnings,
        }
    }

    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// The first reason is kept.
    pub(crate) fn reason(&mut self, reason: StopReason) {
        self.reason.get_or_insert(reason);
    }

    pub(crate) fn signal(&mut self, signal: Arc<str>, meaning: SignalMeaning, now: Moment) {
        self.signals.push((now, signal, meaning));
    }

    pub(crate) fn turn(&mut self, turn: AppTurn, now: Moment) {
        if self.timeline.len() < TIMELINE_MAX {
            self.timeline.push((now, turn));
        }
    }

    pub(crate) fn ready(&mut self, now: Moment) {
        self.ready = Some(now);
    }

    pub(crate) fn asked(&mut self, now: Moment) {
        self.asked = Some(now);
        self.turn(AppTurn::Asked, now);
    }

    pub(crate) fn delay_over(&mut self, now: Moment) {
        self.delay_over = Some(now);
        self.turn(AppTurn::DelayOver, now);
    }

    pub(crate) fn force(&mut self, now: Moment) {
        self.forced.get_or_insert(now);
    }

    pub(crate) fn starting(&mut self, who: usize, now: Moment) {
        self.notes[who].starting = Some(now);
    }

    pub(crate) fn started(&mut self, who: usize, now: Moment) {
        self.notes[who].started = Some(now);
    }

    pub(crate) fn start_failed(&mut self, who: usize, error: &str, now: Moment) {
        let note = &mut self.notes[who];
        note.started = Some(now);
        note.end = Some(ComponentEnd::StartFailed);
        note.error = Some(error.to_owned());
    }

    pub(crate) fn never_started(&self, who: usize) -> bool {
        self.notes[who].starting.is_none()
    }

    pub(crate) fn start_left(&mut self, who: usize) {
        self.notes[who].end = Some(ComponentEnd::StartHung);
    }

    pub(crate) fn stopping(
        &mut self,
        who: usize,
        name: &Arc<str>,
        budget: Duration,
        after: Option<usize>,
        now: Moment,
    ) {
        let note = &mut self.notes[who];
        note.stopping = Some(now);
        note.budget = Some(budget);
        note.waited_for = after;
        self.turn(AppTurn::StopBegan { component: Arc::clone(name) }, now);
    }

    pub(crate) fn component_forced(&mut self, who: usize, name: &Arc<str>, why: ForcedBy, now: Moment) {
        self.notes[who].forced.get_or_insert(now);
        self.turn(AppTurn::Forced { component: Arc::clone(name), why }, now);
    }

    pub(crate) fn stopped(
        &mut self,
        who: usize,
        name: &Arc<str>,
        end: ComponentEnd,
        error: Option<String>,
        now: Moment,
    ) {
        let note = &mut self.notes[who];
        if end != ComponentEnd::Hung {
            note.stopped = Some(now);
        }
        note.end = Some(end);
        note.error = error.or(note.error.take());
        self.turn(AppTurn::StopEnded { component: Arc::clone(name), end }, now);
    }

    /// A component that ended by itself says why, if it did not end well.
    pub(crate) fn ended_by_itself(&mut self, who: usize, error: Option<String>) {
        self.notes[who].error = error;
    }

    pub(crate) fn held_by(&mut self, who: usize, holders: Vec<Arc<str>>) {
        self.notes[who].held_by = holders;
    }

    pub(crate) fn progress(&mut self, who: usize, text: String) {
        if !text.is_empty() {
            self.notes[who].progress = Some(text);
        }
    }

    pub(crate) fn finish(&self, mut frame: Frame<'_>, now: Moment) -> AppReport {
        let asked = self.asked.unwrap_or(now);
        let components = (frame.sequence.iter()).map(|&who| {
            let detail = frame.details[who].take();
            self.component(who, detail, frame.parts, frame.needs, asked)
        });
        let components = components.collect();
        let mut timeline: Vec<_> = (self.timeline.iter())
            .map(|(at, turn)| AppEntry { at: at.since(asked), turn: turn.clone() })
            .collect();
        timeline.push(AppEntry { at: now.since(asked), turn: AppTurn::Over });
        let signals = self.signals.iter().map(|(at, signal, meaning)| SignalMark {
            at: at.since(asked),
            signal: Arc::clone(signal),
            meaning: *meaning,
        });
        let mut report = AppReport {
            app: Arc::clone(frame.app),
            reason: self.reason.clone().unwrap_or(StopReason::Asked),
            exit_code: 0,
            ready: self.ready.map(|ready| ready.since(self.began)),
            uptime: asked.since(self.began),
            duration: now.since(asked),
            deadline: frame.deadline,
            reserve: frame.reserve,
            delay: self.delay_over.map_or(Duration::ZERO, |over| over.since(asked)),
            forced: self.forced.map(|forced| forced.since(asked)),
            signals: signals.collect(),
            components,
            timeline,
            critical: Vec::new(),
            critical_path: None,
            warnings: self.warnings.clone(),
        };
        report.conclude();
        report
    }

    fn component(
        &self,
        who: usize,
        detail: Option<Detail>,
        parts: &[Declaration],
        needs: &[Vec<usize>],
        asked: Moment,
    ) -> ComponentReport {
        let (note, part) = (&self.notes[who], &parts[who]);
        let name = |&who: &usize| Arc::clone(&parts[who].name);
        let span = |from: Option<Moment>, to: Option<Moment>, zero: Moment| {
            from.map(|from| Span::new(from.since(zero), to.map(|to| to.since(zero))))
        };
        let end = note.end.unwrap_or(match note.started {
            _ if note.stopping.is_some() => ComponentEnd::Hung,
            Some(_) => ComponentEnd::Stopped,
            None if note.starting.is_some() => ComponentEnd::StartHung,
            None => ComponentEnd::NotStarted,
        });
        let (pool, detail) = match detail {
            Some(Detail::Pool(pool)) => (Some(*pool), None),
            Some(Detail::Json(value)) => (None, Some(value)),
            None => (None, None),
        };
        ComponentReport {
            name: Arc::clone(&part.name),
            kind: part.kind,
            depends_on: needs[who].iter().map(name).collect(),
            end,
            error: note.error.clone(),
            start: span(note.starting, note.started, self.began),
            stop: span(note.stopping, note.stopped, asked),
            budget: note.budget,
            forced: note.forced.map(|forced| forced.since(asked)),
            waited_for: note.waited_for.as_ref().map(name),
            held_by: note.held_by.clone(),
            progress: note.progress.clone(),
            pool,
            detail,
        }
    }
}
