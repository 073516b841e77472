//! Decision: who starts now, who stops now, with what budget, and who is left behind. Knows components only.
//!
//! | stage of a component \ event | its turn | started | failed | stop asked | its time is up | shortly after that | stopped | force |
//! |---|---|---|---|---|---|---|---|---|
//! | Waiting | Starting | – | – | Gone | – | – | – | – |
//! | Starting | – | Up | Gone, stop | called off | called off, stop | Gone (left) | – | – |
//! | Up | Stopping | – | – | – | – | – | – | – |
//! | Stopping | – | – | – | – | forced | Gone (left) | Gone | forced |
//! | Gone | – | – | – | – | – | – | – | – |
//!
//! Its turn to start: all it depends on is Up. Its turn to stop: a stop was asked for, the delay is over, and all who depend on it are Gone.
//! A start that was called off and succeeds all the same is Up, and stopped in its turn. A resource whose user was left behind is not
//! stopped but kept.
//!
//! Budgets: the deadline less its reserve belongs to the work, shared fairly along the longest chain of those that still have to stop one
//! after the other; who needs less leaves it to those below. Resources and probes share the reserve, less what the report needs.

use std::time::Duration;

use super::order::Order;
use crate::{
    clock::Moment,
    policy::{FORCED_ALL, FORCED_WORK, GRACE, RESERVE_PERCENT},
    report::ComponentKind,
};

/// A component as far as the plan is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) kind: ComponentKind,
    pub(crate) start_within: Duration,
    pub(crate) stop_within: Option<Duration>,
    pub(crate) under_users: UnderUsers,
}

/// What happens to a resource whose user was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnderUsers {
    KeepOpen,
    /// It was chosen to close it all the same.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Begin,
    Started(usize),
    StartFailed(usize),
    Stop(Delay),
    Force,
    /// A stop is over, well or not.
    Stopped(usize),
    Tick,
}

/// Whether the deregistration delay is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    Keep,
    Skip,
}

/// What the hands must do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start {
        who: usize,
        within: Duration,
    },
    /// Everything is up.
    Ready,
    /// Its start took too long; that is why the application stops.
    Late(usize),
    /// Ask its start to give up.
    CallOff(usize),
    /// Its start was waited for in vain.
    LeaveStart(usize),
    /// The stop begins: readiness says no, everybody is told.
    Tell,
    DelayOver,
    /// `after`: the last of its dependants to go.
    Stop {
        who: usize,
        within: Duration,
        how: How,
        after: Option<usize>,
    },
    /// Cancel and kill.
    Force {
        who: usize,
        why: Why,
    },
    /// Its stop was waited for in vain.
    LeaveStop(usize),
    /// A resource that is not closed, since one who uses it was left behind.
    Keep {
        who: usize,
        user: usize,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Orderly,
    Forced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Caller,
    Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Starting { until: Moment, called_off: Option<Moment> },
    Up,
    Stopping { until: Moment, forced: Option<Moment> },
    Gone(Gone),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// It holds nothing and uses nothing any more.
    Clean,
    /// It may still use what it depends on.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    New,
    Starting,
    Serving,
    Delaying,
    Stopping,
    Over,
}

/// The limits of a stop under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clockface {
    /// The delay is over then.
    delay: Moment,
    /// Work has ended by then.
    work: Moment,
    /// Resources are closed by then.
    resources: Moment,
    deadline: Moment,
}

/// One application's way from its start to its end.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    order: Order,
    limits: Vec<Limits>,
    deadline: Duration,
    delay: Duration,
    phase: Phase,
    stages: Vec<Stage>,
    /// The last to go so far among the dependants of each.
    last_user: Vec<Option<usize>>,
    clock: Option<Clockface>,
    how: How,
}

/// The part of a deadline that is kept for resources and the report.
pub(crate) fn reserve(deadline: Duration) -> Duration {
    deadline / 100 * RESERVE_PERCENT
}

impl Plan {
    pub(crate) fn new(order: Order, limits: Vec<Limits>, deadline: Duration, delay: Duration) -> Self {
        assert_eq!(order.needs.len(), limits.len(), "one limit per component");
        let count = limits.len();
        Self {
            order,
            limits,
            deadline,
            delay,
            phase: Phase::New,
            stages: vec![Stage::Waiting; count],
            last_user: vec![None; count],
            clock: None,
            how: How::Orderly,
        }
    }

    #[must_use = "these must be done"]
    pub(crate) fn step(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Begin if self.phase == Phase::New => self.phase = Phase::Starting,
            Event::Begin => {}
            Event::Started(who) => {
                // One whose start was given up may come late; it is stopped as well, as long as there is time.
                let late = self.stages[who] == Stage::Gone(Gone::Left) && self.phase < Phase::Over;
                if late || matches!(self.stages[who], Stage::Starting { .. }) {
                    self.stages[who] = Stage::Up;
                }
            }
            Event::StartFailed(who) => {
                if let Stage::Starting { .. } = self.stages[who] {
                    self.leave(who, Gone::Clean);
                    self.stop(Delay::Skip, now, &mut actions);
                }
            }
            Event::Stop(delay) => self.stop(delay, now, &mut actions),
            Event::Force => self.force(now, &mut actions),
            Event::Stopped(who) => {
                if let Stage::Stopping { .. } = self.stages[who] {
                    self.leave(who, Gone::Clean);
                }
            }
            Event::Tick => self.tick(now, &mut actions),
        }
        self.go_on(now, &mut actions);
        actions
    }

    /// When the next Tick is due, if any.
    pub(crate) fn next_tick(&self) -> Option<Moment> {
        let slack = self.slack();
        let dues = self.stages.iter().filter_map(|stage| match *stage {
            Stage::Starting { until, called_off: None } => Some(until),
            Stage::Starting { called_off: Some(give_up), .. } => Some(give_up),
            Stage::Stopping { until, forced: None } => Some(until.plus(slack)),
            Stage::Stopping { forced: Some(give_up), .. } => Some(give_up),
            _ => None,
        });
        let delay = self.clock.filter(|_| self.phase == Phase::Delaying).map(|clock| clock.delay);
        dues.chain(delay).min()
    }

    /// By when a stop under way is over.
    pub(crate) fn deadline_at(&self) -> Option<Moment> {
        self.clock.map(|clock| clock.deadline)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.phase >= Phase::Delaying
    }

    fn stop(&mut self, delay: Delay, now: Moment, actions: &mut Vec<Action>) {
        if self.phase >= Phase::Delaying {
            return;
        }
        let reserve = reserve(self.deadline);
        let kept =
            if self.phase == Phase::Serving && delay == Delay::Keep { self.delay } else { Duration::ZERO };
        let deadline = now.plus(self.deadline);
        self.clock = Some(Clockface {
            delay: now.plus(kept),
            work: deadline.minus(reserve),
            resources: deadline.minus(reserve / 5),
            deadline,
        });
        self.phase = Phase::Delaying;
        actions.push(Action::Tell);
        let give_up = now.plus(GRACE.min((self.deadline - reserve) / 2));
        for who in 0..self.stages.len() {
            match self.stages[who] {
                Stage::Waiting => self.leave(who, Gone::Clean),
                Stage::Starting { until, called_off: None } => {
                    self.stages[who] = Stage::Starting { until, called_off: Some(give_up) };
                    actions.push(Action::CallOff(who));
                }
                _ => {}
            }
        }
    }

    fn force(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.stop(Delay::Skip, now, actions);
        if self.how == How::Forced || self.phase == Phase::Over {
            return;
        }
        self.how = How::Forced;
        let slack = self.slack();
        let Some(clock) = &mut self.clock else { return };
        clock.delay = clock.delay.min(now);
        clock.work = clock.work.min(now.plus(FORCED_WORK));
        clock.resources = clock.resources.min(now.plus(FORCED_ALL));
        clock.deadline = clock.deadline.min(now.plus(FORCED_ALL).plus(slack));
        let clock = *clock;
        for who in 0..self.stages.len() {
            let limit = self.class(who).limit(&clock);
            match &mut self.stages[who] {
                Stage::Starting { called_off: Some(give_up), .. } => *give_up = limit.min(*give_up),
                Stage::Stopping { until, forced } => {
                    *until = limit.min(*until);
                    let give_up = forced.unwrap_or(limit).min(limit);
                    if forced.replace(give_up).is_none() {
                        actions.push(Action::Force { who, why: Why::Caller });
                    }
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let slack = self.slack();
        for who in 0..self.stages.len() {
            match self.stages[who] {
                Stage::Starting { until, called_off: None } if now >= until => {
                    actions.push(Action::Late(who));
                    // Calls off every start that is under way, this one among them.
                    self.stop(Delay::Skip, now, actions);
                }
                Stage::Starting { called_off: Some(give_up), .. } if now >= give_up => {
                    self.leave(who, Gone::Left);
                    actions.push(Action::LeaveStart(who));
                }
                Stage::Stopping { until, forced: None } if now >= until.plus(slack) => {
                    self.stages[who] = Stage::Stopping { until, forced: Some(now.plus(slack)) };
                    actions.push(Action::Force { who, why: Why::Budget });
                }
                Stage::Stopping { forced: Some(give_up), .. } if now >= give_up => {
                    self.leave(who, Gone::Left);
                    actions.push(Action::LeaveStop(who));
                }
                _ => {}
            }
        }
    }

    /// Whatever can be begun now; asked after every event.
    fn go_on(&mut self, now: Moment, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Starting => {
                for who in 0..self.stages.len() {
                    let turn = self.order.needs[who].iter().all(|&other| self.stages[other] == Stage::Up);
                    if turn && self.stages[who] == Stage::Waiting {
                        let within = self.limits[who].start_within;
                        self.stages[who] = Stage::Starting { until: now.plus(within), called_off: None };
                        actions.push(Action::Start { who, within });
                    }
                }
                if self.stages.iter().all(|stage| *stage == Stage::Up) {
                    self.phase = Phase::Serving;
                    actions.push(Action::Ready);
                }
            }
            Phase::Delaying if self.clock.is_some_and(|clock| now >= clock.delay) => {
                self.phase = Phase::Stopping;
                actions.push(Action::DelayOver);
                self.stop_who_may(now, actions);
            }
            Phase::Stopping => self.stop_who_may(now, actions),
            _ => {}
        }
    }

    fn stop_who_may(&mut self, now: Moment, actions: &mut Vec<Action>) {
        // Backwards: who is kept or gone at once may be the last user of one before it.
        let sequence = self.order.sequence.clone();
        for who in sequence.into_iter().rev() {
            let free = self.order.users[who].iter().all(|&user| matches!(self.stages[user], Stage::Gone(_)));
            if !free || self.stages[who] != Stage::Up {
                continue;
            }
            let left = |&&user: &&usize| self.stages[user] == Stage::Gone(Gone::Left);
            let limits = self.limits[who];
            match self.order.users[who].iter().find(left) {
                Some(&user)
                    if limits.kind == ComponentKind::Resource
                        && limits.under_users == UnderUsers::KeepOpen =>
                {
                    self.leave(who, Gone::Left);
                    actions.push(Action::Keep { who, user });
                }
                _ => {
                    let within = self.budget(who, now);
                    let until = now.plus(within);
                    // One that begins when all is forced is told so from the start, and has no time after its own.
                    let forced = (self.how == How::Forced).then_some(until);
                    self.stages[who] = Stage::Stopping { until, forced };
                    actions.push(Action::Stop { who, within, how: self.how, after: self.last_user[who] });
                }
            }
        }
        if self.phase == Phase::Stopping && self.stages.iter().all(|stage| matches!(stage, Stage::Gone(_))) {
            self.phase = Phase::Over;
            actions.push(Action::Over);
        }
    }

    fn leave(&mut self, who: usize, gone: Gone) {
        debug_assert!(!matches!(self.stages[who], Stage::Gone(_)), "{who} goes twice");
        let was_there = self.stages[who] != Stage::Waiting;
        self.stages[who] = Stage::Gone(gone);
        if was_there {
            for &need in &self.order.needs[who] {
                self.last_user[need] = Some(who);
            }
        }
    }

    /// What the stop of one may take: its fair share of what is left for the longest chain it is the head of.
    fn budget(&self, who: usize, now: Moment) -> Duration {
        let Some(clock) = &self.clock else { return Duration::ZERO };
        let class = self.class(who);
        let mut left = class.limit(clock).since(now);
        let mut below: Vec<_> = self.chain(who, class).into_iter().map(|other| self.cap(other)).collect();
        below.sort_unstable();
        let mut sharers = u32::try_from(below.len()).unwrap_or(u32::MAX).saturating_add(1);
        for cap in below {
            // Who needs less than a fair share leaves the rest of it to the others.
            if cap >= left / sharers {
                break;
            }
            left -= cap;
            sharers -= 1;
        }
        (left / sharers).min(self.cap(who))
    }

    /// The longest chain of those below that still have to stop one after the other, without its head.
    fn chain(&self, who: usize, class: Class) -> Vec<usize> {
        let mut longest: Vec<Vec<usize>> = vec![Vec::new(); self.stages.len()];
        for &place in &self.order.sequence {
            let below = self.order.needs[place].iter().filter(|&&other| {
                self.class(other) == class && !matches!(self.stages[other], Stage::Gone(_))
            });
            let chains = below.map(|&other| [&longest[other][..], &[other]].concat());
            longest[place] = chains.max_by_key(Vec::len).unwrap_or_default();
        }
        std::mem::take(&mut longest[who])
    }

    fn cap(&self, who: usize) -> Duration {
        self.limits[who].stop_within.unwrap_or(Duration::MAX)
    }

    fn class(&self, who: usize) -> Class {
        match self.limits[who].kind {
            ComponentKind::Resource | ComponentKind::Probe => Class::Resource,
            _ => Class::Work,
        }
    }

    /// How long after its time one is forced, and how long after that it is left behind: who keeps its time to the millisecond is
    /// not forced for it.
    fn slack(&self) -> Duration {
        (reserve(self.deadline) / 20).clamp(Duration::from_millis(5), Duration::from_millis(150))
    }
}

/// Which part of the deadline a component's stop comes out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Work,
    Resource,
}

impl Class {
    fn limit(self, clock: &Clockface) -> Moment {
        match self {
            Self::Work => clock.work,
            Self::Resource => clock.resources,
        }
    }
}

#[cfg(test)]
mod tests;
