//! Pools and schedules in an application: drained before what they use, in parallel where they can, restarted and paused in the middle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::steps::until;
use ebbtide::{App, BoxError, ComponentEnd, JobState, Mode, Outcome, Pool, RejectReason, Restart};

const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A resource that says whether somebody used it after it was closed.
struct Store {
    count: AtomicU64,
}

fn open() -> Result<Arc<Store>, BoxError> {
    Ok(Arc::new(Store { count: AtomicU64::new(0) }))
}

#[test]
fn everything_accepted_is_applied_before_the_resource_is_closed() {
    for round in 0..50_u32 {
        let app = App::builder("counter").embedded();
        let counted = Arc::new(AtomicU64::new(0));
        let at_close = Arc::clone(&counted);
        let close = move |store: Arc<Store>| at_close.store(store.count.load(SeqCst), SeqCst);
        let store = app.resource("store", open, close);
        let pool = app.pool("increments", Pool::builder().workers(1..=3).queue(64).using(&store)).unwrap();
        let submitter = pool.submitter();
        let status = app.status();
        let running = app.run();
        let producer = thread::spawn(move || {
            let mut accepted = 0;
            while submitter.submit(|store, _| store.count.fetch_add(1, SeqCst)).is_ok() {
                accepted += 1;
            }
            accepted
        });
        until(|| status.is_ready());
        thread::sleep((round % 7) * MILLI / 2);
        running.stop_handle().stop();
        let report = running.wait();
        assert_eq!(counted.load(SeqCst), producer.join().unwrap(), "round {round}: {report}");
        assert_eq!(report.exit_code, 0, "{report}");
    }
}

#[test]
fn what_a_pool_was_given_before_a_start_that_never_came_is_handed_back() {
    let app = App::builder("never").embedded();
    let store = app.resource("store", || Err::<Arc<Store>, _>("no route"), drop);
    let pool = app.pool("increments", Pool::builder().workers(1..=1).using(&store)).unwrap();
    let handle = pool.submit(|_, _| ()).unwrap();
    let report = app.run().wait();
    assert_eq!(handle.wait().unwrap_err().task().unwrap().outcome(), Outcome::Returned);
    assert_eq!(
        (pool.take_returned().len(), report.exit_code),
        (1, 10),
        "something is left to resume: {report}"
    );

    let app = App::builder("refused").embedded();
    let pool = app.pool("work", Pool::builder()).unwrap();
    app.part("work").depends_on("nobody");
    let handle = pool.submit(|_| ()).unwrap();
    assert_eq!(app.run().wait().exit_code, 78);
    assert_eq!(handle.wait().unwrap_err().task().unwrap().outcome(), Outcome::Returned);
}

#[test]
fn the_first_run_of_a_declared_job_waits_until_everything_else_has_started() {
    let app = App::builder("begins").embedded();
    let started = Arc::new(AtomicBool::new(false));
    let at_start = Arc::clone(&started);
    let open = move || {
        thread::sleep(100 * MILLI);
        at_start.store(true, SeqCst);
        Ok::<_, BoxError>(())
    };
    let _slow = app.resource("slow", open, drop);
    let pool = app.pool("work", Pool::builder().workers(2..=2)).unwrap();
    let early = Arc::new(AtomicU64::new(0));
    let body = || {
        let (started, early) = (Arc::clone(&started), Arc::clone(&early));
        move |_: &ebbtide::Context<'_, _>| {
            early.fetch_add(u64::from(!started.load(SeqCst)), SeqCst);
        }
    };
    let delay = pool.every(HOUR).delay().start(body()).unwrap();
    let rate = pool.every(HOUR).rate().start(body()).unwrap();
    let paused = pool.every(HOUR).paused().start(body()).unwrap();
    let undeclared = pool.every(HOUR).start(|_| ()).unwrap();
    // Both were due at once; before the declaration there is time to fire them.
    thread::sleep(20 * MILLI);
    for (name, job) in [("delay", &delay), ("rate", &rate), ("paused", &paused)] {
        assert_eq!((job.stats().under_way, job.stats().state), (0, JobState::Paused), "{name}");
        app.schedule(name, job.clone());
    }
    let running = app.run();
    // At a rate too: the point that was due at once is not taken for one that passed.
    until(|| [&delay, &rate, &undeclared].iter().all(|job| job.stats().runs == 1));
    assert_eq!(early.load(SeqCst), 0, "a run began before everything had started");
    assert_eq!((rate.stats().skipped, rate.stats().missed), (0, 0), "{:?}", rate.stats());
    assert_eq!((paused.stats().runs, paused.stats().state), (0, JobState::Paused));
    paused.resume();
    until(|| paused.stats().runs == 1);
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(report.exit_code, 0, "{report}");
}

#[test]
fn l_03_without_a_database_no_run_begins_after_the_stop_and_none_fails() {
    for _ in 0..100 {
        let app = App::builder("cache").embedded();
        let open = app.resource("table", open, drop);
        let pool = app.pool("refresh", Pool::builder().workers(1..=1).using(&open)).unwrap();
        let job = pool.every(MILLI).delay().start(|store, _| store.count.fetch_add(1, SeqCst)).unwrap();
        app.schedule("every-ms", job.clone());
        let status = app.status();
        let running = app.run();
        until(|| status.is_ready() && job.stats().runs > 0);
        running.stop_handle().stop();
        let report = running.wait();
        let runs = job.stats();
        assert_eq!((runs.failures, runs.under_way), (0, 0), "{runs:?}");
        let pool = report.component("refresh").unwrap().pool.as_ref().unwrap();
        assert_eq!(
            pool.outcomes.completed + pool.outcomes.returned,
            pool.accepted,
            "{:?} {runs:?}",
            pool.outcomes
        );
        assert_eq!(report.exit_code, 0, "{report}");
        thread::sleep(2 * MILLI);
        assert_eq!(job.stats().runs, runs.runs, "a run began after the stop");
    }
}

#[test]
fn l_06_a_run_that_was_handed_to_another_pool_is_finished_before_that_one_closes() {
    let app = App::builder("handing-over").embedded();
    let work = app.pool("work", Pool::builder().workers(1..=1)).unwrap();
    let clock = app.pool("clock", Pool::builder().workers(1..=1)).unwrap();
    // What hands work over depends on who does it.
    app.part("clock").depends_on("work");
    let done = Arc::new(AtomicU64::new(0));
    let (submitter, counted) = (work.submitter(), Arc::clone(&done));
    let handed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&handed);
    let job = clock.every(MILLI).rate().start(move |_| {
        let counted = Arc::clone(&counted);
        let body = move |_: &ebbtide::Context<'_, _>| {
            thread::sleep(MILLI);
            counted.fetch_add(1, SeqCst);
        };
        drop(submitter.submit(body).unwrap());
        count.fetch_add(1, SeqCst);
    });
    app.schedule("ticks", job.unwrap());
    let running = app.run();
    until(|| handed.load(SeqCst) > 20);
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(report.exit_code, 0, "{report}");
    assert_eq!(done.load(SeqCst), handed.load(SeqCst));
    let outcomes = report.component("work").unwrap().pool.as_ref().unwrap().outcomes;
    assert_eq!(outcomes.completed, handed.load(SeqCst));
}

#[test]
fn l_07_a_pending_one_shot_does_not_delay_the_stop_and_is_returned() {
    let app = App::builder("one-shot").embedded();
    let pool = app.pool("work", Pool::builder().workers(1..=1)).unwrap();
    let later = pool.after(HOUR).start(|_| 5).unwrap();
    let begin = Instant::now();
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    assert!(begin.elapsed() < Duration::from_secs(20), "{report}");
    let error = later.wait().unwrap_err();
    assert_eq!(error.task().unwrap().outcome(), Outcome::Returned);
    assert_eq!(error.task().unwrap().return_reason().unwrap().to_string(), "not due");
}

#[test]
fn l_08_children_are_accepted_during_the_drain_and_others_are_rejected() {
    let app = App::builder("family").embedded();
    let pool = app.pool("work", Pool::builder().workers(1..=1)).unwrap();
    let status = app.status();
    let seen = status.clone();
    let parent = pool.submit(move |task| {
        assert!(seen.stopping().wait_timeout(Duration::from_secs(60)));
        // The pool is told a moment after the application.
        until(|| task.submit(|_| ()).is_ok());
        (0..3).filter(|_| task.submit(|_| ()).is_ok()).count()
    });
    let running = app.run();
    until(|| status.is_ready() && pool.stats().running == 1);
    let submitter = pool.submitter();
    running.stop_handle().stop();
    until(|| match submitter.try_submit(|_| ()) {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error.reason(), RejectReason::ShuttingDown | RejectReason::Terminated));
            true
        }
    });
    assert_eq!(parent.unwrap().wait().unwrap(), 3);
    let report = running.wait();
    assert_eq!(report.exit_code, 0, "{report}");
    assert!(report.component("work").unwrap().pool.as_ref().unwrap().law_holds());
}

#[test]
fn l_33_independent_pools_stop_at_the_same_time() {
    let app = App::builder("two").embedded();
    let take = 700 * MILLI;
    for name in ["left", "right"] {
        let pool = app.pool(name, Pool::builder().workers(1..=1)).unwrap();
        drop(pool.submit(move |_| thread::sleep(take)).unwrap());
    }
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    let stop = |name| report.component(name).unwrap().stop.unwrap();
    let (left, right) = (stop("left"), stop("right"));
    // Each began before the other was over.
    assert!(left.from < right.to.unwrap() && right.from < left.to.unwrap(), "{report}");
}

#[test]
fn the_task_that_held_up_the_stop_is_named() {
    let app = App::builder("held-up").embedded();
    let store = app.resource("store", open, drop);
    let pool = app.pool("drawing", Pool::builder().workers(1..=1).using(&store)).unwrap();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let body = move |_: &mut ebbtide::Lease<Arc<Store>>, _: &ebbtide::Context<'_, _>| {
        gate.recv().unwrap();
        thread::sleep(400 * MILLI);
    };
    let handle = pool.task("render").submit(body).unwrap();
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready() && pool.stats().running == 1);
    running.stop_handle().stop();
    until(|| status.progress().iter().any(|line| line == "drawing is stopping: 1 running, 0 waiting"));
    go.send(()).unwrap();
    let report = running.wait();
    let expected = format!("without task {} \"render\" of drawing it would have been ", handle.id());
    let sentence = report.critical_path.clone().unwrap();
    assert!(sentence.starts_with(&expected), "{sentence}");
    assert_eq!(report.critical.last().unwrap().component.as_deref(), Some("store"));
}

#[test]
fn l_35_a_panic_during_the_drain_ends_its_task_only() {
    let app = App::builder("panics").embedded();
    let pool = app.pool("work", Pool::builder().workers(1..=2)).unwrap();
    let status = app.status();
    let handles: Vec<_> = (0..20)
        .map(|number| {
            let stopping = status.clone();
            pool.submit(move |_| {
                assert!(stopping.stopping().wait_timeout(Duration::from_secs(60)));
                assert!(number % 5 != 0, "on purpose");
            })
            .unwrap()
        })
        .collect();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    let ended = handles.into_iter().map(|handle| handle.wait().is_ok()).filter(|ended| *ended).count();
    let outcomes = report.component("work").unwrap().pool.as_ref().unwrap().outcomes;
    assert_eq!((ended, outcomes.completed, outcomes.panicked), (16, 16, 4));
    assert_eq!((report.exit_code, report.component("work").unwrap().end), (1, ComponentEnd::Stopped));
}

#[test]
fn l_37_one_pool_is_restarted_under_load_and_nothing_else_is_disturbed() {
    let app = App::builder("restart").embedded();
    let store = app.resource("store", open, drop);
    let busy = app.pool("busy", Pool::builder().workers(2..=2).using(&store)).unwrap();
    let other = app.pool("other", Pool::builder().workers(1..=1).using(&store)).unwrap();
    let running = app.run();
    let submitter = busy.submitter();
    let restarts = thread::spawn({
        let busy = Arc::clone(&busy);
        move || {
            for restart in [Restart::rolling(), Restart::drain(), Restart::rolling()] {
                let report = busy.restart(restart).wait().unwrap();
                assert!(report.is_clean(), "{report}");
            }
        }
    });
    let mut accepted = 0;
    while !restarts.is_finished() {
        drop(submitter.submit(|store, _| store.count.fetch_add(1, SeqCst)).unwrap());
        accepted += 1;
    }
    restarts.join().unwrap();
    assert_eq!(other.stats().generation, 1, "the other pool was restarted too");
    // Fresh workers, fresh leases of the same store.
    let count = busy.submit(|store, _| store.count.load(SeqCst)).unwrap().wait().unwrap();
    assert!(count <= accepted);
    assert_eq!(busy.stats().generation, 4);
    running.stop_handle().stop();
    let report = running.wait();
    let outcomes = report.component("busy").unwrap().pool.as_ref().unwrap().outcomes;
    assert_eq!((outcomes.completed, report.exit_code), (accepted + 1, 0), "{report}");
}

#[test]
fn what_an_application_that_is_dropped_was_given_is_handed_back() {
    let given = |app: &ebbtide::AppBuilder| {
        let pool = app.pool("work", Pool::builder()).unwrap();
        let handle = pool.submit(|_| ()).unwrap();
        // The pool lives on; that must not leave anybody waiting.
        (pool, handle)
    };
    let app = App::builder("dropped").embedded();
    let (_kept, before) = given(&app);
    drop(app);
    assert_eq!(before.wait().unwrap_err().task().unwrap().outcome(), Outcome::Returned);

    let app = App::builder("built").embedded();
    let (_kept, built) = given(&app);
    drop(app.build().unwrap());
    assert_eq!(built.wait().unwrap_err().task().unwrap().outcome(), Outcome::Returned);
}

#[test]
fn firings_that_a_restart_returned_do_not_hide_what_the_stop_leaves() {
    let app = App::builder("restarted").embedded();
    let pool = app.pool("work", Pool::builder().workers(1..=1)).unwrap();
    app.part("work").mode(Mode::Stop);
    let job = pool.every(HOUR).delay().start(|_| ()).unwrap();
    app.schedule("job", job.clone());
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    let busy = || {
        let began = Arc::new(AtomicU64::new(0));
        let begin = Arc::clone(&began);
        let task = move |context: &ebbtide::Context<'_, _>| {
            begin.store(1, SeqCst);
            let _ = context.sleep(1_000 * MILLI);
        };
        drop(pool.submit(task).unwrap());
        until(|| began.load(SeqCst) == 1);
    };
    busy();
    job.run_now().unwrap();
    until(|| pool.stats().queued == 1);
    drop(pool.restart(Restart::abort()).wait().unwrap());
    until(|| job.stats().outcomes.returned == 1);
    busy();
    drop(pool.submit(|_| ()).unwrap());
    running.stop_handle().stop();
    let report = running.wait();
    let ended = report.component("work").unwrap().pool.as_ref().unwrap();
    assert_eq!((ended.during.returned, report.exit_code), (1, 10), "{report}");
}

#[test]
fn l_38_nothing_runs_while_paused_and_a_stop_while_paused_drains_or_hands_back() {
    for (mode, completed, returned) in [(Mode::Drain, 10, 0), (Mode::Stop, 0, 10)] {
        let app = App::builder("paused").embedded();
        let pool = app.pool("work", Pool::builder().workers(1..=2)).unwrap();
        app.part("work").mode(mode);
        let status = app.status();
        let running = app.run();
        until(|| status.is_ready());
        pool.pause();
        let handles: Vec<_> = (0..10).map(|_| pool.submit(|_| ()).unwrap()).collect();
        thread::sleep(50 * MILLI);
        assert_eq!((pool.stats().queued, pool.stats().running), (10, 0));
        running.stop_handle().stop();
        let report = running.wait();
        let outcomes = report.component("work").unwrap().pool.as_ref().unwrap().outcomes;
        assert_eq!((outcomes.completed, outcomes.returned), (completed, returned), "{report}");
        assert_eq!(report.exit_code, if returned > 0 { 10 } else { 0 });
        assert_eq!(pool.take_returned().len() as u64, returned);
        drop(handles);
    }
}
