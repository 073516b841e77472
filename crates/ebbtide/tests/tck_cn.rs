//! Executor cases CN: counters and getters.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{sync::Arc, time::Duration};

use common::{Gate, Ledger, value};
use ebbtide::{Outcome, Pool, Priority, TaskState};

#[test]
fn cn_01_running_counts_who_runs() {
    let (pool, ledger, gate) = (Arc::new(Pool::new(2)), Ledger::new(), Gate::new());
    assert_eq!(pool.stats().running, 0);
    let (inside, pass) = (Arc::downgrade(&pool), gate.clone());
    let task = move |task: &common::Me<'_>| {
        let stats = inside.upgrade().unwrap().stats();
        pass.pass();
        (stats.running, stats.running_tasks[0].task == task.id())
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    gate.await_comers(1);
    assert_eq!(pool.stats().running, 1);
    gate.open();
    assert_eq!(value(handle), (1, true), "also seen from inside");
    ledger.close(&pool);
}

#[test]
fn cn_02_completed_counts_ends_only() {
    let (pool, ledger, gate) = (Pool::new(2), Ledger::new(), Gate::new());
    let pass = gate.clone();
    let handle = ledger.keep(pool.submit(move |_| pass.pass()).unwrap());
    gate.await_comers(1);
    assert_eq!(pool.outcomes().completed, 0);
    gate.open();
    value(handle);
    assert_eq!(pool.outcomes().completed, 1, "counted before the handle resolves");
    ledger.close(&pool);
}

#[test]
fn cn_03_the_most_workers_there_ever_were_are_remembered() {
    let (pool, ledger, gate) = (Pool::new(3), Ledger::new(), Gate::new());
    for _ in 0..3 {
        let pass = gate.clone();
        drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    }
    gate.await_comers(3);
    assert_eq!(pool.stats().workers.peak, 3);
    gate.open();
    ledger.close(&pool);
    assert_eq!((pool.stats().workers.peak, pool.stats().workers.alive), (3, 0));
}

#[test]
fn cn_04_workers_come_with_work() {
    let (pool, ledger, gate) = (Pool::new(3), Ledger::new(), Gate::new());
    assert_eq!(pool.stats().workers.alive, 0);
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    assert_eq!(pool.stats().workers.alive, 1);
    gate.open();
    ledger.close(&pool);
}

#[test]
fn cn_06_getters_say_what_was_configured() {
    let builder = Pool::builder().name("getters").workers(2..=9).deadline(Duration::from_secs(11));
    let (pool, ledger) = (builder.build().unwrap(), Ledger::new());
    assert_eq!((pool.name(), pool.deadline()), ("getters", Duration::from_secs(11)));
    assert_eq!((pool.stats().workers.min, pool.stats().workers.max), (2, 9));
    let named = pool.task("a name").key("a key").priority(Priority::High);
    let handle =
        named.submit(|task| (task.name().map(str::to_owned), task.key().map(str::to_owned))).unwrap();
    let handle = ledger.keep(handle);
    assert_eq!((handle.name(), handle.id().0), (Some("a name"), 1));
    let watch = handle.watch();
    assert_eq!(value(handle), (Some("a name".to_owned()), Some("a key".to_owned())));
    assert_eq!(watch.outcome(), Some(Outcome::Completed));
    assert_eq!(TaskState::Ended(Outcome::Completed), TaskState::Ended(watch.outcome().unwrap()));
    ledger.close(&pool);
}
