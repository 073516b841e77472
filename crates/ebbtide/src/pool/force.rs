//! What becomes of those who do not obey: a thread is abandoned with its task, a process is ended under it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{control::Control, core::Core, events::Event};
use crate::{
    clock::Moment,
    sync::atomic::Ordering,
    task::{cell::AnyCell, isolation::Isolation, outcome::CancelReason, post::Force, seat::Seat},
    timer::Alarm,
};

/// Those who were given up are looked at that seldom at the least, while one of them may have taken a task and not begun it.
const LATE_AGAIN: Duration = Duration::from_secs(2);
/// A task whose turn has not come at its worker process is looked at again after this.
const FORCE_AGAIN: Duration = Duration::from_millis(100);

impl<I: Isolation> Core<I> {
    /// After its grace a task that was asked and did not obey is abandoned.
    pub(crate) fn abandon_later(&self, cell: &Arc<dyn AnyCell>, after: Duration) {
        let (me, weak) = (Weak::clone(&self.me), Arc::downgrade(cell));
        let ring = move || {
            if let (Some(core), Some(cell)) = (me.upgrade(), weak.upgrade()) {
                core.abandon_task(&cell);
            }
        };
        let old = {
            let mut control = self.control.lock();
            // Set under the lock: one that rings at once must find itself there to be taken away.
            let alarm = Alarm::at(Moment::now().plus(after), ring);
            control.asked.insert(cell.header().id(), alarm)
        };
        drop(old);
    }

    fn abandon_task(&self, cell: &Arc<dyn AnyCell>) {
        let header = cell.header();
        if self.end_by_force(cell) {
            return;
        }
        let seat = {
            let mut control = self.control.lock();
            let alarm = control.asked.remove(&header.id());
            drop(alarm);
            control.seat_of(header.worker(), header.id())
        };
        match seat {
            Some(seat) => {
                let run = seat.run_of(header.id());
                if run.is_some() {
                    self.abandon(&seat, run);
                }
            }
            // Taken and not begun, or ended and not settled: look again.
            None if header.is_running() => self.abandon_later(cell, Duration::from_millis(10)),
            None => {}
        }
    }

    /// Ends the process under a task that does not obey. False if it runs on a thread.
    fn end_by_force(&self, cell: &Arc<dyn AnyCell>) -> bool {
        let header = cell.header();
        let (post, alarm) = {
            let mut control = self.control.lock();
            let post = control.desks.get(&header.worker()).and_then(|desk| desk.seat.post());
            let alarm = post.is_some().then(|| control.asked.remove(&header.id()));
            (post, alarm)
        };
        drop(alarm);
        let Some(post) = post else { return false };
        if header.is_running() && post.end(Some(header.id()), header.reason()) == Force::NotBegun {
            self.abandon_later(cell, FORCE_AGAIN);
        }
        true
    }

    /// Takes a run from its worker. The worker is no member any more.
    fn abandon(&self, seat: &Arc<Seat>, run: Option<u64>) {
        if let Some(post) = seat.post() {
            let _ = post.end(None, Some(CancelReason::Abort));
            return;
        }
        let count = || {
            self.abandoned.fetch_add(1, Ordering::AcqRel);
        };
        let Some(sighting) = seat.abandon(run, count) else { return };
        let task = Some(sighting.task);
        self.give_up(seat, Some(sighting));
        self.send(Event::WorkerAbandoned { worker: seat.id, task });
    }

    pub(crate) fn end_all(&self, lane: u32) {
        let seats: Vec<_> = self.control.lock().lane_seats(lane).cloned().collect();
        seats.iter().for_each(|seat| self.abandon(seat, None));
    }

    /// The deadline has come: whoever is still there, in a task or outside of one, is given up.
    pub(crate) fn give_up_all(&self, lane: u32) {
        self.end_all(lane);
        let seats: Vec<_> = self.control.lock().lane_seats(lane).cloned().collect();
        for seat in seats.iter().filter(|seat| seat.id != crate::task::gate::GUEST) {
            if let Some(post) = seat.post() {
                post.give_up(&|| {
                    self.abandoned.fetch_add(1, Ordering::AcqRel);
                });
            }
            self.give_up(seat, None);
            self.send(Event::WorkerAbandoned { worker: seat.id, task: None });
        }
        self.end_late(lane, Duration::from_millis(1));
    }

    /// One that was given up had taken a task and not begun it: nobody saw it run.
    pub(super) fn somebody_is_late(&self, control: &Control) -> bool {
        control.desks.is_empty() && control.guests.is_empty() && self.balance(control).running > 0
    }

    /// Abandons what those who were given up have begun since: what is taken is begun at once, unless the machine is very busy. How busy it may be
    /// nobody knows: this goes on while any of them may hold one, which it cannot when no task counts as running. They take no more.
    fn end_late(&self, lane: u32, again: Duration) {
        let (seats, may_hold) = {
            let control = self.control.lock();
            let of_lane = control.abandoned.values().filter(|seat| seat.lane == lane && !seat.is_lost());
            let seats: Vec<_> = of_lane.cloned().collect();
            let may_hold = !seats.is_empty() && self.balance(&control).running > 0;
            (seats, may_hold)
        };
        seats.iter().for_each(|seat| self.abandon(seat, None));
        if may_hold {
            let me = Weak::clone(&self.me);
            let ring = move || {
                let core = me.upgrade();
                core.into_iter().for_each(|core| core.end_late(lane, LATE_AGAIN.min(again * 2)));
            };
            Alarm::at(Moment::now().plus(again), ring).leave();
        }
    }
}
