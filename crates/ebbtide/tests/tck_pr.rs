//! Executor cases PR: taking waiting tasks out again. "Remove" is a cancel of the handle.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::time::Duration;

use common::{Count, Gate, Ledger, failure, value};
use ebbtide::{Handle, Pool, Restart, Shutdown, Stateless, TaskState, WaitError};

/// A pool whose only worker holds task 0, with tasks 1 to 5 queued.
fn one_and_five() -> (Pool<Stateless>, Ledger, Gate, Vec<Handle<u64>>, Count) {
    let (pool, ledger, gate, ran) = (Pool::new(1), Ledger::new(), Gate::new(), Count::new());
    let handles = (0..6)
        .map(|_| {
            let (pass, ran) = (gate.clone(), ran.clone());
            let task = move |_: &common::Me<'_>| {
                pass.pass();
                ran.up()
            };
            ledger.keep(pool.submit(task).unwrap())
        })
        .collect();
    gate.await_comers(1);
    (pool, ledger, gate, handles, ran)
}

/// The one that runs is asked (betters "false": it can still be told), and stays what it is: running.
#[test]
fn pr_01_a_waiting_task_can_be_removed_once() {
    let (pool, ledger, gate, handles, ran) = one_and_five();
    assert!(handles[0].cancel());
    assert_eq!(handles[0].state(), TaskState::CancelRequested);
    assert_eq!(pool.stats().queued, 5);
    assert_eq!((handles[4].cancel(), handles[4].cancel()), (true, false));
    assert!(handles[3].cancel());
    let waiting: Vec<_> = pool.waiting().into_iter().map(|(id, _)| id).collect();
    assert_eq!(waiting, [handles[1].id(), handles[2].id(), handles[5].id()]);
    assert_eq!(pool.stats().queued, 3);
    gate.open();
    for (n, handle) in handles.into_iter().enumerate() {
        match n {
            3 | 4 => assert!(failure(handle).is_cancelled()),
            _ => assert!(value(handle) > 0),
        }
    }
    assert_eq!(ran.get(), 4);
    ledger.close(&pool);
}

#[test]
fn pr_05_the_queue_shows_what_waits_and_not_what_runs() {
    let (pool, ledger, gate, handles, _) = one_and_five();
    drop(ledger.keep(pool.task("the last").submit(|_| ()).unwrap()));
    let waiting = pool.waiting();
    assert_eq!(waiting.len(), 6);
    assert!(waiting.iter().all(|(id, _)| *id != handles[0].id()));
    assert!(waiting.iter().zip(&handles[1..]).all(|((id, _), handle)| *id == handle.id()), "in order");
    assert_eq!(waiting[5].1.as_deref(), Some("the last"));
    gate.open();
    ledger.close(&pool);
}

/// A restart(stop) takes the whole queue out of an open pool.
#[test]
fn pr_07_the_waiting_can_be_taken_out_and_do_not_run() {
    let (pool, ledger, gate, mut handles, ran) = one_and_five();
    let closing = pool.restart(Restart::stop());
    let taken = pool.take_returned();
    let ids: Vec<_> = taken.iter().map(|task| task.id()).collect();
    assert_eq!(ids, handles[1..].iter().map(Handle::id).collect::<Vec<_>>());
    gate.open();
    common::over(&closing);
    assert_eq!(value(handles.remove(0)), 1);
    assert!(handles.into_iter().all(|handle| failure(handle).is_returned()));
    drop(taken);
    assert_eq!(value(ledger.keep(pool.submit(|_| 7).unwrap())), 7, "the pool is open");
    assert_eq!(ran.get(), 1);
    ledger.close(&pool);
}

/// The same with timers of 1 ms: when they are due they are tasks like others.
#[test]
fn pr_02_a_timer_that_is_due_and_waits_can_be_removed_once() {
    let (pool, gate, ran) = (Pool::new(1), Gate::new(), Count::new());
    let mut timers: Vec<_> = (0..6)
        .map(|n| {
            let (pass, ran) = (gate.clone(), ran.clone());
            let body = move |_: &common::Me<'_>| {
                pass.pass();
                ran.up()
            };
            pool.after(Duration::from_millis(n)).start(body).unwrap()
        })
        .collect();
    gate.await_comers(1);
    common::until("all are due", || pool.stats().not_due == 0);
    assert_eq!((pool.stats().queued, pool.waiting().len()), (5, 5));
    assert_eq!((timers[4].cancel(), timers[4].cancel()), (true, false));
    assert!(timers[3].cancel());
    assert_eq!((pool.stats().queued, pool.waiting().len()), (3, 3));
    common::assert_law(&pool.stats());
    gate.open();
    for (n, timer) in timers.iter_mut().enumerate() {
        match (n, timer.wait_timeout(common::LONG)) {
            (3 | 4, Err(WaitError::Task(error))) => assert!(error.is_cancelled()),
            (3 | 4, other) => panic!("{other:?}"),
            (_, value) => assert!(value.unwrap() > 0),
        }
    }
    assert_eq!(ran.get(), 4);
    let report = common::over(&pool.shutdown(Shutdown::drain()));
    assert_eq!((report.outcomes.completed, report.outcomes.cancelled, report.law_holds()), (4, 2, true));
}

/// There is nothing to purge: a cancelled timer is gone at once.
#[test]
fn pr_04_cancelled_timers_are_gone_without_a_purge() {
    let pool = Pool::new(1);
    let timers: Vec<_> = (0..5).map(|_| pool.after(common::LONG).start(|_| ()).unwrap()).collect();
    assert_eq!((pool.stats().not_due, pool.stats().queued), (5, 5));
    assert!(timers[1].cancel() && timers[4].cancel());
    let stats = pool.stats();
    assert_eq!((stats.not_due, stats.outcomes.cancelled, stats.accepted), (3, 2, 5));
    common::assert_law(&stats);
    let report = common::over(&pool.shutdown(Shutdown::drain()));
    assert_eq!((report.outcomes.returned, report.law_holds()), (3, true));
}
