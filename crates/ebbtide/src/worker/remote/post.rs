//! What is asked of a worker process from outside: by handles, timeouts, stops and the keeper of graces. Nothing here blocks.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    death::Verdict,
    desk::{Desk, Stage},
    frames,
};
use crate::{
    clock::Moment,
    task::{
        entry::Body,
        id::TaskId,
        isolation::Isolation,
        outcome::{CancelReason, Outcome},
        post::{Force, Post},
    },
    timer::Alarm,
};

impl<I: Isolation> Post for Desk<I> {
    fn ask(&self, task: TaskId, reason: &CancelReason, grace: Duration) {
        if self.book.lock().flights.find(task).is_none() {
            return;
        }
        self.say(|frame| frames::cancel(frame, task, reason));
        let (me, reason) = (Weak::clone(&self.me), reason.clone());
        let ring = move || {
            if let Some(desk) = me.upgrade()
                && desk.book.lock().flights.find(task).is_some_and(|flight| flight.begun.is_some())
            {
                desk.wire.terminate(Verdict::Task(task, Some(reason)));
            }
        };
        Alarm::at(Moment::now().plus(grace / 2), ring).leave();
    }

    fn ask_all(&self, grace: Duration) {
        self.recall();
        let begun: Vec<_> = {
            let book = self.book.lock();
            book.flights
                .iter()
                .filter(|flight| flight.begun.is_some())
                .map(|flight| flight.entry.id)
                .collect()
        };
        self.say(|frame| begun.iter().for_each(|&id| frames::cancel(frame, id, &CancelReason::Abort)));
        let me = Weak::clone(&self.me);
        let ring = move || {
            if let Some(desk) = me.upgrade()
                && desk.under_way() > 0
            {
                desk.wire.terminate(Verdict::Aborted);
            }
        };
        Alarm::at(Moment::now().plus(grace / 2), ring).leave();
    }

    fn recall(&self) {
        let number = self.book.lock().flights.recall();
        if let Some(number) = number {
            self.say(|frame| frames::recall(frame, number));
        }
    }

    fn end(&self, task: Option<TaskId>, reason: Option<CancelReason>) -> Force {
        let verdict = {
            let mut book = self.book.lock();
            let Some(task) = task else {
                drop(book);
                self.wire.kill(Verdict::Aborted);
                return Force::Applied;
            };
            let somebody = !book.flights.none_has_begun();
            match book.flights.find(task) {
                None => return Force::Applied,
                Some(flight) if flight.begun.is_none() && somebody => return Force::NotBegun,
                Some(_) => Verdict::Task(task, reason),
            }
        };
        self.wire.kill(verdict);
        Force::Applied
    }

    fn give_up(&self, count: &dyn Fn()) {
        let flights = {
            let mut book = self.book.lock();
            book.stage = Stage::Dead;
            let mut flights = book.flights.take_all();
            flights.append(&mut book.suspects);
            flights
        };
        // Whoever was sent and has not come back may run, although its START has not been read: that it was returned would be a promise.
        for flight in flights {
            if let Body::Cell(cell) = &flight.entry.body {
                count();
                Arc::clone(cell).header().settle(Outcome::Abandoned);
            }
            // The seat must not look at it any more when this desk is gone, and it with it: it would be given up, and counted, once more.
            self.show_no_more(flight.entry.id);
            self.book.lock().given_up.push(flight.entry);
        }
        self.wake();
    }

    fn nudge(&self) {
        self.wake();
    }
}
