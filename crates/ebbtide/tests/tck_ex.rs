//! Executor cases EX: failing tasks, and workers that are replaced.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    thread,
};

use common::{Broke, Count, Ledger, Me, failure, fall, until, value};
use ebbtide::{Context, Event, Outcome, Pool, Threads};

#[test]
fn ex_01_workers_whose_tasks_panic_are_replaced_to_the_last() {
    let builder = Pool::builder().workers(10..=10).warm().state(|worker| worker.id);
    let (pool, ledger) = (builder.build().unwrap(), Ledger::new());
    let task = |n: u32| {
        move |_: &mut ebbtide::WorkerId, _: &Context<'_, Threads<ebbtide::WorkerId>>| {
            if n == 12 { n } else { fall("abruptly") }
        }
    };
    let handles: Vec<_> = (0..25).map(|n| ledger.keep(pool.submit(task(n)).unwrap())).collect();
    for (n, handle) in handles.into_iter().enumerate() {
        match n {
            12 => assert_eq!(value(handle), 12),
            _ => assert!(failure(handle).is_panicked()),
        }
    }
    until("ten are there again", || {
        let workers = pool.stats().workers;
        (workers.alive, workers.idle) == (10, 10)
    });
    assert_eq!(pool.stats().workers.started, 10 + 24, "one new worker for each panic, and no more");
    assert_eq!(ledger.close(&pool).outcomes.panicked, 24);
}

#[test]
fn ex_03_a_thousand_panics_need_one_thread() {
    let (pool, ledger) = (Pool::builder().workers(1..=1).build().unwrap(), Ledger::new());
    let threads = Arc::new(Mutex::new(HashSet::new()));
    for _ in 0..1_000 {
        let threads = Arc::clone(&threads);
        let task = move |_: &Me<'_>| {
            threads.lock().unwrap().insert(thread::current().id());
            fall("again")
        };
        pool.execute(task).unwrap();
        ledger.executed(1);
    }
    assert_eq!(ledger.close(&pool).outcomes.panicked, 1_000);
    assert_eq!(threads.lock().unwrap().len(), 1);
    assert_eq!(pool.stats().workers.started, 1);
}

#[test]
fn ex_04_failures_whose_handles_were_dropped_are_counted_and_told() {
    let told = Count::new();
    let count = told.clone();
    let hook = move |event: &Event| {
        if matches!(event, Event::TaskEnded { outcome: Outcome::Failed, .. }) {
            count.up();
        }
    };
    let (pool, ledger) = (Pool::builder().workers(2..=2).on_event(hook).build().unwrap(), Ledger::new());
    for n in 0..1_000 {
        drop(ledger.keep(pool.submit_fallible(move |_| Err::<(), _>(Broke(n))).unwrap()));
    }
    let report = ledger.close(&pool);
    assert_eq!((report.outcomes.failed, report.outcomes.completed), (1_000, 0));
    assert_eq!(told.get(), 1_000);
}

#[test]
fn ex_06_the_type_of_an_error_is_kept() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    let submit = || ledger.keep(pool.submit_fallible(|_| Err::<(), _>(Broke(3))).unwrap());
    let error = failure(submit());
    assert_eq!(error.downcast_ref::<Broke>(), Some(&Broke(3)));
    assert!(error.downcast_ref::<std::io::Error>().is_none());
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.downcast_ref::<Broke>(), Some(&Broke(3)));
    let owned = failure(submit()).into_failure().unwrap().downcast::<Broke>().unwrap();
    assert_eq!(*owned, Broke(3));
    let payload = failure(ledger.keep(pool.submit(|_| std::panic::panic_any(Broke(5))).unwrap()));
    let payload = payload.take_panic().unwrap().downcast::<Broke>().unwrap();
    assert_eq!(*payload, Broke(5), "a panic's payload too");
    ledger.close(&pool);
}
