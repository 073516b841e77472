//! Decision: when a job runs.
//!
//! Moments are on the job's own scale: the monotonic clock's, or the calendar's for cron lines and dates. The timetable does not
//! know which, and never looks at either.
//!
//! Between two events it is in one of these states; [`Timetable::alarm`] says when it wants to hear of the time:
//!
//! | stage | alarm | leaves by |
//! |---|---|---|
//! | running, a place free | the next point, with its jitter | `Rang` |
//! | running, as many runs under way as may be | none: the points that pass are dealt with when one ends | `Ended` |
//! | paused | none | `Resumed` |
//! | held, on top of either | none | `Released`, as often as it was `Held` |
//! | over | none, for good | nothing |
//!
//! Invariants: 1. `under_way` never exceeds the places, but for runs that were asked for by hand. 2. Nothing is fired once it is over, or
//! while it is paused or held (by hand it may). 3. Every point of the grid is fired, missed or skipped, and counted once.

use std::{fmt, time::Duration};

use crate::{
    clock::Moment,
    pool::{JobEnd, MissedBecause},
    task::outcome::Outcome,
};

/// What a job does with points that passed while it could not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[doc(alias = "MissedTickBehavior")]
pub enum MissedTicks {
    /// They are left out: it goes on with the next point that is still to come.
    #[default]
    Skip,
    /// One run for all of them, at once; at a fixed rate the points are counted anew from it.
    Delay,
    /// A run for each of them, one after the other, at once.
    Burst,
}

/// The points in time of a calendar.
pub(crate) trait Calendar: Send {
    /// The first point after `moment`; `None` if there is none any more.
    fn next_after(&self, moment: Moment) -> Option<Moment>;
}

/// What the points of a job are.
pub(crate) enum Rhythm {
    /// One.
    Once,
    /// So long after the end of the run before.
    Delay(Duration),
    /// So far from each other.
    Rate(Duration),
    /// What a calendar says.
    #[cfg_attr(not(any(feature = "cron", test)), expect(dead_code, reason = "only cron lines are calendars"))]
    Calendar(Box<dyn Calendar>),
}

pub(crate) struct Plan {
    pub(crate) rhythm: Rhythm,
    /// The first point.
    pub(crate) first: Moment,
    pub(crate) missed: MissedTicks,
    /// How many runs may be under way at a time.
    pub(crate) places: u32,
    /// Each point is put off by a part of this.
    pub(crate) jitter: Duration,
    /// Where the parts come from; any number.
    pub(crate) seed: u64,
    /// After so many failures in a row it is over.
    pub(crate) give_up_after: Option<u32>,
    pub(crate) paused: Paused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    Yes,
    No,
}

/// What happens to a timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The alarm rang, or may have.
    Rang,
    /// A run ended, in this way; it was one of those that were fired.
    Ended(Outcome),
    /// The task of a run has ended, but its body still runs: it was abandoned. `Left` follows when it does end.
    Abandoned,
    /// The body of an abandoned run has ended after all.
    Left,
    /// The pool did not take a run that was fired.
    Refused,
    Paused,
    Resumed,
    /// Its clock is not to go: what it belongs to has not begun. If it has not run yet, its first point comes as long after `Released` as
    /// it would have come after this. Whoever holds it releases it; several may.
    Held,
    Released,
    /// It is not to go on. Runs under way still end.
    Over(JobEnd),
}

/// What must be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a run that is not fired is lost"]
pub(crate) struct Step {
    /// So many runs are to begin.
    pub(crate) fire: u32,
    /// So many points were missed just now.
    pub(crate) missed: Option<(u64, MissedBecause)>,
    /// It is over, since just now.
    pub(crate) over: Option<JobEnd>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) fired: u64,
    pub(crate) missed: u64,
    pub(crate) skipped: u64,
    pub(crate) failures: u64,
    pub(crate) failures_in_row: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Paused,
    Over(JobEnd),
}

/// Whether the points that passed were waited for by nobody (the alarm was set for the first of them), or while all places were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Was {
    Free,
    Busy,
}

pub(crate) struct Timetable {
    plan: Plan,
    stage: Stage,
    /// How many hold it.
    holders: u32,
    /// Since when it is held.
    held: Moment,
    /// When it last came past points.
    last: Option<Moment>,
    /// The next point; `None` while it depends on the end of a run, or when there is none.
    next: Option<Moment>,
    put_off: Duration,
    under_way: u32,
    tally: Tally,
    noise: u64,
}

/// Points of a calendar that passed unseen are counted one by one up to here.
const COUNTED: u64 = 1_000;
/// A calendar's clock that was set back by more than this was wrong before.
const SET_BACK: Duration = Duration::from_secs(3_600);

impl Timetable {
    pub(crate) fn new(plan: Plan) -> Self {
        let stage = if plan.paused == Paused::Yes { Stage::Paused } else { Stage::Running };
        let (next, noise) = (Some(plan.first), plan.seed);
        let (last, put_off, under_way, tally) = (None, Duration::ZERO, 0, Tally::default());
        let (holders, held) = (0, plan.first);
        let mut timetable = Self { plan, stage, holders, held, last, next, put_off, under_way, tally, noise };
        timetable.put_off = timetable.draw();
        timetable
    }

    /// When it wants to hear of the time.
    pub(crate) fn alarm(&self) -> Option<Moment> {
        let waits = self.goes() && self.has_place();
        self.next.filter(|_| waits).map(|next| next.plus(self.put_off))
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Points missed until `now`, those included that will be dealt with when a run ends.
    pub(crate) fn missed(&self, now: Moment) -> u64 {
        let waits = self.goes() && !self.has_place();
        let pending = match self.next {
            Some(next) if waits => match self.plan.missed {
                MissedTicks::Skip => self.due(next, now).0,
                MissedTicks::Delay => self.due(next, now).0.saturating_sub(1),
                MissedTicks::Burst => 0,
            },
            _ => 0,
        };
        self.tally.missed + pending
    }

    pub(crate) fn under_way(&self) -> u32 {
        self.under_way
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.stage == Stage::Paused || self.stage == Stage::Running && self.holders > 0
    }

    pub(crate) fn over(&self) -> Option<JobEnd> {
        match self.stage {
            Stage::Over(why) => Some(why),
            Stage::Running | Stage::Paused => None,
        }
    }

    /// The next point with its jitter, also while it is paused or busy.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.next.map(|next| next.plus(self.put_off))
    }

    /// A run out of turn, now. False if it is over, or as many runs are under way as may be.
    #[must_use]
    pub(crate) fn run_now(&mut self) -> bool {
        if self.over().is_some() || !self.has_place() {
            return false;
        }
        if matches!(self.plan.rhythm, Rhythm::Once | Rhythm::Delay(_)) {
            // The run it waits for is this one.
            self.next = None;
        }
        self.begin();
        true
    }

    pub(crate) fn step(&mut self, event: Event, now: Moment) -> Step {
        match event {
            Event::Rang => self.rang(now),
            Event::Ended(outcome) => {
                self.count(outcome);
                self.vacate(now)
            }
            Event::Abandoned => {
                self.count(Outcome::Abandoned);
                self.give_up()
            }
            Event::Left => self.vacate(now),
            Event::Refused => self.refused(now),
            Event::Paused => {
                if self.stage == Stage::Running {
                    self.stage = Stage::Paused;
                }
                Step::default()
            }
            Event::Resumed => self.resumed(now),
            Event::Held => self.hold(now),
            Event::Released => self.release(now),
            Event::Over(why) => self.end(why),
        }
    }

    fn rang(&mut self, now: Moment) -> Step {
        match self.alarm() {
            Some(alarm) if alarm <= now => self.fire_due(now, Was::Free),
            Some(_) => {
                self.look_again(now);
                Step::default()
            }
            None => Step::default(),
        }
    }

    /// It rang early: a calendar's clock may have been set back since the point was computed.
    fn look_again(&mut self, now: Moment) {
        if let (Rhythm::Calendar(calendar), Some(next)) = (&self.plan.rhythm, self.next) {
            // Set back by a little it must not come past the same points again; by much, it was wrong before.
            let from = self.last.filter(|last| *last > now && last.since(now) <= SET_BACK).unwrap_or(now);
            self.next = calendar.next_after(from).map_or(Some(next), |sooner| Some(next.min(sooner)));
        }
    }

    /// Fires what is due as far as there are places, and moves on along the grid.
    fn fire_due(&mut self, now: Moment, was: Was) -> Step {
        let mut step = Step::default();
        let mut missed = 0;
        let mut was = was;
        while self.has_place()
            && let Some(next) = self.next
            && (next.plus(self.put_off) <= now || was == Was::Busy && next <= now)
        {
            let (due, after) = self.due(next, now);
            let (fires, left_out, next) = match (self.plan.missed, was) {
                // It would have begun in time, had there been a place: that point is lost.
                (MissedTicks::Skip, Was::Busy) => (false, due, after),
                (MissedTicks::Skip, Was::Free) => (true, due - 1, after),
                (MissedTicks::Delay, _) if due == 1 && was == Was::Free => (true, 0, after),
                (MissedTicks::Delay, _) => (true, due - 1, self.anew(now, after)),
                (MissedTicks::Burst, _) => (true, 0, self.following(next)),
            };
            missed += left_out;
            self.last = Some(now);
            self.next = next;
            self.put_off = self.draw();
            if fires {
                self.begin();
                step.fire += 1;
            }
            was = Was::Free;
        }
        self.miss(missed, MissedBecause::Late, &mut step);
        if self.next.is_none() && step.fire == 0 && self.under_way == 0 && self.is_finite() {
            step.over = self.end(JobEnd::Done).over;
        }
        step
    }

    /// How many points of the grid are due from `next` on, and the first that is not.
    fn due(&self, next: Moment, now: Moment) -> (u64, Option<Moment>) {
        if next > now {
            return (0, Some(next));
        }
        match &self.plan.rhythm {
            Rhythm::Once | Rhythm::Delay(_) => (1, None),
            Rhythm::Rate(period) => {
                let period = nanos(*period);
                let due = now.since(next).as_nanos() as u64 / period + 1;
                (due, Some(Moment::from_nanos(next.nanos().saturating_add(due.saturating_mul(period)))))
            }
            Rhythm::Calendar(calendar) => {
                let mut due = 1;
                let mut point = calendar.next_after(next);
                while let Some(passed) = point.filter(|point| *point <= now) {
                    if due == COUNTED {
                        return (due, calendar.next_after(now));
                    }
                    due += 1;
                    point = calendar.next_after(passed);
                }
                (due, point)
            }
        }
    }

    fn following(&self, point: Moment) -> Option<Moment> {
        match &self.plan.rhythm {
            Rhythm::Once | Rhythm::Delay(_) => None,
            Rhythm::Rate(period) => Some(point.plus(*period)),
            Rhythm::Calendar(calendar) => calendar.next_after(point),
        }
    }

    /// The grid counted anew from `now`, where that can be said; else `after`.
    fn anew(&self, now: Moment, after: Option<Moment>) -> Option<Moment> {
        match &self.plan.rhythm {
            Rhythm::Rate(period) => Some(now.plus(*period)),
            _ => after,
        }
    }

    fn begin(&mut self) {
        self.under_way += 1;
        self.tally.fired += 1;
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Completed => self.tally.failures_in_row = 0,
            // Nobody's failure: it was not wanted any more.
            Outcome::Cancelled | Outcome::Returned => {}
            _ => {
                self.tally.failures += 1;
                self.tally.failures_in_row += 1;
            }
        }
    }

    /// A place is free again.
    fn vacate(&mut self, now: Moment) -> Step {
        let was = if self.has_place() { Was::Free } else { Was::Busy };
        self.under_way -= 1;
        if self.over().is_some() {
            return Step::default();
        }
        if matches!(self.plan.rhythm, Rhythm::Once) && self.next.is_none() {
            return self.end(JobEnd::Done);
        }
        let gave_up = self.give_up();
        if gave_up.over.is_some() {
            return gave_up;
        }
        if self.under_way == 0
            && self.next.is_none()
            && let Rhythm::Delay(delay) = self.plan.rhythm
        {
            self.next = Some(now.plus(delay));
            self.put_off = self.draw();
        }
        if self.goes() { self.fire_due(now, was) } else { Step::default() }
    }

    fn give_up(&mut self) -> Step {
        match self.plan.give_up_after {
            Some(most) if self.tally.failures_in_row >= most => self.end(JobEnd::GaveUp),
            _ => Step::default(),
        }
    }

    /// The run that was fired is missed, and so is whatever else is due: to try again at once would be to try for ever.
    fn refused(&mut self, now: Moment) -> Step {
        self.under_way -= 1;
        self.tally.fired -= 1;
        if self.over().is_some() {
            return Step::default();
        }
        if matches!(self.plan.rhythm, Rhythm::Once) {
            return self.end(JobEnd::Refused);
        }
        let mut step = Step::default();
        let mut missed = 1;
        if let Some(next) = self.next {
            let (due, after) = self.due(next, now);
            missed += due;
            self.next = after;
        } else if let Rhythm::Delay(delay) = self.plan.rhythm {
            self.next = Some(now.plus(delay));
        }
        self.miss(missed, MissedBecause::Refused, &mut step);
        step
    }

    fn resumed(&mut self, now: Moment) -> Step {
        if self.stage != Stage::Paused {
            return Step::default();
        }
        self.stage = Stage::Running;
        if self.goes() { self.go_on(now) } else { Step::default() }
    }

    fn hold(&mut self, now: Moment) -> Step {
        if self.holders == 0 {
            self.held = now;
        }
        self.holders += 1;
        Step::default()
    }

    fn release(&mut self, now: Moment) -> Step {
        if self.holders == 0 {
            return Step::default();
        }
        self.holders -= 1;
        if self.holders > 0 || self.over().is_some() {
            return Step::default();
        }
        if self.tally.fired == 0
            && !matches!(self.plan.rhythm, Rhythm::Calendar(_))
            && let Some(next) = self.next
        {
            // What is held has not begun: no point of it has passed.
            self.next = Some(next.plus(now.since(self.held)));
            return if self.goes() { self.fire_due(now, Was::Free) } else { Step::default() };
        }
        if self.goes() { self.go_on(now) } else { Step::default() }
    }

    /// Goes on after nothing was to begin by it.
    fn go_on(&mut self, now: Moment) -> Step {
        if let Some(next) = self.next
            && matches!(self.plan.rhythm, Rhythm::Rate(_) | Rhythm::Calendar(_))
        {
            // What passed meanwhile is not made up for: that is what a pause is.
            let (due, after) = self.due(next, now);
            self.tally.skipped += due;
            self.next = after;
        }
        self.fire_due(now, Was::Free)
    }

    fn end(&mut self, why: JobEnd) -> Step {
        if self.over().is_some() {
            return Step::default();
        }
        self.stage = Stage::Over(why);
        self.next = None;
        Step { over: Some(why), ..Step::default() }
    }

    fn miss(&mut self, ticks: u64, why: MissedBecause, step: &mut Step) {
        if ticks > 0 {
            self.tally.missed += ticks;
            step.missed = Some((ticks, why));
        }
    }

    /// True while it may begin runs by itself.
    fn goes(&self) -> bool {
        self.stage == Stage::Running && self.holders == 0
    }

    fn has_place(&self) -> bool {
        self.under_way < self.plan.places
    }

    /// True if it can run out of points.
    fn is_finite(&self) -> bool {
        matches!(self.plan.rhythm, Rhythm::Once | Rhythm::Calendar(_))
    }

    /// A part of the jitter (splitmix64: plain, and the same for the same seed).
    fn draw(&mut self) -> Duration {
        if self.plan.jitter.is_zero() {
            return Duration::ZERO;
        }
        self.noise = self.noise.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.noise;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let part = (u128::from(nanos(self.plan.jitter)) * u128::from(mixed)) >> 64;
        Duration::from_nanos(part as u64)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("once"),
            Self::Delay(delay) => write!(f, "fixed delay {delay:?}"),
            Self::Rate(period) => write!(f, "fixed rate {period:?}"),
            Self::Calendar(_) => f.write_str("calendar"),
        }
    }
}

#[cfg(test)]
mod tests;
