//! Decision: whom to start, retire and replace.
//!
//! A member is `Starting ─► Serving ─► Leaving`, then gone. One whose time has come (`due`) serves on until its replacement is
//! ready, at most `surge` at a time; with `old_first` it leaves before its replacement starts.
//!
//! Invariants: 1. not counting those that are being replaced, there are never more than `max` members.
//! 2. A member leaves only by an action of ours, by its generation's end, or by dying. 3. Below the floor (the part of the
//! minimum that was ever started) or while tasks wait unserved, somebody is being started, unless the pool is broken, backs off or
//! is at its maximum.

mod failures;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::Moment,
    task::id::WorkerId,
    worker::{
        craft::{Handover, fraction},
        reason::RetireReason,
    },
};

/// What does not change in a pool's life.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) surge: usize,
    pub(crate) intensity: u32,
    pub(crate) period: Duration,
    pub(crate) backoff_min: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) handover: Handover,
    /// A worker's age limit, before jitter.
    pub(crate) max_age: Option<Duration>,
    pub(crate) jitter: f64,
    /// More live abandoned threads than this make the pool broken; `None`: as many as `max`.
    pub(crate) abandoned_cap: Option<usize>,
}

/// What the roster wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a worker; `from` is whose snapshot it is built from.
    Start { id: WorkerId, lane: u32, generation: u32, from: Option<WorkerId> },
    /// Ask a worker for a snapshot; then `snapshot_taken`.
    Snapshot { id: WorkerId },
    /// Let a worker leave.
    Retire { id: WorkerId, why: RetireReason },
    /// Give up: return what waits, refuse what comes.
    Break { cause: Arc<str> },
    /// The rolling restart is over; the cause says why it was given up.
    RollOver { failed: Option<Arc<str>> },
}

#[derive(Debug)]
pub(crate) struct Roster {
    settings: Settings,
    min: usize,
    max: usize,
    /// How much of the minimum is kept up: it grows with what was started, so that an unused pool has no workers.
    floor: usize,
    members: BTreeMap<WorkerId, Member>,
    next_id: u32,
    lane: u32,
    /// The lane of a generation that still finishes its work.
    old_lane: Option<u32>,
    generation: u32,
    failures: VecDeque<Moment>,
    backoff_until: Option<Moment>,
    failed_in_a_row: u32,
    /// How many of the present lane have become ready since it began, or since somebody did not.
    arrived: usize,
    abandoned: usize,
    /// Workers that wait for tasks of their own pool.
    blocked: usize,
    broken: Option<Arc<str>>,
    rolling: bool,
    shut: bool,
}

#[derive(Debug)]
struct Member {
    lane: u32,
    generation: u32,
    stage: Stage,
    due: Option<RetireReason>,
    handing_over: bool,
    old_at: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting { replaces: Option<WorkerId> },
    Serving,
    Leaving(RetireReason),
}

/// How many tasks of a lane wait with nobody on the way to them.
pub(crate) type Unserved<'u> = &'u dyn Fn(u32) -> usize;

impl Roster {
    pub(crate) fn new(settings: Settings, min: usize, max: usize) -> Self {
        Self {
            settings,
            min,
            max,
            floor: 0,
            members: BTreeMap::new(),
            next_id: 1,
            lane: 1,
            old_lane: None,
            generation: 1,
            failures: VecDeque::new(),
            backoff_until: None,
            failed_in_a_row: 0,
            arrived: 0,
            abandoned: 0,
            blocked: 0,
            broken: None,
            rolling: false,
            shut: false,
        }
    }

    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.min, self.max)
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// True if the minimum of the present generation serves, or has: where each serves for one task only, they never all do at once.
    pub(crate) fn is_warm(&self) -> bool {
        let serving = |member: &&Member| member.lane == self.lane && member.stage == Stage::Serving;
        self.arrived >= self.floor || self.members.values().filter(serving).count() >= self.floor
    }

    pub(crate) fn broken(&self) -> Option<&Arc<str>> {
        self.broken.as_ref()
    }

    /// True if hunger in a lane would be answered with a start.
    pub(crate) fn may_grow(&self, lane: u32) -> bool {
        self.broken.is_none() && self.backoff_until.is_none() && self.room(lane) > 0
    }

    /// When `tick` is due next.
    pub(crate) fn next_tick(&self) -> Option<Moment> {
        // The age of one that leaves is nobody's business: a moment that no tick takes away would hide all later ones.
        let young = |member: &&Member| member.stage == Stage::Serving && member.due.is_none();
        let ages = self.members.values().filter(young).filter_map(|member| member.old_at);
        ages.chain(self.backoff_until).min()
    }

    /// Tasks wait and nobody is idle, or something else happened that may demand a start: looks at everything.
    pub(crate) fn review(&mut self, unserved: Unserved<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.shed_surplus(&mut actions);
        self.hand_over(&mut actions);
        self.start_missing(unserved, &mut actions);
        self.finish_rolling(&mut actions);
        actions
    }

    pub(crate) fn ready(&mut self, id: WorkerId, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        let age = self.settings.max_age.map(|age| spread(age, self.settings.jitter, id));
        let Some(member) = self.members.get_mut(&id) else { return actions };
        let Stage::Starting { replaces } = member.stage else { return actions };
        member.stage = Stage::Serving;
        member.old_at = age.map(|age| now.plus(age));
        if self.rolling && member.lane == self.lane && member.generation < self.generation {
            // It was started before the rolling restart began.
            member.due = Some(RetireReason::Rolling);
        }
        self.arrived += usize::from(member.lane == self.lane);
        self.failed_in_a_row = 0;
        if let Some(old) = replaces {
            self.retire(old, None, &mut actions);
        }
        let serving = self.members.values().filter(|member| member.stage == Stage::Serving).count();
        if !self.shut {
            self.floor = self.floor.max(serving.min(self.min));
        }
        actions
    }

    /// A worker has reached a limit.
    pub(crate) fn due(&mut self, id: WorkerId, why: RetireReason, unserved: Unserved<'_>) -> Vec<Action> {
        if let Some(member) = self.members.get_mut(&id)
            && member.stage == Stage::Serving
            && member.due.is_none()
        {
            member.due = Some(why);
        }
        self.review(unserved)
    }

    /// The same, and it cannot wait for its replacement: it leaves now. Not while replacements do not start, or nobody would serve.
    pub(crate) fn due_now(&mut self, id: WorkerId, why: RetireReason, unserved: Unserved<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.failed_in_a_row == 0 {
            self.retire(id, Some(why), &mut actions);
        }
        actions.extend(self.review(unserved));
        actions
    }

    pub(crate) fn snapshot_taken(&mut self, id: WorkerId) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.members.get(&id).is_some_and(|member| member.handing_over && member.stage == Stage::Serving)
            && !self.members.values().any(|member| member.stage == Stage::Starting { replaces: Some(id) })
        {
            self.start(Some(id), Some(id), &mut actions);
        }
        actions
    }

    /// A worker was idle for the idle timeout.
    pub(crate) fn idle_expired(&mut self, id: WorkerId) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.staying() > self.min {
            self.retire(id, Some(RetireReason::Idle), &mut actions);
        }
        actions
    }

    /// A worker leaves by itself: its state is suspect.
    pub(crate) fn leaves(&mut self, id: WorkerId, why: RetireReason) {
        if let Some(member) = self.members.get_mut(&id) {
            member.stage = Stage::Leaving(why);
        }
    }

    /// A worker's thread has ended.
    pub(crate) fn ended(&mut self, id: WorkerId, unserved: Unserved<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(member) = self.members.remove(&id) else { return actions };
        let needed = self.staying() < self.floor || unserved(member.lane) > 0;
        if member.handing_over
            && self.settings.handover == Handover::OldFirst
            && needed
            && self.may_grow(self.lane)
        {
            self.start(Some(id), Some(id), &mut actions);
        }
        actions.extend(self.review(unserved));
        actions
    }

    /// A worker's thread was given up with its task; it runs on and is no member any more.
    pub(crate) fn abandoned(&mut self, id: WorkerId, unserved: Unserved<'_>) -> Vec<Action> {
        self.abandoned += 1;
        let mut actions = self.ended(id, unserved);
        let cap = self.settings.abandoned_cap.unwrap_or(self.max);
        if self.abandoned > cap && self.broken.is_none() && !self.shut {
            let cause = format!("{} abandoned threads still run, at most {cap} may", self.abandoned);
            self.break_down(&cause.into(), &mut actions);
        }
        actions
    }

    pub(crate) fn abandoned_gone(&mut self) {
        self.abandoned = self.abandoned.saturating_sub(1);
    }

    pub(crate) fn resize(&mut self, min: usize, max: usize, unserved: Unserved<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        (self.min, self.max) = (min, max);
        self.floor = self.floor.min(min).max(self.staying().min(min));
        actions.extend(self.review(unserved));
        actions
    }

    /// A worker is about to wait for a task of its own pool. False if nobody would be left to run it.
    #[must_use]
    pub(crate) fn begin_wait(&mut self) -> bool {
        let may = self.blocked + 1 < self.max;
        self.blocked += usize::from(may);
        may
    }

    /// A worker waits no more. True if there are now more workers than there may be: then look.
    #[must_use]
    pub(crate) fn end_wait(&mut self) -> bool {
        self.blocked -= 1;
        self.staying_in(self.lane) > self.most()
    }

    /// Starts up to `count` of the minimum now. Gives how many that are.
    pub(crate) fn warm(&mut self, count: usize, unserved: Unserved<'_>) -> (usize, Vec<Action>) {
        self.floor = self.floor.max(self.staying().saturating_add(count).min(self.min));
        let actions = self.review(unserved);
        // The same look may let somebody go who is above the maximum: whoever stays is no measure.
        let started = actions.iter().filter(|action| matches!(action, Action::Start { .. })).count();
        (started.min(count), actions)
    }

    pub(crate) fn tick(&mut self, now: Moment, unserved: Unserved<'_>) -> Vec<Action> {
        if self.backoff_until.is_some_and(|until| until <= now) {
            self.backoff_until = None;
        }
        for member in self.members.values_mut() {
            if member.stage == Stage::Serving
                && member.due.is_none()
                && member.old_at.is_some_and(|old| old <= now)
            {
                member.due = Some(RetireReason::Age);
            }
        }
        self.review(unserved)
    }

    /// A rolling restart begins: everybody who is here now is to be replaced.
    pub(crate) fn roll(&mut self, unserved: Unserved<'_>) -> Vec<Action> {
        self.repair();
        self.generation += 1;
        self.rolling = true;
        self.floor = self.min;
        for member in self.members.values_mut().filter(|member| member.stage == Stage::Serving) {
            member.due = Some(RetireReason::Rolling);
        }
        self.review(unserved)
    }

    /// A new generation begins in a lane of its own; the present members belong to the old one.
    pub(crate) fn begin_generation(&mut self, lane: u32) -> Vec<Action> {
        let mut actions = Vec::new();
        self.repair();
        self.stop_rolling("superseded by a stronger restart", &mut actions);
        self.generation += 1;
        self.old_lane = Some(std::mem::replace(&mut self.lane, lane));
        (self.floor, self.arrived) = (self.min, 0);
        self.settle_old();
        actions
    }

    /// An old generation is over.
    pub(crate) fn end_generation(&mut self, lane: u32) {
        self.old_lane.take_if(|old| *old == lane);
    }

    /// No more replacements for their own sake: the pool shuts down.
    pub(crate) fn shut(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.stop_rolling("superseded by a shutdown", &mut actions);
        self.shut = true;
        self.floor = 0;
        self.settle_old();
        actions
    }

    fn settle_old(&mut self) {
        for member in self.members.values_mut() {
            (member.due, member.handing_over, member.old_at) = (None, false, None);
        }
    }

    /// Members that stay: not leaving, not being replaced by somebody who is here already.
    fn staying(&self) -> usize {
        let here = self.members.values().filter(|member| !matches!(member.stage, Stage::Leaving(_)));
        here.filter(|member| !self.is_surplus(member)).count()
    }

    /// True for a replacement whose predecessor still has the place. (One that leaves, by a panic say, has given it up.)
    fn is_surplus(&self, member: &Member) -> bool {
        let Stage::Starting { replaces: Some(old) } = member.stage else { return false };
        self.members.get(&old).is_some_and(|old| !matches!(old.stage, Stage::Leaving(_)))
    }

    /// The most there may be now. Workers that wait for tasks of their own pool must leave somebody to run them, also where
    /// the pool was made smaller under them.
    fn most(&self) -> usize {
        self.max.max(self.blocked + 1)
    }

    /// Lets those go who are above the maximum: the newest, not those that are being replaced anyway.
    fn shed_surplus(&mut self, actions: &mut Vec<Action>) {
        let surplus = self.staying_in(self.lane).saturating_sub(self.most());
        let lane = self.lane;
        let may_go =
            |member: &Member| member.lane == lane && member.stage == Stage::Serving && !member.handing_over;
        let newest = self.members.iter().rev().filter(|(_, member)| may_go(member)).map(|(id, _)| *id);
        for id in newest.take(surplus).collect::<Vec<_>>() {
            self.retire(id, Some(RetireReason::Resized), actions);
        }
    }

    /// How many more may be started: those that leave keep their place until they are gone.
    ///
    /// Both generations share the maximum, but an old one may always have its own: its running tasks may wait for
    /// children that only it can run.
    fn room(&self, lane: u32) -> usize {
        let handed_over = |member: &Member| {
            member.handing_over
                && matches!(member.stage, Stage::Leaving(_))
                && self.settings.handover != Handover::OldFirst
        };
        let old_only = self.old_lane == Some(lane);
        let counts = |member: &&Member| {
            !self.is_surplus(member) && !handed_over(member) && (!old_only || member.lane == lane)
        };
        self.most().saturating_sub(self.members.values().filter(counts).count())
    }

    fn nobody_serves(&self, but: Option<WorkerId>) -> bool {
        let serves = |stage| matches!(stage, Stage::Serving | Stage::Leaving(_));
        !self.members.iter().any(|(id, member)| Some(*id) != but && serves(member.stage))
    }

    fn start_missing(&mut self, unserved: Unserved<'_>, actions: &mut Vec<Action>) {
        for lane in self.old_lane.into_iter().chain([self.lane]) {
            let starting = self.starting(lane);
            let hungry = unserved(lane).saturating_sub(starting);
            for _ in 0..hungry.min(self.room(lane)) {
                if self.may_grow(lane) {
                    self.start_in(lane, None, None, actions);
                }
            }
        }
        while !self.shut && self.staying_in(self.lane) < self.floor && self.may_grow(self.lane) {
            self.start(None, None, actions);
        }
    }

    fn starting(&self, lane: u32) -> usize {
        let starting =
            |member: &&Member| member.lane == lane && matches!(member.stage, Stage::Starting { .. });
        self.members.values().filter(starting).count()
    }

    fn staying_in(&self, lane: u32) -> usize {
        let here = self.members.values().filter(|member| member.lane == lane);
        let staying = here.filter(|member| !matches!(member.stage, Stage::Leaving(_)));
        staying.filter(|member| !self.is_surplus(member)).count()
    }

    /// Begins the replacement of those whose time has come, as many at a time as the surge allows.
    fn hand_over(&mut self, actions: &mut Vec<Action>) {
        let orphan = |member: &Member| matches!(member.stage, Stage::Starting { replaces: Some(old) } if !self.members.contains_key(&old));
        let under_way = self.members.values().filter(|member| member.handing_over || orphan(member)).count();
        let waits =
            |member: &Member| member.stage == Stage::Serving && member.due.is_some() && !member.handing_over;
        let due: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| waits(member))
            .map(|(id, member)| (*id, member.due))
            .take(self.settings.surge.saturating_sub(under_way))
            .collect();
        if self.shut || self.broken.is_some() || self.backoff_until.is_some() {
            return;
        }
        for (id, why) in due {
            if let Some(member) = self.members.get_mut(&id) {
                member.handing_over = true;
            }
            match self.settings.handover {
                Handover::OldFirst => self.retire(id, why, actions),
                Handover::NewFirstFromSnapshot => actions.push(Action::Snapshot { id }),
                Handover::NewFirst => self.start(Some(id), None, actions),
            }
        }
    }

    fn start(&mut self, replaces: Option<WorkerId>, from: Option<WorkerId>, actions: &mut Vec<Action>) {
        self.start_in(self.lane, replaces, from, actions);
    }

    fn start_in(
        &mut self,
        lane: u32,
        replaces: Option<WorkerId>,
        from: Option<WorkerId>,
        actions: &mut Vec<Action>,
    ) {
        let id = WorkerId(self.next_id);
        self.next_id += 1;
        // A late helper of an old lane belongs to the generation it helps.
        let generation = if lane == self.lane { self.generation } else { self.generation - 1 };
        let stage = Stage::Starting { replaces };
        let member = Member { lane, generation, stage, due: None, handing_over: false, old_at: None };
        self.members.insert(id, member);
        actions.push(Action::Start { id, lane, generation, from });
    }

    fn retire(&mut self, id: WorkerId, why: Option<RetireReason>, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.stage != Stage::Serving {
            return;
        }
        let why = why.or(member.due).unwrap_or(RetireReason::Stopped);
        member.stage = Stage::Leaving(why);
        actions.push(Action::Retire { id, why });
    }

    fn finish_rolling(&mut self, actions: &mut Vec<Action>) {
        if !self.rolling || self.broken.is_some() {
            return;
        }
        let old = self.members.values().any(|member| member.generation < self.generation);
        let warming = self.members.values().any(|member| matches!(member.stage, Stage::Starting { .. }));
        if !old && !warming && self.staying() >= self.floor {
            self.rolling = false;
            actions.push(Action::RollOver { failed: None });
        }
    }

    fn stop_rolling(&mut self, why: &str, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.rolling) {
            actions.push(Action::RollOver { failed: Some(why.into()) });
        }
    }
}

/// Shortens a limit by up to `jitter` of it, differently for each worker, so that they do not go together.
pub(crate) fn spread(limit: Duration, jitter: f64, id: WorkerId) -> Duration {
    shortened(limit, jitter * fraction(id))
}

/// A duration less a part of it. Not a product of all of it: that of the longest there are is more than fits.
pub(crate) fn shortened(whole: Duration, part: f64) -> Duration {
    let less = Duration::try_from_secs_f64(whole.as_secs_f64() * part).unwrap_or(whole);
    whole.saturating_sub(less)
}

#[cfg(test)]
mod tests;
