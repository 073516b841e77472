//! Executor cases SC: runs by time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Broke, LONG, assert_law, over, until};
use ebbtide::{JobEnd, JobState, Outcome, Pool, Shutdown, Stateless, WaitError};

const TICK: Duration = Duration::from_millis(12);

/// Ends a pool and holds it to the law.
fn close(pool: &Pool<Stateless>) {
    let report = over(&pool.shutdown(Shutdown::drain()));
    assert!(report.law_holds(), "{report}");
    assert_law(&pool.stats());
    assert_eq!((report.queued, report.running), (0, 0));
}

#[test]
fn sc_01_a_single_run_has_a_value_and_is_not_before_its_time() {
    let pool = Pool::new(2);
    let began = common::now();
    let mut valued = pool.after(TICK).start(move |_| (7, began.elapsed())).unwrap();
    let unit = pool.after(TICK).name("unit").start(|task| assert_eq!(task.name(), Some("unit"))).unwrap();
    let failing = pool.after(TICK).start_fallible(|_| Err::<(), _>(Broke(3))).unwrap();
    let stats = pool.stats();
    assert_eq!(stats.accepted, 3, "accepted from the start");
    assert_law(&stats);
    let (value, after) = valued.wait_timeout(LONG).unwrap();
    assert_eq!(value, 7);
    assert!(after >= TICK, "it ran after {after:?}");
    assert!(matches!(valued.wait_timeout(LONG), Err(WaitError::Task(_))), "a value is given once");
    common::block_on(unit).unwrap();
    let error = failing.wait().expect_err("it fails");
    assert_eq!(error.task().unwrap().failure().unwrap().downcast_ref(), Some(&Broke(3)));
    assert_eq!(valued.outcome(), Some(Outcome::Completed));
    assert_eq!(valued.job().stats().state, JobState::Over(JobEnd::Done));
    let outcomes = pool.outcomes();
    assert_eq!((outcomes.completed, outcomes.failed, outcomes.total()), (2, 1, 3), "each ran once");
    close(&pool);
}

#[test]
fn sc_02_the_first_run_is_not_before_the_initial_delay() {
    let pool = Pool::new(2);
    for rate in [false, true] {
        let (began, first) = (common::now(), Arc::new(Mutex::new(None)));
        let seen = Arc::clone(&first);
        let schedule = pool.every(TICK).first_after(TICK);
        let schedule = if rate { schedule.rate() } else { schedule.delay() };
        let job = schedule
            .start(move |_| {
                seen.lock().unwrap().get_or_insert_with(|| began.elapsed());
            })
            .unwrap();
        until("it ran three times", || job.stats().runs >= 3);
        job.cancel();
        job.wait_idle(Some(LONG)).unwrap();
        let first = first.lock().unwrap().unwrap();
        assert!(first >= TICK, "the first run was after {first:?}");
    }
    close(&pool);
}
