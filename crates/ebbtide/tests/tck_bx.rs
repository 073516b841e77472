//! Executor cases BX: where the JDK itself fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Count, Gate, LONG, Ledger, Me, failure, now, over, threads_named, until, value};
use ebbtide::{
    CancelReason, Crashed, Outcome, Pool, Priority, RejectReason, Restart, ReturnReason, Shutdown, TaskError,
    WaitError, WhenFull,
};

#[test]
fn bx_01_ten_queued_handles_all_resolve_at_an_abort() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    let queued: Vec<_> = (0..10).map(|n| ledger.keep(pool.submit(move |_| n).unwrap())).collect();
    drop(pool.shutdown(Shutdown::abort()));
    for handle in queued {
        assert!(handle.is_finished(), "it has ended when shutdown returns");
        assert_eq!(failure(handle).return_reason(), Some(&ReturnReason::PoolStopped));
    }
    gate.open();
    assert_eq!(ledger.close(&pool).outcomes.returned, 10);
}

#[test]
fn bx_02_what_an_abort_interrupted_is_in_the_report() {
    let (pool, ledger, begun) = (Pool::new(1), Ledger::new(), Gate::new());
    begun.open();
    let come = begun.clone();
    let task = move |task: &Me<'_>| {
        come.pass();
        task.sleep(LONG)
    };
    let handle = ledger.keep(pool.task("interrupted").submit_fallible(task).unwrap());
    begun.await_comers(1);
    let id = handle.id();
    let report = over(&pool.shutdown(Shutdown::abort()));
    assert_eq!((report.during.cancelled, report.outcomes.cancelled), (1, 1), "{report}");
    let ran = report.workers.iter().find_map(|worker| worker.ran.clone()).unwrap();
    assert_eq!((ran.task, ran.name.as_deref()), (id, Some("interrupted")));
    assert!(report.to_string().contains("interrupted"), "{report}");
    assert!(report.to_json().contains("\"interrupted\""));
    let error = failure(handle);
    assert_eq!((error.outcome(), error.cancel_reason()), (Outcome::Cancelled, Some(&CancelReason::Abort)));
    ledger.close(&pool);
}

#[test]
fn bx_04_caller_runs_after_the_end_is_an_error() {
    let pool = Pool::builder().workers(1..=1).queue(1).when_full(WhenFull::CallerRuns).build().unwrap();
    over(&pool.shutdown(Shutdown::drain()));
    let ran = Count::new();
    let count = ran.clone();
    let error = pool.submit(move |_| count.up()).unwrap_err();
    assert_eq!((error.reason(), ran.get()), (&RejectReason::Terminated, 0));
    drop(error);
    Ledger::new().close(&pool);
}

/// The one before the last may wait (somebody is left to run what it waits for), the last may not.
#[test]
fn bx_06_a_full_pool_does_not_wait_for_itself() {
    for workers in [1, 2, 3] {
        let builder = Pool::builder().workers(workers..=workers).warm();
        let (pool, ledger, together) = (builder.build().unwrap(), Ledger::new(), Gate::new());
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let together = together.clone();
                let task = move |task: &Me<'_>| {
                    together.pass();
                    match task.submit(|_| 1).unwrap().wait() {
                        Ok(1) => true,
                        Err(WaitError::WouldDeadlock) => false,
                        other => panic!("{other:?}"),
                    }
                };
                ledger.keep(pool.submit(task).unwrap())
            })
            .collect();
        together.await_comers(workers);
        together.open();
        let waited = handles.into_iter().map(value).filter(|waited| *waited).count();
        assert!(waited < workers, "the first of them to end was told, for nobody was free to run its child");
        ledger.executed(workers as u64);
        assert_eq!(
            ledger.close(&pool).outcomes.completed,
            2 * workers as u64,
            "nobody hangs, no child is lost"
        );
    }
}

#[test]
fn bx_07_priorities_and_first_come_first_served_within_them() {
    let (pool, ledger, order) = (Pool::new(1), Ledger::new(), Arc::new(Mutex::new(Vec::new())));
    pool.pause();
    for n in 0..5 {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let order = Arc::clone(&order);
            let task = move |_: &Me<'_>| order.lock().unwrap().push((priority, n));
            drop(ledger.keep(pool.task("p").priority(priority).submit(task).unwrap()));
        }
    }
    pool.resume();
    ledger.close(&pool);
    let expected: Vec<_> = [Priority::High, Priority::Normal, Priority::Low]
        .into_iter()
        .flat_map(|priority| (0..5).map(move |n| (priority, n)))
        .collect();
    assert_eq!(*order.lock().unwrap(), expected);
}

/// Six ways to get no value, six reasons.
#[test]
fn bx_09_a_handle_says_why_there_is_no_value() {
    let pool = Pool::builder().workers(1..=1).grace(Duration::from_millis(50)).build().unwrap();
    let (ledger, gate) = (Ledger::new(), Gate::new());
    let crashed = ledger.keep(
        pool.submit_fallible(|_| Err::<(), _>(Crashed { signal: Some(9), ..Crashed::default() })).unwrap(),
    );
    assert_eq!(failure(crashed).to_string(), "the task crashed: ended by signal 9");
    let pass = gate.clone();
    let stubborn = ledger.keep(pool.task("stubborn").submit(move |_| pass.pass()).unwrap());
    gate.await_comers(1);
    let late = ledger.keep(pool.task("late").deadline(Duration::from_millis(1)).submit(|_| ()).unwrap());
    assert_eq!(failure(late).cancel_reason(), Some(&CancelReason::Deadline));
    let unwanted = ledger.keep(pool.submit(|_| ()).unwrap());
    unwanted.cancel_with("by the user");
    assert_eq!(failure(unwanted).cancel_reason(), Some(&CancelReason::Requested(Some("by the user".into()))));
    let stopped = ledger.keep(pool.submit(|_| ()).unwrap());
    let closing = pool.shutdown(Shutdown::abort());
    assert_eq!(failure(stopped).return_reason(), Some(&ReturnReason::PoolStopped));
    let error = failure(stubborn);
    assert!(error.is_abandoned(), "{error}");
    assert_eq!(over(&closing).abandoned().count(), 1);
    gate.open();
    ledger.close(&pool);
    broken_pool_names_its_cause();
}

fn broken_pool_names_its_cause() {
    let builder = Pool::builder().workers(1..=1).restart_intensity(0, LONG);
    let broken = builder.try_state(|_| Err::<(), _>(common::Broke(6))).build().unwrap();
    let ledger = Ledger::new();
    let waiting: TaskError = failure(ledger.keep(broken.submit(|(), _| ()).unwrap()));
    let named =
        matches!(waiting.return_reason(), Some(ReturnReason::Broken(cause)) if cause.contains("number 6"));
    assert!(named, "{waiting}");
    ledger.close(&broken);
}

#[test]
fn bx_10_a_thousand_restarts_cost_no_threads_and_the_counters_go_on() {
    let (pool, ledger) = (Pool::builder().name("bx10").workers(2..=2).build().unwrap(), Ledger::new());
    for cycle in 1..=1_000_u64 {
        assert_eq!(value(ledger.keep(pool.submit(move |_| cycle).unwrap())), cycle);
        let report = over(&pool.restart(Restart::drain()));
        assert!(report.failed.is_none(), "{report}");
        assert_eq!((pool.stats().accepted, u64::from(pool.stats().generation)), (cycle, cycle + 1));
    }
    until("two threads are left", || threads_named("bx10") == 2);
    assert_eq!(ledger.close(&pool).outcomes.completed, 1_000);
    until("no thread is left", || threads_named("bx10") == 0);
}

/// Two pools, one after the other, each with a stubborn task, in one budget. The application that cuts the budget by itself is another
/// issue's; what each pool owes it is to be over in its part, and to say who was left.
#[test]
fn bx_12_pools_keep_to_their_parts_of_a_budget_and_name_whom_they_left() {
    let total = Duration::from_secs(2);
    let (began, gate) = (now(), Gate::new());
    let stuck = |name: &str| {
        let pool = Pool::builder().name(name).workers(1..=1).build().unwrap();
        let (ledger, pass) = (Ledger::new(), gate.clone());
        drop(ledger.keep(pool.task("stuck").submit(move |_| pass.pass()).unwrap()));
        (pool, ledger)
    };
    let ((a, ledger_a), (b, ledger_b)) = (stuck("a"), stuck("b"));
    gate.await_comers(2);
    let grace = Duration::from_millis(100);
    let first = over(&a.shutdown(Shutdown::drain().within(total * 6 / 10).grace(grace)));
    let rest = total.saturating_sub(began.elapsed()).max(grace);
    let second = over(&b.shutdown(Shutdown::drain().within(rest).grace(grace)));
    for report in [&first, &second] {
        assert_eq!(report.abandoned().count(), 1, "{report}");
        assert_eq!(report.abandoned().next().unwrap().ran.as_ref().unwrap().name.as_deref(), Some("stuck"));
    }
    assert_eq!((first.deadline, second.deadline), (total * 6 / 10, rest));
    assert!(began.elapsed() < total + Duration::from_secs(10), "not over in its time, by far");
    gate.open();
    ledger_a.close(&a);
    ledger_b.close(&b);
}
