//! Executor cases CR: cancelling. A cancel asks; how the body ended is what counts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use common::{Broke, Count, Gate, LONG, Ledger, Me, failure, some_time, until, value};
use ebbtide::{CancelReason, Handle, Outcome, Pool, TaskState};

/// Submits a task that says it has begun, then waits until it was asked to cancel.
fn obedient(pool: &Pool<ebbtide::Stateless>, ledger: &Ledger, begun: &Gate) -> Handle<()> {
    let come = begun.clone();
    let task = move |task: &Me<'_>| {
        come.pass();
        task.sleep(LONG)
    };
    ledger.keep(pool.submit_fallible(task).unwrap())
}

fn open_gate() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

#[test]
fn cr_01_cancelled_before_its_start_a_task_never_runs() {
    let (pool, ledger, gate, ran) = (Pool::new(1), Ledger::new(), Gate::new(), Count::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    let count = ran.clone();
    let handle = ledger.keep(pool.submit(move |_| count.up()).unwrap());
    assert!(handle.cancel());
    assert_eq!((handle.is_finished(), handle.outcome()), (true, Some(Outcome::Cancelled)));
    assert!(!handle.cancel(), "again: nothing to cancel");
    assert_eq!(failure(handle).cancel_reason(), Some(&CancelReason::Requested(None)));
    gate.open();
    ledger.close(&pool);
    assert_eq!(ran.get(), 0);
}

#[test]
fn cr_02_cancelled_after_its_end_a_task_keeps_its_result() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    let handle = ledger.keep(pool.submit(|_| 3).unwrap());
    handle.watch().wait(Some(LONG)).unwrap();
    assert!(!handle.cancel());
    assert_eq!((handle.outcome(), value(handle)), (Some(Outcome::Completed), 3));
    ledger.close(&pool);
}

/// A task that is asked to cancel while it is held, and then ends as it likes.
fn asked_and_then<T, F>(end: F) -> (Pool<ebbtide::Stateless>, Ledger, Handle<T>)
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Broke> + Send + 'static,
{
    let (pool, ledger, gate, asked) =
        (Pool::new(1), Ledger::new(), Gate::new(), Arc::new(AtomicBool::new(false)));
    let (pass, seen) = (gate.clone(), Arc::clone(&asked));
    let task = move |task: &Me<'_>| {
        pass.pass();
        seen.store(task.is_cancelled(), SeqCst);
        end()
    };
    let handle = ledger.keep(pool.submit_fallible(task).unwrap());
    gate.await_comers(1);
    assert!(handle.cancel());
    some_time();
    assert_eq!(handle.outcome(), None, "asked is not ended");
    gate.open();
    handle.watch().wait(Some(LONG)).unwrap();
    assert!(asked.load(SeqCst));
    (pool, ledger, handle)
}

/// Betters: the handle tells the truth. The body returned its value, so it completed, and the value is not thrown away.
#[test]
fn cr_03_a_task_that_completes_although_it_was_asked_has_completed() {
    let (pool, ledger, handle) = asked_and_then(|| Ok(5));
    assert_eq!((handle.outcome(), value(handle)), (Some(Outcome::Completed), 5));
    assert_eq!(ledger.close(&pool).outcomes.cancelled, 0);
}

/// Betters: the handle tells the truth, and the error is kept.
#[test]
fn cr_04_a_task_that_fails_although_it_was_asked_has_failed() {
    let (pool, ledger, handle) = asked_and_then(|| Err::<(), _>(Broke(9)));
    assert_eq!(handle.outcome(), Some(Outcome::Failed));
    assert_eq!(failure(handle).downcast_ref::<Broke>(), Some(&Broke(9)));
    assert_eq!(ledger.close(&pool).outcomes.failed, 1);
}

/// Betters: there is no cancel that only pretends. Who has no more interest drops the handle, and the body is not disturbed.
#[test]
fn cr_05_a_dropped_handle_disturbs_nobody() {
    let (pool, ledger, gate, seen) = (Pool::new(1), Ledger::new(), Gate::new(), Count::new());
    let (pass, count) = (gate.clone(), seen.clone());
    let task = move |task: &Me<'_>| {
        pass.pass();
        if task.token().wait_timeout(Duration::from_millis(500)) || task.is_cancelled() {
            count.up();
        }
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    gate.await_comers(1);
    drop(handle);
    gate.open();
    assert_eq!(ledger.close(&pool).outcomes.completed, 1);
    assert_eq!(seen.get(), 0);
}

#[test]
fn cr_06_a_running_body_sees_the_request_and_its_reason() {
    let (pool, ledger, begun) = (Pool::new(1), Ledger::new(), open_gate());
    let come = begun.clone();
    let task = move |task: &Me<'_>| {
        come.pass();
        let woken = task.token().wait_timeout(LONG);
        (woken, task.is_cancelled(), task.check().is_err(), task.cancel_reason())
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    begun.await_comers(1);
    assert!(handle.cancel_with("enough"));
    assert!(!handle.cancel(), "asked before");
    let reason = Some(CancelReason::Requested(Some("enough".into())));
    assert_eq!(value(handle), (true, true, true, reason));
    ledger.close(&pool);
}

#[test]
fn cr_07_two_who_wait_both_learn_of_the_cancel() {
    let (pool, ledger, begun) = (Pool::new(1), Ledger::new(), open_gate());
    let handle = obedient(&pool, &ledger, &begun);
    begun.await_comers(1);
    thread::scope(|threads| {
        let (timed, untimed) = (handle.watch(), handle.watch());
        let timed = threads.spawn(move || timed.wait(Some(LONG)).unwrap());
        let untimed = threads.spawn(move || untimed.wait(None).unwrap());
        handle.cancel();
        assert_eq!(timed.join().unwrap(), Outcome::Cancelled);
        assert_eq!(untimed.join().unwrap(), Outcome::Cancelled);
    });
    ledger.close(&pool);
}

#[test]
fn cr_08_one_that_runs_and_one_that_waits_are_both_cancelled() {
    let (pool, ledger, begun) = (Pool::new(1), Ledger::new(), open_gate());
    let running = obedient(&pool, &ledger, &begun);
    begun.await_comers(1);
    let mut queued = obedient(&pool, &ledger, &begun);
    assert!(queued.cancel() && running.cancel());
    assert!(queued.wait_timeout(Duration::ZERO).unwrap_err().task().unwrap().is_cancelled());
    assert!(failure(running).is_cancelled());
    assert_eq!((queued.is_finished(), queued.outcome()), (true, Some(Outcome::Cancelled)));
    assert_eq!(begun.comers(), 1);
    assert_eq!(ledger.close(&pool).outcomes.cancelled, 2);
}

#[test]
fn cr_13_asked_and_ended_are_different_states() {
    let (pool, ledger, stop) = (Pool::new(1), Ledger::new(), Arc::new(AtomicBool::new(false)));
    let (stopped, spins) = (Arc::clone(&stop), Count::new());
    let count = spins.clone();
    let task = move |_: &Me<'_>| {
        while !stopped.load(SeqCst) {
            count.up();
            thread::yield_now();
        }
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    until("it spins", || spins.get() > 0);
    assert_eq!(handle.state(), TaskState::Running);
    assert!(handle.cancel());
    let before = spins.get();
    until("it spins on", || spins.get() > before);
    assert_eq!((handle.state(), handle.is_finished()), (TaskState::CancelRequested, false));
    assert_eq!(pool.stats().running, 1);
    stop.store(true, SeqCst);
    let watch = handle.watch();
    value(handle);
    assert_eq!(watch.outcome(), Some(Outcome::Completed));
    ledger.close(&pool);
}
