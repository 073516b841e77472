//! Many tasks through a pool of processes: so many in flight, for so long; each value is nanoseconds per task, then CPU nanoseconds per task.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ebbtide::{
    Handle, Pool, Processes, WorkerCommand,
    process::{Raw, Reply, Request},
};

use super::{
    cpu,
    serve::{Course, Failure, failed},
};
use crate::lap::Values;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// As many as the peers map at a time.
const CROWD: usize = 10_000;
/// And as many of them in a chunk.
const CHUNK: usize = 100;
/// Enough for two workers with 256 tasks each to be never without.
const MANY: usize = 4096;

/// A pool of fixed size, all of it ready.
pub(super) fn pool<Q: Request, R: Reply>(
    command: WorkerCommand,
    workers: usize,
) -> Result<Pool<Processes<Q, R>>, Failure> {
    let builder = Pool::processes(command).name("race").workers(workers..=workers).queue(CROWD);
    Ok(builder.warm().build()?)
}

/// Waits until every worker has answered: a pool of two serves with one while the other starts.
pub(super) fn settle<Q: Request, R: Reply>(
    pool: &Pool<Processes<Q, R>>,
    mut make: impl FnMut(u64) -> Q,
) -> Result<(), Failure> {
    let all = pool.stats().workers.max;
    let until = Instant::now() + Duration::from_secs(30);
    while (pool.stats().workers.started as usize) < all {
        if Instant::now() > until {
            return Err("the workers do not become ready".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for number in 0..100 {
        pool.submit(make(number)).map_err(|error| error.to_string())?.wait()?;
    }
    Ok(())
}

fn window<Q: Request, R: Reply>(
    pool: &Pool<Processes<Q, R>>,
    ms: usize,
    in_flight: usize,
    make: impl FnMut(u64) -> Q,
    right: impl Fn(u64, &R) -> bool,
) -> Result<Values, Failure> {
    let (before, begin) = (cpu::tree(), Instant::now());
    let done = flight(pool, ms, in_flight, make, right)? as f64;
    let wall = begin.elapsed().as_nanos() as f64;
    Ok(vec![wall / done, (cpu::tree() - before) / done])
}

/// Keeps so many in flight for so long, the oldest waited for; gives how many there were.
pub(super) fn flight<Q: Request, R: Reply>(
    pool: &Pool<Processes<Q, R>>,
    ms: usize,
    in_flight: usize,
    mut make: impl FnMut(u64) -> Q,
    right: impl Fn(u64, &R) -> bool,
) -> Result<u64, Failure> {
    let check = |number: u64, handle: Handle<R>| -> Result<(), Failure> {
        let reply = handle.wait()?;
        right(number, &reply).then_some(()).ok_or_else(|| "a wrong value came back".into())
    };
    let until = Instant::now() + Duration::from_millis(ms as u64);
    let mut waiting = VecDeque::with_capacity(in_flight);
    let mut number: u64 = 0;
    // The clock is not read for each.
    while !number.is_multiple_of(16) || Instant::now() < until {
        if waiting.len() == in_flight
            && let Some((number, handle)) = waiting.pop_front()
        {
            check(number, handle)?;
        }
        let handle = pool.submit(make(number)).map_err(|error| error.to_string())?;
        waiting.push_back((number, handle));
        number += 1;
    }
    waiting.into_iter().try_for_each(|(number, handle)| check(number, handle))?;
    Ok(number)
}

/// A number there and back, 64 in flight.
pub(super) fn numbers(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<u64, u64>(command, workers)?;
    settle(&pool, |number| number)?;
    Ok(Box::new(move |lap| {
        window(&pool, lap.size, 64, |number| number, |number, back| number == *back).map_err(failed)
    }))
}

/// Ends with p50 and p99 of the round trip.
pub(super) fn one_at_a_time(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<u64, u64>(command, workers)?;
    settle(&pool, |number| number)?;
    let lap = move |ms: usize| -> Result<Values, Failure> {
        let until = Instant::now() + Duration::from_millis(ms as u64);
        let mut times = Vec::new();
        loop {
            let begin = Instant::now();
            if begin >= until {
                return Ok(quantiles(times));
            }
            pool.submit(7).map_err(|error| error.to_string())?.wait()?;
            times.push(begin.elapsed());
        }
    };
    Ok(Box::new(move |asked| lap(asked.size).map_err(failed)))
}

/// p50 and p99, in nanoseconds.
pub(super) fn quantiles(mut times: Vec<Duration>) -> Values {
    times.sort_unstable();
    [50, 99]
        .map(|part| times.get(times.len() * part / 100).map_or(f64::NAN, |time| time.as_nanos() as f64))
        .to_vec()
}

/// A string of 1 KiB there and back, 64 in flight.
pub(super) fn kibibytes(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<String, String>(command, workers)?;
    let strings = distinct(CROWD);
    settle(&pool, |_| "x".to_owned())?;
    Ok(Box::new(move |lap| {
        let make = |number: u64| strings[number as usize % CROWD].clone();
        window(&pool, lap.size, 64, make, |_, back| back.len() == KIB).map_err(failed)
    }))
}

/// The same, submitted and waited for by the ten thousand: in chunks, as the peers map them, or a task each.
pub(super) fn crowds(command: WorkerCommand, workers: usize, chunked: bool) -> Result<Course, Failure> {
    let pool = pool::<String, String>(command, workers)?;
    let strings = distinct(CROWD);
    settle(&pool, |_| "x".to_owned())?;
    let lap = move |ms: usize| -> Result<Values, Failure> {
        let (before, begin) = (cpu::tree(), Instant::now());
        let mut done = 0;
        while begin.elapsed() < Duration::from_millis(ms as u64) || done == 0 {
            let right = if chunked { chunks(&pool, &strings)? } else { singly(&pool, &strings)? };
            if !right {
                return Err("a wrong value came back".into());
            }
            done += CROWD;
        }
        let wall = begin.elapsed().as_nanos() as f64;
        Ok(vec![wall / done as f64, (cpu::tree() - before) / done as f64])
    };
    Ok(Box::new(move |asked| lap(asked.size).map_err(failed)))
}

type Strings = Pool<Processes<String, String>>;

fn chunks(pool: &Strings, strings: &[String]) -> Result<bool, Failure> {
    let chunks = strings.chunks(CHUNK);
    let submit = |chunk: &[String]| pool.submit_chunk(chunk.to_vec()).map_err(|error| error.to_string());
    let handles: Vec<_> = chunks.clone().map(submit).collect::<Result<_, _>>()?;
    let mut right = true;
    for (sent, handle) in chunks.zip(handles) {
        right &= handle.wait()? == sent;
    }
    Ok(right)
}

fn singly(pool: &Strings, strings: &[String]) -> Result<bool, Failure> {
    let handles = pool.submit_many(strings.iter().cloned()).map_err(|error| error.reason.to_string())?;
    let mut right = true;
    for (sent, handle) in strings.iter().zip(handles) {
        right &= handle.wait()? == *sent;
    }
    Ok(right)
}

/// 1 MiB of bytes there and back, 4 in flight.
pub(super) fn mebibytes(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<Raw, Raw>(command, workers)?;
    let body = Raw::new("application/octet-stream", vec![b'x'; MIB]);
    settle(&pool, |_| Raw::json("7"))?;
    Ok(Box::new(move |lap| {
        window(&pool, lap.size, 4, |_| body.clone(), |_, back| back.bytes().len() == MIB).map_err(failed)
    }))
}

/// 64 bytes of JSON there and back.
pub(super) fn rust(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<String, String>(command, workers)?;
    let text = "x".repeat(62);
    settle(&pool, |_| "x".to_owned())?;
    Ok(Box::new(move |lap| {
        window(&pool, lap.size, MANY, |_| text.clone(), |_, back| back.len() == 62).map_err(failed)
    }))
}

/// Strings of 1 KiB, all different, as the peers have them.
fn distinct(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:08}").repeat(KIB / 8)).collect()
}
