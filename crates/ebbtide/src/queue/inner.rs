//! What lies behind the queue's lock: the lanes and trays, who is idle, who waits for room, and the books.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use super::{
    lane::{Lane, LaneIntake},
    line::Line,
    terms::{Accepted, Admission, Arrival, Counts, Effect, Intake, Overflow},
    tray::{self, Tray, Unloaded},
};
use crate::{
    clock::Moment,
    error::RejectReason,
    policy::{Priority, WhenFull},
    sync::{IN_A_MODEL, Thread},
    task::{
        entry::{Entry, Offer},
        gate::{Entrance, GUEST, Make, Refusal, Ticket},
        id::{TaskId, WorkerId},
        isolation::Isolation,
        outcome::CancelReason,
    },
};

/// A worker may take one in so many of the places a queue has onto its tray: a small queue is not emptied onto trays.
const SHARE: usize = if IN_A_MODEL { 2 } else { 8 };
/// A submitter that waits for room is called when so many times what a worker takes at once is free: a call costs as much as
/// a hundred short tasks, and whoever comes for one place comes again for the next.
const ROOM_FOR: usize = 8;

pub(super) struct Inner<I: Isolation> {
    /// So many tasks of normal priority from outside may be put in and nothing else be done.
    pub(super) express: usize,
    /// One lane; two while a restart lets an old generation finish (the old one first).
    pub(super) lanes: VecDeque<Lane<I>>,
    pub(super) intake: Intake,
    pub(super) capacity: usize,
    pub(super) reserve: usize,
    pub(super) when_full: WhenFull,
    pub(super) paused: bool,
    /// One task in so many is timed; 0 for none.
    pub(super) timed_every: u64,
    /// Counts down to the next one that is.
    pub(super) until_timed: u64,
    pub(super) idle: Vec<Idle>,
    /// One per worker, from before its thread starts until after it has gone.
    pub(super) trays: Vec<Arc<Tray<I>>>,
    /// Which tray is looked at next, whether it is stuck.
    pub(super) turn: usize,
    pub(super) line: Line,
    /// A waker that must be dropped after the lock is released.
    pub(super) replaced: Option<Waker>,
    pub(super) counts: Counts,
}

pub(super) struct Idle {
    pub(super) worker: WorkerId,
    pub(super) lane: u32,
    pub(super) thread: Thread,
}

impl<I: Isolation> Inner<I> {
    /// Tasks that wait; those that were started from trays since the last [`settle_all`](Self::settle_all) among them.
    pub(super) fn live(&self) -> usize {
        self.lanes.iter().map(Lane::live).sum()
    }

    pub(super) fn current(&self) -> &Lane<I> {
        self.lanes.back().expect("there is always a lane")
    }

    pub(super) fn lane(&mut self, number: u32) -> Option<&mut Lane<I>> {
        self.lanes.iter_mut().find(|lane| lane.number == number)
    }

    /// The lane a task goes to, if it may.
    pub(super) fn lane_for(&mut self, entrance: &Entrance<'_>) -> Result<u32, RejectReason> {
        if matches!(entrance, Entrance::Child(_)) || self.intake != Intake::Open {
            return self.lane_of_closed(entrance);
        }
        Ok(self.current().number)
    }

    fn lane_of_closed(&mut self, entrance: &Entrance<'_>) -> Result<u32, RejectReason> {
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
            _ => Err(refusal),
        }
    }

    pub(super) fn accept(
        &mut self,
        priority: Priority,
        entrance: Entrance<'_>,
        lane: u32,
        make: Make<'_, I>,
    ) -> Admission<I> {
        let is_child = matches!(entrance, Entrance::Child(_));
        let room = if is_child { self.capacity.saturating_add(self.reserve) } else { self.capacity };
        let mut overflow = Overflow(None);
        if self.is_full(room) {
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
        self.push(lane, priority.level(), entry);
        Ok((Accepted::Queued(ticket.id), overflow))
    }

    /// A worker that found nothing looks again for a moment before it sleeps, one at a time.
    pub(super) fn may_watch(&mut self, tray: &Tray<I>, arrival: Arrival) -> bool {
        let Some(lane) = self.lane(tray.lane) else { return false };
        let may = arrival != Arrival::FromWatch && lane.waking == 0;
        if may {
            lane.waking += 1;
            lane.watched = true;
        }
        may
    }

    /// Whether `room` tasks wait already.
    fn is_full(&mut self, room: usize) -> bool {
        self.live() >= room && {
            self.settle_all();
            self.live() >= room
        }
    }

    fn push(&mut self, number: u32, level: usize, entry: Entry<I>) {
        let lane = self.lane(number).expect("the lane was found under this lock");
        lane.push(level, entry);
        if lane.on_trays.is_some_and(|other| other != level) {
            lane.mixed();
            self.recall_lane(number);
        }
    }

    fn admit(&mut self, lane: u32) -> Ticket {
        self.counts.accepted += 1;
        self.until_timed = self.until_timed.wrapping_sub(1);
        let accepted_at = if self.until_timed == 0 { self.timed() } else { Moment::default() };
        Ticket { id: TaskId(self.counts.accepted), lane, accepted_at }
    }

    #[cold]
    fn timed(&mut self) -> Moment {
        self.until_timed = self.timed_every;
        Moment::now()
    }

    /// Opens the express way as far as there is room: nobody is to be woken or told for those that come that way, and everything
    /// that could change that closes it.
    pub(super) fn open_express(&mut self, lane: u32) {
        let current = self.current();
        let level = Priority::Normal.level();
        let plain = current.number == lane && current.on_trays.is_none_or(|other| other == level);
        if plain && self.intake == Intake::Open {
            self.express = self.capacity.saturating_sub(self.live());
        }
    }

    /// Puts a task in by the express way.
    #[inline]
    pub(super) fn put_in(&mut self, offer: impl Offer<I>) -> TaskId {
        let lane = self.current().number;
        let ticket = self.admit(lane);
        let lane = self.lanes.back_mut().expect("there is always a lane");
        lane.push(Priority::Normal.level(), offer.enter(ticket));
        ticket.id
    }

    /// A worker that slept is awake: it is out of the list, or whoever took it out counted it as waking.
    pub(super) fn arrive(&mut self, tray: &Tray<I>, arrival: Arrival) {
        match arrival {
            Arrival::FromRun => return,
            Arrival::Fresh => {
                if let Some(lane) = self.lane(tray.lane) {
                    lane.coming -= 1;
                }
                return;
            }
            Arrival::FromSleep => tray.rest(),
            Arrival::FromWatch => {
                tray.rest();
                if let Some(lane) = self.lane(tray.lane) {
                    lane.waking -= 1;
                    lane.watched = false;
                    tray.linger.learn(lane.live());
                }
                return;
            }
        }
        let before = self.idle.len();
        self.idle.retain(|idle| idle.worker != tray.worker);
        if self.idle.len() == before
            && let Some(lane) = self.lane(tray.lane)
        {
            lane.waking -= 1;
        }
    }

    /// Takes the next task for a worker, and more onto its tray.
    pub(super) fn next(&mut self, tray: &Tray<I>) -> Option<Entry<I>> {
        self.settle(tray);
        let lane = self.lane(tray.lane)?;
        tray.set_each(lane.live() / lane.trays.max(1));
        if let Some((level, entry)) = lane.pop(tray.worker) {
            self.counts.started += 1;
            self.refill(tray, level);
            return Some(entry);
        }
        self.steal(tray)
    }

    fn refill(&mut self, tray: &Tray<I>, level: usize) {
        self.look_at_one(tray);
        let most = tray::MOST.min(self.capacity / SHARE);
        let sheds = self.when_full == WhenFull::ShedOldest;
        let Some(lane) = self.lane(tray.lane) else { return };
        let share = if sheds { 0 } else { lane.share(level).min(most) };
        if share == 0 {
            return;
        }
        let extra = share.min(tray.pace());
        tray.step(extra + 1, Moment::now());
        if extra > 0 {
            lane.on_trays = Some(level);
            tray.fill(level, lane.waiting(level), extra);
        }
    }

    /// Takes the older half of what lies on another worker's tray.
    fn steal(&mut self, tray: &Tray<I>) -> Option<Entry<I>> {
        if self.lane(tray.lane).is_none_or(|lane| lane.live() == 0) {
            return None;
        }
        for index in 0..self.trays.len() {
            let other = Arc::clone(&self.trays[index]);
            if other.lane != tray.lane {
                continue;
            }
            // Where the older half is all tombstones, whoever lives lies in the younger one.
            while !other.is_empty() {
                let stolen = self.steal_from(&other, tray);
                if stolen.is_some() {
                    return stolen;
                }
            }
        }
        None
    }

    fn steal_from(&mut self, other: &Tray<I>, tray: &Tray<I>) -> Option<Entry<I>> {
        let Unloaded { mut entries, level, started } = other.unload_half();
        self.note_started(tray.lane, level, started);
        while let Some(entry) = entries.pop_front() {
            if entry.start(tray.worker) {
                let rest = entries.len();
                tray.fill(level, &mut entries, rest);
                self.note_started(tray.lane, level, 1);
                return Some(entry);
            }
        }
        None
    }

    /// Looks at one of the others' trays: if its worker has taken nothing from it since the last look, its tasks go back.
    fn look_at_one(&mut self, tray: &Tray<I>) {
        self.turn = if self.turn + 1 < self.trays.len() { self.turn + 1 } else { 0 };
        let Some(other) = self.trays.get(self.turn) else { return };
        if other.worker != tray.worker && !other.is_empty() && other.is_stuck() {
            let other = Arc::clone(other);
            self.recall(&other);
        }
    }

    /// Writes down what was started from a tray.
    fn settle(&mut self, tray: &Tray<I>) {
        let (level, started) = tray.settle();
        self.note_started(tray.lane, level, started);
    }

    /// Writes down what a worker started from its tray, if it has one still; else that was done when it lost it.
    pub(super) fn settle_of(&mut self, worker: WorkerId) {
        let tray = self.trays.iter().find(|tray| tray.worker == worker).cloned();
        if let Some(tray) = tray {
            self.settle(&tray);
        }
    }

    /// After this the books are exact.
    pub(super) fn settle_all(&mut self) {
        for index in 0..self.trays.len() {
            let tray = &self.trays[index];
            let (lane, (level, started)) = (tray.lane, tray.settle());
            self.note_started(lane, level, started);
        }
    }

    fn note_started(&mut self, lane: u32, level: usize, started: u64) {
        self.counts.started += started;
        if started > 0
            && let Some(lane) = self.lane(lane)
        {
            lane.gone(level, usize::try_from(started).expect("no more than lay there"));
        }
    }

    /// Puts what lies on a tray back to the front of its lane.
    pub(super) fn recall(&mut self, tray: &Tray<I>) {
        let Unloaded { entries, level, started } = tray.unload();
        self.note_started(tray.lane, level, started);
        if let Some(lane) = self.lane(tray.lane) {
            lane.put_back(level, entries);
        }
    }

    /// Puts what lies on all trays of a lane back to its front.
    pub(super) fn recall_lane(&mut self, number: u32) {
        let mut all = Vec::new();
        for index in 0..self.trays.len() {
            let tray = &self.trays[index];
            if tray.lane == number {
                let Unloaded { entries, level, started } = tray.unload();
                self.note_started(number, level, started);
                all.extend(entries.into_iter().map(|entry| (level, entry)));
            }
        }
        all.sort_by_key(|(_, entry)| entry.id);
        if let Some(lane) = self.lane(number) {
            lane.on_trays = None;
            for (level, entry) in all.into_iter().rev() {
                lane.put_back(level, std::iter::once(entry));
            }
        }
    }

    pub(super) fn recall_all(&mut self) {
        for index in 0..self.lanes.len() {
            let number = self.lanes[index].number;
            self.recall_lane(number);
        }
    }

    /// Sees that somebody comes for what waits in a lane.
    pub(super) fn feed(&mut self, number: u32, effect: &mut Effect) {
        let paused = self.paused;
        let Some(lane) = self.lane(number) else { return };
        let held = paused && lane.intake == LaneIntake::Open;
        if held || lane.live() == 0 {
            return;
        }
        effect.ring |= std::mem::take(&mut lane.watched);
        if lane.waking > 0 {
            return;
        }
        let place = self.idle.iter().rposition(|idle| idle.lane == number);
        let Some(lane) = self.lane(number) else { return };
        match place {
            Some(place) => {
                lane.waking += 1;
                effect.worker = Some(self.idle.swap_remove(place).thread);
            }
            None if lane.may_grow => effect.hungry = Some(number),
            None => {}
        }
    }

    /// Calls as many of those who wait for room as there is room for, once there is enough to be worth it.
    pub(super) fn call_for_room(&mut self, pace: usize, effect: &mut Effect) {
        if self.line.is_empty() || self.intake != Intake::Open {
            return;
        }
        let free = self.capacity.saturating_sub(self.live());
        let enough = (ROOM_FOR * pace).min(self.capacity / 4).max(1);
        if free >= enough {
            self.line.call(free, &mut effect.submitters);
        }
    }
}
