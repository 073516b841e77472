//! The queue itself: one lock around the lanes, the idle workers and the line for room.
//!
//! Invariants: 1. a task is accepted and its lane closed under the same lock, so a submit that races with a stop is either
//! counted or refused. 2. A worker becomes idle under the lock under which it found nothing; a push under
//! the same lock finds it. 3. While tasks wait in a lane and one of its workers is idle, a worker of that lane
//! has been woken and has not come yet (`waking > 0`), and on coming it wakes the next: at most one wake is in flight.

use std::{collections::VecDeque, sync::Arc};

use super::{
    inner::{Idle, Inner},
    lane::{Lane, LaneIntake},
    line::Line,
    terms::{Admission, Arrival, Counts, Effect, Intake, NotTaken, Paused, Take, Waiting},
    tray::Tray,
};
use crate::{
    error::RejectReason,
    policy::{Priority, TIMING_SAMPLE, Timing, WhenFull},
    sync::{
        Mutex, MutexGuard, Thread,
        atomic::{AtomicU32, Ordering},
    },
    task::{
        entry::{Body, Entry, Offer},
        gate::{Entrance, Make, Place, Refusal, RoomTicket},
        id::{TaskId, WorkerId},
        isolation::Isolation,
        outcome::Outcome,
        wait,
    },
};

pub(crate) struct Queue<I: Isolation> {
    inner: Mutex<Inner<I>>,
    bell: Bell,
}

/// Rung for the worker that watches; on a line of its own, for it looks at nothing else.
#[repr(align(128))]
struct Bell(AtomicU32);

impl<I: Isolation> Queue<I> {
    pub(crate) fn new(capacity: usize, reserve: usize, when_full: WhenFull, timing: Timing) -> Self {
        let timed_every = match timing {
            Timing::Off => 0,
            Timing::Every => 1,
            Timing::Sampled => u64::from(TIMING_SAMPLE),
        };
        let inner = Inner {
            express: 0,
            lanes: VecDeque::from([Lane::new(1)]),
            intake: Intake::Open,
            capacity,
            reserve,
            when_full,
            paused: false,
            timed_every,
            until_timed: timed_every,
            idle: Vec::new(),
            trays: Vec::new(),
            turn: 0,
            line: Line::default(),
            replaced: None,
            counts: Counts::default(),
        };
        Self { inner: Mutex::new(inner), bell: Bell(AtomicU32::new(0)) }
    }

    /// Accepts a task, makes room for it, or says why not.
    pub(crate) fn accept(
        &self,
        priority: Priority,
        entrance: Entrance<'_>,
        make: Make<'_, I>,
    ) -> (Admission<I>, Effect) {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        let result = match inner.lane_for(&entrance) {
            Err(reason) => Err(Refusal::Rejected(reason)),
            Ok(lane) => {
                let result = inner.accept(priority, entrance, lane, make);
                inner.feed(lane, &mut effect);
                if effect.hungry.is_none() {
                    inner.open_express(lane);
                }
                result
            }
        };
        effect.replaced = inner.replaced.take();
        (result, effect)
    }

    /// The short way in: while there is room and nothing to decide, a task is put in and that is all. Else the offer comes back.
    #[inline]
    pub(crate) fn express<O: Offer<I>>(&self, offer: O) -> Result<TaskId, O> {
        let mut inner = self.inner.lock();
        if inner.express == 0 {
            return Err(offer);
        }
        inner.express -= 1;
        Ok(inner.put_in(offer))
    }

    /// The same for several; says how many of them were put in, from the front.
    pub(crate) fn express_many<O>(&self, offers: &[O]) -> usize
    where
        for<'o> &'o O: Offer<I>,
    {
        let mut inner = self.inner.lock();
        let count = inner.express.min(offers.len());
        inner.express -= count;
        for offer in &offers[..count] {
            inner.put_in(offer);
        }
        count
    }

    /// Whoever comes any other way than [`express`](Self::express) may change something: the next task is looked at again.
    fn lock(&self) -> MutexGuard<'_, Inner<I>> {
        let mut inner = self.inner.lock();
        inner.express = 0;
        inner
    }

    pub(crate) fn leave_line(&self, ticket: RoomTicket) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        if inner.line.leave(ticket) {
            inner.call_for_room(0, &mut effect);
        }
        effect
    }

    /// A new worker of `lane` is ready and will ask for work: nobody else need come for the first that waits.
    pub(crate) fn expect(&self, lane: u32) {
        if let Some(lane) = self.lock().lane(lane) {
            lane.coming += 1;
        }
    }

    /// Gives a worker its tray, before its thread starts.
    pub(crate) fn hire(&self, worker: WorkerId, lane: u32) -> Arc<Tray<I>> {
        let tray = Arc::new(Tray::new(worker, lane));
        let mut inner = self.lock();
        inner.trays.push(Arc::clone(&tray));
        if let Some(lane) = inner.lane(lane) {
            lane.trays += 1;
        }
        tray
    }

    /// A worker is gone, or belongs to nobody any more: what lay on its tray goes back to the front of the queue.
    pub(crate) fn dismiss(&self, worker: WorkerId) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        let place = inner.trays.iter().position(|tray| tray.worker == worker);
        if let Some(tray) = place.map(|place| inner.trays.swap_remove(place)) {
            inner.recall(&tray);
            if let Some(lane) = inner.lane(tray.lane) {
                lane.trays -= 1;
            }
            inner.feed(tray.lane, &mut effect);
        }
        effect
    }

    /// A worker takes nothing for a while: what lies on its tray goes back to the front of the queue.
    pub(crate) fn recall(&self, worker: WorkerId) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        let tray = inner.trays.iter().find(|tray| tray.worker == worker).cloned();
        if let Some(tray) = tray {
            inner.recall(&tray);
            inner.feed(tray.lane, &mut effect);
        }
        effect
    }

    /// Makes the books exact and calls whoever waits although there is room: a worker that is in a long task has not said
    /// what it started before.
    pub(crate) fn relieve(&self) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        if !inner.line.is_empty() {
            inner.settle_all();
            inner.call_for_room(0, &mut effect);
        }
        effect
    }

    /// A worker asks for work.
    pub(crate) fn take(&self, tray: &Tray<I>, arrival: Arrival, thread: &Thread) -> (Take<I>, Effect) {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        inner.arrive(tray, arrival);
        let paused = inner.paused;
        let Some(own) = inner.lane(tray.lane) else { return (Take::Leave, effect) };
        let intake = own.intake;
        let held = is_held(paused, intake);
        let entry = if held { None } else { inner.next(tray) };
        let Some(entry) = entry else {
            if intake > LaneIntake::Open {
                return (Take::Leave, effect);
            }
            inner.call_for_room(0, &mut effect);
            if inner.may_watch(tray, arrival) {
                return (Take::Watch(self.bell.0.load(Ordering::Relaxed)), effect);
            }
            inner.idle.push(Idle { worker: tray.worker, lane: tray.lane, thread: thread.clone() });
            return (Take::Sleep, effect);
        };
        inner.call_for_room(tray.pace(), &mut effect);
        inner.feed(tray.lane, &mut effect);
        (Take::Task(entry), effect)
    }

    /// A worker that has tasks under way asks for one more: it neither waits nor becomes idle.
    pub(crate) fn take_now(&self, tray: &Tray<I>) -> (Option<Entry<I>>, Effect) {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        let paused = inner.paused;
        let Some(own) = inner.lane(tray.lane) else { return (None, effect) };
        let held = is_held(paused, own.intake);
        let entry = if held { None } else { inner.next(tray) };
        inner.call_for_room(if entry.is_some() { tray.pace() } else { 0 }, &mut effect);
        inner.feed(tray.lane, &mut effect);
        (entry, effect)
    }

    /// A task that was taken and has not begun goes back to the front of its lane. Gives it back where it must be ended instead: it was
    /// asked to cancel, or nobody would come for it.
    pub(crate) fn give_back(&self, entry: Entry<I>) -> Result<Effect, (Entry<I>, NotTaken)> {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        let Body::Cell(cell) = &entry.body else { return Err((entry, NotTaken::Stopped)) };
        // Its start may have been from a tray, and not be counted yet.
        inner.settle_of(cell.header().worker());
        let place = cell.header().place();
        if let Intake::Closed(RejectReason::Broken(cause)) = &inner.intake {
            let cause = Arc::clone(cause);
            return Err((entry, NotTaken::Broken(cause)));
        }
        match inner.lane(place.lane) {
            Some(lane) if lane.intake < LaneIntake::Closed => {
                if !cell.header().unstart() {
                    return Err((entry, NotTaken::Asked));
                }
                lane.push_front(place.level, entry);
                if lane.on_trays.is_some_and(|other| other != place.level) {
                    lane.mixed();
                    inner.recall_lane(place.lane);
                }
            }
            _ => return Err((entry, NotTaken::Stopped)),
        }
        inner.counts.started -= 1;
        inner.feed(place.lane, &mut effect);
        Ok(effect)
    }

    /// Looks for a moment whether the bell is rung, or `called` is true.
    pub(crate) fn watch(&self, tray: &Tray<I>, heard: u32, called: impl Fn() -> bool) {
        if tray.spin.until(|| self.bell.0.load(Ordering::Acquire) != heard || called()) {
            tray.linger.wait();
        }
    }

    /// Does what an effect asks for outside the lock; what the pool must be told is left.
    pub(crate) fn wake(&self, effect: &mut Effect) {
        if effect.ring {
            self.bell.0.fetch_add(1, Ordering::Release);
        }
        if let Some(thread) = effect.worker.take() {
            thread.unpark();
        }
        effect.submitters.drain(..).for_each(wait::wake);
    }

    /// A worker goes without asking for work: somebody else must have what it was woken for, and what lies on its tray.
    pub(crate) fn depart(&self, tray: &Tray<I>, arrival: Arrival) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        inner.arrive(tray, arrival);
        inner.recall(tray);
        inner.feed(tray.lane, &mut effect);
        effect
    }

    /// A waiting task was ended by its owner.
    pub(crate) fn ended(&self, place: Place, outcome: Outcome) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        inner.counts.ended.add(outcome, 1);
        let mut closing = false;
        if let Some(lane) = inner.lane(place.lane) {
            lane.ended(place.level);
            closing = lane.intake > LaneIntake::Open;
        }
        if closing {
            inner.settle_all();
            effect.quiet = inner.lane(place.lane).is_some_and(|lane| lane.live() == 0);
        }
        inner.call_for_room(0, &mut effect);
        effect
    }

    /// Takes everything that waits out of a lane, level by level. It is under way until [`arrived`](Self::arrived), and counts as
    /// queued until it is [`returned`](Self::returned).
    pub(crate) fn take_all(&self, lane: u32) -> Vec<(usize, VecDeque<Entry<I>>)> {
        let mut inner = self.lock();
        inner.recall_lane(lane);
        let Some(lane) = inner.lane(lane) else { return Vec::new() };
        let taken = lane.take_all();
        lane.under_way += taken.iter().map(|(_, entries)| entries.len()).sum::<usize>();
        taken
    }

    /// So many of those that were taken out were claimed, to be returned.
    pub(crate) fn returned(&self, lane: u32, level: usize, tasks: usize) {
        let mut inner = self.lock();
        inner.counts.ended.add(Outcome::Returned, tasks as u64);
        if let Some(lane) = inner.lane(lane) {
            lane.gone(level, tasks);
        }
    }

    /// Tasks that had left the queue have arrived.
    pub(crate) fn arrived(&self, lane: u32, tasks: usize) {
        if let Some(lane) = self.lock().lane(lane) {
            lane.under_way -= tasks;
        }
    }

    /// Narrows what a lane takes; never widens it. Its idle workers are woken: there may be nothing left for them.
    pub(crate) fn narrow(&self, lane: u32, intake: LaneIntake) -> Vec<Thread> {
        let mut inner = self.lock();
        if let Some(lane) = inner.lane(lane) {
            lane.intake = lane.intake.max(intake);
        }
        inner.idle.iter().filter(|idle| idle.lane == lane).map(|idle| idle.thread.clone()).collect()
    }

    /// Opens or closes the pool for tasks from outside. Closing calls all who wait for room, to be refused.
    pub(crate) fn set_intake(&self, intake: Intake) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        if intake != Intake::Open {
            effect.submitters = inner.line.call_all();
        }
        inner.intake = intake;
        effect
    }

    /// A new generation begins: what waits stays with the old lane, what comes goes to the new one.
    pub(crate) fn begin_lane(&self, number: u32) {
        let mut inner = self.lock();
        inner.lanes.push_back(Lane::new(number));
    }

    /// An old generation is over.
    pub(crate) fn end_lane(&self, number: u32) {
        let mut inner = self.lock();
        if inner.lanes.len() > 1 {
            inner.lanes.retain(|lane| lane.number != number);
        }
    }

    pub(crate) fn set_paused(&self, paused: Paused) -> Effect {
        let mut inner = self.lock();
        let mut effect = Effect::default();
        inner.paused = paused == Paused::Yes;
        if paused == Paused::Yes {
            inner.recall_all();
        } else {
            let lane = inner.current().number;
            inner.feed(lane, &mut effect);
        }
        effect
    }

    /// Whether the roster wants to hear of hunger, lane by lane. True if a lane that it did not want to hear of before is
    /// hungry now: a task may have come just before, and nobody was told.
    pub(crate) fn set_may_grow(&self, may_grow: impl Fn(u32) -> bool) -> bool {
        let mut inner = self.lock();
        let paused = inner.paused;
        let mut missed = false;
        inner.settle_all();
        for index in 0..inner.lanes.len() {
            let number = inner.lanes[index].number;
            let idle = inner.idle.iter().any(|idle| idle.lane == number);
            let lane = &mut inner.lanes[index];
            let before = std::mem::replace(&mut lane.may_grow, may_grow(number));
            let held = paused && lane.intake == LaneIntake::Open;
            let hungry = !held && !idle && lane.live() > 0 && lane.waking == 0;
            missed |= !before && lane.may_grow && hungry;
            if !before && lane.may_grow {
                // A new worker must find it.
                inner.recall_lane(number);
            }
        }
        missed
    }

    /// Wakes an idle worker out of turn, to look at its orders. It finds itself still in the list of the idle.
    pub(crate) fn rouse(&self, worker: WorkerId) {
        let inner = self.lock();
        let thread = inner.idle.iter().find(|idle| idle.worker == worker).map(|idle| idle.thread.clone());
        drop(inner);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Wakes all idle workers out of turn: the idle time of each begins anew.
    pub(crate) fn rouse_all(&self) {
        let threads: Vec<_> = self.lock().idle.iter().map(|idle| idle.thread.clone()).collect();
        threads.iter().for_each(Thread::unpark);
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut inner = self.lock();
        inner.settle_all();
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
        let mut inner = self.lock();
        inner.settle_all();
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
        let mut inner = self.lock();
        inner.settle_all();
        let paused = inner.paused;
        let idle = inner.idle.iter().filter(|idle| idle.lane == lane).count();
        let Some(lane) = inner.lane(lane) else { return 0 };
        let held = is_held(paused, lane.intake);
        if held { 0 } else { lane.live().saturating_sub(lane.waking + lane.coming + idle) }
    }

    pub(crate) fn set_when_full(&self, when_full: WhenFull) {
        let mut inner = self.lock();
        inner.when_full = when_full;
        inner.recall_all();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut inner = self.lock();
        inner.recall_all();
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

/// A lane that drains works on although the pool is paused. What waits in a closed one is on its way back, and does not begin any more.
fn is_held(paused: bool, intake: LaneIntake) -> bool {
    match intake {
        LaneIntake::Open => paused,
        LaneIntake::ChildrenOnly => false,
        LaneIntake::Closed => true,
    }
}
