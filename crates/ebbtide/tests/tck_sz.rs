//! Executor cases SZ: how many workers, how long they stay, how much may wait. Core and maximum are the ends of one range, so
//! contradictions that the JDK has setters for cannot be said one by one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Count, Gate, Ledger, some_time, until, value};
use ebbtide::{Pool, PoolBuilder, Stateless};

fn wrong_option(builder: PoolBuilder<Stateless>) -> &'static str {
    let error = builder.build().expect_err("a wrong option is a build error");
    assert!(error.to_string().starts_with(error.option()), "{error}");
    error.option()
}

/// Numbers below zero cannot be said; the rest is refused by name.
#[test]
fn sz_01_a_wrong_size_or_time_is_a_build_error() {
    let new = Pool::builder;
    assert_eq!(wrong_option(new().workers(0..=0)), "workers");
    assert_eq!(wrong_option(new().workers(RangeInclusive::new(3, 2))), "workers");
    assert_eq!(wrong_option(new().queue(0)), "queue");
    assert_eq!(wrong_option(new().idle_timeout(Duration::ZERO)), "idle_timeout");
    assert_eq!(wrong_option(new().deadline(Duration::ZERO)), "deadline");
    let (long, short) = (Duration::from_secs(9), Duration::from_secs(8));
    assert_eq!(wrong_option(new().grace(long).deadline(short)), "grace");
    assert_eq!(wrong_option(new().surge(0)), "surge");
    assert_eq!(wrong_option(new().stack_size(1)), "stack_size");
    assert_eq!(wrong_option(new().name("")), "name");
}

#[test]
fn sz_02_a_wrong_least_changes_nothing() {
    let pool = Pool::builder().workers(1..=2).build().unwrap();
    assert_eq!(pool.resize(RangeInclusive::new(3, 2)).unwrap_err().option(), "workers");
    let workers = pool.stats().workers;
    assert_eq!((workers.min, workers.max), (1, 2));
    Ledger::new().close(&pool);
}

#[test]
fn sz_03_a_most_below_the_least_changes_nothing() {
    let pool = Pool::builder().workers(2..=3).build().unwrap();
    for wrong in [RangeInclusive::new(2, 1), 0..=0] {
        assert_eq!(pool.resize(wrong).unwrap_err().option(), "workers");
    }
    let workers = pool.stats().workers;
    assert_eq!((workers.min, workers.max), (2, 3));
    Ledger::new().close(&pool);
}

#[test]
fn sz_05_an_idle_timeout_of_nothing_is_an_error() {
    assert_eq!(wrong_option(Pool::builder().idle_timeout(Duration::ZERO)), "idle_timeout");
    assert!(Pool::builder().idle_timeout(Duration::from_nanos(1)).build().is_ok());
}

/// Times are durations, so no unit can be lost; the deadline is the one that can be read back.
#[test]
fn sz_06_a_time_reads_the_same_in_any_unit() {
    let (second, grace) = (Duration::from_millis(1_000), Duration::from_millis(10));
    let pool = Pool::builder().deadline(second).grace(grace).idle_timeout(second).build().unwrap();
    assert_eq!((pool.deadline().as_secs(), pool.deadline().as_millis()), (1, 1_000));
    Ledger::new().close(&pool);
}

#[test]
fn sz_07_workers_can_be_started_one_by_one_up_to_the_least() {
    let pool = Pool::builder().workers(2..=6).build().unwrap();
    let warm = || (pool.warm_up(1), pool.stats().workers.alive);
    assert_eq!([warm(), warm(), warm()], [(1, 1), (1, 2), (0, 2)]);
    pool.resize(4..=6).unwrap();
    assert_eq!([warm(), warm(), warm()], [(1, 3), (1, 4), (0, 4)]);
    Ledger::new().close(&pool);
}

#[test]
fn sz_08_all_of_the_least_can_be_started_at_once() {
    let pool = Pool::builder().workers(2..=6).build().unwrap();
    let warm = || (pool.warm_up(usize::MAX), pool.stats().workers.alive);
    assert_eq!([warm(), warm()], [(2, 2), (0, 2)]);
    pool.resize(4..=6).unwrap();
    assert_eq!([warm(), warm()], [(2, 4), (0, 4)]);
    Ledger::new().close(&pool);
}

/// Betters: the pool grows when tasks wait and nobody is idle, whatever room the queue has; one by one, one worker is enough.
#[test]
fn sz_09_a_pool_grows_only_while_nobody_is_idle() {
    let pool = Pool::builder().workers(1..=8).build().unwrap();
    let (ledger, gate) = (Ledger::new(), Gate::new());
    for n in 0..100 {
        assert_eq!(value(ledger.keep(pool.submit(move |_| n).unwrap())), n);
        until("the worker is idle again", || pool.stats().workers.idle == pool.stats().workers.alive);
    }
    assert_eq!(pool.stats().workers.peak, 1, "never two tasks at a time, never two workers");
    for _ in 0..100 {
        let pass = gate.clone();
        drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    }
    gate.await_comers(8);
    assert_eq!((pool.stats().workers.alive, pool.stats().queued), (8, 92));
    gate.open();
    ledger.close(&pool);
}

/// Betters: no task overtakes because a worker was just started.
#[test]
fn sz_11_tasks_start_in_the_order_they_came_also_when_the_pool_grows() {
    let pool = Pool::builder().workers(1..=2).queue(3).build().unwrap();
    let (ledger, order) = (Ledger::new(), Arc::new(Mutex::new(Vec::new())));
    let gates: Vec<_> = (0..5).map(|_| Gate::new()).collect();
    for (n, gate) in gates.iter().enumerate() {
        let (pass, order) = (gate.clone(), Arc::clone(&order));
        let task = move |_: &common::Me<'_>| {
            order.lock().unwrap().push(n);
            pass.pass();
        };
        drop(ledger.keep(pool.submit(task).unwrap()));
        if n < 2 {
            gate.await_comers(1);
        }
    }
    assert_eq!(*order.lock().unwrap(), [0, 1]);
    for next in 2..5 {
        gates[next - 2].open();
        gates[next].await_comers(1);
        assert_eq!(*order.lock().unwrap(), (0..=next).collect::<Vec<_>>());
    }
    gates.iter().for_each(Gate::open);
    ledger.close(&pool);
}

#[test]
fn sz_15_a_least_of_nothing_lets_idle_workers_go() {
    let builder = Pool::builder().workers(2..=2).warm().idle_timeout(Duration::from_millis(10));
    let (pool, ledger) = (builder.build().unwrap(), Ledger::new());
    until("both are there", || pool.stats().workers.idle == 2);
    some_time();
    assert_eq!(pool.stats().workers.alive, 2, "the least stay");
    assert_eq!(pool.resize(0..=2).unwrap(), 2..=2);
    until("nobody is left", || pool.stats().workers.alive == 0);
    assert_eq!(value(ledger.keep(pool.submit(|_| 1).unwrap())), 1, "and one comes when there is work");
    ledger.close(&pool);
}

/// Betters: what is due runs, and what is not does not hold the pool up; the minimum of nothing stays what it was.
#[test]
fn sz_18_a_timer_in_a_pool_of_least_nothing_runs_and_leaves_nobody() {
    let pool = Pool::builder().workers(0..=1).idle_timeout(Duration::from_millis(5)).build().unwrap();
    let timer = pool.after(Duration::from_millis(12)).start(|_| 7).unwrap();
    assert_eq!(pool.stats().workers.alive, 0, "nobody waits for it");
    assert_eq!(timer.wait().unwrap(), 7);
    until("its worker has left", || pool.stats().workers.alive == 0);
    let late = pool.after(Duration::from_millis(12)).start(|_| 7).unwrap();
    let report = common::over(&pool.shutdown(ebbtide::Shutdown::drain()));
    assert_eq!((report.outcomes.completed, report.outcomes.returned), (1, 1));
    assert!(late.wait().unwrap_err().task().unwrap().is_returned());
    assert_eq!((pool.stats().workers.min, pool.stats().workers.alive), (0, 0));
}

#[test]
fn sz_21_a_pool_of_nobody_cannot_be_built() {
    assert_eq!(wrong_option(Pool::builder().workers(0..=0)), "workers");
    let (pool, ledger) = (Pool::new(0), Ledger::new());
    assert_eq!(pool.stats().workers.max, 1, "the short form takes at least one, as it says");
    assert_eq!(value(ledger.keep(pool.submit(|_| 1).unwrap())), 1);
    ledger.close(&pool);
}

#[test]
fn sz_22_the_most_reads_back() {
    let pool = Pool::builder().workers(1..=3).build().unwrap();
    let most = || pool.stats().workers.max;
    assert_eq!(most(), 3);
    pool.resize(1..=5).unwrap();
    assert_eq!(most(), 5);
    pool.resize(1..=4).unwrap();
    assert_eq!(most(), 4);
    Ledger::new().close(&pool);
}

#[test]
fn sz_23_resizing_gives_what_was_and_takes_effect() {
    let pool = Pool::builder().workers(2..=2).build().unwrap();
    let (ledger, gate, ran) = (Ledger::new(), Gate::new(), Count::new());
    for _ in 0..6 {
        let (pass, ran) = (gate.clone(), ran.clone());
        let task = move |_: &common::Me<'_>| {
            pass.pass();
            ran.up()
        };
        drop(ledger.keep(pool.submit(task).unwrap()));
    }
    gate.await_comers(2);
    assert_eq!(pool.resize(3..=3).unwrap(), 2..=2);
    gate.await_comers(3);
    assert!(pool.resize(0..=0).is_err());
    assert_eq!(pool.resize(1..=1).unwrap(), 3..=3, "the error changed nothing");
    assert_eq!(gate.comers(), 3, "nobody is disturbed");
    gate.open();
    until("all have run", || ran.get() == 6);
    until("one is left", || pool.stats().workers.alive == 1);
    ledger.close(&pool);
}
