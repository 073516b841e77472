//! Worker-pool cases, the thread half: what Piscina's own suite demands of a pool, and what pools of workers get wrong,
//! held against thread workers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    collections::HashSet,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use common::{
    Broke, Count, Gate, LONG, Ledger, Me, assert_law, failure, fall, over, some_time, until, value,
};
use ebbtide::{
    CancelReason, Event, Outcome, Phase, Pool, PoolBuilder, RejectReason, Renew, Restart, RetireReason,
    Retirement, ReturnReason, Shutdown, Stateless, Timing, WhenFull,
};

fn open_gate() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

/// Idle, with a least of nothing, with tasks waiting, cold and warm, with 1, 2, 4 and 8 workers: all that waited is finished, by the old
/// workers, and the pool serves on.
#[test]
fn w_01_restart_drain_finishes_all_that_waits() {
    for workers in [1, 2, 4, 8] {
        for (least, tasks) in [(0, 0), (workers, 0), (0, 40), (workers, 40)] {
            for warm in [false, true] {
                let builder = Pool::builder().workers(least..=workers);
                let pool = if warm { builder.warm() } else { builder }.build().unwrap();
                let (ledger, ran) = (Ledger::new(), Count::new());
                let handles: Vec<_> = (0..tasks)
                    .map(|n| {
                        let ran = ran.clone();
                        let task = move |task: &Me<'_>| {
                            ran.up();
                            (n, task.generation())
                        };
                        ledger.keep(pool.submit(task).unwrap())
                    })
                    .collect();
                let report = over(&pool.restart(Restart::drain()));
                assert!(report.failed.is_none() && report.law_holds(), "{report}");
                assert_eq!(ran.get(), tasks, "all had ended when the restart was over");
                assert!(
                    handles.into_iter().map(value).eq((0..tasks).map(|n| (n, 1))),
                    "by the old generation"
                );
                assert_eq!(pool.stats().workers.alive, least, "the least are there again, and no more");
                assert_eq!(value(ledger.keep(pool.submit(|task| task.generation()).unwrap())), 2);
                ledger.close(&pool);
            }
        }
    }
}

#[test]
fn w_02_restart_stop_finishes_what_runs_and_returns_what_waits() {
    let (pool, ledger, gate, ran) = (Pool::new(2), Ledger::new(), Gate::new(), Count::new());
    let handles: Vec<_> = (0..10)
        .map(|n| {
            let (pass, ran) = (gate.clone(), ran.clone());
            let task = move |_: &Me<'_>| {
                pass.pass();
                ran.up();
                n
            };
            ledger.keep(pool.submit(task).unwrap())
        })
        .collect();
    gate.await_comers(2);
    let closing = pool.restart(Restart::stop());
    let fresh = ledger.keep(pool.submit(|task| task.generation()).unwrap());
    gate.open();
    assert!(over(&closing).failed.is_none());
    for (n, handle) in handles.into_iter().enumerate() {
        if n < 2 {
            assert_eq!(value(handle), n);
        } else {
            assert_eq!(failure(handle).return_reason(), Some(&ReturnReason::PoolStopped));
        }
    }
    assert_eq!((value(fresh), ran.get(), pool.take_returned().len()), (2, 2, 8));
    ledger.close(&pool);
}

#[test]
fn w_03_restart_abort_ends_a_busy_loop_that_looks_and_nothing_comes_back_to_life() {
    let (pool, ledger, begun, ran) = (Pool::new(1), Ledger::new(), open_gate(), Count::new());
    let come = begun.clone();
    let busy = move |task: &Me<'_>| {
        come.pass();
        loop {
            task.check()?;
            thread::yield_now();
        }
    };
    let looping = ledger.keep(pool.submit_fallible::<(), ebbtide::Cancelled, _>(busy).unwrap());
    begun.await_comers(1);
    let queued: Vec<_> = (0..5)
        .map(|_| {
            let ran = ran.clone();
            ledger.keep(pool.submit(move |_| ran.up()).unwrap())
        })
        .collect();
    thread::scope(|threads| {
        let abort = || over(&pool.restart(Restart::abort()));
        let (one, two) = (threads.spawn(abort), threads.spawn(abort));
        let reports = [one.join().unwrap(), two.join().unwrap()];
        assert!(reports.iter().all(|report| report.failed.is_none() && report.abandoned().next().is_none()));
    });
    assert_eq!(failure(looping).cancel_reason(), Some(&CancelReason::Abort));
    assert!(queued.into_iter().all(|handle| failure(handle).is_returned()));
    assert_eq!(value(ledger.keep(pool.submit(|_| 1).unwrap())), 1, "usable");
    drop(pool.take_returned());
    ledger.close(&pool);
    assert_eq!(ran.get(), 0);
}

#[test]
fn w_04_running_queued_and_cancelled_tasks_are_cancelled_with_a_reason() {
    let (pool, ledger, begun) = (Pool::new(1), Ledger::new(), open_gate());
    let reason = Arc::new(Mutex::new(None));
    let (come, told) = (begun.clone(), Arc::clone(&reason));
    let task = move |task: &Me<'_>| {
        come.pass();
        let slept = task.sleep(LONG);
        *told.lock().unwrap() = task.cancel_reason();
        slept
    };
    let running = ledger.keep(pool.submit_fallible(task).unwrap());
    let queued = ledger.keep(pool.submit(|_| ()).unwrap());
    begun.await_comers(1);
    assert!(queued.cancel_with("too late"));
    assert!(!queued.cancel_with("again"), "it has ended");
    let asked = thread::scope(|threads| {
        let ask = || running.cancel_with("at once");
        let all: Vec<_> = (0..8).map(|_| threads.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).filter(|first| *first).count()
    });
    assert_eq!(asked, 1, "of those who ask at the same time one is the first");
    let requested = |why: &str| Some(CancelReason::Requested(Some(why.into())));
    assert_eq!(failure(running).cancel_reason().cloned(), requested("at once"));
    assert_eq!(*reason.lock().unwrap(), requested("at once"), "the reason reached the body");
    assert_eq!(failure(queued).cancel_reason().cloned(), requested("too late"));
    let after = pool.submit(|task| (task.is_cancelled(), task.cancel_reason())).unwrap();
    assert_eq!(value(ledger.keep(after)), (false, None), "a cancel never leaks into the next task");
    ledger.close(&pool);
}

#[test]
fn w_05_it_grows_then_queues_then_refuses() {
    let builder = Pool::builder().workers(2..=3).queue(2).when_full(WhenFull::Reject).warm();
    let (pool, ledger, gate) = (builder.build().unwrap(), Ledger::new(), Gate::new());
    let mut handles = Vec::new();
    let mut submit = || {
        let pass = gate.clone();
        let result = pool.submit(move |_| pass.pass());
        result.map(|handle| handles.push(ledger.keep(handle))).map_err(|error| error.reason().clone())
    };
    for workers in 1..=3 {
        submit().unwrap();
        gate.await_comers(workers);
    }
    assert_eq!(pool.stats().workers.alive, 3, "two were there, one came");
    assert_eq!((submit(), submit()), (Ok(()), Ok(())));
    assert_eq!(submit(), Err(RejectReason::Full), "every waiting task counts");
    assert_eq!((pool.stats().queued, pool.stats().workers.alive), (2, 3));
    handles[3].cancel();
    let pass = gate.clone();
    handles.push(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.open();
    ledger.close(&pool);
    assert_eq!(Pool::builder().queue(0).build().unwrap_err().option(), "queue");
}

#[test]
fn w_06_sizes_are_kept_before_during_and_after() {
    let (pool, ledger, gate) = (Pool::builder().workers(2..=6).build().unwrap(), Ledger::new(), Gate::new());
    for _ in 0..30 {
        let pass = gate.clone();
        drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    }
    gate.await_comers(6);
    assert_eq!((pool.stats().workers.alive, pool.stats().workers.peak), (6, 6), "a cold burst");
    gate.open();
    for restart in [Restart::drain(), Restart::rolling(), Restart::stop(), Restart::abort()] {
        over(&pool.restart(restart));
        assert!(pool.stats().workers.alive >= 2, "the least are restored: {:?}", pool.stats().workers);
    }
    ledger.close(&pool);
    assert_eq!(pool.stats().workers.alive, 0);
    let contradiction = Pool::builder().workers(RangeInclusive::new(4, 3)).build().unwrap_err();
    assert!(contradiction.to_string().contains('4') && contradiction.to_string().contains('3'));
}

#[test]
fn w_07_idle_workers_go_down_to_the_least_or_stay_for_ever() {
    let shrinking = Pool::builder().workers(1..=4).idle_timeout(Duration::from_millis(20)).build().unwrap();
    let staying = Pool::builder().workers(1..=4).no_idle_timeout().build().unwrap();
    for pool in [&shrinking, &staying] {
        let (ledger, gate) = (Ledger::new(), Gate::new());
        for _ in 0..4 {
            let pass = gate.clone();
            drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
        }
        gate.await_comers(4);
        gate.open();
    }
    until("one is left", || shrinking.stats().workers.alive == 1);
    some_time();
    assert_eq!((shrinking.stats().workers.alive, staying.stats().workers.alive), (1, 4));
    for pool in [shrinking, staying] {
        over(&pool.shutdown(Shutdown::drain()));
        assert_law(&pool.stats());
        assert_eq!(pool.outcomes().completed, 4);
    }
}

#[test]
fn w_10_waits_and_runs_are_measured_reset_or_not_measured() {
    let timed = |timing| Pool::builder().workers(1..=2).timing(timing).build().unwrap();
    let (every, off, ledger) = (timed(Timing::Every), timed(Timing::Off), Ledger::new());
    let quiet = Ledger::new();
    let nap = |task: &Me<'_>| task.sleep(Duration::from_millis(5));
    for _ in 0..20 {
        drop(ledger.keep(every.submit_fallible(nap).unwrap()));
        drop(quiet.keep(off.submit_fallible(nap).unwrap()));
    }
    until("all were measured", || every.timings().runs.samples == 20);
    let timings = every.timings();
    assert_eq!(timings.waits.samples, 20);
    assert!(timings.runs.min >= Duration::from_millis(4) && timings.runs.min <= timings.runs.p50);
    assert!(timings.runs.p50 <= timings.runs.p99 && timings.runs.p99 <= timings.runs.max);
    assert!(timings.waits.max >= Duration::from_millis(4), "with two workers most of twenty wait");
    every.reset_timings();
    assert_eq!(every.timings().runs.samples, 0);
    drop(ledger.keep(every.submit_fallible(|_| Err::<(), _>(Broke(1))).unwrap()));
    drop(ledger.keep(every.submit(|_| fall("no success")).unwrap()));
    let workers = every.stats().workers;
    assert!(workers.idle <= workers.alive && workers.alive <= workers.max, "between none and all are busy");
    let outcomes = ledger.close(&every).outcomes;
    assert_eq!((outcomes.completed, outcomes.failed, outcomes.panicked), (20, 1, 1));
    quiet.close(&off);
    assert_eq!(off.timings().runs.samples, 0);
}

#[test]
fn w_11_first_come_first_served_thousands_waiting_and_removal_from_the_middle() {
    const WAITING: usize = 3_000;
    let (pool, ledger) = (Pool::builder().workers(1..=1).queue(WAITING).build().unwrap(), Ledger::new());
    let (gate, order) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    let handles: Vec<_> = (0..WAITING)
        .map(|n| {
            let order = Arc::clone(&order);
            ledger.keep(pool.try_submit(move |_| order.lock().unwrap().push(n)).unwrap())
        })
        .collect();
    assert_eq!(pool.stats().queued, WAITING as u64);
    assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
    let removed = |n: &usize| n % 3 == 1;
    (0..WAITING).filter(removed).for_each(|n| assert!(handles[n].cancel()));
    assert_eq!(pool.stats().queued, WAITING as u64 - 1_000, "a cancelled one frees its place at once");
    gate.open();
    ledger.close(&pool);
    let left: Vec<_> = (0..WAITING).filter(|n| !removed(n)).collect();
    assert_eq!(*order.lock().unwrap(), left);
}

fn wrong_option(builder: PoolBuilder<Stateless>) -> &'static str {
    builder.build().unwrap_err().option()
}

#[test]
fn w_12_every_bad_option_is_named_and_good_ones_are_not_changed() {
    let (new, sized) = (Pool::builder, |retirement| Pool::builder().retire(retirement));
    assert_eq!(wrong_option(new().name("")), "name");
    assert_eq!(wrong_option(new().workers(0..=0)), "workers");
    assert_eq!(wrong_option(new().workers(RangeInclusive::new(2, 1))), "workers");
    assert_eq!(wrong_option(new().queue(0)), "queue");
    assert_eq!(wrong_option(new().idle_timeout(Duration::ZERO)), "idle_timeout");
    assert_eq!(wrong_option(new().deadline(Duration::ZERO)), "deadline");
    assert_eq!(wrong_option(new().grace(LONG).deadline(LONG / 2)), "grace");
    assert_eq!(wrong_option(new().surge(0)), "surge");
    assert_eq!(wrong_option(new().restart_intensity(1, Duration::ZERO)), "restart_intensity");
    assert_eq!(wrong_option(new().stack_size(100)), "stack_size");
    assert_eq!(wrong_option(sized(Retirement::new().after_tasks(0))), "retire");
    assert_eq!(wrong_option(sized(Retirement::new().older_than(Duration::ZERO))), "retire");
    assert_eq!(wrong_option(sized(Retirement::new().after_failures(0))), "retire");
    assert_eq!(wrong_option(sized(Retirement::new().jitter(1.5))), "retire");
    assert_eq!(wrong_option(sized(Retirement::new().jitter(f64::NAN))), "retire");
    assert_eq!(wrong_option(sized(Retirement::new().larger_than(1))), "retire", "a limit without a source");
    assert_eq!(wrong_option(new().renew(Renew::new().when_larger_than(1))), "renew");
    assert_eq!(wrong_option(new().renew(Renew::new().every(Duration::ZERO))), "renew");
    let with_state = new().when_full(WhenFull::CallerRuns).state(|_| 0).build().unwrap_err();
    assert_eq!(with_state.option(), "when_full");
    let pool = new().name("mine").workers(0..=77).queue(1).deadline(LONG).grace(LONG).build().unwrap();
    let workers = pool.stats().workers;
    assert_eq!((pool.name(), workers.min, workers.max, pool.deadline()), ("mine", 0, 77, LONG));
    Ledger::new().close(&pool);
}

#[test]
fn p_05_workers_that_cannot_be_started_break_the_pool_and_a_restart_repairs_it() {
    let (broken, tries) = (Arc::new(Mutex::new(true)), Count::new());
    let (still, count) = (Arc::clone(&broken), tries.clone());
    let build = move |_: &ebbtide::WorkerInfo| {
        count.up();
        if *still.lock().unwrap() { Err(Broke(8)) } else { Ok(1) }
    };
    let builder = Pool::builder().workers(1..=1).queue(2).restart_intensity(2, LONG).try_state(build);
    let (pool, ledger) = (builder.build().unwrap(), Ledger::new());
    let mut events = pool.events();
    let waiting: Vec<_> = (0..2).map(|_| ledger.keep(pool.submit(|n, _| *n).unwrap())).collect();
    let names_the_cause = |reason: Option<&ReturnReason>| matches!(reason, Some(ReturnReason::Broken(cause)) if cause.contains("number 8"));
    for handle in waiting {
        let error = failure(handle);
        assert!(names_the_cause(error.return_reason()), "{error}");
    }
    assert_eq!(tries.get(), 3, "two may fail, the third is one too many");
    let refused = pool.submit(|n, _| *n).unwrap_err();
    assert!(
        matches!(refused.reason(), RejectReason::Broken(cause) if cause.contains("number 8")),
        "{refused}"
    );
    assert!(pool.stats().broken.is_some());
    let mut failed_starts = 0;
    let told = events.find(|event| {
        failed_starts += u32::from(matches!(event, Event::WorkerStartFailed { .. }));
        matches!(event, Event::Broken { .. })
    });
    assert!(told.is_some() && failed_starts == 3, "{failed_starts}");
    *broken.lock().unwrap() = false;
    let report = over(&pool.restart(Restart::drain()));
    assert!(report.failed.is_none(), "{report}");
    assert_eq!(pool.stats().broken, None);
    assert_eq!(value(ledger.keep(pool.submit(|n, _| *n).unwrap())), 1);
    let returned = pool.take_returned();
    assert_eq!(returned.len(), 2);
    for task in returned {
        value(ledger.keep(pool.resubmit(task).unwrap()));
    }
    ledger.close(&pool);
}

/// The minimum is there when a restart is over, however often that was tried; where it cannot be had, or not in time, the restart says so.
#[test]
fn p_05_a_restart_whose_new_workers_do_not_start_is_not_a_success() {
    for restart in [Restart::drain(), Restart::stop(), Restart::abort()] {
        let (fails, built) = (Arc::new(Mutex::new(0)), Count::new());
        let (left, count) = (Arc::clone(&fails), built.clone());
        let build = move |_: &ebbtide::WorkerInfo| {
            count.up();
            let mut left = left.lock().unwrap();
            *left -= i32::from(*left > 0);
            if *left > 0 { Err(Broke(8)) } else { Ok(1) }
        };
        let builder = Pool::builder().workers(2..=2).warm().restart_intensity(5, LONG).try_state(build);
        let (pool, ledger) = (builder.build().unwrap(), Ledger::new());
        until("both serve", || pool.stats().workers.idle == 2);
        *fails.lock().unwrap() = 3;
        let report = over(&pool.restart(restart.within(LONG)));
        assert!(report.failed.is_none(), "the third serves: {report}");
        assert_eq!(
            (pool.stats().workers.alive, built.get() >= 6),
            (2, true),
            "two failed before it was over"
        );
        *fails.lock().unwrap() = i32::MAX;
        let report = over(&pool.restart(restart.within(LONG)));
        let why = report.failed.clone().unwrap_or_default();
        assert!(why.contains("broke") && why.contains("number 8"), "{report}");
        let report = over(&pool.restart(restart.within(Duration::from_millis(300))));
        let why = report.failed.clone().unwrap_or_default();
        assert!(why.contains("not ready by the deadline"), "it backs off still: {report}");
        let under_way = pool.restart(restart.within(LONG));
        ledger.close(&pool);
        assert!(over(&under_way).failed.is_some(), "a shutdown ends it");
    }
}

/// Four workers with one limit and jitter: they do not go together, capacity never drops, nothing is lost.
#[test]
fn p_09_workers_retire_one_after_the_other_and_lose_nothing() {
    let (told, ends) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(Mutex::new(Vec::new())));
    let (tellings, book, reasons) = (Arc::clone(&told), Arc::clone(&ends), Count::new());
    let hook = move |event: &Event| match event {
        Event::WorkerRetiring { worker, reason: RetireReason::Tasks } => {
            tellings.lock().unwrap().insert(*worker);
        }
        Event::WorkerEnded { worker, tasks } => book.lock().unwrap().push((*worker, *tasks)),
        _ => {}
    };
    let by_tasks = reasons.clone();
    let lay_down = move |_: &mut u64, why| {
        if why == RetireReason::Tasks {
            by_tasks.up();
        }
    };
    let builder = Pool::builder().workers(4..=4).warm().on_event(hook);
    let builder = builder.retire(Retirement::new().after_tasks(100).jitter(0.5));
    let pool = builder.state(|_| 0_u64).on_retire(lay_down).build().unwrap();
    let (ledger, ran) = (Ledger::new(), Count::new());
    until("four serve", || pool.stats().workers.idle == 4);
    let mut submitted = 0;
    while ends.lock().unwrap().len() < 12 {
        for _ in 0..100 {
            let ran = ran.clone();
            let task = move |own: &mut u64, _: &ebbtide::Context<'_, ebbtide::Threads<u64>>| {
                *own += 1;
                ran.up();
            };
            drop(ledger.keep(pool.submit(task).unwrap()));
        }
        submitted += 100;
        assert!(pool.stats().workers.alive >= 4, "a replacement is there first");
        until("the hundred have run", || ran.get() == submitted);
        assert!(submitted < 10_000_000, "nobody retires");
    }
    assert_eq!(ledger.close(&pool).outcomes.completed, submitted);
    let told = told.lock().unwrap();
    let retired: Vec<_> = ends.lock().unwrap().iter().filter(|(id, _)| told.contains(id)).copied().collect();
    assert!(retired.len() >= 12 && reasons.get() >= 12, "{retired:?}");
    assert!(
        retired.iter().all(|(_, tasks)| *tasks >= 50),
        "half of a hundred is all that jitter takes: {retired:?}"
    );
    let different: HashSet<_> = retired.iter().map(|(_, tasks)| tasks).collect();
    assert!(different.len() > 1, "not one limit for all: {retired:?}");
}

#[test]
fn p_10_a_replacement_that_does_not_start_leaves_the_old_worker_serving() {
    let built = Count::new();
    let count = built.clone();
    let build = move |worker: &ebbtide::WorkerInfo| match count.up() {
        1 => Ok(worker.id),
        _ => Err(Broke(1)),
    };
    let builder = Pool::builder().workers(1..=1).retire(Retirement::new().after_tasks(1).jitter(0.0));
    let (pool, ledger) = (builder.try_state(build).build().unwrap(), Ledger::new());
    let serve = |n: usize| {
        for _ in 0..n {
            assert_eq!(value(ledger.keep(pool.submit(|id, _| id.0).unwrap())), 1, "the old one");
        }
    };
    serve(20);
    until("its replacement failed twice", || built.get() >= 3);
    serve(20);
    assert_eq!((pool.stats().broken, pool.phase()), (None, Phase::Running), "somebody serves: not broken");
    let rolled = over(&pool.restart(Restart::drain().within(Duration::from_secs(5))));
    assert!(rolled.law_holds(), "{rolled}");
    assert_eq!(ledger.close(&pool).outcomes.get(Outcome::Completed), 40);
}
