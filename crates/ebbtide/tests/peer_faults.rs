//! What other pools were seen to do wrong when they stop, with this pool in their place. Each test names the peer, what was seen there,
//! and what is shown here.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use ebbtide::{Outcome, Pool, RejectReason, Restart, Shutdown, WhenFull};
use latch::{Latch, OpensAtLast};
use patience::{LONG, until};

#[path = "support/latch.rs"]
mod latch;
#[path = "support/patience.rs"]
mod patience;
#[path = "support/quiet.rs"]
mod quiet;
#[path = "support/threads.rs"]
mod threads;

const MILLI: Duration = Duration::from_millis(1);

#[expect(clippy::disallowed_methods, reason = "a task's work, not the library's")]
fn work(duration: Duration) {
    std::thread::sleep(duration);
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock, not the library's")]
fn now() -> Instant {
    Instant::now()
}

/// Closes 20 times with 40 tasks accepted; gives how many of the 800 ended otherwise than by completing.
fn lost_by_closing(workers: usize, warm: bool) -> u64 {
    let mut lost = 0;
    for _ in 0..20 {
        let pool = Pool::builder().workers(workers..=workers).build().expect("the options are right");
        if warm {
            pool.warm_up(workers);
            until("warm", || pool.stats().workers.idle == workers);
        }
        let handles: Vec<_> =
            (0..40).map(|n| pool.submit(move |_| work(MILLI * (n % 2))).expect("it is open")).collect();
        let report = pool.shutdown(Shutdown::drain()).wait().expect("not on a worker");
        assert_eq!(report.accepted, 40);
        lost +=
            handles.into_iter().filter(|handle| handle.outcome() != Some(Outcome::Completed)).count() as u64;
        assert_eq!(report.outcomes.total(), 40, "{report}");
    }
    lost
}

/// Piscina 5.3.2, `close()` ("graceful"), 20 closes × 40 tasks, warm, 1/2/4/8 workers: 0/20/59/139 of 800 accepted tasks
/// killed. Here: none.
#[test]
fn piscina_close_of_a_warm_pool_kills_nothing() {
    assert_eq!([1, 2, 4, 8].map(|workers| lost_by_closing(workers, true)), [0; 4]);
}

/// Piscina, the same with workers that are still starting: 800 of 800 rejected. Here: every accepted task completes.
#[test]
fn piscina_close_of_a_cold_pool_kills_nothing() {
    assert_eq!([1, 2, 4, 8].map(|workers| lost_by_closing(workers, false)), [0; 4]);
}

/// Piscina, `run()` during `close()`: rejected; a soft restart has a window where work is refused and every cache is cold.
/// Here: a restart takes work all the time, and a rolling one answers it with a warm worker.
#[test]
fn piscina_run_during_a_restart_is_accepted() {
    for restart in [Restart::drain(), Restart::stop(), Restart::abort(), Restart::rolling()] {
        let pool = Pool::builder().workers(2..=2).warm().state(|_| work(5 * MILLI)).build().unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let submits = scope.spawn(|| {
                let mut accepted = 0_u64;
                while !over.load(SeqCst) {
                    let mut handle = pool.submit(|(), _| ()).expect("the pool stays open");
                    let result = handle.wait_timeout(LONG);
                    assert!(result.is_ok() || result.is_err_and(|error| error.task().unwrap().is_returned()));
                    accepted += 1;
                }
                accepted
            });
            for _ in 0..5 {
                assert!(pool.restart(restart).wait().unwrap().failed.is_none());
            }
            over.store(true, SeqCst);
            assert!(submits.join().unwrap() > 0);
        });
        assert_eq!(pool.stats().rejected, 0);
    }
}

/// Piscina, a worker that crashes, or `destroy()`, during `close()`: `close()` hangs until its 30 s time-out. Here: a panic ends
/// its task only, an abort escalates the drain, and both are over at once.
#[test]
fn piscina_a_crash_or_a_destroy_during_close_does_not_hang() {
    quiet::hush();
    let pool = Pool::builder().workers(1..=1).state(|_| ()).build().unwrap();
    let crash = pool.submit(|(), _| std::panic::panic_any(quiet::ON_PURPOSE)).unwrap();
    let after = pool.submit(|(), _| 3).unwrap();
    let report = pool.shutdown(Shutdown::drain()).wait_timeout(LONG / 2).unwrap();
    assert_eq!((report.outcomes.panicked, report.outcomes.completed), (1, 1));
    assert!(crash.wait().is_err() && after.wait().unwrap() == 3);

    let pool = Pool::new(1);
    let endless = pool.submit_fallible(|task| task.sleep(100 * LONG)).unwrap();
    until("it runs", || pool.stats().running == 1);
    let close = pool.shutdown(Shutdown::drain());
    let destroy = pool.shutdown(Shutdown::abort());
    assert_eq!(destroy.wait_timeout(LONG / 2).unwrap().outcomes.cancelled, 1);
    assert!(close.is_over() && endless.wait().is_err());
}

/// Piscina, `close()` and `destroy()` at once, or twice: workers come back to life after close resolved. Here: all callers get the
/// same report, and no thread of the pool is left or comes back.
#[test]
fn piscina_close_and_destroy_at_once_are_one_stop() {
    for round in 0..50 {
        let name = format!("pcd{round}");
        let pool = Pool::builder().name(&name).workers(4..=4).warm().build().unwrap();
        for _ in 0..20 {
            pool.execute(|_| work(MILLI)).unwrap();
        }
        let modes = [Shutdown::drain(), Shutdown::abort(), Shutdown::drain(), Shutdown::abort()];
        let reports: Vec<_> = std::thread::scope(|scope| {
            let calls: Vec<_> = modes
                .map(|mode| {
                    scope.spawn({
                        let pool = &pool;
                        move || pool.shutdown(mode).wait().unwrap()
                    })
                })
                .into();
            calls.into_iter().map(|call| call.join().unwrap().to_json()).collect()
        });
        assert_eq!(reports.iter().collect::<HashSet<_>>().len(), 1, "{reports:#?}");
        until("the threads are gone", || threads::threads_named(&format!("{name}-")) == 0);
        work(MILLI);
        assert_eq!((threads::threads_named(&format!("{name}-")), pool.stats().workers.alive), (0, 0));
    }
}

/// Piscina, `maxQueue: 0`: the promise is rejected and the task runs anyway. Here: a queue of 0 is a build error, and what a
/// full queue rejects never runs.
#[test]
fn piscina_what_is_rejected_never_runs() {
    assert_eq!(Pool::builder().queue(0).build().unwrap_err().option(), "queue");
    let pool = Pool::builder().workers(1..=1).queue(1).when_full(WhenFull::Reject).build().unwrap();
    let (latch, ran) = (Latch::default(), Arc::new(AtomicU64::new(0)));
    let _opens = OpensAtLast(latch.clone());
    let door = latch.clone();
    pool.execute(move |_| door.pass()).unwrap();
    until("it runs", || latch.came() == 1);
    pool.execute(|_| ()).unwrap();
    for _ in 0..100 {
        let ran = Arc::clone(&ran);
        let refused = pool.submit(move |_| ran.fetch_add(1, SeqCst)).unwrap_err();
        assert!(refused.is_full());
    }
    latch.open();
    let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert_eq!((report.accepted, report.rejected, ran.load(SeqCst)), (2, 100, 0));
    assert_eq!(Arc::strong_count(&ran), 1, "a rejected task leaves nothing behind");
}

/// Piscina, minimum 0 and the only worker crashes, or a worker that fails to load: queued tasks never settle. Here: it is replaced,
/// or, where it cannot be, the pool breaks and returns what waits with the cause.
#[test]
fn piscina_queued_tasks_settle_although_the_worker_crashes_or_does_not_load() {
    quiet::hush();
    let pool = Pool::builder().workers(0..=1).state(|_| ()).build().unwrap();
    pool.execute(|(), _| std::panic::panic_any(quiet::ON_PURPOSE)).unwrap();
    let handles: Vec<_> = (0..10).map(|n| pool.submit(move |(), _| n).unwrap()).collect();
    assert_eq!(handles.into_iter().map(|handle| handle.wait().unwrap()).sum::<i32>(), 45);

    let pool = Pool::builder()
        .workers(0..=1)
        .restart_intensity(2, LONG)
        .try_state(|_| Err::<(), _>("no such module"))
        .build()
        .unwrap();
    let waiting: Vec<_> = (0..10).map(|_| pool.submit(|(), _| ()).unwrap()).collect();
    for mut handle in waiting {
        let error = handle.wait_timeout(LONG).unwrap_err();
        let why = error.task().unwrap().return_reason().unwrap().to_string();
        assert!(why.contains("no such module"), "{why}");
    }
    let refused = pool.submit(|(), _| ()).unwrap_err();
    assert!(matches!(refused.reason(), RejectReason::Broken(_)), "{refused}");
    assert_eq!(pool.take_returned().len(), 10);
}

/// Piscina, 12 tasks on one worker: run in the order 0,2,4,6,8,10,1,5,9,3,11,7. Here: in the order they came.
#[test]
fn piscina_twelve_tasks_on_one_worker_run_in_order() {
    for _ in 0..100 {
        let pool = Pool::new(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        for n in 0..12 {
            let order = Arc::clone(&order);
            pool.execute(move |_| order.lock().unwrap_or_else(PoisonError::into_inner).push(n)).unwrap();
        }
        pool.shutdown(Shutdown::drain()).wait().unwrap();
        assert_eq!(*order.lock().unwrap(), (0..12).collect::<Vec<_>>());
    }
}

/// Piscina, `destroy()` during native code: 5.4 s. workerpool: 1.01 s to kill a busy loop. Here: a body that never looks costs the
/// grace and no more, and is named.
#[test]
fn piscina_destroy_during_a_busy_loop_takes_the_grace() {
    let pool = Pool::new(1);
    let spin = Arc::new(AtomicBool::new(true));
    let go_on = Arc::clone(&spin);
    let busy = pool
        .task("busy")
        .submit(move |_| {
            while go_on.load(SeqCst) {
                std::hint::spin_loop()
            }
        })
        .unwrap();
    until("it runs", || pool.stats().running == 1);
    let began = now();
    let report = pool.shutdown(Shutdown::abort().grace(50 * MILLI)).wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{report}");
    assert_eq!(report.abandoned().count(), 1);
    assert!(busy.wait().unwrap_err().task().unwrap().is_abandoned());
    spin.store(false, SeqCst);
    until("the thread was heard of again", || pool.stats().workers.abandoned == 0);
}

/// jest-worker, poolifier, workerpool, `end()` with queued tasks: 1000 of 1000 promises never settle. Here: all do, and the
/// closures come back.
#[test]
fn jest_worker_a_thousand_queued_promises_settle() {
    for (mode, returned) in [(Shutdown::drain(), 0), (Shutdown::stop(), 1_000), (Shutdown::abort(), 1_000)] {
        let pool = Pool::new(1);
        let latch = Latch::default();
        let door = latch.clone();
        pool.execute(move |_| door.pass()).unwrap();
        until("it runs", || latch.came() == 1);
        let handles: Vec<_> = (0..1_000).map(|_| pool.submit(|_| ()).unwrap()).collect();
        let closing = pool.shutdown(mode);
        latch.open();
        let settled = handles.into_iter().filter_map(|mut handle| match handle.wait_timeout(LONG) {
            Ok(()) => Some(false),
            Err(error) => error.task().map(ebbtide::TaskError::is_returned),
        });
        let settled: Vec<_> = settled.collect();
        assert_eq!(settled.len(), 1_000);
        assert_eq!(settled.iter().filter(|back| **back).count(), returned);
        closing.wait().unwrap();
        assert_eq!(pool.take_returned().len(), returned);
    }
}

/// JDK 17 `shutdownNow`, 10 queued futures: 10 of 10 stay pending for ever; the running ones are not in the list. Here: every handle
/// resolves, what waited comes back, what runs is asked, and the report names who ran.
#[test]
fn jdk_shutdown_now_leaves_no_future_pending() {
    let pool = Pool::new(1);
    let running = pool.task("the running one").submit_fallible(|task| task.sleep(100 * LONG)).unwrap();
    until("it runs", || pool.stats().running == 1);
    let queued: Vec<_> = (0..10).map(|_| pool.submit(|_| ()).unwrap()).collect();
    let report = pool.shutdown(Shutdown::abort()).wait_timeout(LONG / 2).unwrap();
    assert!(queued.iter().all(|handle| handle.outcome() == Some(Outcome::Returned)));
    assert_eq!(running.outcome(), Some(Outcome::Cancelled));
    assert_eq!(
        (report.outcomes.returned, report.outcomes.cancelled, pool.take_returned().len()),
        (10, 1, 10)
    );
    assert!(report.workers.iter().any(|worker| worker.ran.as_ref().is_some_and(|ran| ran.name.is_some())));
}

/// JDK with the "blocking put" rejection handler, 200 races with shutdown: 98 lost a task or stuck a producer. Here: each of
/// them is accepted and ends, or is rejected and comes back.
#[test]
fn jdk_a_blocked_producer_is_neither_stuck_nor_loses_its_task() {
    for round in 0..200_u64 {
        let pool = Pool::builder().workers(1..=1).queue(1).build().unwrap();
        let (accepted, rejected) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        match pool.submit(|_| work(MILLI / 20)) {
                            Ok(handle) => {
                                accepted.fetch_add(1, SeqCst);
                                drop(handle);
                            }
                            Err(error) => {
                                assert!(!error.is_full(), "it waits for room, or the pool stops: {error}");
                                rejected.fetch_add(1, SeqCst);
                                break;
                            }
                        }
                    }
                });
            }
            until("somebody is blocked", || pool.stats().waiting_for_room > 0);
            let mode = if round % 2 == 0 { Shutdown::stop() } else { Shutdown::drain() };
            let report = pool.shutdown(mode).wait_timeout(LONG).unwrap();
            assert!(report.law_holds(), "{report}");
        });
        let stats = pool.stats();
        assert_eq!((stats.accepted, stats.rejected), (accepted.load(SeqCst), 4));
        assert_eq!(stats.outcomes.completed + stats.outcomes.returned, stats.accepted, "round {round}");
        assert_eq!((stats.waiting_for_room, rejected.load(SeqCst)), (0, 4));
    }
}

/// JDK, children submitted by draining tasks: 10 of 10 rejected. Here: all are accepted and run, although the queue is full.
#[test]
fn jdk_children_of_draining_tasks_run() {
    let pool = Pool::builder().workers(1..=1).queue(10).build().unwrap();
    let latch = Latch::default();
    let ran = Arc::new(AtomicU64::new(0));
    for n in 0..11 {
        let (door, ran) = (latch.clone(), Arc::clone(&ran));
        pool.execute(move |task| {
            door.pass();
            if n < 10 {
                task.execute(move |_| {
                    ran.fetch_add(1, SeqCst);
                })
                .expect("a draining pool takes children");
            }
        })
        .unwrap();
        until("the first runs", || latch.came() == 1);
    }
    let closing = pool.shutdown(Shutdown::drain());
    assert!(pool.submit(|_| ()).is_err(), "nothing more from outside");
    latch.open();
    assert_eq!(closing.wait().unwrap().outcomes.completed, 21);
    assert_eq!(ran.load(SeqCst), 10);
}

/// JDK, 1000 throwing tasks on one worker: 1000 threads used, the failures counted as completed. Here: one thread, 1000 counted as
/// panicked. (Failures that are declared are counted as failed.)
#[test]
fn jdk_a_thousand_throwing_tasks_use_one_thread_and_are_counted() {
    quiet::hush();
    let pool = Pool::new(1);
    let used = Arc::new(Mutex::new(HashSet::new()));
    for _ in 0..1_000 {
        let used = Arc::clone(&used);
        pool.execute(move |_| {
            used.lock().unwrap_or_else(PoisonError::into_inner).insert(std::thread::current().id());
            std::panic::panic_any(quiet::ON_PURPOSE)
        })
        .unwrap();
    }
    let failing: Vec<_> = (0..10).map(|_| pool.submit_fallible(|_| Err::<(), _>("no")).unwrap()).collect();
    let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert_eq!((report.outcomes.panicked, report.outcomes.failed, report.outcomes.completed), (1_000, 10, 0));
    assert!(failing.into_iter().all(|handle| handle.wait().unwrap_err().task().unwrap().is_failed()));
    assert_eq!((used.lock().unwrap().len(), pool.stats().workers.started), (1, 1));
}

/// tokio 1.54 `shutdown_timeout(20 ms)`, 100 queued tasks of 5 ms: returned with 15 done, 85 ran on in the background; with
/// 1000 on 16 threads 11 ran and the rest never did. Here: when the report is there nothing runs, and every task has an outcome.
#[test]
fn tokio_shutdown_timeout_leaves_nothing_running_and_nothing_unsaid() {
    for (workers, tasks) in [(1, 100), (16, 1_000)] {
        let pool = Pool::builder().name("tst").workers(workers..=workers).build().unwrap();
        let ran = Arc::new(AtomicU64::new(0));
        for _ in 0..tasks {
            let ran = Arc::clone(&ran);
            pool.execute(move |_| {
                work(5 * MILLI);
                ran.fetch_add(1, SeqCst);
            })
            .unwrap();
        }
        let report = pool.shutdown(Shutdown::drain().within(20 * MILLI)).wait().unwrap();
        let abandoned = report.outcomes.abandoned;
        assert!(report.law_holds() && report.queued == 0 && report.running == 0, "{report}");
        assert_eq!(report.outcomes.total(), tasks);
        let back = pool.take_returned().len() as u64;
        assert_eq!(back, report.outcomes.returned);
        // What was abandoned at the deadline is known by number, and is all that may still come.
        until("the abandoned have ended", || threads::threads_named("tst-") == 0);
        assert_eq!(ran.load(SeqCst), report.outcomes.completed + abandoned);
    }
}

/// rayon and threadpool, drop with 100 queued tasks: returns at once, and the tasks run on detached and unknown. Here: a drop drains
/// without blocking, every handle still resolves, and a shutdown that is waited for is over when it says so.
#[test]
fn rayon_and_threadpool_drop_does_not_lose_sight_of_what_was_accepted() {
    let ran = Arc::new(AtomicU64::new(0));
    let submit = |pool: &Pool<ebbtide::Stateless>| -> Vec<_> {
        let one = |_| {
            let ran = Arc::clone(&ran);
            let body = move |_: &ebbtide::Context<'_, ebbtide::Stateless>| {
                work(MILLI);
                ran.fetch_add(1, SeqCst)
            };
            pool.submit(body).unwrap()
        };
        (0..100).map(one).collect()
    };
    let pool = Pool::new(2);
    let handles = submit(&pool);
    drop(pool);
    for mut handle in handles {
        assert!(handle.wait_timeout(LONG).is_ok());
    }
    assert_eq!(ran.load(SeqCst), 100);
    let pool = Pool::builder().name("rtd").workers(2..=2).build().unwrap();
    drop(submit(&pool));
    pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert_eq!(ran.load(SeqCst), 200, "over means over");
    until("the threads are gone", || threads::threads_named("rtd-") == 0);
}

/// rayon `spawn`, a panicking task: the process aborts. A naive channel pool, workerpool-rs: the worker is gone, the next task never
/// runs. Here: the panic is that task's outcome, the next task runs, on as many workers as before.
#[test]
fn rayon_and_workerpool_rs_a_panic_costs_its_own_task_only() {
    quiet::hush();
    for workers in [1, 4] {
        let pool = Pool::builder().workers(workers..=workers).warm().build().unwrap();
        for n in 0..50 {
            let panics = pool.submit(|_| std::panic::panic_any(quiet::ON_PURPOSE)).unwrap();
            assert!(panics.wait().unwrap_err().task().unwrap().is_panicked());
            assert_eq!(pool.submit(move |_| n).unwrap().wait().unwrap(), n);
        }
        assert_eq!(pool.stats().workers.alive, workers);
    }
}

/// rusty_pool 1.0 `shutdown_join`, 4 workers, 200 tasks, 27 757 rounds: 12 returned before all tasks had finished. Here: no round
/// does, in 2 000 (`EBBTIDE_LONG=1`: 30 000).
#[test]
fn rusty_pool_shutdown_join_returns_after_the_last_task() {
    let rounds = if std::env::var_os("EBBTIDE_LONG").is_some() { 30_000 } else { 2_000 };
    for round in 0..rounds {
        let pool = Pool::builder().workers(4..=4).build().unwrap();
        let ran = Arc::new(AtomicU64::new(0));
        for _ in 0..200 {
            let ran = Arc::clone(&ran);
            pool.execute(move |_| {
                ran.fetch_add(1, SeqCst);
            })
            .unwrap();
        }
        pool.shutdown(Shutdown::drain()).wait().unwrap();
        assert_eq!(ran.load(SeqCst), 200, "round {round}");
    }
}

/// tokio-graceful-shutdown 0.19.3, an 8 s blocking call with a 1 s time-out: it returned after 1 s and the process lived on for 8 s with
/// nobody named. Here: who still runs is said while waiting, and named in the report.
#[test]
fn tokio_graceful_shutdown_says_who_still_runs() {
    let pool = Pool::builder().name("tgs").workers(1..=1).build().unwrap();
    let latch = Latch::default();
    let _opens = OpensAtLast(latch.clone());
    let door = latch.clone();
    let handle = pool.task("the blocking call").submit(move |_| door.pass()).unwrap();
    until("it runs", || latch.came() == 1);
    drop(handle);
    let closing = pool.shutdown(Shutdown::drain().within(200 * MILLI));
    let still = closing.wait_timeout(MILLI).unwrap_err();
    assert!(still.to_string().contains("the blocking call"), "{still}");
    let report = closing.wait().unwrap();
    assert!(report.to_string().contains("the blocking call"), "{report}");
    assert_eq!(report.outcomes.abandoned, 1);
}

/// Spring's `waitForTasks…` (a model of its source): it waits until nothing *executes*, not until nothing waits: 278 of 304 dropped.
/// Here: a drain looks at the queue too, also while no worker has started yet.
#[test]
fn spring_a_drain_waits_for_the_queue_and_not_for_idle_workers() {
    for _ in 0..200 {
        let pool = Pool::new(1);
        for _ in 0..300 {
            pool.execute(|_| ()).unwrap();
        }
        assert_eq!(pool.shutdown(Shutdown::drain()).wait().unwrap().outcomes.completed, 300);
    }
}
