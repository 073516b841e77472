//! Those who wait for room, in the order they came. When places are free, as many of them are called.
//!
//! Invariant: a ticket in the line has not been called; `called` counts those who were and have not come back. One who goes away
//! without coming back passes the call on ([`Line::leave`] says whether it must).

use std::{collections::VecDeque, task::Waker};

use crate::task::gate::RoomTicket;

#[derive(Default)]
pub(crate) struct Line {
    waiting: VecDeque<(RoomTicket, Waker)>,
    next: u64,
    called: usize,
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
                None => {
                    self.called = self.called.saturating_sub(1);
                    self.waiting.push_front((own, waker.clone()));
                }
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
        let was_called = place.and_then(|place| self.waiting.remove(place)).is_none();
        self.called = self.called.saturating_sub(usize::from(was_called));
        was_called
    }

    /// Calls so many that as many are on their way as places are free, and at least one: one that was called may never come.
    pub(crate) fn call(&mut self, free: usize, wakers: &mut Vec<Waker>) {
        let count = free.saturating_sub(self.called).max(1).min(self.waiting.len());
        self.called += count;
        wakers.extend(self.waiting.drain(..count).map(|(_, waker)| waker));
    }

    /// Calls everybody: there will be no room any more.
    pub(crate) fn call_all(&mut self) -> Vec<Waker> {
        self.called += self.waiting.len();
        self.waiting.drain(..).map(|(_, waker)| waker).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
