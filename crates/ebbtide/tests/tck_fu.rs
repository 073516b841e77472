//! Executor cases FU: submitting, and what a handle tells.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use common::{Broke, Count, Gate, LONG, Ledger, Me, block_on, failure, now, until, value};
use ebbtide::{Handle, Outcome, Pool, Stateless, TaskState, WaitError};

const SHORT: Duration = Duration::from_millis(12);

#[test]
fn fu_01_an_executed_closure_runs_once() {
    let (pool, ledger, ran) = (Pool::new(2), Ledger::new(), Count::new());
    let count = ran.clone();
    let task = move |_: &Me<'_>| {
        count.up();
    };
    let id = pool.execute(task).unwrap();
    ledger.executed(1);
    assert_eq!(id.0, 1);
    assert_eq!(ledger.close(&pool).outcomes.completed, 1);
    assert_eq!(ran.get(), 1);
}

#[test]
fn fu_02_a_submitted_closure_gives_its_value() {
    let (pool, ledger) = (Pool::new(2), Ledger::new());
    assert_eq!(value(ledger.keep(pool.submit(|_| "a value".to_owned()).unwrap())), "a value");
    let by_future = ledger.keep(block_on(pool.submit_async(|_| 5)).unwrap());
    assert_eq!(block_on(by_future).unwrap(), 5);
    ledger.close(&pool);
}

#[test]
fn fu_03_a_closure_without_a_value_and_one_with_a_fixed_one() {
    let (pool, ledger) = (Pool::new(2), Ledger::new());
    let unit = ledger.keep(pool.submit(|_| ()).unwrap());
    let watch = unit.watch();
    value(unit);
    assert_eq!(watch.outcome(), Some(Outcome::Completed));
    let fixed = 42;
    assert_eq!(value(ledger.keep(pool.submit(move |_| fixed).unwrap())), 42);
    ledger.close(&pool);
}

#[test]
fn fu_04_after_the_end_everything_is_immediate() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    let mut handle = ledger.keep(pool.submit(|_| 9).unwrap());
    assert_eq!(handle.watch().wait(Some(LONG)).unwrap(), Outcome::Completed);
    assert!(handle.is_finished());
    assert_eq!(handle.state(), TaskState::Ended(Outcome::Completed), "done and not cancelled");
    assert_eq!(handle.wait_timeout(Duration::ZERO).unwrap(), 9);
    assert_eq!(handle.watch().wait(Some(Duration::ZERO)).unwrap(), Outcome::Completed);
    ledger.close(&pool);
}

#[test]
fn fu_05_a_failure_gives_the_very_cause() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    let handle = ledger.keep(pool.submit_fallible(|_| Err::<(), _>(Broke(7))).unwrap());
    let error = failure(handle);
    assert!(error.is_failed());
    assert_eq!(error.downcast_ref::<Broke>(), Some(&Broke(7)));
    let panicked = failure(ledger.keep(pool.submit(|_| common::fall("a reason")).unwrap()));
    assert_eq!((panicked.is_panicked(), panicked.panic_message()), (true, Some("a reason")));
    ledger.close(&pool);
}

/// A thread that waits cannot be interrupted in Rust; a waiting future can be dropped, and a wait can end by time.
#[test]
fn fu_06_who_stops_waiting_does_not_stop_the_task() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let pass = gate.clone();
    let task = move |_: &Me<'_>| {
        pass.pass();
        3
    };
    let mut handle = ledger.keep(pool.submit(task).unwrap());
    gate.await_comers(1);
    let mut waiter = Box::pin(handle.watch());
    assert!(waiter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiter);
    assert!(matches!(handle.wait_timeout(SHORT), Err(WaitError::TimedOut)));
    assert_eq!(handle.state(), TaskState::Running, "nobody asked it to cancel");
    gate.open();
    assert_eq!(value(handle), 3);
    ledger.close(&pool);
}

/// Waits in vain for 12 ms, and sees that it was not less and that the task is as it was.
fn waits_in_vain<T: Send + 'static>(handle: &mut Handle<T>, state: TaskState) {
    let began = now();
    assert!(handle.wait_timeout(SHORT).err().is_some_and(|error| error.is_timed_out()));
    assert!(began.elapsed() >= SHORT);
    assert_eq!(handle.state(), state);
}

#[test]
fn fu_07_a_wait_that_ends_by_time_leaves_the_task_alone_in_every_kind_of_pool() {
    let builder = || Pool::builder().workers(1..=1);
    let plain = [builder().build().unwrap(), Pool::new(4), builder().warm().build().unwrap()];
    for pool in plain {
        let (ledger, gate) = (Ledger::new(), Gate::new());
        let pass = gate.clone();
        let mut handle = ledger.keep(pool.submit(move |_| pass.pass()).unwrap());
        gate.await_comers(1);
        waits_in_vain(&mut handle, TaskState::Running);
        gate.open();
        value(handle);
        ledger.close(&pool);
    }
    let (pool, ledger, gate) = (builder().state(|_| 5).build().unwrap(), Ledger::new(), Gate::new());
    let pass = gate.clone();
    let task = move |state: &mut i32, _: &ebbtide::Context<'_, ebbtide::Threads<i32>>| {
        pass.pass();
        *state
    };
    let mut handle = ledger.keep(pool.submit(task).unwrap());
    gate.await_comers(1);
    waits_in_vain(&mut handle, TaskState::Running);
    gate.open();
    assert_eq!(value(handle), 5);
    ledger.close(&pool);
}

#[test]
fn fu_08_a_wait_for_a_task_that_does_not_start_ends_by_time() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    pool.pause();
    let mut handle = ledger.keep(pool.submit(|_| 1).unwrap());
    waits_in_vain(&mut handle, TaskState::Queued);
    pool.resume();
    assert_eq!(value(handle), 1);
    ledger.close(&pool);
}

#[test]
fn fu_10_done_is_false_before_and_true_after() {
    let (pool, ledger, gate, ran) = (Pool::new(1), Ledger::new(), Gate::new(), Count::new());
    let (pass, count) = (gate.clone(), ran.clone());
    let task = move |_: &Me<'_>| {
        pass.pass();
        count.up()
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    assert!(!handle.is_finished());
    gate.await_comers(1);
    assert!(!handle.is_finished());
    gate.open();
    until("it is done", || handle.is_finished());
    assert_eq!((value(handle), ran.get()), (1, 1));
    ledger.close(&pool);
}

/// Nobody but the body can complete a task: the outcome is the truth. It is told every time and nothing changes it; the value, not being a
/// copy, is given once.
#[test]
fn fu_11_nothing_changes_an_outcome() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    let mut good = ledger.keep(pool.submit(|_| vec![1, 2]).unwrap());
    let mut bad = ledger.keep(pool.submit_fallible(|_| Err::<(), _>(Broke(1))).unwrap());
    let (good_watch, bad_watch) = (good.watch(), bad.watch());
    assert_eq!(good.wait_timeout(LONG).unwrap(), [1, 2]);
    assert!(bad.wait_timeout(LONG).is_err());
    for _ in 0..3 {
        assert!(!good.cancel() && !bad.cancel() && !good_watch.cancel());
        assert_eq!(good.outcome(), Some(Outcome::Completed));
        assert_eq!(bad.outcome(), Some(Outcome::Failed));
        assert_eq!(good_watch.wait(None).unwrap(), Outcome::Completed);
        assert_eq!(bad_watch.wait(Some(Duration::ZERO)).unwrap(), Outcome::Failed);
    }
    let again = good.wait_timeout(LONG).unwrap_err();
    assert!(again.to_string().contains("taken before"), "{again}");
    assert!(good.try_take().is_none());
    ledger.close(&pool);
}

#[test]
fn fu_12_two_who_wait_both_learn_it() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let pass = gate.clone();
    let task = move |_: &Me<'_>| {
        pass.pass();
        8
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    let (timed, untimed) = (handle.watch(), handle.watch());
    thread::scope(|threads| {
        let timed = threads.spawn(move || timed.wait(Some(LONG)).unwrap());
        let untimed = threads.spawn(move || untimed.wait(None).unwrap());
        let by_future = threads.spawn(|| block_on(handle.watch()));
        gate.await_comers(1);
        gate.open();
        for waiter in [timed, untimed] {
            assert_eq!(waiter.join().unwrap(), Outcome::Completed);
        }
        assert_eq!(by_future.join().unwrap(), Outcome::Completed);
    });
    assert_eq!(value(handle), 8);
    ledger.close(&pool);
}

#[test]
fn fu_16_a_handle_prints_how_it_is() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let pass = gate.clone();
    let task = move |_: &Me<'_>| {
        pass.pass();
        Err::<(), _>(Broke(4))
    };
    let running = ledger.keep(pool.task("shown").submit_fallible(task).unwrap());
    let queued = ledger.keep(pool.submit(|_| ()).unwrap());
    let cancelled = ledger.keep(pool.submit(|_| ()).unwrap());
    gate.await_comers(1);
    cancelled.cancel_with("not wanted");
    let shown = format!("{running:?}");
    assert!(shown.contains("Running") && shown.contains("shown"), "{shown}");
    assert!(format!("{queued:?}").contains("Queued"), "{queued:?}");
    assert!(format!("{cancelled:?}").contains("Ended(Cancelled)"), "{cancelled:?}");
    gate.open();
    queued.watch().wait(Some(LONG)).unwrap();
    assert!(format!("{queued:?}").contains("Ended(Completed)"), "{queued:?}");
    assert!(format!("{running:?}").contains("Ended(Failed)"), "{running:?}");
    let error = failure(running);
    assert_eq!(error.to_string(), "the task failed: broke number 4");
    assert_eq!(failure(cancelled).to_string(), "the task was cancelled: requested: not wanted");
    ledger.close(&pool);
}

#[test]
fn fu_17_the_state_and_the_result_can_be_had_without_waiting() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let stop = Arc::new(AtomicBool::new(false));
    let (pass, stopped) = (gate.clone(), Arc::clone(&stop));
    let task = move |_: &Me<'_>| {
        pass.pass();
        until("it may stop", || stopped.load(SeqCst));
        Err::<(), _>(Broke(2))
    };
    let mut running = ledger.keep(pool.submit_fallible(task).unwrap());
    let mut queued = ledger.keep(pool.submit(|_| 1).unwrap());
    gate.await_comers(1);
    assert_eq!((running.state(), queued.state()), (TaskState::Running, TaskState::Queued));
    assert!(running.try_take().is_none() && queued.try_take().is_none(), "not done");
    gate.open();
    assert!(running.cancel());
    assert_eq!(running.state(), TaskState::CancelRequested);
    stop.store(true, SeqCst);
    queued.watch().wait(Some(LONG)).unwrap();
    assert_eq!(queued.state(), TaskState::Ended(Outcome::Completed));
    assert_eq!(queued.try_take().unwrap().unwrap(), 1);
    assert_eq!(running.state(), TaskState::Ended(Outcome::Failed));
    let error = running.try_take().unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<Broke>(), Some(&Broke(2)));
    let pool: Pool<Stateless> = pool;
    ledger.close(&pool);
}
