//! What waiting tasks and idle workers take, in bytes of resident memory of their own: pages of files are not counted, for those of a program's code come
//! once and with what it happens to run first. Linux only: it is read from `/proc`.

use std::{fs, time::Duration};

use super::common::{Gate, small, warm};
use crate::{
    contender::{Contender, NotOffered, Room, Setup},
    count,
    lap::{Lap, Values},
};

/// What `small` captures.
const CLOSURE: f64 = 16.0;

/// Per queued task without a handle, beyond the closure.
pub(super) fn queued<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size + lap.workers))?;
    let gate = Gate::hold(&pool, lap.workers);
    let (ended, before) = (count::total(), resident()?);
    for number in 0..lap.size as u64 {
        pool.execute(small(number));
    }
    let after = resident()?;
    gate.open();
    count::wait_for(ended, lap.size);
    Ok(vec![(after - before) / lap.size as f64 - CLOSURE])
}

/// Per queued task with its handle, beyond the closure; the handle itself counts.
pub(super) fn with_handle<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size + lap.workers))?;
    let gate = Gate::hold(&pool, lap.workers);
    let (ended, before) = (count::total(), resident()?);
    let handles: Vec<_> = (0..lap.size as u64).map(|number| pool.submit(small(number))).collect();
    let after = resident()?;
    gate.open();
    count::wait_for(ended, lap.size);
    drop(handles);
    Ok(vec![(after - before) / lap.size as f64 - CLOSURE])
}

/// Per worker that has run a task and is idle.
pub(super) fn worker<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let before = resident()?;
    let pool = C::start(Setup { workers: lap.workers, queue: Room::Plenty(lap.workers) })?;
    let gate = Gate::hold(&pool, lap.workers);
    gate.open();
    std::thread::sleep(Duration::from_millis(50));
    Ok(vec![(resident()? - before) / lap.workers as f64])
}

fn resident() -> Result<f64, NotOffered> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    Ok(kilobytes.ok_or(NotOffered("the system does not tell the resident memory"))? * 1024.0)
}
