//! A job at work: the hands of its timetable.
//!
//! Every event is told to the timetable under one short lock, and what it wants is done after the lock is released: runs are
//! fired, alarms set, events told, whoever waits is woken. The timer's thread never blocks here: a run that finds the queue
//! full waits for room as a future, or is missed, as the pool's policy says.

mod fly;

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Weak},
    task::Waker,
    time::Duration,
};

use super::{
    body::{Body, Unstarted},
    firing::{Firing, Flying},
    job::{JobState, JobStats, LastRun},
    one_shot::Landing,
    scale::Scale,
    timetable::{Event as Tick, Step, Timetable},
};
use crate::{
    clock::Moment,
    error::RejectReason,
    policy::Priority,
    pool::{
        Event, JobEnd,
        clocks::{Clock, ClockId, Held, NotDue, Stands},
        core::Core,
    },
    sync::Mutex,
    task::{
        cell::{self, AnyCell, TaskCell},
        entry::{Body as EntryBody, Entry},
        error::TaskError,
        gate::{Gate, HomeId},
        header::{Extras, Header},
        id::TaskId,
        isolation::Isolation,
        options::{Door, Task},
        outcome::{CancelReason, Outcome, Outcomes, ReturnReason},
        panics,
        wait::{self, Wakers},
    },
    timer::Alarm,
};

/// What each run is submitted with.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) name: Arc<str>,
    /// When it runs, in words.
    pub(crate) schedule: Arc<str>,
    pub(crate) priority: Priority,
    pub(crate) timeout: Option<Duration>,
    pub(crate) function: Option<Arc<str>>,
}

pub(crate) struct Series<I: Isolation> {
    me: Weak<Self>,
    core: Weak<Core<I>>,
    pub(crate) home: HomeId,
    pub(crate) label: Label,
    scale: Scale,
    /// Where the value of a single run is waited for.
    landing: Option<Arc<dyn Landing>>,
    /// Of a single run.
    not_due: NotDue,
    desk: Mutex<Desk<I>>,
}

struct Desk<I: Isolation> {
    timetable: Timetable,
    body: Option<Body<I>>,
    alarm: Option<(Moment, Alarm)>,
    flights: BTreeMap<u64, Flight>,
    flown: u64,
    id: Option<ClockId>,
    runs: u64,
    outcomes: Outcomes,
    last: Option<Last>,
    wakers: Wakers,
}

/// A run between being fired and its end.
#[derive(Default)]
struct Flight {
    firing: Option<Arc<Firing>>,
    /// Its task, once the queue took it.
    cell: Option<Arc<dyn AnyCell>>,
    began: Option<Moment>,
    /// It is not to begin any more.
    withdrawn: bool,
    /// Its body is back.
    home: bool,
    /// Its task was abandoned; the body is still out.
    abandoned: bool,
}

struct Last {
    outcome: Outcome,
    error: Option<String>,
    began: Option<Moment>,
    ended: Moment,
}

/// What must be done after the lock is released.
struct After<I: Isolation> {
    launch: Vec<u64>,
    events: Vec<Event>,
    withdraw: Vec<(JobEnd, Arc<dyn AnyCell>)>,
    poll: Vec<Arc<Firing>>,
    gone: Option<ClockId>,
    /// A single run ended before it came into the queue, or came back from there.
    unrun: Option<Unrun<I>>,
    landed: Option<Result<(), TaskError>>,
    /// A single run's task has ended, out of the queue or on a worker.
    ended_in_pool: bool,
    /// Only to be dropped: what is in it belongs to the user.
    dropped: (Option<Alarm>, Option<Body<I>>),
    wake: Vec<(usize, Waker)>,
}

struct Unrun<I: Isolation> {
    outcome: Outcome,
    error: TaskError,
    /// To be given back, if it ended so.
    body: Option<Body<I>>,
}

impl<I: Isolation> Series<I> {
    /// A job of a pool, accepted, that has no body yet.
    pub(crate) fn register(
        core: &Arc<Core<I>>,
        label: Label,
        (scale, timetable): (Scale, Timetable),
        landing: Option<Arc<dyn Landing>>,
    ) -> Result<Arc<Self>, RejectReason> {
        if let Some(reason) = core.refuses_clocks() {
            return Err(reason);
        }
        let stands = if landing.is_some() { Stands::ForOneTask } else { Stands::ForASeries };
        let desk = Desk {
            timetable,
            body: None,
            alarm: None,
            flights: BTreeMap::new(),
            flown: 0,
            id: None,
            runs: 0,
            outcomes: Outcomes::default(),
            last: None,
            wakers: Wakers::default(),
        };
        let (weak, home) = (Arc::downgrade(core), core.home);
        let series = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            core: weak,
            home,
            label,
            scale,
            landing,
            not_due: NotDue::default(),
            desk: Mutex::new(desk),
        });
        let clock: Arc<dyn Clock> = Arc::<Self>::clone(&series);
        {
            // Whoever opens the clocks meanwhile finds it held.
            let mut desk = series.desk.lock();
            let (id, held) = core.clocks.add(clock, stands).inspect_err(|_| core.count_rejected())?;
            desk.id = Some(id);
            if held == Held::Yes {
                let _fires_nothing = desk.timetable.step(Tick::Held, series.scale.now());
            }
        }
        Ok(series)
    }

    /// Gives it its body and sets the first alarm. The pool may have been stopped since it was accepted: then it has ended, and the body
    /// comes back.
    pub(crate) fn go(&self, body: Body<I>) {
        self.drive_with(|desk, _, after| {
            desk.body = Some(body);
            if let Some(why) = desk.timetable.over().filter(|_| self.landing.is_some()) {
                let error = ended_because(why)();
                let outcome = error.outcome();
                after.unrun = Some(Unrun { outcome, error, body: desk.body.take() });
            }
            Step::default()
        });
    }

    /// Tells the timetable what happened, and does what it wants.
    fn drive(&self, event: impl FnOnce(&mut Desk<I>, Moment) -> Step) {
        self.drive_with(|desk, now, _| event(desk, now));
    }

    fn drive_with(&self, event: impl FnOnce(&mut Desk<I>, Moment, &mut After<I>) -> Step) {
        let mut after = After::new();
        {
            let mut desk = self.desk.lock();
            let now = self.scale.now_for(desk.alarm.as_ref().map(|(due, _)| *due));
            let step = event(&mut desk, now, &mut after);
            self.perform(&mut desk, step, &mut after);
        }
        self.finish(after);
    }

    fn perform(&self, desk: &mut Desk<I>, step: Step, after: &mut After<I>) {
        for _ in 0..step.fire {
            desk.flown += 1;
            desk.flights.insert(desk.flown, Flight::default());
            after.launch.push(desk.flown);
        }
        if let Some((ticks, why)) = step.missed {
            after.events.push(Event::TicksMissed { job: Arc::clone(&self.label.name), ticks, why });
        }
        if let Some(why) = step.over {
            self.wind_up(desk, why, after);
        }
        self.set_alarm(desk, after);
        if desk.flights.is_empty() {
            after.wake = desk.wakers.take();
            if desk.timetable.over().is_some() {
                // What the body holds may be a resource that somebody waits to close.
                after.dropped.1 = desk.body.take();
            }
        }
    }

    /// It is over: whatever has not begun is withdrawn.
    fn wind_up(&self, desk: &mut Desk<I>, why: JobEnd, after: &mut After<I>) {
        after.gone = desk.id.take();
        if why != JobEnd::Done || self.landing.is_none() {
            after.events.push(Event::JobOver { job: Arc::clone(&self.label.name), why });
        }
        for flight in desk.flights.values_mut() {
            flight.withdrawn |= flight.began.is_none();
            match (&flight.cell, &flight.firing) {
                (Some(cell), _) if flight.withdrawn || why == JobEnd::Cancelled => {
                    after.withdraw.push((why, Arc::clone(cell)));
                }
                // It waits for room: polled once more it finds that it need not.
                (None, Some(firing)) => after.poll.push(Arc::clone(firing)),
                _ => {}
            }
        }
        self.end_not_due(desk, &ended_because(why), after);
    }

    /// A single run that never came into the queue ends here. Counted under the job's lock: a shutdown of the pool comes through that
    /// lock before it looks at what is left.
    fn end_not_due(&self, desk: &mut Desk<I>, error: &dyn Fn() -> TaskError, after: &mut After<I>) {
        let Some(core) = self.core.upgrade().filter(|_| self.landing.is_some()) else { return };
        let error = error();
        let outcome = error.outcome();
        if core.clocks.end_not_due(&self.not_due, outcome) {
            desk.outcomes.add(outcome, 1);
            after.unrun = Some(Unrun { outcome, error, body: desk.body.take() });
        }
    }

    fn set_alarm(&self, desk: &mut Desk<I>, after: &mut After<I>) {
        let wanted = desk.timetable.alarm();
        if desk.alarm.as_ref().map(|(due, _)| *due) == wanted {
            return;
        }
        let alarm = wanted.map(|due| (due, self.alarm(due)));
        after.dropped.0 = mem::replace(&mut desk.alarm, alarm).map(|(_, alarm)| alarm);
    }

    fn alarm(&self, due: Moment) -> Alarm {
        let me = Weak::clone(&self.me);
        self.scale.alarm(due, move || {
            if let Some(series) = me.upgrade() {
                series.rang(due);
            }
        })
    }

    fn rang(&self, due: Moment) {
        self.drive_with(|desk, now, after| {
            // Rung is gone; one that was set anew meanwhile is another.
            if desk.alarm.as_ref().is_some_and(|(set, _)| *set == due) {
                after.dropped.0 = desk.alarm.take().map(|(_, alarm)| alarm);
            }
            desk.timetable.step(Tick::Rang, self.scale.now_for(Some(due)).max(now))
        });
    }

    fn finish(&self, mut after: After<I>) {
        let core = self.core.upgrade();
        for (why, cell) in after.withdraw.drain(..) {
            match why {
                JobEnd::Cancelled => cell::cancel(&cell, cancelled()),
                _ => cell::recall(&cell, &ReturnReason::NotDue),
            };
        }
        after.poll.iter().for_each(Firing::poll);
        if let Some(unrun) = after.unrun.take() {
            let error = match &core {
                Some(core) => self.end_unrun(core, unrun),
                None => unrun.error,
            };
            after.landed = Some(Err(error));
        }
        if let Some(core) = &core {
            if after.ended_in_pool {
                core.clock_heard();
            }
            if let Some(id) = after.gone {
                core.clocks.remove(id);
            }
            after.events.drain(..).for_each(|event| core.send(event));
        }
        if let (Some(landing), Some(result)) = (&self.landing, after.landed.take()) {
            landing.land(result);
        }
        panics::drop_quietly(mem::take(&mut after.dropped));
        wait::wake_all(mem::take(&mut after.wake));
        after.launch.drain(..).for_each(|flight| self.launch(flight));
    }

    /// Gives back a single run that did not take place, if it ended so.
    fn end_unrun(&self, core: &Arc<Core<I>>, unrun: Unrun<I>) -> TaskError {
        let Unrun { outcome, error, body } = unrun;
        match (outcome, body) {
            (Outcome::Returned, Some(body @ (Body::Once(_) | Body::Letter(_)))) => {
                let (name, function) = (Some(Arc::clone(&self.label.name)), self.label.function.clone());
                let extras = Extras { name, function, ..Extras::default() };
                let header = Header::new(self.home, self.label.priority, Some(extras));
                let cell = TaskCell::new(header, Unstarted(body));
                let _nobody_else_has_it = cell.header().claim();
                cell.header().note_return(error.return_reason().unwrap_or(&ReturnReason::NotDue));
                cell.header().settle(Outcome::Returned);
                let entry =
                    Entry { id: TaskId(0), accepted_at: Moment::default(), body: EntryBody::Cell(cell) };
                core.hand_back(entry);
            }
            (_, body) => panics::drop_quietly(body),
        }
        error
    }

    fn task<'g>(&self, gate: &'g dyn Gate<I>) -> Task<'g, I> {
        let Label { name, priority, timeout, function, .. } = &self.label;
        let mut task = Task::new(gate, Door::Outside).name(Arc::clone(name)).priority(*priority);
        if let Some(function) = function {
            task = task.for_function(Arc::clone(function));
        }
        match timeout {
            Some(timeout) => task.timeout(*timeout),
            None => task,
        }
    }

    fn launch(&self, flight: u64) {
        let Some(me) = self.me.upgrade() else { return };
        let flying: Flying = Box::pin(fly::fly(me, flight));
        let firing = Firing::new(flying);
        if let Some(flight) = self.desk.lock().flights.get_mut(&flight) {
            flight.firing = Some(Arc::clone(&firing));
        }
        firing.poll();
    }

    fn is_withdrawn(&self, flight: u64) -> bool {
        self.desk.lock().flights.get(&flight).is_none_or(|flight| flight.withdrawn)
    }

    /// The pool took a run's task.
    fn accepted(&self, flight: u64, cell: Arc<dyn AnyCell>) {
        self.drive_with(|desk, _, after| {
            let why = desk.timetable.over();
            if let Some(flight) = desk.flights.get_mut(&flight) {
                // Stopped between the queue's yes and now.
                if let Some(why) = why.filter(|why| flight.withdrawn || *why == JobEnd::Cancelled) {
                    after.withdraw.push((why, Arc::clone(&cell)));
                }
                flight.cell = Some(cell);
            }
            Step::default()
        });
    }

    /// A worker is at a run's first line. If it must not begin, why.
    pub(crate) fn begin(&self, flight: u64) -> Result<Body<I>, JobEnd> {
        let mut desk = self.desk.lock();
        let why = desk.timetable.over().unwrap_or(JobEnd::Stopped);
        let own = desk.flights.get_mut(&flight).filter(|flight| !flight.withdrawn).ok_or(why)?;
        own.began = Some(Moment::now());
        desk.runs += 1;
        Body::take(&mut desk.body).ok_or(why)
    }

    /// A run that was on its way to a worker process has not begun there, and waits in the queue again.
    pub(crate) fn came_back(&self, flight: u64) {
        let mut desk = self.desk.lock();
        let over = desk.timetable.over().is_some_and(|why| why != JobEnd::Done);
        if let Some(own) = desk.flights.get_mut(&flight) {
            (own.began, own.home) = (None, false);
            own.withdrawn |= over;
            desk.runs -= 1;
        }
    }

    /// A run's body has ended.
    pub(crate) fn came_home(&self, flight: u64, body: Option<Body<I>>) {
        self.drive_with(|desk, now, after| {
            match body {
                Some(Body::Alone(_)) => desk.body = body,
                // A copy: the job has its own, unless it is over.
                body => after.dropped.1 = body,
            }
            match desk.flights.get_mut(&flight) {
                Some(own) if own.abandoned => {
                    desk.flights.remove(&flight);
                    desk.timetable.step(Tick::Left, now)
                }
                Some(own) => {
                    own.home = true;
                    Step::default()
                }
                None => Step::default(),
            }
        });
    }

    /// A run's task has ended.
    fn landed(&self, flight: u64, result: Result<(), TaskError>) {
        self.drive_with(|desk, now, after| {
            let outcome = result.as_ref().map_or_else(TaskError::outcome, |()| Outcome::Completed);
            after.ended_in_pool = self.landing.is_some();
            let Some(own) = desk.flights.get_mut(&flight) else { return Step::default() };
            let began = own.began;
            own.abandoned = outcome == Outcome::Abandoned && began.is_some() && !own.home;
            let tick = if own.abandoned { Tick::Abandoned } else { Tick::Ended(outcome) };
            if !own.abandoned {
                desk.flights.remove(&flight);
            }
            desk.outcomes.add(outcome, 1);
            let error = result.as_ref().err().map(ToString::to_string);
            desk.last = Some(Last { outcome, error, began, ended: Moment::now() });
            match result {
                Err(error) if outcome == Outcome::Returned && self.landing.is_some() => {
                    after.unrun = Some(Unrun { outcome, error, body: desk.body.take() });
                }
                result => after.landed = Some(result),
            }
            desk.timetable.step(tick, now)
        });
    }

    /// The pool did not take a run (`None`: it was withdrawn while it waited for room, or its decorator panicked).
    fn refused(&self, flight: u64, reason: Option<RejectReason>) {
        self.drive_with(|desk, now, after| {
            desk.flights.remove(&flight);
            let step = desk.timetable.step(Tick::Refused, now);
            let why = step.over.or_else(|| desk.timetable.over());
            if let Some(why) = why {
                let error = || match (&reason, why) {
                    (Some(RejectReason::Broken(cause)), _) => {
                        TaskError::returned(ReturnReason::Broken(Arc::clone(cause)))
                    }
                    _ => ended_because(why)(),
                };
                self.end_not_due(desk, &error, after);
            }
            step
        });
    }

    /// What its handle or its pool wants of it.
    pub(crate) fn tell(&self, tick: Tick) {
        self.drive(|desk, now| desk.timetable.step(tick, now));
    }

    /// False if it is over or as many runs are under way as may be.
    pub(crate) fn run_now(&self) -> bool {
        let mut runs = false;
        self.drive(|desk, _| {
            runs = desk.timetable.run_now();
            Step { fire: u32::from(runs), ..Step::default() }
        });
        runs
    }

    pub(crate) fn stats(&self) -> JobStats {
        let desk = self.desk.lock();
        let (now, running) = (self.scale.now(), Moment::now());
        let tally = desk.timetable.tally();
        let state = match desk.timetable.over() {
            Some(why) => JobState::Over(why),
            None if desk.timetable.is_paused() => JobState::Paused,
            None => JobState::Active,
        };
        JobStats {
            name: Arc::clone(&self.label.name),
            schedule: Arc::clone(&self.label.schedule),
            state,
            runs: desk.runs,
            under_way: desk.timetable.under_way(),
            outcomes: desk.outcomes,
            failures: tally.failures,
            failures_in_row: tally.failures_in_row,
            missed: desk.timetable.missed(now),
            skipped: tally.skipped,
            last: desk.last.as_ref().map(|last| LastRun {
                outcome: last.outcome,
                error: last.error.clone(),
                took: last.began.map(|began| last.ended.since(began)),
                ended_ago: running.since(last.ended),
            }),
            next_in: desk.timetable.next().map(|next| next.since(now)),
        }
    }

    /// True when no run is under way; else leaves a waker.
    pub(crate) fn poll_idle(&self, key: usize, waker: &Waker) -> bool {
        let _replaced;
        let mut desk = self.desk.lock();
        if desk.flights.is_empty() {
            return true;
        }
        _replaced = desk.wakers.register(key, waker);
        false
    }

    pub(crate) fn forget(&self, key: usize) {
        let gone = self.desk.lock().wakers.forget(key);
        panics::drop_quietly(gone);
    }
}

impl<I: Isolation> Clock for Series<I> {
    fn stop(&self) {
        self.tell(Tick::Over(JobEnd::Stopped));
    }

    fn release(&self) {
        self.tell(Tick::Released);
    }
}

impl<I: Isolation> After<I> {
    fn new() -> Self {
        Self {
            launch: Vec::new(),
            events: Vec::new(),
            withdraw: Vec::new(),
            poll: Vec::new(),
            gone: None,
            unrun: None,
            landed: None,
            ended_in_pool: false,
            dropped: (None, None),
            wake: Vec::new(),
        }
    }
}

pub(crate) fn cancelled() -> CancelReason {
    CancelReason::Requested(Some("its job was cancelled".into()))
}

/// How a run that never came into the queue ends when its job does.
fn ended_because(why: JobEnd) -> impl Fn() -> TaskError {
    move || match why {
        JobEnd::Cancelled => TaskError::cancelled(cancelled()),
        _ => TaskError::returned(ReturnReason::NotDue),
    }
}
