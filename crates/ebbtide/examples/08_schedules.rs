//! Jobs: tasks that are submitted by time, and what a shutdown does with them.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use ebbtide::{MissedTicks, Outcome, Pool, ReturnReason, Shutdown};

const MILLI: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Each run is a task of the pool, on a worker with the state that it built.
    let pool = Pool::builder().name("cache").workers(1..=2).state(|_| 0_u32).build()?;

    // So long after the end of the run before; a run that fails is an outcome, and the job goes on.
    let refresh = pool.every(5 * MILLI).delay().name("refresh").start_fallible(|loads, _task| {
        *loads += 1;
        if loads.is_multiple_of(3) { Err("the table is locked") } else { Ok(()) }
    })?;

    // On a grid, whatever a run takes. What passes meanwhile is skipped, put together or made up for.
    let sample = pool.every(10 * MILLI).rate().missed(MissedTicks::Delay).start(|_, task| {
        let _woken_early = task.sleep(25 * MILLI);
    })?;
    // With the feature `cron`: pool.cron("*/5 * * * *").zone("Europe/Berlin").start(…)

    // Once, with a value to wait for; and once in an hour.
    let soon = pool.after(20 * MILLI).start(|loads, _| *loads)?;
    let later = pool.after(Duration::from_secs(3_600)).name("in an hour").start(|_, _| ())?;
    println!("{} loads after 20 ms", soon.wait()?);

    refresh.pause();
    refresh.wait_idle(None)?;
    refresh.run_now()?;
    refresh.resume();
    while sample.stats().missed == 0 || refresh.stats().failures == 0 {
        std::thread::park_timeout(MILLI);
    }
    println!("{:#?}", refresh.stats());

    // A shutdown stops the clock first: no run begins any more, the one that runs ends undisturbed.
    let closing = pool.shutdown(Shutdown::drain());
    let runs = (refresh.stats().runs, sample.stats().runs);
    println!("{}", closing.wait()?);
    assert_eq!(runs, (refresh.stats().runs, sample.stats().runs));
    // What was not due came back.
    assert_eq!(later.outcome(), Some(Outcome::Returned));
    let error = later.wait().expect_err("it was not due");
    assert_eq!(error.task().and_then(|error| error.return_reason()), Some(&ReturnReason::NotDue));
    assert!(pool.take_returned().iter().any(|task| task.name() == Some("in an hour")));
    Ok(())
}
