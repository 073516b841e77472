//! Decision: where a generation is between serving and gone, and what that demands.
//!
//! Phases are ordered and monotone; each may be skipped, none re-entered:
//!
//! | from \ event | Ask(drain) | Ask(stop) | Ask(abort) | Tick past `escalate_at` | Tick past `end_at` | Quiet |
//! |---|---|---|---|---|---|---|
//! | Running | Draining | Stopping | Aborting | – | – | – |
//! | Draining | tighten | Stopping | Aborting | Aborting | – | Terminated |
//! | Stopping | – | tighten | Aborting | Aborting | – | Terminated |
//! | Aborting | – | – | tighten | – | EndAll, again for latecomers, GiveUp at the deadline | Terminated |
//! | Terminated | – | – | – | – | – | – |
//!
//! `escalate_at` is `deadline − reserve − grace`; `end_at` is the grace after the abort, within the deadline less its reserve.
//! A grace that would eat more than half of a short deadline is cut to half, so that a drain gets the other half.

use std::time::Duration;

use crate::{clock::Moment, policy::RESERVE_PERCENT, report::Mode};

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It accepts and runs.
    Running,
    /// Nothing new from outside; everything accepted is finished.
    Draining,
    /// Nothing new; what runs is finished, what waited was returned.
    Stopping,
    /// What runs was asked to cancel.
    Aborting,
    /// Nothing waits, nothing runs, the workers have ended.
    Terminated,
}

/// A task that began at the last moment is ended so much later.
const AGAIN: Duration = Duration::from_millis(100);

/// What somebody wants of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) mode: Mode,
    pub(crate) within: Duration,
    pub(crate) grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Ask(Ask),
    Tick,
    /// Nothing waits, nothing runs, no worker is left.
    Quiet,
}

/// What the hands must do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Take nothing more from outside; children still come in.
    CloseToOutside,
    /// Take nothing more at all, and return what waits.
    CloseAndReturn,
    /// Ask everything that runs to cancel.
    AskAll,
    /// Abandon every task that still runs.
    EndAll,
    /// Abandon every thread that is still there, whatever it does.
    GiveUp,
    /// It is over.
    Terminate,
}

/// Why a phase was entered, for the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Caller,
    Deadline,
}

/// One generation's way through the phases.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    phase: Phase,
    plan: Option<Plan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    asked_at: Moment,
    within: Duration,
    grace: Duration,
    aborted_at: Option<Moment>,
    /// When tasks were last abandoned.
    ended_at: Option<Moment>,
    given_up: bool,
}

/// What a step came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Step {
    pub(crate) actions: Vec<Action>,
    pub(crate) entered: Option<(Phase, Cause)>,
}

impl Passage {
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::Running, plan: None }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The mode that a new procedure asks of a generation which an earlier one may have brought further: never less than that, so that
    /// its deadline counts.
    pub(crate) const fn at_least(&self, mode: Mode) -> Mode {
        match (self.phase, mode) {
            (Phase::Aborting, _) => Mode::Abort,
            (Phase::Stopping, Mode::Drain) => Mode::Stop,
            _ => mode,
        }
    }

    pub(crate) fn step(&mut self, event: Event, now: Moment) -> Step {
        match event {
            Event::Ask(ask) => self.ask(ask, now),
            Event::Tick => self.tick(now),
            Event::Quiet if self.phase > Phase::Running && self.phase < Phase::Terminated => {
                self.phase = Phase::Terminated;
                Step { actions: vec![Action::Terminate], entered: Some((Phase::Terminated, Cause::Caller)) }
            }
            Event::Quiet => Step::default(),
        }
    }

    /// When the next Tick is due, if any.
    pub(crate) fn next_tick(&self) -> Option<Moment> {
        let plan = self.plan?;
        match self.phase {
            Phase::Draining | Phase::Stopping => Some(plan.escalate_at()),
            Phase::Aborting if plan.given_up => None,
            Phase::Aborting => Some(match plan.ended_at {
                None => plan.end_at(),
                Some(last) => last.plus(AGAIN).min(plan.deadline()),
            }),
            _ => None,
        }
    }

    fn ask(&mut self, ask: Ask, now: Moment) -> Step {
        let wanted = Phase::of(ask.mode);
        if self.phase == Phase::Terminated || wanted < self.phase {
            return Step::default();
        }
        match &mut self.plan {
            None => self.plan = Some(Plan::new(ask, now)),
            Some(plan) => plan.tighten(ask, now),
        }
        if wanted == self.phase { self.tick(now) } else { self.enter(wanted, Cause::Caller, now) }
    }

    fn tick(&mut self, now: Moment) -> Step {
        if self.next_tick().is_none_or(|due| now < due) {
            return Step::default();
        }
        if self.phase < Phase::Aborting {
            return self.enter(Phase::Aborting, Cause::Deadline, now);
        }
        let Some(plan) = &mut self.plan else { return Step::default() };
        plan.ended_at = Some(now);
        plan.given_up = now >= plan.deadline();
        let action = if plan.given_up { Action::GiveUp } else { Action::EndAll };
        Step { actions: vec![action], entered: None }
    }

    fn enter(&mut self, phase: Phase, cause: Cause, now: Moment) -> Step {
        debug_assert!(phase > self.phase, "{phase:?} after {:?}", self.phase);
        self.phase = phase;
        let mut actions = match phase {
            Phase::Draining => vec![Action::CloseToOutside],
            Phase::Stopping => vec![Action::CloseAndReturn],
            Phase::Aborting => vec![Action::CloseAndReturn, Action::AskAll],
            Phase::Running | Phase::Terminated => Vec::new(),
        };
        if phase == Phase::Aborting
            && let Some(plan) = &mut self.plan
        {
            plan.aborted_at = Some(now);
            if now >= plan.end_at() {
                plan.ended_at = Some(now);
                actions.push(Action::EndAll);
            }
        }
        Step { actions, entered: Some((phase, cause)) }
    }
}

impl Phase {
    const fn of(mode: Mode) -> Self {
        match mode {
            Mode::Drain => Self::Draining,
            Mode::Stop => Self::Stopping,
            Mode::Abort => Self::Aborting,
        }
    }
}

/// The grace that there is within such a deadline, where so much was asked for.
pub(crate) fn fitting(within: Duration, grace: Duration) -> Duration {
    grace.min(usable(within) / 2)
}

/// The deadline less its reserve.
fn usable(within: Duration) -> Duration {
    within - within / 100 * RESERVE_PERCENT
}

impl Plan {
    fn new(ask: Ask, now: Moment) -> Self {
        let mut plan = Self {
            asked_at: now,
            within: ask.within,
            grace: ask.grace,
            aborted_at: None,
            ended_at: None,
            given_up: false,
        };
        plan.fit_grace();
        plan
    }

    /// A second request never loosens: the earlier deadline and the shorter grace count.
    fn tighten(&mut self, ask: Ask, now: Moment) {
        let elapsed = now.since(self.asked_at);
        self.within = self.within.min(elapsed.saturating_add(ask.within));
        self.grace = self.grace.min(ask.grace);
        self.fit_grace();
    }

    fn fit_grace(&mut self) {
        self.grace = fitting(self.within, self.grace);
    }

    fn usable(&self) -> Duration {
        usable(self.within)
    }

    fn escalate_at(&self) -> Moment {
        self.asked_at.plus(self.usable().saturating_sub(self.grace))
    }

    fn deadline(&self) -> Moment {
        self.asked_at.plus(self.within)
    }

    fn end_at(&self) -> Moment {
        let latest = self.asked_at.plus(self.usable());
        self.aborted_at.map_or(latest, |aborted| aborted.plus(self.grace).min(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Moment {
        Moment::from_nanos(1).plus(SECOND * seconds)
    }

    fn ask(mode: Mode) -> Event {
        Event::Ask(Ask { mode, within: 30 * SECOND, grace: 5 * SECOND })
    }

    #[test]
    fn a_drain_escalates_by_itself_and_ends_all_after_the_grace() {
        let mut passage = Passage::new();
        assert_eq!(passage.step(Event::Quiet, at(0)), Step::default(), "idle is not over");
        assert_eq!(passage.step(ask(Mode::Drain), at(0)).actions, [Action::CloseToOutside]);
        assert_eq!(passage.next_tick(), Some(at(22)), "30 s less 10 % less 5 s of grace");
        assert_eq!(passage.step(Event::Tick, at(21)), Step::default());
        let step = passage.step(Event::Tick, at(22));
        assert_eq!(step.actions, [Action::CloseAndReturn, Action::AskAll]);
        assert_eq!(step.entered, Some((Phase::Aborting, Cause::Deadline)));
        assert_eq!(passage.next_tick(), Some(at(27)));
        assert_eq!(passage.step(Event::Tick, at(27)).actions, [Action::EndAll]);
        let again = passage.next_tick().expect("somebody may have begun at the last moment");
        assert_eq!(passage.step(Event::Tick, again).actions, [Action::EndAll]);
        assert_eq!(passage.step(Event::Tick, at(30)).actions, [Action::GiveUp]);
        assert_eq!(passage.next_tick(), None, "it gives up once");
        assert_eq!(passage.step(Event::Quiet, at(30)).actions, [Action::Terminate]);
        assert_eq!(passage.step(Event::Quiet, at(31)), Step::default());
    }

    #[test]
    fn phases_never_go_back_for_any_order_of_events() {
        let events = [ask(Mode::Drain), ask(Mode::Stop), ask(Mode::Abort), Event::Tick, Event::Quiet];
        // Every sequence of six events, with time passing in steps of 10 s.
        for code in 0..events.len().pow(6) {
            let (mut passage, mut rest, mut terminated) = (Passage::new(), code, 0);
            for seconds in 0..6 {
                let before = passage.phase();
                let step = passage.step(events[rest % events.len()], at(10 * seconds));
                rest /= events.len();
                assert!(passage.phase() >= before);
                assert_eq!(step.entered.is_some(), passage.phase() != before);
                terminated += usize::from(step.actions.contains(&Action::Terminate));
            }
            assert!(terminated <= 1);
        }
    }

    #[test]
    fn a_second_request_only_tightens() {
        let mut passage = Passage::new();
        let _ = passage.step(ask(Mode::Stop), at(0));
        assert_eq!(passage.step(ask(Mode::Drain), at(1)), Step::default(), "weaker: nothing");
        let long = Ask { mode: Mode::Stop, within: 300 * SECOND, grace: 60 * SECOND };
        let _ = passage.step(Event::Ask(long), at(1));
        assert_eq!(passage.next_tick(), Some(at(22)), "longer: nothing");
        let force = Ask { mode: Mode::Abort, within: 30 * SECOND, grace: Duration::ZERO };
        let step = passage.step(Event::Ask(force), at(2));
        assert_eq!(step.actions, [Action::CloseAndReturn, Action::AskAll, Action::EndAll]);
    }

    #[test]
    fn a_new_procedure_brings_its_deadline_to_a_generation_that_is_further() {
        for (first, second) in
            [(Mode::Abort, Mode::Drain), (Mode::Abort, Mode::Stop), (Mode::Stop, Mode::Drain)]
        {
            let mut passage = Passage::new();
            let _ =
                passage.step(Event::Ask(Ask { mode: first, within: 30 * SECOND, grace: 20 * SECOND }), at(0));
            let phase = passage.phase();
            let mode = passage.at_least(second);
            let _ = passage.step(Event::Ask(Ask { mode, within: 10 * SECOND, grace: 20 * SECOND }), at(1));
            assert_eq!(passage.phase(), phase, "{first:?} then {second:?}");
            assert!(passage.next_tick().is_some_and(|due| due < at(11)), "{first:?} then {second:?}");
        }
        assert_eq!(Passage::new().at_least(Mode::Drain), Mode::Drain);
    }

    #[test]
    fn a_short_deadline_leaves_half_of_itself_to_the_drain() {
        let mut passage = Passage::new();
        let short = Ask { mode: Mode::Drain, within: 2 * SECOND, grace: 5 * SECOND };
        let _ = passage.step(Event::Ask(short), at(0));
        assert_eq!(passage.next_tick(), Some(at(0).plus(Duration::from_millis(900))));
    }
}
