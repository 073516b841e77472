//! Work in the shapes it comes in: bursts, fan-out, uneven tasks, a real job.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::common::{per, small, warm};
use crate::{
    contender::{Contender, NotOffered, Room, Wait},
    contenders::Rayon,
    count,
    lap::{Lap, Values},
};

const BURST: usize = 1000;
const CHILDREN: usize = 64;
const IDLE: Duration = Duration::from_millis(1);
/// Lines that are in flight at a time.
const WINDOW: usize = 1000;

/// A thousand tasks at once on an idle pool; the pauses between bursts are not counted.
pub(super) fn burst<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(BURST))?;
    let (mut spent, bursts) = (Duration::ZERO, lap.size / BURST);
    for _ in 0..bursts {
        std::thread::sleep(IDLE);
        let (before, begin) = (count::total(), Instant::now());
        for number in 0..BURST as u64 {
            pool.execute(small(number));
        }
        count::wait_for(before, BURST);
        spent += begin.elapsed();
    }
    Ok(vec![per(spent, bursts * BURST)])
}

/// A task submits 64 children into its own pool; the last of them tells the submitter of the first. Per child.
pub(super) fn fan<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: Arc<C> = Arc::new(warm(lap, Room::Plenty(1000))?);
    let families = lap.size / CHILDREN;
    let begin = Instant::now();
    for _ in 0..families {
        let (done, all_done) = mpsc::sync_channel(1);
        let left = Arc::new(AtomicUsize::new(CHILDREN));
        let parent = Arc::clone(&pool);
        pool.execute(move || {
            for _ in 0..CHILDREN {
                let (left, done) = (Arc::clone(&left), done.clone());
                parent.execute(move || {
                    if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                        done.send(()).expect("the lap waits for it");
                    }
                });
            }
        });
        all_done.recv().expect("the last child tells");
    }
    let elapsed = begin.elapsed();
    // A parent may still hold the pool; it must not be the one to end it.
    while Arc::strong_count(&pool) > 1 {
        std::thread::yield_now();
    }
    Ok(vec![per(elapsed, families * CHILDREN)])
}

/// 99 tasks of 1 µs, then one of 1 ms, and so on: per task. With two workers the ideal is about 5500 ns.
pub(super) fn uneven<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size))?;
    let (before, begin) = (count::total(), Instant::now());
    for number in 0..lap.size {
        let long = number % 100 == 50;
        pool.execute(move || {
            count::work_for(if long { Duration::from_millis(1) } else { Duration::from_micros(1) });
            count::ended();
        });
    }
    count::wait_for(before, lap.size);
    Ok(vec![per(begin.elapsed(), lap.size)])
}

/// Parses lines of JSON of about 600 bytes, one task each, and adds up what is in them. Per line.
pub(super) fn json<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let (lines, expected) = lines(lap.size);
    let pool: C = warm(lap, Room::Plenty(WINDOW))?;
    let mut sum = 0;
    let begin = Instant::now();
    for first in (0..lap.size).step_by(WINDOW) {
        let tasks = first..(first + WINDOW).min(lap.size);
        let handles: Vec<_> = tasks
            .map(|line| {
                let lines = Arc::clone(&lines);
                pool.submit(move || amount(&lines[line]))
            })
            .collect();
        sum += handles.into_iter().map(Wait::wait).sum::<u64>();
    }
    let elapsed = begin.elapsed();
    assert_eq!(sum, expected, "the lines were parsed");
    Ok(vec![per(elapsed, lap.size)])
}

/// The same job as rayon means it to be done.
pub(crate) fn par_iter(lap: Lap) -> Result<Values, NotOffered> {
    let (lines, expected) = lines(lap.size);
    let pool: Rayon = warm(lap, Room::Plenty(WINDOW))?;
    let begin = Instant::now();
    let sum: u64 = pool.0.install(|| lines.par_iter().map(|line| amount(line)).sum());
    let elapsed = begin.elapsed();
    assert_eq!(sum, expected, "the lines were parsed");
    Ok(vec![per(elapsed, lap.size)])
}

fn amount(line: &str) -> u64 {
    let line: serde_json::Value = serde_json::from_str(line).expect("the line is JSON");
    line["amount"].as_u64().expect("the line has an amount")
}

/// The same lines each time, and the sum of their amounts.
fn lines(count: usize) -> (Arc<[String]>, u64) {
    let mut sum = 0;
    let line = |number: usize| {
        let amount = number * 7919 % 1000;
        sum += amount as u64;
        let mut line = format!("{{\"id\":{number},\"amount\":{amount},\"tags\":[");
        for tag in 0..60 {
            write!(line, "{{\"k\":{tag}}},").expect("a string takes everything");
        }
        line + "null]}"
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    (lines.into(), sum)
}
