//! Those who wait for room, in the order they came. Each place that is freed calls one of them.
//!
//! Invariant: a ticket in the line has not been called. One who was called and goes away without coming back passes the
//! call on ([`Line::leave`] says whether it must).

use std::{collections::VecDeque, task::Waker};

use crate::task::gate::RoomTicket;

#[derive(Default)]
pub(crate) struct Line {
    waiting: VecDeque<(RoomTicket, Waker)>,
    next: u64,
}

impl Line {
    /// Joins the line, or keeps the place that `ticket` names. One who was called in vain comes first again. Gives the waker that was
    /// replaced, to be dropped after the lock is released.
    #[must_use]
    pub(crate) fn join(&mut self, ticket: &mut Option<RoomTicket>, waker: &Waker) -> Option<Waker> {
        match *ticket {
            Some(own) => match self.waiting.iter_mut().find(|(other, _)| *other == own) {
                Some((_, old)) if old.will_wake(waker) => {}
                Some((_, old)) => return Some(std::mem::replace(old, waker.clone())),
                None => self.waiting.push_front((own, waker.clone())),
            },
            None => {
                self.next += 1;
                let own = RoomTicket(self.next);
                self.waiting.push_back((own, waker.clone()));
                *ticket = Some(own);
            }
        }
        None
    }

    /// Leaves the line for good. True if it had been called before and did not come: then somebody else must be.
    #[must_use]
    pub(crate) fn leave(&mut self, ticket: RoomTicket) -> bool {
        let place = self.waiting.iter().position(|(own, _)| *own == ticket);
        place.and_then(|place| self.waiting.remove(place)).is_none()
    }

    /// Calls the first.
    pub(crate) fn call(&mut self) -> Option<Waker> {
        self.waiting.pop_front().map(|(_, waker)| waker)
    }

    /// Calls everybody: there will be no room any more.
    pub(crate) fn call_all(&mut self) -> Vec<Waker> {
        self.waiting.drain(..).map(|(_, waker)| waker).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
