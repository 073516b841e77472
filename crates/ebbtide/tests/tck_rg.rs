//! Executor cases RG: under stress.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::thread;

use common::{Count, Ledger, Me, value};
use ebbtide::{Pool, WhenFull};

/// What is refused comes back and is submitted again, until all have run: by four submitters, on thirty workers with little room.
#[test]
fn rg_01_refused_tasks_that_are_submitted_again_are_not_lost() {
    const EACH: u64 = 2_000;
    let builder = Pool::builder().workers(0..=30).queue(4).when_full(WhenFull::Reject);
    let (pool, ledger, ran, refused) = (builder.build().unwrap(), Ledger::new(), Count::new(), Count::new());
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..EACH {
                    let ran = ran.clone();
                    let mut task = move |_: &Me<'_>| {
                        ran.up();
                    };
                    while let Err(error) = pool.execute(task) {
                        assert!(error.is_full(), "{error}");
                        refused.up();
                        task = error.into_task();
                        thread::yield_now();
                    }
                    ledger.executed(1);
                }
            });
        }
    });
    let report = ledger.close(&pool);
    assert_eq!((ran.get(), report.outcomes.completed), (4 * EACH, 4 * EACH));
    assert_eq!(report.rejected, refused.get());
}

/// Pools that live for one task each, and one pool that gets its tasks one by one: a wake-up that is lost hangs here.
#[test]
fn rg_03_no_submission_is_missed() {
    for n in 0..1_000 {
        let (pool, ledger) = (Pool::new(2), Ledger::new());
        assert_eq!(value(ledger.keep(pool.submit(move |_| n).unwrap())), n);
        ledger.close(&pool);
    }
    let (pool, ledger) = (Pool::new(2), Ledger::new());
    for n in 0..10_000 {
        assert_eq!(value(ledger.keep(pool.submit(move |_| n).unwrap())), n);
    }
    assert_eq!(ledger.close(&pool).outcomes.completed, 10_000);
}
