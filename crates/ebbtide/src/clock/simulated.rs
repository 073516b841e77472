//! Time that a simulation moves: it stands while anybody can run, and jumps to the next alarm when nobody can.
//!
//! Only under shuttle, where all threads of a run are one thread of the machine's: what is here is that thread's own, and a run that never
//! called [`begin`] has no time at all (there an alarm never rings, and only an unpark ends a wait). One thread of the run, the keeper,
//! does nothing but ring what is due; the simulation's scheduler lets it when there is nobody else.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use super::Moment;
use crate::sync::{self, Thread};

/// What a registered alarm is found by.
pub(crate) type Key = (Moment, u64);

type Ring = Box<dyn FnOnce() + Send>;

struct Time {
    now: Moment,
    /// How far the calendar is ahead of its beginning and the running clock; it may be set back.
    calendar: u64,
    number: u64,
    alarms: BTreeMap<Key, Ring>,
    keeper: Option<Thread>,
    /// How much went by while everything stood still, as when a machine sleeps.
    slept: Duration,
}

/// The calendar of a simulation begins on 2026-01-01.
const CALENDAR: u64 = 1_767_225_600_000_000_000;

std::thread_local! {
    static TIME: RefCell<Option<Time>> = const { RefCell::new(None) };
    static RINGING: Cell<bool> = const { Cell::new(false) };
}

fn with<R>(look: impl FnOnce(&mut Time) -> R) -> Option<R> {
    TIME.with_borrow_mut(|time| time.as_mut().map(look))
}

/// From here on this run has a time of its own.
pub(crate) fn begin() {
    let time = Time {
        now: Moment::from_nanos(1),
        calendar: CALENDAR,
        number: 0,
        alarms: BTreeMap::new(),
        keeper: None,
        slept: Duration::ZERO,
    };
    RINGING.set(false);
    TIME.replace(Some(time));
}

/// The run is over: what is still to ring never will.
pub(crate) fn end() {
    let keeper = TIME.take().and_then(|time| time.keeper);
    keeper.into_iter().for_each(|keeper| keeper.unpark());
}

pub(crate) fn now() -> Option<Moment> {
    with(|time| time.now)
}

pub(crate) fn calendar_now() -> Option<Moment> {
    with(|time| Moment::from_nanos(time.calendar.saturating_add(time.now.nanos())))
}

/// Somebody sets the calendar's clock.
pub(crate) fn set_calendar(forward: Duration, back: Duration) {
    let _ = with(|time| {
        let (forward, back) = (super::nanos(forward), super::nanos(back));
        time.calendar = time.calendar.saturating_add(forward).saturating_sub(back);
    });
}

/// The machine slept: time has gone by, and what was due rings late.
pub(crate) fn sleep_through(span: Duration) {
    let _ = with(|time| {
        time.now = time.now.plus(span);
        time.slept += span;
    });
}

/// How much of the time so far the machine slept.
pub(crate) fn slept() -> Duration {
    with(|time| time.slept).unwrap_or_default()
}

pub(crate) fn insert(moment: Moment, ring: Ring) -> Option<Key> {
    let (key, keeper) = with(|time| {
        time.number += 1;
        let key = (moment, time.number);
        time.alarms.insert(key, ring);
        (key, time.keeper.take())
    })?;
    if let Some(keeper) = keeper {
        keeper.unpark();
    }
    Some(key)
}

pub(crate) fn remove(key: Key) {
    // Dropped after the map is let go: what rings may own anything.
    let ring = with(|time| time.alarms.remove(&key));
    drop(ring);
}

/// Whether the keeper is in the middle of something; else whoever can run goes first.
pub(crate) fn is_ringing() -> bool {
    RINGING.get()
}

/// The keeper's life. It sleeps while there is no alarm, so that a run in which everybody waits for ever is a deadlock, and seen.
pub(crate) fn keep() {
    loop {
        let due = with(|time| {
            let Some((key, ring)) = time.alarms.pop_first() else {
                time.keeper = Some(sync::current());
                return None;
            };
            time.now = time.now.max(key.0);
            Some(ring)
        });
        match due {
            None => return,
            Some(None) => sync::park(),
            Some(Some(ring)) => {
                RINGING.set(true);
                ring();
                RINGING.set(false);
                sync::yield_now();
            }
        }
    }
}
