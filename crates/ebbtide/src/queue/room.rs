//! The queue itself: one lock around the lanes, the idle workers and the line for room.
//!
//! Invariants: 1. a task is accepted and its lane closed under the same lock, so a submit that races with a stop is either
//! counted or refused. 2. A worker becomes idle under the lock under which it found nothing; a push under
//! the same lock finds it. 3. While tasks wait in a lane and one of its workers is idle, a worker of that lane
//! has been woken and has not come yet (`waking > 0`), and on coming it wakes the next: at most one wake is in flight.

use std::{collections::VecDeque, task::Waker};

use super::{
    lane::{Lane, LaneIntake},
    line::Line,
};
use crate::{
    clock::Moment,
    error::RejectReason,
    policy::{Priority, TIMING_SAMPLE, Timing, WhenFull},
    sync::{Mutex, Thread},
    task::{
        entry::{Body, Entry},
        gate::{Entrance, GUEST, Make, Place, Refusal, RoomTicket, Ticket},
        id::{TaskId, WorkerId},
        isolation::Isolation,
        outcome::{CancelReason, Outcome, Outcomes},
        wait,
    },
};

pub(crate) struct Queue<I: Isolation> {
    inner: Mutex<Inner<I>>,
}

struct Inner<I: Isolation> {
    /// One lane; two while a restart lets an old generation finish (the old one first).
    lanes: VecDeque<Lane<I>>,
    intake: Intake,
    capacity: usize,
    reserve: usize,
    when_full: WhenFull,
    paused: bool,
    /// One task in so many is timed; 0 for none.
    timed_every: u64,
    idle: Vec<Idle>,
    line: Line,
    /// A waker that must be dropped after the lock is released.
    replaced: Option<Waker>,
    counts: Counts,
}

/// Whether tasks from outside are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    Closed(RejectReason),
}

/// What the ledger is made of, as far as the queue counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) started: u64,
    /// Ended without having been started.
    pub(crate) ended: Outcomes,
    pub(crate) queued: usize,
    pub(crate) idle: usize,
    pub(crate) waiting_for_room: usize,
}

struct Idle {
    worker: WorkerId,
    lane: u32,
    thread: Thread,
}

/// What must be done after the lock is released.
#[derive(Default)]
#[must_use = "an effect that is not applied leaves somebody asleep"]
pub(crate) struct Effect {
    pub(crate) worker: Option<Thread>,
    pub(crate) submitters: Vec<Waker>,
    /// Only to be dropped.
    replaced: Option<Waker>,
    /// Tasks wait, nobody is idle, and the roster may start somebody for this lane.
    pub(crate) hungry: Option<u32>,
    /// A lane that takes nothing more from outside has nothing waiting any more.
    pub(crate) quiet: bool,
}

/// What became of an accepted task.
pub(crate) enum Accepted<I: Isolation> {
    Queued(TaskId),
    /// The queue was full: the caller runs it, on behalf of this lane. It counts as started.
    CallerRuns(Entry<I>, u32),
}

/// What to do with what had to make room.
pub(crate) struct Overflow<I: Isolation>(pub(crate) Option<Entry<I>>);

/// What the gate said.
pub(crate) type Admission<I> = Result<(Accepted<I>, Overflow<I>), Refusal>;

/// Where a worker that asks for work comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// For the first time: it was expected.
    Fresh,
    FromRun,
    FromSleep,
}

pub(crate) enum Take<I: Isolation> {
    Task(Entry<I>),
    /// Nothing to do; the worker is now idle and must park.
    Sleep,
    /// Nothing to do and nothing will come: the worker goes.
    Leave,
}

/// A waiting task as it is seen from outside.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: TaskId,
    pub(crate) name: Option<std::sync::Arc<str>>,
}

impl<I: Isolation> Queue<I> {
    pub(crate) fn new(capacity: usize, reserve: usize, when_full: WhenFull, timing: Timing) -> Self {
        let timed_every = match timing {
            Timing::Off => 0,
            Timing::Every => 1,
            Timing::Sampled => u64::from(TIMING_SAMPLE),
        };
        let inner = Inner {
            lanes: VecDeque::from([Lane::new(1)]),
            intake: Intake::Open,
            capacity,
            reserve,
            when_full,
            paused: false,
            timed_every,
            idle: Vec::new(),
            line: Line::default(),
            replaced: None,
            counts: Counts::default(),
        };
        Self { inner: Mutex::new(inner) }
    }

    /// Accepts a task, makes room for it, or says why not.
    pub(crate) fn accept(
        &self,
        priority: Priority,
        entrance: Entrance<'_>,
        make: Make<'_, I>,
    ) -> (Admission<I>, Effect) {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        let result = match inner.lane_for(&entrance) {
            Err(reason) => Err(Refusal::Rejected(reason)),
            Ok(lane) => {
                let result = inner.accept(priority, entrance, lane, make);
                inner.feed(lane, &mut effect);
                result
            }
        };
        effect.replaced = inner.replaced.take();
        (result, effect)
    }

    pub(crate) fn leave_line(&self, ticket: RoomTicket) -> Effect {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        if inner.line.leave(ticket) {
            inner.call_for_room(&mut effect);
        }
        effect
    }

    /// A new worker of `lane` is ready and will ask for work: nobody else need come for the first that waits.
    pub(crate) fn expect(&self, lane: u32) {
        if let Some(lane) = self.inner.lock().lane(lane) {
            lane.coming += 1;
        }
    }

    /// A worker of `lane` asks for work. `stays` is false if it will take none whatever there is.
    pub(crate) fn take(
        &self,
        worker: WorkerId,
        lane: u32,
        arrival: Arrival,
        thread: &Thread,
    ) -> (Take<I>, Effect) {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        inner.arrive(worker, lane, arrival);
        let paused = inner.paused;
        let Some(own) = inner.lane(lane) else { return (Take::Leave, effect) };
        // A lane that is being closed works on although the pool is paused: a stop while paused works.
        let held = paused && own.intake == LaneIntake::Open;
        let entry = if held { None } else { own.pop(worker) };
        let Some(entry) = entry else {
            if own.intake > LaneIntake::Open {
                return (Take::Leave, effect);
            }
            inner.idle.push(Idle { worker, lane, thread: thread.clone() });
            return (Take::Sleep, effect);
        };
        inner.counts.started += 1;
        inner.call_for_room(&mut effect);
        inner.feed(lane, &mut effect);
        (Take::Task(entry), effect)
    }

    /// A worker goes without asking for work: somebody else must have what it was woken for.
    pub(crate) fn depart(&self, worker: WorkerId, lane: u32, arrival: Arrival) -> Effect {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        inner.arrive(worker, lane, arrival);
        inner.feed(lane, &mut effect);
        effect
    }

    /// A waiting task was ended by its owner.
    pub(crate) fn ended(&self, place: Place, outcome: Outcome) -> Effect {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        inner.counts.ended.add(outcome, 1);
        if let Some(lane) = inner.lane(place.lane) {
            lane.ended(place.level);
            effect.quiet = lane.live() == 0 && lane.intake > LaneIntake::Open;
        }
        inner.call_for_room(&mut effect);
        effect
    }

    /// Takes back everything that waits in a lane; it counts as returned from here on.
    pub(crate) fn take_all(&self, lane: u32) -> (Vec<Entry<I>>, Effect) {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        let taken = inner.lane(lane).map(Lane::take_all).unwrap_or_default();
        if let Some(lane) = inner.lane(lane) {
            lane.under_way += taken.len();
        }
        inner.counts.ended.add(Outcome::Returned, taken.len() as u64);
        for _ in 0..taken.len() {
            inner.call_for_room(&mut effect);
        }
        (taken, effect)
    }

    /// Tasks that had left the queue have arrived.
    pub(crate) fn arrived(&self, lane: u32, tasks: usize) {
        if let Some(lane) = self.inner.lock().lane(lane) {
            lane.under_way -= tasks;
        }
    }

    /// Narrows what a lane takes; never widens it. Its idle workers are woken: there may be nothing left for them.
    pub(crate) fn narrow(&self, lane: u32, intake: LaneIntake) -> Vec<Thread> {
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.lane(lane) {
            lane.intake = lane.intake.max(intake);
        }
        inner.idle.iter().filter(|idle| idle.lane == lane).map(|idle| idle.thread.clone()).collect()
    }

    /// Opens or closes the pool for tasks from outside. Closing calls all who wait for room, to be refused.
    pub(crate) fn set_intake(&self, intake: Intake) -> Effect {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        if intake != Intake::Open {
            effect.submitters = inner.line.call_all();
        }
        inner.intake = intake;
        effect
    }

    /// A new generation begins: what waits stays with the old lane, what comes goes to the new one.
    pub(crate) fn begin_lane(&self, number: u32) {
        let mut inner = self.inner.lock();
        inner.lanes.push_back(Lane::new(number));
    }

    /// An old generation is over.
    pub(crate) fn end_lane(&self, number: u32) {
        let mut inner = self.inner.lock();
        if inner.lanes.len() > 1 {
            inner.lanes.retain(|lane| lane.number != number);
        }
    }

    pub(crate) fn set_paused(&self, paused: Paused) -> Effect {
        let mut inner = self.inner.lock();
        let mut effect = Effect::default();
        inner.paused = paused == Paused::Yes;
        if paused == Paused::No {
            let lane = inner.current().number;
            inner.feed(lane, &mut effect);
        }
        effect
    }

    /// Whether the roster wants to hear of hunger, lane by lane. True if a lane that it did not want to hear of before is
    /// hungry now: a task may have come just before, and nobody was told.
    pub(crate) fn set_may_grow(&self, may_grow: impl Fn(u32) -> bool) -> bool {
        let mut inner = self.inner.lock();
        let paused = inner.paused;
        let mut missed = false;
        for index in 0..inner.lanes.len() {
            let number = inner.lanes[index].number;
            let idle = inner.idle.iter().any(|idle| idle.lane == number);
            let lane = &mut inner.lanes[index];
            let before = std::mem::replace(&mut lane.may_grow, may_grow(number));
            let held = paused && lane.intake == LaneIntake::Open;
            let hungry = !held && !idle && lane.live() > 0 && lane.waking == 0;
            missed |= !before && lane.may_grow && hungry;
        }
        missed
    }

    /// Wakes an idle worker out of turn, to look at its orders. It finds itself still in the list of the idle.
    pub(crate) fn rouse(&self, worker: WorkerId) {
        let inner = self.inner.lock();
        let thread = inner.idle.iter().find(|idle| idle.worker == worker).map(|idle| idle.thread.clone());
        drop(inner);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Wakes all idle workers out of turn: the idle time of each begins anew.
    pub(crate) fn rouse_all(&self) {
        let threads: Vec<_> = self.inner.lock().idle.iter().map(|idle| idle.thread.clone()).collect();
        threads.iter().for_each(Thread::unpark);
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        Counts {
            queued: inner.live(),
            idle: inner.idle.len(),
            waiting_for_room: inner.line.len(),
            ..inner.counts
        }
    }

    /// True if nothing waits in a lane and nothing is on its way out of it; then it is closed for good, under the same
    /// lock: an abandoned task that runs on may still ask for a child.
    pub(crate) fn seal(&self, lane: u32) -> bool {
        let mut inner = self.inner.lock();
        let Some(lane) = inner.lane(lane) else { return true };
        let empty = lane.live() == 0 && lane.under_way == 0;
        if empty {
            lane.intake = LaneIntake::Closed;
        }
        empty
    }

    /// How many tasks of a lane wait with no worker for them: neither woken, nor on its way as a new one, nor idle (those that
    /// are idle are woken one by the other).
    pub(crate) fn unserved(&self, lane: u32) -> usize {
        let mut inner = self.inner.lock();
        let paused = inner.paused;
        let idle = inner.idle.iter().filter(|idle| idle.lane == lane).count();
        let Some(lane) = inner.lane(lane) else { return 0 };
        // What waits in a closed lane is on its way back.
        let held = paused && lane.intake == LaneIntake::Open || lane.intake == LaneIntake::Closed;
        if held { 0 } else { lane.live().saturating_sub(lane.waking + lane.coming + idle) }
    }

    pub(crate) fn set_when_full(&self, when_full: WhenFull) {
        self.inner.lock().when_full = when_full;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.inner.lock().paused
    }

    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let inner = self.inner.lock();
        let name = |entry: &Entry<I>| match &entry.body {
            Body::Inline(_) => None,
            Body::Cell(cell) => cell.header().name().cloned(),
        };
        inner
            .lanes
            .iter()
            .flat_map(Lane::iter)
            .map(|entry| Waiting { id: entry.id, name: name(entry) })
            .collect()
    }
}

/// Whether tasks may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    Yes,
    No,
}

impl<I: Isolation> Inner<I> {
    fn live(&self) -> usize {
        self.lanes.iter().map(Lane::live).sum()
    }

    fn current(&self) -> &Lane<I> {
        self.lanes.back().expect("there is always a lane")
    }

    fn lane(&mut self, number: u32) -> Option<&mut Lane<I>> {
        self.lanes.iter_mut().find(|lane| lane.number == number)
    }

    /// The lane a task goes to, if it may.
    fn lane_for(&mut self, entrance: &Entrance<'_>) -> Result<u32, RejectReason> {
        let refusal = match &self.intake {
            Intake::Open => RejectReason::ShuttingDown,
            Intake::Closed(reason) => reason.clone(),
        };
        match *entrance {
            // Nobody would come for it.
            _ if matches!(refusal, RejectReason::Broken(_)) => Err(refusal),
            Entrance::Child(number) => match self.lane(number) {
                Some(lane) if lane.intake < LaneIntake::Closed => Ok(number),
                _ => Err(refusal),
            },
            _ if self.intake == Intake::Open => Ok(self.current().number),
            _ => Err(refusal),
        }
    }

    fn accept(
        &mut self,
        priority: Priority,
        entrance: Entrance<'_>,
        lane: u32,
        make: Make<'_, I>,
    ) -> Admission<I> {
        let is_child = matches!(entrance, Entrance::Child(_));
        let room = if is_child { self.capacity.saturating_add(self.reserve) } else { self.capacity };
        let mut overflow = Overflow(None);
        if self.live() >= room {
            match (entrance, self.when_full) {
                (Entrance::Due(ticket, waker), _) => {
                    self.replaced = self.line.join(ticket, waker);
                    return Err(Refusal::Wait);
                }
                (Entrance::Block(..), WhenFull::CallerRuns) => {
                    let entry = make(self.admit(lane));
                    // The caller holds no other task: the claim of a task nobody else has seen succeeds.
                    let _ = entry.start(GUEST);
                    self.counts.started += 1;
                    self.lane(lane).expect("the lane was found under this lock").under_way += 1;
                    return Ok((Accepted::CallerRuns(entry, lane), overflow));
                }
                (_, WhenFull::ShedOldest) if !is_child => {
                    let victim = self.lane(lane).and_then(|lane| lane.shed(priority));
                    let Some(victim) = victim else { return Err(Refusal::Rejected(RejectReason::Full)) };
                    self.counts.ended.add(CancelReason::Shed.outcome(), 1);
                    overflow = Overflow(Some(victim));
                }
                (Entrance::Block(ticket, waker), WhenFull::Wait)
                | (Entrance::Poll(ticket, waker), WhenFull::Wait | WhenFull::CallerRuns) => {
                    self.replaced = self.line.join(ticket, waker);
                    return Err(Refusal::Wait);
                }
                _ => return Err(Refusal::Rejected(RejectReason::Full)),
            }
        } else if let Entrance::Block(ticket, _) | Entrance::Poll(ticket, _) | Entrance::Due(ticket, _) =
            entrance
            && let Some(ticket) = ticket.take()
        {
            let _was_called = self.line.leave(ticket);
        }
        let ticket = self.admit(lane);
        let entry = make(ticket);
        let own = self.lane(lane).expect("the lane was found under this lock");
        own.push(priority.level(), entry);
        Ok((Accepted::Queued(ticket.id), overflow))
    }

    fn admit(&mut self, lane: u32) -> Ticket {
        self.counts.accepted += 1;
        let timed = self.timed_every != 0 && self.counts.accepted.is_multiple_of(self.timed_every);
        let accepted_at = if timed { Moment::now() } else { Moment::default() };
        Ticket { id: TaskId(self.counts.accepted), lane, accepted_at }
    }

    /// A worker that slept is awake: it is out of the list, or whoever took it out counted it as waking.
    fn arrive(&mut self, worker: WorkerId, lane: u32, arrival: Arrival) {
        match arrival {
            Arrival::FromRun => return,
            Arrival::Fresh => {
                if let Some(lane) = self.lane(lane) {
                    lane.coming -= 1;
                }
                return;
            }
            Arrival::FromSleep => {}
        }
        let before = self.idle.len();
        self.idle.retain(|idle| idle.worker != worker);
        if self.idle.len() == before
            && let Some(lane) = self.lane(lane)
        {
            lane.waking -= 1;
        }
    }

    /// Sees that somebody comes for what waits in a lane.
    fn feed(&mut self, number: u32, effect: &mut Effect) {
        let paused = self.paused;
        let place = self.idle.iter().rposition(|idle| idle.lane == number);
        let Some(lane) = self.lane(number) else { return };
        let held = paused && lane.intake == LaneIntake::Open;
        if held || lane.live() == 0 || lane.waking > 0 {
            return;
        }
        match place {
            Some(place) => {
                lane.waking += 1;
                effect.worker = Some(self.idle.swap_remove(place).thread);
            }
            None if lane.may_grow => effect.hungry = Some(number),
            None => {}
        }
    }

    fn call_for_room(&mut self, effect: &mut Effect) {
        if self.live() < self.capacity || self.intake != Intake::Open {
            effect.submitters.extend(self.line.call());
        }
    }
}

impl Effect {
    /// Wakes those who are to be woken; what the pool must be told is left.
    pub(crate) fn wake(&mut self) {
        if let Some(thread) = self.worker.take() {
            thread.unpark();
        }
        self.submitters.drain(..).for_each(wait::wake);
    }
}
