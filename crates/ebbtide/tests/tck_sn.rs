//! Executor cases SN: the forced end (abort).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};
use std::time::Duration;

use common::{Count, Gate, LONG, Ledger, Me, failure, over, until, value};
use ebbtide::{
    CancelReason, Cancelled, JobEnd, JobState, Mode, Outcome, Phase, Pool, ReturnReason, Shutdown, TaskInfo,
    Turn, Wrap,
};

#[test]
fn sn_01_an_abort_gives_back_what_did_not_start() {
    let pool = Pool::builder().workers(2..=2).build().unwrap();
    let (ledger, gate, ran) = (Ledger::new(), Gate::new(), Count::new());
    let handles: Vec<_> = (0..5)
        .map(|_| {
            let (pass, ran) = (gate.clone(), ran.clone());
            let task = move |_: &Me<'_>| {
                ran.up();
                pass.pass();
            };
            ledger.keep(pool.submit(task).unwrap())
        })
        .collect();
    gate.await_comers(2);
    let closing = pool.shutdown(Shutdown::abort());
    assert_eq!(pool.phase(), Phase::Aborting);
    assert_eq!((pool.stats().queued, pool.waiting().len()), (0, 0));
    let returned = pool.take_returned();
    assert_eq!(returned.len(), 3);
    gate.open();
    assert_eq!(over(&closing).outcomes.completed, 2, "they returned their values all the same");
    drop((handles, returned));
    assert_eq!(ran.get(), 2);
    ledger.close(&pool);
}

#[test]
fn sn_02_an_abort_gives_back_timers_that_were_due_and_did_not_start() {
    let pool = Pool::builder().workers(2..=2).build().unwrap();
    let (gate, ran) = (Gate::new(), Count::new());
    let timers: Vec<_> = (0..5)
        .map(|n: u32| {
            let (pass, ran) = (gate.clone(), ran.clone());
            let body = move |_: &Me<'_>| {
                ran.up();
                pass.pass();
            };
            pool.after(Duration::ZERO).name(format!("timer {n}")).start(body).unwrap()
        })
        .collect();
    gate.await_comers(2);
    until("all are due", || pool.stats().not_due == 0);
    let closing = pool.shutdown(Shutdown::abort());
    assert_eq!((pool.stats().queued, pool.waiting().len()), (0, 0));
    let mut returned = Vec::new();
    // The two that run hold up the end of the stop; one that came back may still be on its way through the timer's thread.
    until("three are back", || {
        returned.extend(pool.take_returned());
        returned.len() >= 3
    });
    assert_eq!(returned.len(), 3);
    assert!(returned.iter().all(|task| task.name().is_some_and(|name| name.starts_with("timer "))));
    gate.open();
    assert_eq!(over(&closing).outcomes.completed, 2, "they returned their values all the same");
    assert_eq!(ran.get(), 2);
    // What came back can still be run, elsewhere.
    let other = Pool::new(1);
    for task in returned {
        other.resubmit(task).unwrap().wait().unwrap();
    }
    assert_eq!(ran.get(), 5);
    let outcomes: Vec<_> = timers.iter().map(|timer| timer.outcome()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(Outcome::Returned)).count(), 3);
    let stats = pool.stats();
    assert_eq!((stats.accepted, stats.outcomes.returned, stats.outcomes.completed), (5, 3, 2));
    common::assert_law(&stats);
}

/// Betters: the three single runs come back as tasks; the six series never were tasks, and say that they were stopped.
#[test]
fn sn_03_an_abort_gives_back_what_was_not_due() {
    let pool = Pool::new(2);
    let timers: Vec<_> = (0..3).map(|_| pool.after(LONG).start(|_| 1).unwrap()).collect();
    let job = |rate| {
        let schedule = pool.every(LONG).first_after(LONG);
        let schedule = if rate { schedule.rate() } else { schedule.delay() };
        schedule.start(|_| ()).unwrap()
    };
    let jobs: Vec<_> = (0..6).map(|n| job(n % 2 == 0)).collect();
    assert_eq!((pool.stats().not_due, pool.stats().queued), (3, 3));
    let report = over(&pool.shutdown(Shutdown::abort()));
    assert_eq!((report.outcomes.returned, report.accepted, report.law_holds()), (3, 3, true));
    assert_eq!((pool.phase(), pool.stats().queued, pool.take_returned().len()), (Phase::Terminated, 0, 3));
    assert!(jobs.iter().all(|job| job.stats().state == JobState::Over(JobEnd::Stopped)));
    assert!(jobs.iter().all(|job| job.stats().runs == 0 && job.stats().next_in.is_none()));
    drop(timers);
}

/// Betters: each of the handles has resolved when the abort returns, and says why.
#[test]
fn sn_04_the_handles_of_what_was_not_due_resolve() {
    let pool = Pool::new(2);
    let timers: Vec<_> = (0..9).map(|_| pool.after(LONG).start(|_| 1).unwrap()).collect();
    let closing = pool.shutdown(Shutdown::abort());
    assert!(timers.iter().all(|timer| timer.is_finished()), "before anybody waited");
    for timer in timers {
        let error = timer.wait().unwrap_err();
        let error = error.task().unwrap();
        assert_eq!(
            (error.outcome(), error.return_reason()),
            (Outcome::Returned, Some(&ReturnReason::NotDue))
        );
        assert!(error.to_string().contains("not due"), "{error}");
    }
    over(&closing);
}

#[test]
fn sn_05_every_way_of_submitting_sees_the_abort() {
    let pool = Pool::builder().workers(3..=3).build().unwrap();
    let (ledger, begun, seen) = (Ledger::new(), Gate::new(), Count::new());
    begun.open();
    let sleeper = || {
        let (begun, seen) = (begun.clone(), seen.clone());
        move |task: &Me<'_>| {
            begun.pass();
            let slept = task.sleep(LONG);
            if slept.is_err() && task.cancel_reason() == Some(CancelReason::Abort) {
                seen.up();
            }
            slept
        }
    };
    let body = sleeper();
    pool.execute(move |task| {
        let _ = body(task);
    })
    .unwrap();
    ledger.executed(1);
    let plain = ledger.keep(pool.submit(sleeper()).unwrap());
    let may_fail = ledger.keep(pool.submit_fallible(sleeper()).unwrap());
    begun.await_comers(3);
    over(&pool.shutdown(Shutdown::abort()));
    assert_eq!(seen.get(), 3);
    assert_eq!(value(plain), Err(Cancelled), "a plain body's value is a value, whatever it says");
    assert_eq!(failure(may_fail).outcome(), Outcome::Cancelled);
    ledger.close(&pool);
}

#[test]
fn sn_06_nothing_queued_nothing_returned_and_the_cause_is_named() {
    let pool = Pool::builder().workers(0..=8).build().unwrap();
    let (ledger, begun) = (Ledger::new(), Gate::new());
    begun.open();
    let come = begun.clone();
    let task = move |task: &Me<'_>| {
        come.pass();
        task.sleep(LONG)
    };
    let sleeper = ledger.keep(pool.submit_fallible(task).unwrap());
    begun.await_comers(1);
    let closing = pool.shutdown(Shutdown::abort());
    assert!(pool.take_returned().is_empty());
    over(&closing);
    assert_eq!(failure(sleeper).cancel_reason(), Some(&CancelReason::Abort));
    ledger.close(&pool);
}

/// The task is held on its worker, taken but not begun, until the abort is there; and then races without a hold.
#[test]
fn sn_09_a_task_that_is_just_being_taken_sees_the_abort_before_its_first_line() {
    let taken = Gate::new();
    let hold = taken.clone();
    let decorate = move |_: &TaskInfo<'_>| -> Wrap {
        let hold = hold.clone();
        Box::new(move |body| {
            hold.pass();
            body();
        })
    };
    let pool = Pool::builder().workers(1..=1).decorate(decorate).build().unwrap();
    let ledger = Ledger::new();
    let handle = ledger.keep(pool.submit(|task| task.is_cancelled()).unwrap());
    taken.await_comers(1);
    let closing = pool.shutdown(Shutdown::abort());
    taken.open();
    assert!(value(handle), "its first line saw the abort");
    over(&closing);
    ledger.close(&pool);
    (0..1_000).for_each(race_with_an_abort);
}

fn race_with_an_abort(round: usize) {
    let (pool, ledger) = (Pool::builder().workers(1..=2).build().unwrap(), Ledger::new());
    let aborted = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..8)
        .map(|_| {
            let aborted = Arc::clone(&aborted);
            let first_line = move |task: &Me<'_>| {
                let after = aborted.load(SeqCst);
                (after, task.is_cancelled())
            };
            ledger.keep(pool.submit(first_line).unwrap())
        })
        .collect();
    (0..round % 500).for_each(|_| std::hint::spin_loop());
    drop(pool.shutdown(Shutdown::abort()));
    aborted.store(true, SeqCst);
    for mut handle in handles {
        if let Ok((after, seen)) = handle.wait_timeout(LONG) {
            assert!(seen || !after, "began after the abort and did not see it");
        }
    }
    ledger.close(&pool);
}

#[test]
fn sn_16_an_abort_escalates_a_drain() {
    let (pool, ledger, begun) = (Pool::new(1), Ledger::new(), Gate::new());
    begun.open();
    let come = begun.clone();
    let task = move |task: &Me<'_>| {
        come.pass();
        task.sleep(LONG)
    };
    let running = ledger.keep(pool.submit_fallible(task).unwrap());
    begun.await_comers(1);
    let queued: Vec<_> = (0..5).map(|n| ledger.keep(pool.submit(move |_| n).unwrap())).collect();
    let drain = pool.shutdown(Shutdown::drain());
    assert_eq!((pool.phase(), pool.stats().queued), (Phase::Draining, 5));
    assert!(pool.take_returned().is_empty(), "a drain gives nothing back");
    let abort = pool.shutdown(Shutdown::abort());
    assert_eq!(pool.take_returned().len(), 5);
    let report = over(&drain);
    assert_eq!((report.asked, report.mode), (Some(Mode::Drain), Some(Mode::Abort)));
    let escalated = |turn: &Turn| matches!(turn, Turn::Escalated { mode: Mode::Abort, .. });
    assert!(report.timeline.iter().any(|entry| escalated(&entry.turn)), "{report}");
    assert_eq!(report.to_json(), over(&abort).to_json(), "one procedure, one report");
    assert_eq!(failure(running).cancel_reason(), Some(&CancelReason::Abort));
    assert!(queued.into_iter().all(|handle| failure(handle).is_returned()));
    ledger.close(&pool);
}

#[test]
fn sn_17_a_second_abort_changes_nothing() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    drop(ledger.keep(pool.submit(|_| ()).unwrap()));
    let first = pool.shutdown(Shutdown::abort());
    assert_eq!(pool.take_returned().len(), 1);
    let second = pool.shutdown(Shutdown::abort());
    assert!(pool.take_returned().is_empty());
    gate.open();
    assert_eq!(over(&first).to_json(), over(&second).to_json());
    ledger.close(&pool);
}

#[test]
fn sn_18_an_abort_of_many_workers_returns_the_tasks_and_another_pool_can_run_them() {
    let pool = Pool::builder().workers(4..=4).build().unwrap();
    let (ledger, gate, ran) = (Ledger::new(), Gate::new(), Count::new());
    for _ in 0..4 {
        let pass = gate.clone();
        drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    }
    gate.await_comers(4);
    for _ in 0..10 {
        let ran = ran.clone();
        drop(ledger.keep(pool.submit(move |_| ran.up()).unwrap()));
    }
    let closing = pool.shutdown(Shutdown::abort());
    let returned = pool.take_returned();
    assert_eq!(returned.len(), 10);
    gate.open();
    over(&closing);
    let (other, second) = (Pool::new(2), Ledger::new());
    for task in returned {
        drop(second.keep(other.resubmit(task).unwrap()));
    }
    assert_eq!(second.close(&other).outcomes.completed, 10);
    assert_eq!(ran.get(), 10);
    until("nobody of the first pool is left", || pool.stats().workers.alive == 0);
    ledger.close(&pool);
}
