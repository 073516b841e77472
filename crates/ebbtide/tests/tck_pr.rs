//! Executor cases PR: taking waiting tasks out again. "Remove" is a cancel of the handle.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use common::{Count, Gate, Ledger, failure, value};
use ebbtide::{Handle, Pool, Restart, Stateless, TaskState};

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
