//! Decision: what is under way at a worker process, and how many more may be sent.
//!
//! A task is *sent*, then *begun* (its START has come), then ended. Who has not begun can be called back. More than one is sent ahead only while
//! tasks are short: the next one then need not wait for the pool, and hardly ever waits for a long one before it.

use std::{collections::VecDeque, time::Duration};

use crate::{
    clock::Moment,
    task::{entry::Entry, id::TaskId, isolation::Isolation},
};

/// A task that is shorter than this may have others sent behind it.
const SHORT: Duration = Duration::from_millis(1);
/// So many short ones in a row, and more are sent ahead.
const IN_A_ROW: u32 = 4;
/// What has been sent behind one that has run for so long is called back.
const BLOCKED: Duration = Duration::from_millis(5);

pub(super) struct Flight<I: Isolation> {
    pub(super) entry: Entry<I>,
    pub(super) attempt: u32,
    pub(super) sent: Moment,
    pub(super) begun: Option<Moment>,
    /// Its timeout runs.
    pub(super) armed: bool,
}

/// Everything under way at one worker, in the order in which it was sent.
pub(super) struct Flights<I: Isolation> {
    list: VecDeque<Flight<I>>,
    /// What the worker asked for: never less is sent.
    least: usize,
    most: usize,
    credits: usize,
    short: u32,
    /// When the last one ended.
    ended: Moment,
    /// A RECALL that has not been answered.
    recalling: Option<u64>,
    /// It gave back what it had not begun: nothing is sent ahead until one of those that run has ended, or it would come and go without end.
    held: bool,
    number: u64,
}

/// A worker said something of a task that cannot be.
pub(super) type Wrong = String;

impl<I: Isolation> Flights<I> {
    pub(super) fn new(least: usize, most: usize) -> Self {
        let most = most.max(least);
        Self {
            list: VecDeque::new(),
            least,
            most,
            credits: least,
            short: 0,
            ended: Moment::default(),
            recalling: None,
            held: false,
            number: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How many more may be sent now.
    pub(super) fn room(&self) -> usize {
        if self.recalling.is_some() || self.held { 0 } else { self.credits.saturating_sub(self.list.len()) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight<I>> {
        self.list.iter()
    }

    pub(super) fn find(&mut self, id: TaskId) -> Option<&mut Flight<I>> {
        self.list.iter_mut().find(|flight| flight.entry.id == id)
    }

    pub(super) fn send(&mut self, flight: Flight<I>) {
        self.list.push_back(flight);
    }

    /// Takes back what could not be sent after all.
    pub(super) fn unsend(&mut self, id: TaskId) -> Option<Flight<I>> {
        let place = self.list.iter().position(|flight| flight.entry.id == id)?;
        self.list.remove(place)
    }

    /// A START has come.
    pub(super) fn begin(&mut self, id: TaskId, now: Moment) -> Result<&mut Flight<I>, Wrong> {
        match self.find(id) {
            None => Err(format!("a START of task {id}, which it does not have")),
            Some(flight) if flight.begun.is_some() => Err(format!("a second START of task {id}")),
            Some(flight) => {
                flight.begun = Some(now);
                Ok(flight)
            }
        }
    }

    /// Those of which it turns out that they have begun, although their START could not be read.
    pub(super) fn begin_those(&mut self, began: impl Fn(TaskId) -> bool, now: Moment) {
        let unbegun = self.list.iter_mut().filter(|flight| flight.begun.is_none());
        unbegun.filter(|flight| began(flight.entry.id)).for_each(|flight| flight.begun = Some(now));
    }

    /// An end has come. Learns how long tasks are.
    pub(super) fn end(&mut self, id: TaskId, now: Moment) -> Result<Flight<I>, Wrong> {
        let mut flight =
            self.unsend(id).ok_or_else(|| format!("an end of task {id}, which it does not have"))?;
        if let Some(begun) = &mut flight.begun {
            // Both were read together, so the beginning was earlier; at most as early as it could be.
            if *begun == now {
                *begun = flight.sent.max(self.ended).min(now);
            }
            let took = now.since(*begun);
            self.learn(took);
        }
        (self.ended, self.held) = (now, false);
        Ok(flight)
    }

    fn learn(&mut self, took: Duration) {
        if took >= SHORT {
            (self.short, self.credits) = (0, self.least);
            return;
        }
        self.short += 1;
        if self.short >= IN_A_ROW {
            (self.short, self.credits) = (0, (self.credits * 2).min(self.most));
        }
    }

    /// A RECALL is to be sent, if anything has not begun and none is under way; its number.
    pub(super) fn recall(&mut self) -> Option<u64> {
        self.credits = self.least;
        if self.recalling.is_some() || self.list.iter().all(|flight| flight.begun.is_some()) {
            return None;
        }
        self.number += 1;
        self.recalling = Some(self.number);
        self.recalling
    }

    /// True if something waits behind a task that has run for long.
    pub(super) fn is_blocked(&self, now: Moment) -> bool {
        let long = |flight: &Flight<I>| flight.begun.is_some_and(|begun| now.since(begun) >= BLOCKED);
        self.recalling.is_none() && self.has_waiting() && self.list.iter().any(long)
    }

    /// True if something was sent and has not begun.
    pub(super) fn has_waiting(&self) -> bool {
        self.list.len() > 1 && self.list.iter().any(|flight| flight.begun.is_none())
    }

    /// The answer to a RECALL has come: gives what comes back.
    pub(super) fn returned(
        &mut self,
        number: u64,
        ids: impl Iterator<Item = u64>,
    ) -> Result<Vec<Flight<I>>, Wrong> {
        if self.recalling != Some(number) {
            return Err(format!("a RETURNED with the number {number}, which nobody asked for"));
        }
        self.recalling = None;
        let back = ids.map(|id| match self.unsend(TaskId(id)) {
            Some(flight) if flight.begun.is_none() => Ok(flight),
            Some(_) => Err(format!("giving back task {id}, which has begun")),
            None => Err(format!("giving back task {id}, which it does not have")),
        });
        let back: Vec<_> = back.collect::<Result<_, _>>()?;
        self.held = !back.is_empty();
        Ok(back)
    }

    /// Everything that is under way, for the worker is no more.
    pub(super) fn take_all(&mut self) -> Vec<Flight<I>> {
        self.recalling = None;
        self.list.drain(..).collect()
    }
}
