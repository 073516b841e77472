//! The real pool under shuttle's scheduler: every scenario is run with many interleavings, some random, some chosen to
//! preempt at few but telling points (PCT). After each the law holds and every handle has resolved; a lost wake-up is a deadlock,
//! which shuttle finds.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle -C debug-assertions" cargo test --release -p ebbtide --test shuttle --target-dir target/shuttle
//! ```
//! `EBBTIDE_SCHEDULES` is the number of schedules per scenario and scheduler (default 3 400, which makes 250 000 in all;
//! `EBBTIDE_LONG=1`: 140 000, ten million). A failing schedule is written to a file, and the one command that replays it is printed.
#![cfg(shuttle)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ebbtide::{Handle, Outcome, Pool, PoolBuilder, Restart, Shutdown, Stateless, WhenFull};
use shuttle::{sync::mpsc, thread};

std::thread_local! {
    /// How many scenarios this test has begun: one that runs several says which of them failed.
    static SCENARIO: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Runs a scenario under both schedulers; or the one schedule that `EBBTIDE_REPLAY` names, as `NUMBER:FILE`.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let number = SCENARIO.replace(SCENARIO.get() + 1);
    if let Ok(replay) = std::env::var("EBBTIDE_REPLAY") {
        let (asked, file) = replay.split_once(':').expect("NUMBER:FILE");
        if asked.parse() == Ok(number) {
            shuttle::replay_from_file(scenario, file);
        }
        return;
    }
    let default = if std::env::var_os("EBBTIDE_LONG").is_some() { 140_000 } else { 3_400 };
    let schedules = std::env::var("EBBTIDE_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    // One folder for all: the first scenario's configuration is what a failure of any of them is written down with.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schedules");
    std::fs::create_dir_all(&folder).expect("there is room for schedules that fail");
    let before = files(&folder);
    let mut config = shuttle::Config::new();
    config.stack_size = 256 * 1024;
    config.failure_persistence = shuttle::FailurePersistence::File(Some(folder.clone()));
    let random = shuttle::scheduler::RandomScheduler::new(schedules);
    let pct = shuttle::scheduler::PctScheduler::new(3, schedules);
    let run = std::panic::AssertUnwindSafe(|| {
        shuttle::Runner::new(random, config.clone()).run(scenario.clone());
        shuttle::Runner::new(pct, config).run(scenario);
    });
    if let Err(payload) = std::panic::catch_unwind(run) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("the test");
        eprintln!("this replays the schedule (one of these, if several scenarios failed at once):");
        for file in files(&folder).difference(&before) {
            let file = file.display();
            eprintln!(
                "  EBBTIDE_REPLAY={number}:{file} RUSTFLAGS=\"--cfg shuttle -C debug-assertions\" \
                 cargo test --release -p ebbtide --test shuttle --target-dir target/shuttle {test} -- --exact --nocapture"
            );
        }
        std::panic::resume_unwind(payload);
    }
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it was made");
    entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn builder(min: usize, max: usize) -> PoolBuilder<Stateless> {
    Pool::builder().workers(min..=max).no_idle_timeout()
}

/// Ends the pool and holds it to the law. A model has no time, so the deadline never comes.
fn finish(pool: &Pool<Stateless>, shutdown: Shutdown) -> ebbtide::Report {
    let report = pool.shutdown(shutdown).wait().expect("not on a worker");
    assert!(report.law_holds(), "{report}");
    assert_eq!((report.queued, report.running), (0, 0), "{report}");
    report
}

fn outcome<T: Send + 'static>(handle: Handle<T>) -> Outcome {
    match handle.wait() {
        Ok(_) => Outcome::Completed,
        Err(error) => error.task().expect("ended").outcome(),
    }
}

#[test]
fn submit_and_drain() {
    explore(|| {
        let pool = builder(1, 2).build().expect("valid");
        let handles: Vec<_> = (0..3).map(|n| pool.submit(move |_| n).expect("open")).collect();
        let report = finish(&pool, Shutdown::drain());
        assert_eq!(report.outcomes.completed, 3);
        assert!(handles.into_iter().all(|handle| outcome(handle) == Outcome::Completed));
    });
}

#[test]
fn execute_from_two_threads_and_drain() {
    explore(|| {
        let pool = Arc::new(builder(1, 2).build().expect("valid"));
        let ran = Arc::new(AtomicUsize::new(0));
        let submit = {
            let (pool, ran) = (Arc::clone(&pool), Arc::clone(&ran));
            move || {
                for _ in 0..2 {
                    let ran = Arc::clone(&ran);
                    let body = move |_: &ebbtide::Context<Stateless>| {
                        ran.fetch_add(1, SeqCst);
                    };
                    pool.execute(body).expect("open");
                }
            }
        };
        let other = thread::spawn(submit.clone());
        submit();
        other.join().expect("no panic");
        assert_eq!(finish(&pool, Shutdown::drain()).outcomes.completed, 4);
        assert_eq!(ran.load(SeqCst), 4);
    });
}

#[test]
fn submit_races_with_every_mode() {
    for shutdown in [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()] {
        explore(move || {
            let pool = Arc::new(builder(1, 2).build().expect("valid"));
            let ran = Arc::new(AtomicUsize::new(0));
            let submitter = {
                let (pool, ran) = (Arc::clone(&pool), Arc::clone(&ran));
                thread::spawn(move || {
                    let (mut accepted, mut back) = (0, 0);
                    for _ in 0..3 {
                        let ran = Arc::clone(&ran);
                        if let Ok(handle) = pool.submit(move |_| ran.fetch_add(1, SeqCst)) {
                            accepted += 1;
                            if outcome(handle) == Outcome::Returned {
                                // Whoever was told so finds it.
                                assert_eq!(pool.take_returned().len(), 1);
                                back += 1;
                            }
                        }
                    }
                    (accepted, back)
                })
            };
            let report = finish(&pool, shutdown);
            let (accepted, back) = submitter.join().expect("no panic");
            assert_eq!(report.accepted, accepted);
            assert_eq!(report.outcomes.completed, ran.load(SeqCst) as u64);
            assert_eq!(report.outcomes.returned as usize, back);
        });
    }
}

#[test]
fn cancel_races_with_start_and_end() {
    explore(|| {
        let pool = Arc::new(builder(1, 1).build().expect("valid"));
        let ran = Arc::new(AtomicUsize::new(0));
        let body = Arc::clone(&ran);
        let first = pool.submit(|_| ()).expect("open");
        let second = pool.submit(move |_| body.fetch_add(1, SeqCst)).expect("open");
        let watch = second.watch();
        let canceller = thread::spawn(move || watch.cancel());
        let ended = outcome(second);
        canceller.join().expect("no panic");
        assert_eq!(outcome(first), Outcome::Completed);
        assert_eq!(ran.load(SeqCst), usize::from(ended == Outcome::Completed));
        let report = finish(&pool, Shutdown::drain());
        assert_eq!(report.outcomes.completed + report.outcomes.cancelled, 2);
    });
}

#[test]
fn a_blocked_submitter_is_called_or_refused() {
    for shutdown in [Shutdown::drain(), Shutdown::stop()] {
        explore(move || {
            let pool = Arc::new(builder(1, 1).queue(1).build().expect("valid"));
            let submitters: Vec<_> = (0..2)
                .map(|_| {
                    let pool = Arc::clone(&pool);
                    thread::spawn(move || {
                        let tries = (0..2).map(|_| pool.submit(|_| ()).map(outcome));
                        tries.filter(Result::is_ok).count() as u64
                    })
                })
                .collect();
            let report = finish(&pool, shutdown);
            let accepted: u64 = submitters.into_iter().map(|one| one.join().expect("no panic")).sum();
            assert_eq!(report.accepted, accepted);
        });
    }
}

#[test]
fn a_place_freed_by_a_cancel_calls_a_submitter() {
    explore(|| {
        let pool = Arc::new(builder(1, 1).queue(1).build().expect("valid"));
        let (open, gate) = mpsc::channel::<()>();
        let blocker = pool.submit(move |_| gate.recv().unwrap_or_default()).expect("open");
        let waits = pool.submit(|_| ()).expect("open");
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || outcome(pool.submit(|_| ()).expect("open")))
        };
        waits.cancel();
        open.send(()).expect("the blocker listens");
        assert_eq!(other.join().expect("no panic"), Outcome::Completed);
        assert_eq!(outcome(blocker), Outcome::Completed);
        finish(&pool, Shutdown::drain());
    });
}

#[test]
fn restarts_keep_every_promise() {
    for restart in [Restart::drain(), Restart::stop(), Restart::abort(), Restart::rolling()] {
        explore(move || {
            let pool = Arc::new(builder(1, 2).build().expect("valid"));
            let submitter = {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    let handles: Vec<_> = (0..3).filter_map(|_| pool.submit(|_| ()).ok()).collect();
                    handles.into_iter().map(outcome).collect::<Vec<_>>()
                })
            };
            let report = pool.restart(restart).wait().expect("not on a worker");
            assert!(report.failed.is_none(), "{report}");
            assert_eq!(outcome(pool.submit(|_| ()).expect("open again")), Outcome::Completed);
            assert_eq!(submitter.join().expect("no panic").len(), 3);
            assert_eq!(finish(&pool, Shutdown::drain()).accepted, 4);
        });
    }
}

#[test]
fn a_shutdown_supersedes_a_restart() {
    for restart in [Restart::drain(), Restart::rolling()] {
        explore(move || {
            let pool = Arc::new(builder(1, 2).build().expect("valid"));
            let handles: Vec<_> = (0..2).map(|_| pool.submit(|_| ()).expect("open")).collect();
            let other = {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.restart(restart).wait().expect("not on a worker"))
            };
            let report = finish(&pool, Shutdown::drain());
            other.join().expect("no panic");
            assert_eq!(report.outcomes.completed, 2);
            assert!(handles.into_iter().all(|handle| outcome(handle) == Outcome::Completed));
        });
    }
}

#[test]
fn two_callers_get_one_shutdown() {
    explore(|| {
        let pool = Arc::new(builder(1, 2).build().expect("valid"));
        let handles: Vec<_> = (0..3).map(|_| pool.submit(|_| ()).expect("open")).collect();
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || finish(&pool, Shutdown::stop()))
        };
        let mine = finish(&pool, Shutdown::drain());
        let theirs = other.join().expect("no panic");
        assert_eq!((mine.accepted, mine.outcomes), (theirs.accepted, theirs.outcomes));
        handles.into_iter().map(outcome).for_each(drop);
    });
}

#[test]
fn children_of_a_draining_pool_are_run() {
    explore(|| {
        let pool = builder(1, 2).build().expect("valid");
        let parent = pool
            .submit(|task| {
                let child = task.submit(|_| 1).expect("children are let in while draining");
                child.wait().expect("two workers")
            })
            .expect("open");
        let report = finish(&pool, Shutdown::drain());
        assert_eq!(parent.wait().expect("completed"), 1);
        assert_eq!(report.outcomes.completed, 2);
    });
}

#[test]
fn a_panicking_worker_is_replaced() {
    explore(|| {
        let pool = Pool::builder()
            .workers(1..=1)
            .no_idle_timeout()
            .state(|worker| worker.id)
            .build()
            .expect("valid");
        let bad = pool.submit(|_, _| std::panic::resume_unwind(Box::new("on purpose"))).expect("open");
        let good = pool.submit(|id, _| *id).expect("open");
        assert_eq!(outcome::<()>(bad), Outcome::Panicked);
        assert!(good.wait().expect("by the replacement").0 > 1);
        let report = pool.shutdown(Shutdown::drain()).wait().expect("not on a worker");
        assert!(report.law_holds());
    });
}

#[test]
fn pause_resume_and_resize_lose_nobody() {
    explore(|| {
        let pool = Arc::new(builder(1, 1).build().expect("valid"));
        pool.pause();
        let handles: Vec<_> = (0..3).map(|_| pool.submit(|_| ()).expect("open")).collect();
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                pool.resize(1..=2).expect("valid");
                pool.resume();
            })
        };
        let ended: Vec<_> = handles.into_iter().map(outcome).collect();
        other.join().expect("no panic");
        assert_eq!(ended, [Outcome::Completed; 3]);
        finish(&pool, Shutdown::drain());
    });
}

#[test]
fn a_paused_pool_can_be_stopped() {
    for shutdown in [Shutdown::drain(), Shutdown::stop()] {
        explore(move || {
            let pool = Arc::new(builder(1, 2).build().expect("valid"));
            let first = pool.submit(|_| ()).expect("open");
            let other = {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.pause())
            };
            let second = pool.submit(|_| ()).expect("open");
            let report = finish(&pool, shutdown);
            other.join().expect("no panic");
            let ended = [outcome(first), outcome(second)];
            assert_eq!(report.outcomes.total(), 2, "{ended:?}");
        });
    }
}

#[test]
fn callers_run_what_does_not_fit() {
    explore(|| {
        let pool = Arc::new(builder(1, 1).queue(1).when_full(WhenFull::CallerRuns).build().expect("valid"));
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || (0..2).filter_map(|_| pool.submit(|_| ()).ok()).map(outcome).count() as u64)
        };
        let mine = (0..2).filter_map(|_| pool.submit(|_| ()).ok()).map(outcome).count() as u64;
        let report = finish(&pool, Shutdown::drain());
        assert_eq!(report.accepted, mine + other.join().expect("no panic"));
    });
}

#[test]
fn a_dropped_pool_drains_by_itself() {
    explore(|| {
        let pool = builder(1, 2).build().expect("valid");
        let handles: Vec<_> = (0..3).map(|_| pool.submit(|_| ()).expect("open")).collect();
        drop(pool);
        assert!(handles.into_iter().all(|handle| outcome(handle) == Outcome::Completed));
    });
}

#[test]
fn a_scope_waits_for_what_it_lent() {
    explore(|| {
        let pool = Arc::new(builder(1, 2).build().expect("valid"));
        let stopper = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || finish(&pool, Shutdown::stop()))
        };
        let words = vec![1, 2, 3];
        let sum = pool.scope(|scope| {
            let parts: Vec<_> = words.iter().filter_map(|word| scope.submit(|_| *word).ok()).collect();
            parts.into_iter().filter_map(|part| part.wait().ok()).sum::<i32>()
        });
        assert!(sum <= 6);
        stopper.join().expect("no panic");
        assert!(pool.take_returned().is_empty(), "what borrows is never handed out");
    });
}

#[test]
fn an_abandoned_task_resolves_once() {
    // A grace of zero: the abort abandons whatever runs, while it may just be ending.
    explore(|| {
        let pool = Arc::new(builder(1, 1).build().expect("valid"));
        let task = pool.submit(|_| thread::yield_now()).expect("open");
        let report = finish(&pool, Shutdown::abort().grace(Duration::ZERO));
        let ended = outcome(task);
        assert_eq!(report.outcomes.get(ended), 1, "{report}");
    });
}

/// A job that is run by hand (a model has no time, so no alarm rings there) races with every mode of stopping: when the
/// shutdown has been asked for, no run begins any more, and each that was fired has one outcome.
#[test]
fn a_stop_races_with_a_firing() {
    for shutdown in [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()] {
        explore(move || {
            let pool = Arc::new(builder(1, 2).build().expect("valid"));
            let ran = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&ran);
            let job = pool.every(Duration::from_secs(1)).start(move |_| count.fetch_add(1, SeqCst));
            let job = job.expect("open");
            let firing = {
                let job = job.clone();
                thread::spawn(move || (0..2).filter(|_| job.run_now().is_ok()).count())
            };
            let closing = pool.shutdown(shutdown);
            let runs = job.stats().runs;
            let report = closing.wait().expect("not on a worker");
            firing.join().expect("no panic");
            job.wait_idle(None).expect("not on a worker");
            let stats = job.stats();
            assert!(report.law_holds(), "{report}");
            assert_eq!((stats.runs, ran.load(SeqCst) as u64), (runs, runs), "a run began after the stop");
            assert_eq!(stats.outcomes.total(), pool.stats().accepted);
        });
    }
}

/// A single run that is brought forward, cancelled and stopped at once ends in one way, and its handle resolves.
#[test]
fn a_single_run_is_cancelled_run_and_stopped_at_once() {
    for shutdown in [Shutdown::drain(), Shutdown::abort()] {
        explore(move || {
            let pool = Arc::new(builder(1, 1).build().expect("valid"));
            let timer = pool.after(Duration::from_secs(1)).start(|_| 7).expect("open");
            let (early, late) = (timer.job().clone(), timer.job().clone());
            let runs = thread::spawn(move || early.run_now().is_ok());
            let cancels = thread::spawn(move || late.cancel());
            let report = finish(&pool, shutdown);
            // When the report is there, what came back is.
            assert_eq!(pool.take_returned().len() as u64, report.outcomes.returned, "{report}");
            runs.join().expect("no panic");
            cancels.join().expect("no panic");
            let value = timer.wait();
            let outcome = value
                .as_ref()
                .map_or_else(|error| error.task().expect("ended").outcome(), |_| Outcome::Completed);
            assert_eq!((report.accepted, report.outcomes.get(outcome)), (1, 1), "{outcome}: {report}");
        });
    }
}

/// Several to a worker, the queue being large enough: they stay queued until they start.
#[test]
fn tasks_on_trays_end_once_however_the_pool_ends() {
    for shutdown in [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()] {
        explore(move || {
            let pool = Arc::new(builder(2, 2).queue(8).build().expect("valid"));
            let handles: Vec<_> = (0..5).map(|n| pool.submit(move |_| n).expect("room")).collect();
            let watch = handles[3].watch();
            let canceller = thread::spawn(move || watch.cancel());
            let snapshot = pool.stats();
            assert_eq!(snapshot.accepted, 5);
            let report = finish(&pool, shutdown);
            canceller.join().expect("no panic");
            let outcomes = report.outcomes;
            assert_eq!(outcomes.completed + outcomes.returned + outcomes.cancelled, 5, "{report}");
            let returned = handles.into_iter().map(outcome).filter(|end| *end == Outcome::Returned).count();
            assert_eq!(returned, pool.take_returned().len());
        });
    }
}

#[test]
fn a_task_that_waits_for_one_behind_it_on_the_tray_is_helped() {
    explore(|| {
        let pool = builder(2, 2).queue(8).build().expect("valid");
        let (say, hear) = mpsc::channel();
        pool.execute(|_| ()).expect("room");
        let waits = pool.submit(move |_| hear.recv().is_ok()).expect("room");
        pool.execute(|_| ()).expect("room");
        pool.execute(move |_| say.send(()).expect("heard")).expect("room");
        assert!(waits.wait().expect("completed"));
        assert_eq!(finish(&pool, Shutdown::drain()).outcomes.completed, 4);
    });
}

/// Each waits for the next, and all may lie on the tray of whoever came first: those who sleep, or are on their way, must come for them.
#[test]
fn a_chain_of_tasks_that_wait_finds_every_worker() {
    explore(|| {
        let pool = builder(3, 3).queue(16).build().expect("valid");
        // Whoever takes the first of these, with the others behind it, learns that tasks are short.
        pool.pause();
        let short: Vec<_> = (0..4).map(|_| pool.submit(|_| ()).expect("room")).collect();
        pool.resume();
        short.into_iter().for_each(|handle| handle.wait().expect("completed"));
        pool.pause();
        let (say, hear) = mpsc::channel();
        let (pass, last) = mpsc::channel();
        let first = pool.submit(move |_| drop(hear.recv())).expect("room");
        pool.execute(move |_| {
            let _ = last.recv();
            let _ = say.send(());
        })
        .expect("room");
        pool.execute(move |_| drop(pass.send(()))).expect("room");
        pool.resume();
        first.wait().expect("completed");
        assert_eq!(finish(&pool, Shutdown::drain()).outcomes.completed, 7);
    });
}

#[test]
fn a_pause_a_priority_and_a_resize_find_what_lies_on_trays() {
    explore(|| {
        let pool = Arc::new(builder(1, 2).queue(8).build().expect("valid"));
        let handles: Vec<_> = (0..4).map(|n| pool.submit(move |_| n).expect("room")).collect();
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                pool.pause();
                let urgent = pool.task("urgent").priority(ebbtide::Priority::High);
                let urgent = urgent.submit(|_| ()).expect("room");
                pool.resize(2..=2).expect("valid");
                pool.resume();
                outcome(urgent)
            })
        };
        assert!(handles.into_iter().all(|handle| outcome(handle) == Outcome::Completed));
        assert_eq!(other.join().expect("no panic"), Outcome::Completed);
        assert_eq!(finish(&pool, Shutdown::drain()).outcomes.completed, 5);
    });
}

#[test]
fn a_rolling_restart_leaves_nothing_on_the_trays_of_those_who_go() {
    explore(|| {
        let pool = Arc::new(builder(1, 1).queue(8).build().expect("valid"));
        let handles: Vec<_> = (0..4).map(|n| pool.submit(move |_| n).expect("room")).collect();
        let restart = pool.restart(Restart::rolling());
        assert!(handles.into_iter().all(|handle| outcome(handle) == Outcome::Completed));
        restart.wait().expect("not on a worker");
        finish(&pool, Shutdown::drain());
    });
}

#[test]
fn two_submitters_wait_for_room_while_trays_empty() {
    explore(|| {
        let pool = Arc::new(builder(1, 1).queue(2).build().expect("valid"));
        let submitters: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    (0..3).for_each(|_| {
                        pool.execute(|_| ()).expect("open");
                    })
                })
            })
            .collect();
        submitters.into_iter().for_each(|one| one.join().expect("no panic"));
        assert_eq!(finish(&pool, Shutdown::drain()).outcomes.completed, 6);
    });
}
