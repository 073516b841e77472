//! What our own process costs, with sixteen Node workers: CPU time per task, and memory.

use ebbtide::WorkerCommand;
use rustix::process::getpid;

use super::{
    cpu,
    serve::{Course, Failure, failed},
    throughput::{flight, pool, settle},
};
use crate::lap::Values;

/// CPU nanoseconds of this process alone, per task.
pub(super) fn cpu(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<u64, u64>(command, workers)?;
    settle(&pool, |number| number)?;
    let lap = move |ms: usize| -> Result<Values, Failure> {
        let before = cpu::own();
        let done = flight(&pool, ms, 64, |number| number, |number, back| number == *back)?;
        Ok(vec![(cpu::own() - before) / done as f64])
    };
    Ok(Box::new(move |asked| lap(asked.size).map_err(failed)))
}

/// Resident bytes of this process alone, after a while of work.
pub(super) fn memory(command: WorkerCommand, workers: usize) -> Result<Course, Failure> {
    let pool = pool::<u64, u64>(command, workers)?;
    settle(&pool, |number| number)?;
    let lap = move |ms: usize| -> Result<Values, Failure> {
        flight(&pool, ms, 64, |number| number, |number, back| number == *back)?;
        let bytes = cpu::resident(getpid().as_raw_nonzero().get());
        Ok(vec![bytes.ok_or("there is no /proc")? as f64])
    };
    Ok(Box::new(move |asked| lap(asked.size).map_err(failed)))
}
