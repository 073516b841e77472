//! How a pool ends: from the last task to the end, a queue that is worked off, a queue that is handed back.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::common::{Gate, per, small, warm};
use crate::{
    contender::{Contender, NotOffered, Room},
    count,
    lap::{Lap, Values},
};

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
static LAST_END: AtomicU64 = AtomicU64::new(0);

/// From the end of the last task to the return of the call that drains.
pub(super) fn drain<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size))?;
    let (before, _) = (count::total(), *BEGIN);
    for _ in 0..lap.size {
        pool.execute(|| {
            count::work_for(Duration::from_micros(5));
            LAST_END.fetch_max(BEGIN.elapsed().as_nanos() as u64, Ordering::Relaxed);
            count::ended();
        });
    }
    pool.drain()?;
    let now = BEGIN.elapsed().as_nanos() as u64;
    all_ended(before, lap.size)?;
    Ok(vec![now.saturating_sub(LAST_END.load(Ordering::Relaxed)) as f64])
}

/// Tasks of a millisecond, submitted and drained: per task and worker, where 1 000 000 ns is the ideal.
pub(super) fn stretch<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size))?;
    let (before, begin) = (count::total(), Instant::now());
    for _ in 0..lap.size {
        pool.execute(|| {
            count::work_for(Duration::from_millis(1));
            count::ended();
        });
    }
    pool.drain()?;
    let elapsed = begin.elapsed();
    all_ended(before, lap.size)?;
    Ok(vec![per(elapsed, lap.size) * lap.workers as f64])
}

/// A full queue, with handles that nobody waits for, is handed back: the whole call, to the end of the workers.
pub(super) fn abort<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    C::detaches()?;
    let pool: C = warm(lap, Room::Plenty(lap.size + lap.workers))?;
    let gate = Gate::hold(&pool, lap.workers);
    let before = count::total();
    let handles: Vec<_> = (0..lap.size as u64).map(|number| pool.submit(small(number))).collect();
    let begin = Instant::now();
    let aborted = pool.abort(|| gate.open());
    let elapsed = begin.elapsed();
    // Also where there is no abort: nobody could end while a task is held.
    gate.open();
    let (returned, tasks) = aborted?;
    drop((handles, tasks));
    if returned != lap.size || count::total() != before {
        return Err(NotOffered("WRONG: its abort did not hand back every task that had not begun"));
    }
    Ok(vec![elapsed.as_nanos() as f64])
}

fn all_ended(before: u64, size: usize) -> Result<(), NotOffered> {
    if count::total() - before == size as u64 {
        return Ok(());
    }
    Err(NotOffered("WRONG: its drain returned before every accepted task had ended"))
}
