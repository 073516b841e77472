//! One task at a time: there and back, from an idle pool to the start, and what an idle pool costs.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::common::{per, small, warm};
use crate::{
    contender::{Contender, NotOffered, Room, Wait},
    lap::{Lap, Values},
};

/// So long a pool is left alone before it counts as idle: well above what any contender spins.
const IDLE: Duration = Duration::from_millis(1);

/// One task with a handle, waited for, then the next.
pub(super) fn ping_pong<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(1000))?;
    let begin = Instant::now();
    for number in 0..lap.size as u64 {
        pool.submit(small(number)).wait();
    }
    Ok(vec![per(begin.elapsed(), lap.size)])
}

/// From the call of submit on an idle pool to the first line of the task: p50 and p99.
pub(super) fn idle<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(1000))?;
    let mut waits: Vec<Duration> = (0..lap.size)
        .map(|_| {
            std::thread::sleep(IDLE);
            let begin = Instant::now();
            pool.submit(move || begin.elapsed()).wait()
        })
        .collect();
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_nanos() as f64;
    Ok(vec![at(50), at(99)])
}

/// CPU time of all threads per second in which nothing is submitted. The size is how long it is looked at, in milliseconds.
pub(super) fn idle_cpu<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(1000))?;
    std::thread::sleep(Duration::from_millis(50));
    let (before, begin) = (cpu_time()?, Instant::now());
    std::thread::sleep(Duration::from_millis(lap.size as u64));
    let used = cpu_time()?.saturating_sub(before);
    let seconds = begin.elapsed().as_secs_f64();
    drop(pool);
    Ok(vec![used as f64 / seconds])
}

/// Nanoseconds that the threads of this process have run, without the one that asks: that is no contender's time.
fn cpu_time() -> Result<u64, NotOffered> {
    let unknown = NotOffered("the system does not tell the CPU time of threads in nanoseconds");
    let threads = fs::read_dir("/proc/self/task").map_err(|_| unknown)?;
    let own = std::process::id().to_string();
    let times = threads.filter_map(|thread| {
        let thread = thread.ok().filter(|thread| *thread.file_name() != *own)?;
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(times.sum())
}
