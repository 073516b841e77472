//! Executor cases CT: idle workers that leave. What the JDK calls "allow core threads to time out" is a least of 0.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::time::Duration;

use common::{Gate, Ledger, some_time, until, value};
use ebbtide::Pool;

#[test]
fn ct_01_by_default_one_worker_is_kept() {
    let (pool, ledger) = (Pool::builder().build().unwrap(), Ledger::new());
    assert_eq!(pool.stats().workers.min, 1);
    value(ledger.keep(pool.submit(|_| ()).unwrap()));
    until("it is idle", || pool.stats().workers.idle == 1);
    some_time();
    assert_eq!(pool.stats().workers.alive, 1);
    ledger.close(&pool);
}

#[test]
fn ct_02_with_a_least_of_nothing_the_last_worker_leaves() {
    let builder = Pool::builder().workers(0..=2).idle_timeout(Duration::from_millis(12));
    let (pool, ledger, gate) = (builder.build().unwrap(), Ledger::new(), Gate::new());
    let pass = gate.clone();
    let task = ledger.keep(pool.submit(move |_| pass.pass()).unwrap());
    gate.await_comers(1);
    some_time();
    assert_eq!(pool.stats().workers.alive, 1, "who works is not idle");
    gate.open();
    value(task);
    until("nobody is left", || pool.stats().workers.alive == 0);
    ledger.close(&pool);
}

#[test]
fn ct_03_the_least_are_kept() {
    let builder = Pool::builder().workers(1..=2).idle_timeout(Duration::from_millis(12));
    let (pool, ledger, gate) = (builder.build().unwrap(), Ledger::new(), Gate::new());
    for _ in 0..2 {
        let pass = gate.clone();
        drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    }
    gate.await_comers(2);
    gate.open();
    until("one has left", || pool.stats().workers.alive == 1);
    some_time();
    assert_eq!(pool.stats().workers.alive, 1);
    ledger.close(&pool);
}

#[test]
fn ct_05_leaving_at_once_is_an_error() {
    let error = Pool::builder().workers(0..=2).idle_timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!(error.option(), "idle_timeout");
}
