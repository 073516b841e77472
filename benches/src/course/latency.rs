//! One task at a time: there and back, from an idle pool to the start, and what an idle pool costs.

use std::{
    fs,
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use super::common::{per, small, warm};
use crate::{
    contender::{Contender, NotOffered, Room, Wait},
    lap::{Lap, Values},
};

/// So long a pool is left alone before it counts as idle: well above what any contender spins.
const IDLE: Duration = Duration::from_millis(1);
const PERIOD: Duration = Duration::from_millis(1);
/// A job that has not run for so long does not run at all.
const GIVEN_UP: Duration = Duration::from_secs(5);

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
    Ok(percentiles(&mut waits))
}

/// A job every millisecond, so many times: from each point of its grid to the first line of the run, p50 and p99. The grid is counted from
/// before the job is started, so nobody is early, and everybody a microsecond late.
pub(super) fn late<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    let pool: C = warm(lap, Room::Plenty(1000))?;
    let (sender, receiver) = channel();
    let begin = Instant::now();
    // The course has the receiver until it has seen them all; nobody listens to what runs after that.
    pool.every(PERIOD, move || _ = sender.send(Instant::now()))?;
    // Nobody waits for the single run, so that none has to wake anybody.
    std::thread::sleep(PERIOD * lap.size as u32);
    let mut lateness: Vec<Duration> = (1..=lap.size as u32)
        .map(|point| {
            let ran = receiver.recv_timeout(GIVEN_UP);
            ran.map(|ran| ran.saturating_duration_since(begin + PERIOD * point))
        })
        .collect::<Result<_, _>>()
        .map_err(|_| NotOffered("WRONG: its job does not run any more"))?;
    drop(pool);
    Ok(percentiles(&mut lateness))
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

fn percentiles(times: &mut [Duration]) -> Values {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_nanos() as f64;
    vec![at(50), at(99)]
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
