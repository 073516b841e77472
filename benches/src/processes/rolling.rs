//! A rolling restart under load: what those who submit notice of it.

use std::{
    ops::Range,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebbtide::{Completions, Pool, Processes, Restart, WorkerCommand};

use super::{
    kill,
    serve::{Course, Failure, failed},
    throughput::{quantiles, settle},
};
use crate::lap::Values;

type Numbers = Pool<Processes<u64, u64>>;

const WORKERS: usize = 2;
/// Each task works for a millisecond. Two workers that get one every 0.8 ms are busy for less than two thirds; the rest of a third that stays
/// free is for what it costs to hand them over.
const PERIOD: Duration = Duration::from_micros(800);
const IN_FLIGHT: usize = 64;

/// What is left of a restart's traces has this long to go.
const REST: Duration = Duration::from_millis(300);

/// When tasks came, by the clock of the lap: when they were due, and when they ended.
type Ends = Vec<(Duration, Duration)>;
/// From when until when, by the same clock; whole seconds.
type Stretch = Range<Duration>;

/// Throughput before by the least of any second during the restart, p99 during by p99 before, and the same p99 where nothing is restarted and the
/// language starts as often outside of the pool: what a machine does to the tasks while *anybody* starts it. The size is the milliseconds before.
pub(super) fn course(command: WorkerCommand, bare: (&'static str, PathBuf), saturated: bool) -> Course {
    Box::new(move |lap| {
        let before = Duration::from_millis(lap.size as u64);
        lap_of(command.clone(), &bare, before, saturated).map_err(failed)
    })
}

fn lap_of(
    command: WorkerCommand,
    bare: &(&'static str, PathBuf),
    before: Duration,
    saturated: bool,
) -> Result<Values, Failure> {
    let builder = Pool::processes(command).name("race").workers(WORKERS..=WORKERS).queue(100_000).warm();
    let pool = builder.build::<u64, u64>()?;
    settle(&pool, |number| number)?;
    let (stop, done) = (AtomicBool::new(false), Completions::new());
    let begin = Instant::now();
    let (accepted, ends, restart, started) = thread::scope(|scope| -> Result<_, Failure> {
        let load = scope.spawn(|| load(&pool, &done, begin, saturated, &stop));
        let ends = scope.spawn(|| collect(&done, begin, saturated));
        thread::sleep(before);
        let restart = stretch(begin, || Ok(pool.restart(Restart::rolling()).wait().map(drop)?));
        thread::sleep(REST);
        let started = stretch(begin, || start_outside(bare));
        stop.store(true, Ordering::Relaxed);
        let accepted = load.join().map_err(|_| "the load panicked")??;
        let ends = ends.join().map_err(|_| "a task was lost")??;
        Ok((accepted, ends, restart?, started?))
    })?;
    if ends.len() as u64 != accepted {
        return Err(format!("WRONG: {accepted} accepted, {} completed", ends.len()).into());
    }
    let half = before / 4;
    // The first quarter may still be the start.
    let calm = half..before;
    let rate = |from: Duration, to: Duration| {
        let count = ends.iter().filter(|(_, end)| (from..to).contains(end)).count();
        count as f64 / (to - from).as_secs_f64()
    };
    let seconds = (restart.end - restart.start).as_secs() as u32;
    let second = |number: u32| restart.start + Duration::from_secs(1) * number;
    let worst = (0..seconds).map(|number| rate(second(number), second(number + 1))).fold(f64::MAX, f64::min);
    let p99 = |range: &Stretch| {
        let within = ends.iter().filter(|(due, _)| range.contains(due));
        quantiles(within.map(|(due, end)| *end - *due).collect())[1]
    };
    Ok(vec![rate(calm.start, calm.end) / worst, p99(&restart) / p99(&calm), p99(&started) / p99(&calm)])
}

/// Does something, and waits until the second in which it ended is whole.
fn stretch(begin: Instant, something: impl FnOnce() -> Result<(), Failure>) -> Result<Stretch, Failure> {
    let from = begin.elapsed();
    something()?;
    let seconds = (begin.elapsed() - from).as_secs() + 1;
    let to = from + Duration::from_secs(seconds);
    thread::sleep(to.saturating_sub(begin.elapsed()));
    Ok(from..to)
}

/// The language as often as there are workers, one after the other, with the same file.
fn start_outside((interpreter, file): &(&'static str, PathBuf)) -> Result<(), Failure> {
    (0..WORKERS).try_for_each(|_| kill::bare_start(interpreter, file).map(drop))
}

/// Submits until it is told to stop: at a fixed rate, whatever the pool does, or as much as goes. Gives how many were accepted.
fn load(
    pool: &Numbers,
    done: &Completions<u64>,
    begin: Instant,
    saturated: bool,
    stop: &AtomicBool,
) -> Result<u64, Failure> {
    let mut number: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        if saturated {
            while done.len() >= IN_FLIGHT && !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(200));
            }
        } else {
            thread::sleep(due(number).saturating_sub(begin.elapsed()));
        }
        let stamp = if saturated { begin.elapsed().as_nanos() as u64 } else { number };
        done.push(pool.submit(stamp).map_err(|error| error.to_string())?);
        number += 1;
    }
    done.close();
    Ok(number)
}

fn due(number: u64) -> Duration {
    Duration::from_nanos(PERIOD.as_nanos() as u64 * number)
}

/// Takes everything as it ends.
fn collect(done: &Completions<u64>, begin: Instant, saturated: bool) -> Result<Ends, Failure> {
    let mut ends = Vec::new();
    while let Some(finished) = done.take() {
        let number = finished.result?;
        let due = if saturated { Duration::from_nanos(number) } else { due(number) };
        ends.push((due, begin.elapsed()));
    }
    Ok(ends)
}
