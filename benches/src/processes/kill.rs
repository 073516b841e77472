//! The end of a worker that does not obey: it loops, deaf to every request and to SIGTERM, until it is killed at the end of its grace.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use ebbtide::{Pool, Processes, WorkerCommand};

use super::serve::{Course, Failure, failed};
use crate::{foreign, lap::Values, stats::Stats};

const GRACE: Duration = Duration::from_millis(200);
/// So long it loops before it is asked to stop.
const HEAD_START: Duration = Duration::from_millis(30);

/// Per lap so many kills as its size says, and the median of each value, in nanoseconds: from the end of the grace until the task's handle
/// tells of its death, and until the next task, which waits behind it, has run. Without a spare worker, there
/// is also what the language takes to start with that file, and the second beyond that; nothing, where the replacement is quicker.
pub(super) fn course(
    command: WorkerCommand,
    bare: (&'static str, PathBuf),
    spares: usize,
) -> Result<Course, Failure> {
    let builder = Pool::processes(command).name("race").workers(1..=1).grace(GRACE).spares(spares).warm();
    let pool = builder.build::<u64, u64>()?;
    let lap = move |kills: usize| -> Result<Values, Failure> {
        let mut seen: Vec<Values> = Vec::new();
        for _ in 0..kills {
            settle_all(&pool, spares)?;
            let (reaped, ready) = kill(&pool)?;
            let mut values = vec![reaped, ready];
            if spares == 0 {
                let start = bare_start(bare.0, &bare.1)?;
                values.extend([start, (ready - start).max(0.0)]);
            }
            seen.push(values);
        }
        let column = |index: usize| seen.iter().map(|values| values[index]).collect::<Vec<_>>();
        Ok((0..seen[0].len()).map(|index| Stats::of(&column(index)).median).collect())
    };
    Ok(Box::new(move |asked| lap(asked.size).map_err(failed)))
}

/// Until the worker answers, and a spare one has had the time to become ready.
fn settle_all(pool: &Pool<Processes<u64, u64>>, spares: usize) -> Result<(), Failure> {
    let begin = Instant::now();
    pool.task("echo").function("echo").submit(1).map_err(|error| error.to_string())?.wait()?;
    if spares > 0 {
        // There is no word about when it is; ten times what one took.
        std::thread::sleep((begin.elapsed() * 10).max(Duration::from_millis(700)));
    }
    Ok(())
}

fn kill(pool: &Pool<Processes<u64, u64>>) -> Result<(f64, f64), Failure> {
    let busy = pool.task("busy").function("busy").submit(0).map_err(|error| error.to_string())?;
    let next = pool.task("next").function("echo").submit(7).map_err(|error| error.to_string())?;
    std::thread::sleep(HEAD_START);
    let asked = Instant::now();
    busy.cancel();
    let since = |moment: Duration| moment.saturating_sub(GRACE).as_nanos() as f64;
    if busy.wait().is_ok() {
        return Err("a loop without end has ended".into());
    }
    let reaped = asked.elapsed();
    if reaped < GRACE {
        return Err(format!("ended {reaped:?} after it was asked, before the end of its grace").into());
    }
    if next.wait()? != 7 {
        return Err("a wrong value came back".into());
    }
    Ok((since(reaped), since(asked.elapsed())))
}

/// What the language takes from its start to the end of the worker's file, without us: loading that is its own affair.
pub(super) fn bare_start(interpreter: &str, file: &Path) -> Result<f64, Failure> {
    let begin = Instant::now();
    foreign::tool(Command::new(interpreter).arg(file))?;
    Ok(begin.elapsed().as_nanos() as f64)
}
