//! Executor cases CL: closing, and ends of scopes. "Close" is a shutdown that is waited for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{collections::HashSet, sync::Barrier, thread, time::Duration};

use common::{Count, Gate, Ledger, over, until, value};
use ebbtide::{Phase, Pool, Shutdown};

#[test]
fn cl_01_closing_without_tasks() {
    let pool = Pool::new(4);
    let closing = pool.shutdown(Shutdown::drain());
    over(&closing);
    assert_eq!(pool.phase(), Phase::Terminated);
    assert!(closing.wait_timeout(Duration::from_millis(10)).is_ok());
    Ledger::new().close(&pool);
}

/// Closes on one thread while a task is held, lets it go, and gives whether its value was there without waiting.
fn close_over_a_running_task(pool: &Pool<ebbtide::Stateless>, before: impl FnOnce()) {
    let (ledger, gate) = (Ledger::new(), Gate::new());
    let pass = gate.clone();
    let task = move |_: &common::Me<'_>| {
        pass.pass();
        "foo"
    };
    let mut handle = ledger.keep(pool.submit(task).unwrap());
    gate.await_comers(1);
    before();
    thread::scope(|threads| {
        let closer = threads.spawn(|| over(&pool.shutdown(Shutdown::drain())));
        until("the drain began", || pool.phase() == Phase::Draining);
        assert!(!closer.is_finished());
        gate.open();
        assert!(closer.join().unwrap().is_clean());
    });
    assert_eq!(handle.try_take().map(Result::unwrap), Some("foo"));
    ledger.close(pool);
}

#[test]
fn cl_02_closing_waits_for_what_runs_and_keeps_its_result() {
    close_over_a_running_task(&Pool::new(2), || ());
}

#[test]
fn cl_03_closing_after_a_shutdown_still_waits() {
    let pool = Pool::new(2);
    close_over_a_running_task(&pool, || drop(pool.shutdown(Shutdown::drain())));
}

#[test]
fn cl_04_closing_a_terminated_pool_does_nothing() {
    let pool = Pool::new(1);
    let first = over(&pool.shutdown(Shutdown::drain()));
    let again = over(&pool.shutdown(Shutdown::drain()));
    assert_eq!(first.to_json(), again.to_json());
    assert_eq!(pool.phase(), Phase::Terminated);
    Ledger::new().close(&pool);
}

#[test]
fn cl_07_closing_twice_is_closing_once() {
    let (pool, ledger) = (Pool::new(2), Ledger::new());
    value(ledger.keep(pool.submit(|_| ()).unwrap()));
    let reports = thread::scope(|threads| {
        let close = || over(&pool.shutdown(Shutdown::drain())).to_json();
        let (one, two) = (threads.spawn(close), threads.spawn(close));
        [one.join().unwrap(), two.join().unwrap(), close()]
    });
    assert!(reports.iter().all(|report| *report == reports[0]), "all callers get the same");
    ledger.close(&pool);
}

#[test]
fn cl_08_a_scope_of_a_hundred_tasks_on_a_hundred_threads() {
    let pool = Pool::builder().workers(0..=100).build().unwrap();
    let together = Barrier::new(100);
    let results: Vec<_> = pool.scope(|scope| {
        let submit = |n: usize| {
            let together = &together;
            scope.submit(move |_| {
                together.wait();
                (n, thread::current().id())
            })
        };
        let handles: Vec<_> = (0..100).map(|n| submit(n).unwrap()).collect();
        handles.into_iter().map(|handle| handle.wait().unwrap()).collect()
    });
    assert!(results.iter().map(|(n, _)| *n).eq(0..100), "in order");
    assert_eq!(results.iter().map(|(_, thread)| *thread).collect::<HashSet<_>>().len(), 100);
    assert_eq!(pool.stats().workers.peak, 100);
    let ledger = Ledger::new();
    ledger.executed(100);
    assert_eq!(ledger.close(&pool).outcomes.completed, 100);
}

#[test]
fn cl_09_a_shared_pool_lives_on_after_a_scope() {
    let (pool, ledger, gate, ran) = (Pool::new(3), Ledger::new(), Gate::new(), Count::new());
    let pass = gate.clone();
    let other = ledger.keep(pool.submit(move |_| pass.pass()).unwrap());
    gate.await_comers(1);
    pool.scope(|scope| {
        for _ in 0..10 {
            drop(scope.submit(|_| ran.up()).unwrap());
        }
    });
    ledger.executed(10);
    assert_eq!(ran.get(), 10, "the scope waited for its own tasks");
    assert_eq!((pool.phase(), other.outcome()), (Phase::Running, None), "and touched nothing else");
    gate.open();
    value(other);
    assert_eq!(value(ledger.keep(pool.submit(|_| 5).unwrap())), 5);
    ledger.close(&pool);
}

#[test]
fn cl_10_a_private_pool_ends_with_its_owner_and_its_tasks_are_done() {
    let (submitter, handles) = {
        let pool = Pool::new(2);
        let handles: Vec<_> = (0..50).map(|n| pool.submit(move |_| n).unwrap()).collect();
        (pool.submitter(), handles)
    };
    assert!(handles.into_iter().map(value).eq(0..50));
    until("the pool has terminated", || submitter.stats().phase == Phase::Terminated);
    common::assert_law(&submitter.stats());
    assert_eq!(submitter.stats().outcomes.completed, 50);
}
