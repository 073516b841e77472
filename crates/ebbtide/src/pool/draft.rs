//! A report while it is being written: what was there when the procedure began, and what happened since.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::ledger::Balance;
use crate::{
    clock::Moment,
    report::{LongRun, Mode, Procedure, Report, TimelineEntry, Turn, WorkerEnd, WorkerReport},
    task::{
        id::{TaskId, WorkerId},
        outcome::Outcomes,
        seat::{Seat, Sighting},
    },
};

/// A timeline is cut at so many entries: a long rolling restart in a pool whose workers fail must not fill the memory.
const TIMELINE_MAX: usize = 4_096;

pub(crate) struct Draft {
    procedure: Procedure,
    generation: u32,
    asked: Option<Mode>,
    mode: Option<Mode>,
    began: Moment,
    limits: (Duration, Duration),
    before: Outcomes,
    timeline: Vec<TimelineEntry>,
    workers: BTreeMap<WorkerId, WorkerReport>,
    failed: Option<String>,
}

impl Draft {
    pub(crate) fn new(
        procedure: Procedure,
        asked: Option<Mode>,
        generation: u32,
        limits: (Duration, Duration),
        balance: &Balance,
        now: Moment,
    ) -> Self {
        let mut draft = Self {
            procedure,
            generation,
            asked,
            mode: asked,
            began: now,
            limits,
            before: balance.outcomes,
            timeline: Vec::new(),
            workers: BTreeMap::new(),
            failed: None,
        };
        draft.note(Turn::Asked { mode: asked, queued: balance.queued, running: balance.running }, now);
        draft
    }

    pub(crate) fn note(&mut self, turn: Turn, now: Moment) {
        if let Turn::Escalated { mode, .. } = turn {
            self.mode = self.mode.max(Some(mode));
        }
        if self.timeline.len() < TIMELINE_MAX {
            self.timeline.push(TimelineEntry { at: now.since(self.began), turn });
        }
    }

    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.failed.get_or_insert(why.into());
    }

    /// A worker that is there, with what it runs.
    pub(crate) fn present(&mut self, seat: &Seat, sighting: Option<Sighting>, now: Moment) {
        let ran = sighting.map(|sighting| run_of(seat, sighting, now));
        let worker = WorkerReport {
            id: seat.id,
            name: Arc::clone(&seat.name),
            generation: seat.generation,
            end: WorkerEnd::Serving,
            ended: None,
            tasks: seat.runs(),
            ran,
        };
        self.workers.insert(seat.id, worker);
    }

    /// A run that was there when the procedure began has ended.
    pub(crate) fn run_ended(&mut self, worker: WorkerId, task: TaskId, since: Moment, now: Moment) {
        let ran = self.workers.get_mut(&worker).and_then(|worker| worker.ran.as_mut());
        if let Some(run) = ran.filter(|run| run.task == task) {
            run.ended = Some(now.since(self.began));
            run.ran = now.since(since);
        }
    }

    pub(crate) fn worker_ended(&mut self, seat: &Seat, now: Moment) {
        let at = now.since(self.began);
        if let Some(worker) = self.workers.get_mut(&seat.id).filter(|worker| worker.end == WorkerEnd::Serving)
        {
            (worker.end, worker.ended, worker.tasks) = (WorkerEnd::Joined, Some(at), seat.runs());
            self.note(Turn::Ended { worker: seat.id }, now);
        }
    }

    pub(crate) fn worker_abandoned(&mut self, seat: &Seat, sighting: Option<Sighting>, now: Moment) {
        let at = now.since(self.began);
        let task = sighting.as_ref().map(|sighting| sighting.task);
        if !self.workers.contains_key(&seat.id) {
            self.present(seat, None, now);
        }
        if let Some(worker) = self.workers.get_mut(&seat.id) {
            (worker.end, worker.ended, worker.tasks) = (WorkerEnd::Abandoned, Some(at), seat.runs());
            worker.ran = sighting.map(|sighting| run_of(seat, sighting, now));
        }
        self.note(Turn::Abandoned { worker: seat.id, task }, now);
    }

    pub(crate) fn finish(mut self, pool: &Arc<str>, balance: &Balance, rejected: u64, now: Moment) -> Report {
        self.note(Turn::Over, now);
        let duration = now.since(self.began);
        let slowest = self.slowest(duration);
        Report {
            pool: Arc::clone(pool),
            procedure: self.procedure,
            mode: self.mode,
            asked: self.asked,
            generation: self.generation,
            duration,
            deadline: self.limits.0,
            grace: self.limits.1,
            failed: self.failed,
            accepted: balance.accepted,
            queued: balance.queued,
            running: balance.running,
            rejected,
            outcomes: balance.outcomes,
            during: balance.outcomes.since(&self.before),
            workers: self.workers.into_values().collect(),
            timeline: self.timeline,
            slowest,
        }
    }

    /// Who held it up: the run that ended last (an abandoned one ends with its abandoning), and how much later than
    /// everything else.
    fn slowest(&self, duration: Duration) -> Option<LongRun> {
        let end = |run: &LongRun, worker: &WorkerReport| run.ended.or(worker.ended).unwrap_or(duration);
        let mut ends: Vec<(Duration, &WorkerReport, &LongRun)> = Vec::new();
        for worker in self.workers.values() {
            if let Some(run) = &worker.ran {
                ends.push((end(run, worker), worker, run));
            }
        }
        ends.sort_by_key(|(end, ..)| *end);
        let (last, holder, run) = ends.pop()?;
        let others =
            self.workers.values().filter(|worker| worker.id != holder.id && worker.end != WorkerEnd::Serving);
        let rest = others.filter_map(|worker| worker.ended).max().unwrap_or_default();
        let mut run = run.clone();
        run.cost = last.saturating_sub(rest);
        Some(run)
    }
}

/// A run as it was seen: it has not ended, and what it cost is not known yet.
fn run_of(seat: &Seat, sighting: Sighting, now: Moment) -> LongRun {
    LongRun {
        task: sighting.task,
        name: sighting.name,
        worker: seat.id,
        ended: None,
        ran: now.since(sighting.since),
        cost: Duration::ZERO,
    }
}
