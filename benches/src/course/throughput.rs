//! Nanoseconds per task, wall clock, from the first submit to the last end.

use std::time::{Duration, Instant};

use super::common::{Gate, per, produce, small, warm};
use crate::{
    contender::{Contender, NotOffered, Room, Wait},
    count,
    lap::{Lap, Values},
};

/// So many handles are collected before they are waited for, oldest first.
const WINDOW: usize = 1000;
/// So many tasks are submitted together.
const TOGETHER: usize = 64;

/// Tasks without handles.
pub(super) fn fire<C: Contender>(lap: Lap, queue: Room) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, queue)?;
    let before = count::total();
    let begin = produce(lap.producers, lap.size, |share| {
        for number in 0..share as u64 {
            pool.execute(small(number));
        }
    });
    count::wait_for(before, lap.size / lap.producers * lap.producers);
    Ok(vec![per(begin.elapsed(), lap.size)])
}

/// Tasks whose handles are all waited for by their submitter.
pub(super) fn handle<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(WINDOW * lap.producers))?;
    let begin = produce(lap.producers, lap.size, |share| {
        let mut handles = Vec::with_capacity(WINDOW);
        for round in 0..share / WINDOW {
            handles.extend((0..WINDOW).map(|number| pool.submit(numbered((round + number) as u64))));
            let sum: u64 = handles.drain(..).map(Wait::wait).sum();
            let expected: u64 = (0..WINDOW).map(|number| (round + number) as u64).sum();
            assert_eq!(sum, expected, "the values came back");
        }
    });
    Ok(vec![per(begin.elapsed(), lap.size)])
}

/// Batches of 64, each submitted together and then waited for.
pub(super) fn many<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(TOGETHER))?;
    let begin = Instant::now();
    for _ in 0..lap.size / TOGETHER {
        let handles = pool.submit_many((0..TOGETHER as u64).map(numbered));
        let sum: u64 = handles.into_iter().map(Wait::wait).sum();
        assert_eq!(sum, (TOGETHER * (TOGETHER - 1) / 2) as u64);
    }
    Ok(vec![per(begin.elapsed(), lap.size)])
}

/// What the submitter pays for the same: the call alone, while the workers work.
pub(super) fn many_call<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(TOGETHER))?;
    let mut in_call = Duration::ZERO;
    for _ in 0..lap.size / TOGETHER {
        let begin = Instant::now();
        let handles = pool.submit_many((0..TOGETHER as u64).map(numbered));
        in_call += begin.elapsed();
        let sum: u64 = handles.into_iter().map(Wait::wait).sum();
        assert_eq!(sum, (TOGETHER * (TOGETHER - 1) / 2) as u64);
    }
    Ok(vec![per(in_call, lap.size)])
}

/// Millions wait behind workers that are held; then everything runs. Both phases counted.
pub(super) fn millions<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size + lap.workers))?;
    let gate = Gate::hold(&pool, lap.workers);
    let before = count::total();
    let begin = Instant::now();
    for number in 0..lap.size as u64 {
        pool.execute(small(number));
    }
    gate.open();
    count::wait_for(before, lap.size);
    Ok(vec![per(begin.elapsed(), lap.size)])
}

fn numbered(number: u64) -> impl FnOnce() -> u64 + Send + 'static {
    let task = small(number);
    move || {
        task();
        number
    }
}
