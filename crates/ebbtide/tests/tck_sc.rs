//! Executor cases SC: runs by time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Broke, Gate, LONG, Me, assert_law, over, until};
use ebbtide::{Event, JobEnd, JobState, Outcome, Phase, Pool, Schedule, Shutdown, Stateless, WaitError};

const TICK: Duration = Duration::from_millis(12);

/// Ends a pool and holds it to the law.
fn close(pool: &Pool<Stateless>) {
    let report = over(&pool.shutdown(Shutdown::drain()));
    assert!(report.law_holds(), "{report}");
    assert_law(&pool.stats());
    assert_eq!((report.queued, report.running), (0, 0));
}

#[test]
fn sc_01_a_single_run_has_a_value_and_is_not_before_its_time() {
    let pool = Pool::new(2);
    let began = common::now();
    let mut valued = pool.after(TICK).start(move |_| (7, began.elapsed())).unwrap();
    let unit = pool.after(TICK).name("unit").start(|task| assert_eq!(task.name(), Some("unit"))).unwrap();
    let failing = pool.after(TICK).start_fallible(|_| Err::<(), _>(Broke(3))).unwrap();
    let stats = pool.stats();
    assert_eq!(stats.accepted, 3, "accepted from the start");
    assert_law(&stats);
    let (value, after) = valued.wait_timeout(LONG).unwrap();
    assert_eq!(value, 7);
    assert!(after >= TICK, "it ran after {after:?}");
    assert!(matches!(valued.wait_timeout(LONG), Err(WaitError::Task(_))), "a value is given once");
    common::block_on(unit).unwrap();
    let error = failing.wait().expect_err("it fails");
    assert_eq!(error.task().unwrap().failure().unwrap().downcast_ref(), Some(&Broke(3)));
    assert_eq!(valued.outcome(), Some(Outcome::Completed));
    assert_eq!(valued.job().stats().state, JobState::Over(JobEnd::Done));
    let outcomes = pool.outcomes();
    assert_eq!((outcomes.completed, outcomes.failed, outcomes.total()), (2, 1, 3), "each ran once");
    close(&pool);
}

#[test]
fn sc_02_the_first_run_is_not_before_the_initial_delay() {
    let pool = Pool::new(2);
    for rate in [false, true] {
        let (began, first) = (common::now(), Arc::new(Mutex::new(None)));
        let seen = Arc::clone(&first);
        let schedule = pool.every(TICK).first_after(TICK);
        let schedule = if rate { schedule.rate() } else { schedule.delay() };
        let job = schedule
            .start(move |_| {
                seen.lock().unwrap().get_or_insert_with(|| began.elapsed());
            })
            .unwrap();
        until("it ran three times", || job.stats().runs >= 3);
        job.cancel();
        job.wait_idle(Some(LONG)).unwrap();
        let first = first.lock().unwrap().unwrap();
        assert!(first >= TICK, "the first run was after {first:?}");
    }
    close(&pool);
}

/// A run of a job at a fixed rate that takes longer than its period.
#[test]
fn sc_05_runs_of_a_job_do_not_overlap() {
    let pool = Pool::builder().workers(4..=4).warm().build().unwrap();
    let overlaps = Overlaps::default();
    let inside = overlaps.clone();
    let job = pool.every(TICK).rate().start(move |_| inside.pass(5 * TICK)).unwrap();
    let others = Overlaps::default();
    let seen = others.clone();
    let second = pool.every(Duration::from_millis(2)).rate().start(move |_| seen.pass(TICK)).unwrap();
    until("both ran often", || job.stats().runs >= 5 && second.stats().runs >= 10);
    assert!(job.stats().missed >= 4, "the points between are missed: {:?}", job.stats());
    job.cancel();
    second.cancel();
    close(&pool);
    assert_eq!((overlaps.most(), others.most()), (1, 1));
}

/// How many were inside at a time.
#[derive(Clone, Default)]
struct Overlaps(Arc<Mutex<(usize, usize)>>);

impl Overlaps {
    fn pass(&self, stay: Duration) {
        let mut counts = self.0.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        drop(counts);
        std::thread::park_timeout(stay);
        self.0.lock().unwrap().0 -= 1;
    }

    fn most(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

/// A hundred runs at the same time of the calendar: the two clocks may not put them into another order.
#[test]
fn sc_06_runs_that_are_due_at_the_same_time_run_in_the_order_they_were_scheduled() {
    let pool = Pool::builder().workers(1..=1).build().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let when = std::time::UNIX_EPOCH + since_1970() + Duration::from_millis(300);
    let timers: Vec<_> = (0..100)
        .map(|n| {
            let order = Arc::clone(&order);
            pool.at(when).start(move |_| order.lock().unwrap().push(n)).unwrap()
        })
        .collect();
    assert_eq!(pool.stats().not_due, 100, "the machine stood still for 300 ms: try again");
    for timer in timers {
        timer.wait().unwrap();
    }
    assert!(since_1970() >= when.duration_since(std::time::UNIX_EPOCH).unwrap() - Duration::from_millis(2));
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    close(&pool);
}

fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// Betters: a time below zero cannot be said; every other wrong option is an error with its name that gives the body back.
#[test]
fn sc_09_a_wrong_option_is_named_and_the_body_comes_back() {
    let pool = Pool::new(1);
    let year = Duration::from_secs(366 * 86_400);
    let every = |period| pool.every(period);
    let wrong: Vec<(&str, Schedule<Stateless>)> = vec![
        ("every", every(Duration::ZERO).rate()),
        ("every", every(Duration::ZERO).delay()),
        ("every", every(Duration::MAX)),
        ("every", every(101 * year).rate()),
        ("first_after", every(TICK).first_after(Duration::MAX)),
        ("jitter", every(TICK).rate().jitter(TICK)),
        ("give_up_after", every(TICK).give_up_after(0)),
        ("timeout", every(TICK).timeout(Duration::ZERO)),
        ("name", every(TICK).name(" ")),
    ];
    for (option, schedule) in wrong {
        let error = schedule.start(|_| 7).unwrap_err();
        assert_eq!(error.wrong_option().unwrap().option(), option, "{error}");
        assert!(error.to_string().contains(option) && error.rejected().is_none(), "{error}");
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        drop(boxed);
    }
    let ok = |_: &Me<'_>| Ok::<_, Broke>(());
    let error = every(TICK).rate().start_overlapping(0, ok).unwrap_err();
    assert_eq!(error.wrong_option().unwrap().option(), "start_overlapping");
    let error = every(TICK).delay().start_overlapping(2, ok).unwrap_err();
    assert!(error.to_string().contains("`.rate()`"), "{error}");
    let text = "the body itself".to_owned();
    let error = pool.after(Duration::MAX).start(move |_| text).unwrap_err();
    assert_eq!(error.wrong_option().unwrap().option(), "after");
    let again = pool.after(Duration::ZERO).start(error.into_body()).unwrap();
    assert_eq!(again.wait().unwrap(), "the body itself");
    let far = std::time::UNIX_EPOCH + 300 * year;
    assert_eq!(pool.at(far).start(|_| ()).unwrap_err().wrong_option().unwrap().option(), "at");
    assert_eq!(
        pool.at(std::time::UNIX_EPOCH).start(|_| 3).unwrap().wait().unwrap(),
        3,
        "what has passed is now"
    );
    assert_eq!(pool.stats().accepted, 2);
    close(&pool);
}

#[cfg(feature = "cron")]
#[test]
fn sc_09_a_wrong_cron_line_or_zone_is_named() {
    let pool = Pool::new(1);
    let wrong = |line: &str, zone: &str| {
        let error = pool.cron(line).zone(zone).start(|_| ()).unwrap_err();
        assert_eq!(error.wrong_option().unwrap().option(), "cron");
        error.to_string()
    };
    for line in ["", "every day", "* * * *", "61 * * * *", "0 25 * * *", "0 0 1 13 *"] {
        assert!(wrong(line, "UTC").contains("does not parse"), "{line}: {}", wrong(line, "UTC"));
    }
    assert!(wrong("0 0 30 2 *", "UTC").contains("never comes"));
    assert!(wrong("0 4 * * *", "Europe/Nowhere").contains("Europe/Nowhere"));
    close(&pool);
}

#[test]
fn sc_10_a_pool_with_jobs_says_where_it_is_as_any_other() {
    let (pool, gate) = (Pool::new(1), Gate::new());
    let pass = gate.clone();
    let job = pool.every(TICK).start(move |_| pass.pass()).unwrap();
    assert_eq!(pool.phase(), Phase::Running);
    gate.await_comers(1);
    let closing = pool.shutdown(Shutdown::drain());
    assert_eq!(pool.phase(), Phase::Draining, "a run is still under way");
    assert!(closing.wait_timeout(TICK).is_err());
    assert_eq!((job.stats().under_way, job.is_over()), (1, true));
    gate.open();
    over(&closing);
    assert_eq!((pool.phase(), pool.stats().running, pool.stats().queued), (Phase::Terminated, 0, 0));
    job.wait_idle(Some(LONG)).unwrap();
    assert_eq!(job.stats().outcomes.completed, 1, "and it ended undisturbed");
}

/// Betters: a failure is an outcome and an event, and the job goes on; or it stops after so many in a row, and says so.
#[test]
fn sc_11_a_failing_run_is_told_and_the_job_goes_on_or_stops_as_asked() {
    let pool = Pool::new(1);
    let mut events = pool.events();
    let body = || {
        let mut run = 0;
        move |_: &Me<'_>| {
            run += 1;
            if run == 3 || run >= 5 { Err(Broke(run)) } else { Ok(()) }
        }
    };
    let goes_on = pool.every(TICK / 10).name("goes on").start_fallible(body()).unwrap();
    until("it ran on", || goes_on.stats().runs >= 10);
    goes_on.cancel();
    goes_on.wait_idle(Some(LONG)).unwrap();
    let stats = goes_on.stats();
    assert_eq!((stats.state, stats.outcomes.completed), (JobState::Over(JobEnd::Cancelled), 3));
    assert!(stats.failures_in_row >= 5, "{stats:?}");
    // The cancel may have met a run that waited for its worker: then that is the last one.
    let last = stats.last.as_ref().and_then(|last| last.error.as_deref()).unwrap();
    assert!(last.contains("broke number") || last.contains("cancelled"), "{stats:?}");
    let stops = pool.every(TICK / 10).name("stops").give_up_after(3).start_fallible(body()).unwrap();
    until("it gave up", || stops.is_over());
    let stats = stops.stats();
    assert_eq!((stats.runs, stats.failures, stats.failures_in_row), (7, 4, 3));
    assert_eq!(stats.last.unwrap().error.as_deref(), Some("the task failed: broke number 7"));
    let panics = pool.every(TICK / 10).name("panics").give_up_after(2).start(|_| common::fall("on purpose"));
    let panics = panics.unwrap();
    until("it gave up", || panics.is_over());
    assert_eq!(panics.stats().outcomes.panicked, 2);
    close(&pool);
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    let failures = |job: &str| {
        let of = |event: &&Event| matches!(event, Event::TaskEnded { name: Some(name), outcome: Outcome::Failed, .. } if **name == *job);
        told.iter().filter(of).count() as u64
    };
    assert_eq!(failures("stops"), 4);
    assert_eq!(failures("goes on"), goes_on.stats().failures);
    let gave_up = |job: &str| {
        let of = |event: &&Event| matches!(event, Event::JobOver { job: name, why: JobEnd::GaveUp } if **name == *job);
        told.iter().filter(of).count()
    };
    assert_eq!((gave_up("goes on"), gave_up("stops"), gave_up("panics")), (0, 1, 1));
}

/// What a run wrote without a lock the next one reads, on whichever worker it is.
#[test]
fn sc_13_a_run_sees_what_the_one_before_did() {
    let pool = Pool::builder().workers(4..=4).warm().build().unwrap();
    let (mut book, threads) = (Vec::new(), Arc::new(Mutex::new(BTreeSet::new())));
    let seen = Arc::clone(&threads);
    let body = move |task: &Me<'_>| {
        let intact = book.iter().copied().eq(0..book.len());
        book.push(book.len());
        seen.lock().unwrap().insert(task.worker());
        if intact { Ok(()) } else { Err("something is missing") }
    };
    let job = pool.every(Duration::from_micros(100)).start_fallible(body).unwrap();
    until("it ran often", || job.stats().runs >= 300);
    // One worker may be quick enough for all: keep it busy elsewhere.
    let gate = Gate::new();
    let busy: Vec<_> = (0..3)
        .map(|_| {
            let pass = gate.clone();
            pool.submit(move |_| pass.pass()).unwrap()
        })
        .collect();
    gate.await_comers(3);
    let before = job.stats().runs;
    until("it ran on", || job.stats().runs >= before + 100);
    gate.open();
    drop(busy);
    job.cancel();
    close(&pool);
    assert_eq!(job.stats().failures, 0, "{:?}", job.stats());
    assert!(!threads.lock().unwrap().is_empty());
}

/// A hundred workers and a rate of 10 ms: one thread is woken per run, and no other.
#[test]
fn sc_14_a_rate_on_a_hundred_workers_costs_next_to_nothing() {
    let ticks = if std::env::var_os("EBBTIDE_LONG").is_some() { 1_000 } else { 150 };
    let pool = Pool::builder().name("sc14").workers(100..=100).warm().build().unwrap();
    until("all are there", || pool.stats().workers.idle == 100);
    let before = cpu_of("sc14");
    let began = common::now();
    let job = pool.every(Duration::from_millis(10)).rate().start(|_| ()).unwrap();
    until("it ran as often as that", || job.stats().runs + job.stats().missed >= ticks);
    let (took, cpu) = (began.elapsed(), cpu_of("sc14") - before);
    job.cancel();
    assert!(took >= Duration::from_millis(10) * u32::try_from(ticks - 1).unwrap(), "{took:?}");
    assert!(cpu < took / 4, "{cpu:?} of processor time in {took:?}");
    let woken = pool.stats();
    assert_eq!(woken.workers.started, 100);
    close(&pool);
}

/// Processor time of all threads whose names begin so.
fn cpu_of(prefix: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::fs::DirEntry| -> Option<u64> {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        name.starts_with(prefix).then(|| times.split(' ').next()?.parse().ok()).flatten()
    };
    Duration::from_nanos(tasks.filter_map(|task| of(task.ok()?)).sum())
}

#[test]
fn sc_15_a_pool_of_one_runs_what_is_due() {
    let pool = Pool::new(1);
    let began = common::now();
    let timer = pool.after(TICK).start(move |_| began.elapsed()).unwrap();
    assert!(timer.wait().unwrap() >= TICK);
    let mut count = 0;
    let job = pool.every(TICK).start(move |_| {
        count += 1;
        count
    });
    let job = job.unwrap();
    until("it ran three times", || job.stats().runs >= 3);
    close(&pool);
    assert_eq!(job.stats().state, JobState::Over(JobEnd::Stopped));
}
