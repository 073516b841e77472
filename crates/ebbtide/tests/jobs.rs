//! Jobs beyond the conformance lists: every kind of pool, pause and run now, full queues, restarts, abandoned runs, and stops that race with
//! firings on real threads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use common::{Broke, Count, Gate, LONG, Me, assert_law, over, some_time, until};
use ebbtide::{
    Event, Job, JobEnd, JobState, MissedBecause, MissedTicks, OneShot, Outcome, Pool, Restart, RunNowError,
    Shutdown, Stateless, WaitError, WhenFull,
};

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(2);

/// Ends a pool and holds it to the law.
fn close<I: ebbtide::Isolation>(pool: &Pool<I>) {
    let report = over(&pool.shutdown(Shutdown::drain()));
    assert!(report.law_holds(), "{report}");
    assert_law(&pool.stats());
}

fn ran(job: &Job, times: u64) {
    until("the job ran", || job.stats().runs >= times && job.stats().outcomes.total() >= times);
}

#[test]
fn jobs_get_the_state_of_their_worker_and_one_shots_give_values_from_it() {
    let pool = Pool::builder().workers(1..=1).state(|_| Vec::new()).build().unwrap();
    let job = pool.every(SOON).start(|state: &mut Vec<u32>, task| {
        state.push(1);
        assert_eq!(task.name(), Some("every 2ms, fixed delay"));
    });
    let job = job.unwrap();
    ran(&job, 3);
    job.stop();
    job.wait_idle(Some(LONG)).unwrap();
    let runs = job.stats().runs as usize;
    let seen = pool.after(SOON).start(|state: &mut Vec<u32>, _| state.len()).unwrap();
    assert_eq!(seen.wait().unwrap(), runs);
    let fails = pool.submitter().after(SOON).start_fallible(|_, _| Err::<(), _>(Broke(1))).unwrap();
    assert_eq!(common::block_on(fails).unwrap_err().outcome(), Outcome::Failed);
    let fallible = pool.every(SOON).rate().start_fallible(|state: &mut Vec<u32>, task| {
        state.clear();
        task.check()
    });
    ran(&fallible.unwrap(), 2);
    close(&pool);
}

/// A decorator is the user's, and for a firing nobody's submit stands above it.
#[test]
fn a_decorator_that_panics_costs_a_run_and_not_the_job() {
    let counted = Count::new();
    let decorate = move |_: &ebbtide::TaskInfo<'_>| -> ebbtide::Wrap {
        assert!(counted.up() > 3, "on purpose: the first three runs are not decorated");
        Box::new(|run| run())
    };
    let pool = Pool::builder().workers(1..=1).decorate(decorate).build().unwrap();
    let mut events = pool.events();
    let mut lost = pool.after(SOON).start(|_| 5).unwrap();
    let lost = lost.wait_timeout(LONG).unwrap_err();
    assert_eq!(lost.task().unwrap().outcome(), Outcome::Returned);
    assert_eq!(pool.take_returned().len(), 1);
    let job = pool.every(SOON).start(|_| ()).unwrap();
    ran(&job, 2);
    assert_eq!((job.stats().missed, job.stats().failures), (2, 0), "{:?}", job.stats());
    job.stop();
    job.wait_idle(Some(LONG)).unwrap();
    let refused = |event: &Event| matches!(event, Event::TicksMissed { why: MissedBecause::Refused, .. });
    let told = std::iter::from_fn(|| events.try_next()).filter(refused).count();
    assert_eq!(told, 2);
    close(&pool);
}

#[test]
fn a_paused_job_does_not_run_but_by_hand() {
    let pool = Pool::new(2);
    let job = pool.every(SOON).rate().paused().name("by hand").start(|_| ()).unwrap();
    some_time();
    assert_eq!((job.stats().runs, job.stats().state, job.name()), (0, JobState::Paused, "by hand"));
    job.run_now().unwrap();
    ran(&job, 1);
    some_time();
    assert_eq!((job.stats().runs, job.stats().missed), (1, 0));
    job.resume();
    assert!(job.stats().skipped > 0, "what passed meanwhile: {:?}", job.stats());
    ran(&job, 3);
    job.pause();
    job.wait_idle(Some(LONG)).unwrap();
    let runs = job.stats().runs;
    some_time();
    assert_eq!(job.stats().runs, runs);
    job.cancel();
    assert_eq!(job.run_now(), Err(RunNowError::Over));
    close(&pool);
}

#[test]
fn run_now_does_not_overlap_and_one_shots_can_be_run_early() {
    let (pool, gate) = (Pool::new(2), Gate::new());
    let pass = gate.clone();
    let job = pool.every(HOUR).start(move |_| pass.pass()).unwrap();
    gate.await_comers(1);
    assert_eq!(job.run_now(), Err(RunNowError::UnderWay));
    gate.open();
    until("it ended", || job.stats().under_way == 0);
    assert!(job.stats().next_in.unwrap() > HOUR / 2, "counted from its end");
    job.run_now().unwrap();
    ran(&job, 2);
    let early = pool.after(HOUR).start(|_| 5).unwrap();
    early.job().run_now().unwrap();
    assert_eq!(early.wait().unwrap(), 5);
    assert_eq!(pool.stats().not_due, 0);
    close(&pool);
}

#[test]
fn cancel_asks_the_run_under_way_and_stop_does_not() {
    let pool = Pool::new(2);
    let sleeper = || pool.every(HOUR).start_fallible(|task: &Me<'_>| task.sleep(LONG)).unwrap();
    let job = sleeper();
    until("it runs", || job.stats().runs == 1);
    job.cancel();
    job.wait_idle(Some(LONG)).unwrap();
    assert_eq!((job.stats().outcomes.cancelled, job.stats().failures), (1, 0));
    let job = sleeper();
    until("it runs", || job.stats().runs == 1);
    job.stop();
    assert!(matches!(job.wait_idle(Some(SOON)), Err(WaitError::TimedOut)), "it is left alone");
    assert_eq!((job.is_over(), job.stats().under_way), (true, 1));
    job.cancel();
    assert_eq!(job.stats().state, JobState::Over(JobEnd::Stopped), "the first end counts");
    over(&pool.shutdown(Shutdown::abort()));
    common::block_on(job.idle());
    assert_eq!(job.stats().outcomes.cancelled, 1);
}

#[test]
fn a_job_may_overlap_with_itself_when_it_is_told_to() {
    let (pool, gate) = (Pool::builder().workers(4..=4).build().unwrap(), Gate::new());
    let pass = gate.clone();
    let body = move |_: &Me<'_>| {
        pass.pass();
        Ok::<_, Broke>(())
    };
    let job = pool.every(SOON).rate().start_overlapping(3, body).unwrap();
    gate.await_comers(3);
    some_time();
    assert_eq!((gate.comers(), job.stats().under_way), (3, 3));
    assert!(job.stats().missed > 0, "seen while they still run: {:?}", job.stats());
    gate.open();
    ran(&job, 6);
    close(&pool);
}

/// A pool of one whose worker is held and whose queue is full.
fn full(when_full: WhenFull) -> (Pool<Stateless>, Gate) {
    let (pool, gate) =
        (Pool::builder().workers(1..=1).queue(1).when_full(when_full).build().unwrap(), Gate::new());
    let pass = gate.clone();
    pool.execute(move |_| pass.pass()).unwrap();
    gate.await_comers(1);
    pool.execute(|_| ()).unwrap();
    (pool, gate)
}

#[test]
fn a_full_queue_that_rejects_makes_a_run_missed() {
    let (pool, gate) = full(WhenFull::Reject);
    let mut events = pool.events();
    let job = pool.every(SOON).rate().name("refused").start(|_| ()).unwrap();
    until("it was missed", || job.stats().missed >= 3);
    let stats = job.stats();
    assert_eq!((stats.runs, stats.outcomes.total(), stats.state), (0, 0, JobState::Active));
    // On a machine that is late itself the first may be missed for that.
    let refused = |event: &Event| matches!(event, Event::TicksMissed { why: MissedBecause::Refused, .. });
    let told = events.find(refused).unwrap();
    let Event::TicksMissed { job: name, .. } = told else { panic!("{told:?}") };
    assert_eq!(&*name, "refused");
    gate.open();
    ran(&job, 2);
    close(&pool);
}

/// One run waits for room, without holding the clock up, and begins when there is some.
#[test]
fn a_full_queue_that_waits_makes_a_run_wait_and_not_the_clock() {
    let (pool, gate) = full(WhenFull::Wait);
    let job = pool.every(SOON).rate().start(|_| ()).unwrap();
    until("it waits for room", || pool.stats().waiting_for_room == 1);
    let elsewhere = Pool::new(1);
    let other = elsewhere.every(SOON).start(|_| ()).unwrap();
    ran(&other, 5);
    assert_eq!((pool.stats().waiting_for_room, job.stats().runs, job.stats().under_way), (1, 0, 1));
    gate.open();
    ran(&job, 2);
    close(&pool);
    close(&elsewhere);
}

#[test]
fn a_run_that_waits_for_room_is_withdrawn_by_every_end() {
    for end in [Job::cancel as fn(&Job), Job::stop] {
        let (pool, gate) = full(WhenFull::Wait);
        let job = pool.every(SOON).start(|_| ()).unwrap();
        let timer = pool.after(SOON).start(|_| 1).unwrap();
        until("both wait for room", || pool.stats().waiting_for_room == 2);
        end(&job);
        end(timer.job());
        assert_eq!((pool.stats().waiting_for_room, job.stats().under_way), (0, 0));
        let outcome = timer.outcome().unwrap();
        assert!(matches!(outcome, Outcome::Cancelled | Outcome::Returned), "{outcome}");
        assert_eq!(pool.take_returned().len(), usize::from(outcome == Outcome::Returned));
        assert_law(&pool.stats());
        gate.open();
        close(&pool);
        assert_eq!(job.stats().runs, 0);
    }
}

/// A single run was accepted: it cannot be refused any more, whatever the policy is.
#[test]
fn a_single_run_that_is_due_waits_for_room_under_every_policy() {
    for policy in [WhenFull::Wait, WhenFull::Reject, WhenFull::CallerRuns, WhenFull::ShedOldest] {
        let (pool, gate) = full(policy);
        let timer = pool.after(SOON).start(|_| 9).unwrap();
        until("it waits for room", || pool.stats().waiting_for_room == 1);
        assert_eq!((pool.stats().not_due, pool.stats().queued), (1, 2));
        gate.open();
        assert_eq!(timer.wait().unwrap(), 9, "{policy:?}");
        close(&pool);
    }
}

#[test]
fn a_restart_keeps_the_job_going_and_timers_waiting() {
    let pool = Pool::builder().workers(2..=2).build().unwrap();
    let generations = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = Arc::clone(&generations);
    let job = pool.every(SOON).rate().start(move |task| {
        seen.lock().unwrap().insert(task.generation());
    });
    let job = job.unwrap();
    let timer = pool.after(Duration::from_millis(400)).start(|_| 1).unwrap();
    for restart in [Restart::drain(), Restart::stop(), Restart::abort(), Restart::rolling()] {
        ran(&job, job.stats().runs + 3);
        over(&pool.restart(restart));
    }
    ran(&job, job.stats().runs + 3);
    assert_eq!((job.stats().state, job.stats().failures), (JobState::Active, 0));
    assert!(generations.lock().unwrap().len() >= 4, "{generations:?}");
    assert_eq!(timer.wait().unwrap(), 1, "it belonged to no generation");
    close(&pool);
}

/// It does not overlap with itself even then: the next run waits until the body that nobody may end has ended.
#[test]
fn an_abandoned_run_is_counted_and_holds_the_job_until_it_ends() {
    let grace = Duration::from_millis(20);
    let pool = Pool::builder().workers(1..=1).grace(grace).build().unwrap();
    let (gate, runs) = (Gate::new(), Count::new());
    let (pass, own) = (gate.clone(), runs.clone());
    let job = pool.every(SOON).rate().timeout(SOON).start(move |_| {
        own.up();
        pass.pass();
    });
    let job = job.unwrap();
    until("it was abandoned", || job.stats().outcomes.abandoned == 1);
    some_time();
    let stats = job.stats();
    assert_eq!((runs.get(), stats.under_way, stats.failures), (1, 1, 1), "{stats:?}");
    gate.open();
    ran(&job, 3);
    assert_eq!(job.stats().outcomes.completed, job.stats().outcomes.total() - 1);
    close(&pool);
}

#[test]
fn missed_ticks_are_made_up_for_when_that_was_asked() {
    let (pool, gate) = (Pool::new(1), Gate::new());
    let pass = gate.clone();
    let job =
        pool.every(Duration::from_millis(5)).rate().missed(MissedTicks::Burst).start(move |_| pass.pass());
    let job = job.unwrap();
    gate.await_comers(1);
    some_time();
    gate.open();
    ran(&job, 12);
    assert_eq!(job.stats().missed, 0);
    close(&pool);
}

#[test]
fn a_dropped_job_goes_on_and_a_dropped_pool_ends_it() {
    let (pool, count, held) = (Pool::new(1), Count::new(), Arc::new(()));
    let (own, holds) = (count.clone(), Arc::clone(&held));
    let body = move |_: &Me<'_>| {
        let _held = &holds;
        own.up();
    };
    drop(pool.every(SOON).start(body).unwrap());
    until("it runs all the same", || count.get() >= 3);
    let submitter = pool.submitter();
    drop(pool);
    until("its body is gone with the pool", || Arc::strong_count(&held) == 1);
    assert!(submitter.every(SOON).start(|_| ()).unwrap_err().rejected().is_some());
}

#[test]
fn waiting_on_the_last_worker_for_its_own_timer_is_refused() {
    let pool = Arc::new(Pool::new(1));
    let own = Arc::clone(&pool);
    let inner = pool.submit(move |_| own.after(SOON).start(|_| ()).unwrap().wait()).unwrap();
    assert!(matches!(inner.wait().unwrap(), Err(WaitError::WouldDeadlock)));
    let (own, slot) = (Arc::new(Mutex::new(None::<Job>)), Arc::new(Mutex::new(None)));
    let (job, said) = (Arc::clone(&own), Arc::clone(&slot));
    let started = pool.every(HOUR).first_after(SOON).start(move |_| {
        let job = job.lock().unwrap().clone().unwrap();
        *said.lock().unwrap() = Some(job.wait_idle(None));
    });
    *own.lock().unwrap() = Some(started.unwrap());
    until("it ran", || slot.lock().unwrap().is_some());
    assert!(matches!(*slot.lock().unwrap(), Some(Err(WaitError::WouldDeadlock))));
    own.lock().unwrap().take().unwrap().cancel();
    close(&pool);
}

#[test]
fn a_job_in_a_broken_pool_is_missed_and_goes_on_when_the_pool_is_repaired() {
    let well = Count::new();
    let healthy = well.clone();
    let build = move |_: &ebbtide::WorkerInfo| if healthy.get() > 0 { Ok(()) } else { Err(Broke(0)) };
    let pool = Pool::builder().workers(1..=1).restart_intensity(0, LONG).try_state(build).build().unwrap();
    let mut timer = pool.after(HOUR).start(|(), _| ()).unwrap();
    let job = pool.every(SOON).rate().start(|(), _| ()).unwrap();
    until("it is broken", || pool.stats().broken.is_some());
    until("runs are missed", || job.stats().missed > 2);
    assert!(pool.every(SOON).start(|(), _| ()).unwrap_err().to_string().contains("broken"));
    timer.job().run_now().unwrap();
    let error = timer.wait_timeout(LONG).unwrap_err();
    assert!(error.to_string().contains("broke number 0"), "{error}");
    well.up();
    over(&pool.restart(Restart::drain()));
    ran(&job, job.stats().outcomes.total() + 2);
    assert_eq!(job.stats().state, JobState::Active);
    close(&pool);
}

#[cfg(feature = "cron")]
#[test]
fn a_cron_line_runs_by_the_real_clock() {
    let pool = Pool::new(1);
    let seconds = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seconds);
    let job = pool.cron("* * * * * *").zone("Europe/Berlin").start(move |_| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        own.lock().unwrap().push(since);
    });
    let job = job.unwrap();
    assert_eq!(job.schedule(), "cron * * * * * * (Europe/Berlin)");
    ran(&job, 2);
    job.cancel();
    let seconds = seconds.lock().unwrap();
    assert_ne!(seconds[0].as_secs(), seconds[1].as_secs());
    assert!(seconds[0].subsec_millis() < 900, "at the second, not anywhere: {seconds:?}");
    close(&pool);
}

#[test]
fn stats_are_data() {
    let pool = Pool::new(1);
    let job = pool.every(HOUR).name("hourly").start_fallible(|_| Err::<(), _>(Broke(2))).unwrap();
    ran(&job, 1);
    let json = serde_json::to_value(job.stats()).unwrap();
    assert_eq!((&json["name"], &json["schedule"]), (&"hourly".into(), &"every 3600s, fixed delay".into()));
    assert_eq!((&json["state"], &json["last"]["outcome"]), (&"active".into(), &"failed".into()));
    assert_eq!(json["last"]["error"], "the task failed: broke number 2");
    assert!(json["next_in_ms"].as_f64().unwrap() > 3_000_000.0, "{json}");
    assert!(format!("{job:?}").contains("hourly"));
    close(&pool);
}

/// A table is loaded into a cache with a fixed delay, and the pool is stopped at some moment of it, again and again.
#[test]
fn l_03_five_hundred_stops_of_a_refreshing_job_fail_no_run_and_begin_none() {
    for round in 0..500_u64 {
        let pool = Pool::builder().workers(1..=2).build().unwrap();
        let (begun, cache) = (Count::new(), Arc::new(Mutex::new(0)));
        let (own, table) = (begun.clone(), Arc::clone(&cache));
        let body = move |task: &Me<'_>| {
            own.up();
            // The load, which a cancel would break off.
            task.sleep(Duration::from_micros(round % 5 * 50))?;
            *table.lock().unwrap() += 1;
            Ok::<_, ebbtide::Cancelled>(())
        };
        let job =
            pool.every(Duration::from_micros(100 + round % 11 * 20)).name("refresh").start_fallible(body);
        let job = job.unwrap();
        until("it runs", || begun.get() > round % 3);
        thread::park_timeout(Duration::from_micros(round * 37 % 400));
        let closing = pool.shutdown(Shutdown::drain());
        let runs = job.stats().runs;
        let report = over(&closing);
        // The clock's thread may be about to hear of a run that was withdrawn under its hands.
        job.wait_idle(Some(LONG)).unwrap();
        let stats = job.stats();
        assert_eq!((stats.runs, begun.get()), (runs, runs), "round {round}: a run began after the stop");
        assert_eq!(
            (stats.failures, report.outcomes.failed, report.outcomes.cancelled),
            (0, 0, 0),
            "{stats:?}"
        );
        assert_eq!(report.outcomes.completed, *cache.lock().unwrap());
        assert!(report.law_holds() && stats.outcomes.total() == report.accepted, "{report}");
    }
}

/// A run that hands its work to another pool: both are counted, each in its own, and the other drains what it was given.
#[test]
fn l_06_work_that_a_run_hands_to_another_pool_is_counted_there() {
    let (clock, workers) = (Pool::new(1), Pool::builder().workers(2..=2).build().unwrap());
    let (submitter, done) = (workers.submitter(), Count::new());
    let counted = done.clone();
    let body = move |_: &Me<'_>| {
        let done = counted.clone();
        submitter.execute(move |_| {
            thread::park_timeout(SOON);
            done.up();
        })
    };
    let job = clock.every(SOON).rate().start_fallible(move |task| body(task).map(drop)).unwrap();
    ran(&job, 10);
    // The schedule first, then the pool it feeds.
    let first = over(&clock.shutdown(Shutdown::drain()));
    let second = over(&workers.shutdown(Shutdown::drain()));
    let runs = job.stats().outcomes.completed;
    assert_eq!((first.outcomes.completed, second.outcomes.completed, done.get()), (runs, runs, runs));
    assert!(first.law_holds() && second.law_holds());
}

#[test]
fn l_07_a_run_that_is_due_in_an_hour_does_not_delay_the_stop() {
    let pool = Pool::new(1);
    let timer = pool.after(HOUR).name("in an hour").start(|_| ()).unwrap();
    let began = common::now();
    let report = over(&pool.shutdown(Shutdown::drain()));
    assert!(began.elapsed() < LONG);
    assert_eq!((report.outcomes.returned, timer.outcome()), (1, Some(Outcome::Returned)));
    assert_eq!(pool.take_returned()[0].name(), Some("in an hour"));
}

/// Several threads run, pause, cancel and submit while another stops the pool: the law holds and nothing begins afterwards.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test's own threads")]
fn a_stop_races_with_firings_on_real_threads() {
    let rounds = if std::env::var_os("EBBTIDE_LONG").is_some() { 2_000 } else { 200 };
    for round in 0..rounds {
        let pool = Arc::new(Pool::builder().workers(1..=2).queue(2).build().unwrap());
        let begun = Count::new();
        let jobs: Vec<_> = (0..3)
            .map(|n| {
                let begun = begun.clone();
                let body = move |_: &Me<'_>| {
                    begun.up();
                };
                pool.every(Duration::from_micros(50 + n * 30)).rate().start(body).unwrap()
            })
            .collect();
        let pokers: Vec<_> = jobs
            .iter()
            .cloned()
            .map(|job| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    let mut timers = Vec::new();
                    for step in 0..20 {
                        match step % 4 {
                            0 => drop(job.run_now()),
                            1 => job.pause(),
                            2 => job.resume(),
                            _ => timers.extend(pool.after(Duration::from_micros(step * 10)).start(|_| ())),
                        }
                    }
                    timers
                })
            })
            .collect();
        thread::park_timeout(Duration::from_micros(round * 13 % 700));
        let mode = [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()][round as usize % 3];
        let closing = pool.shutdown(mode);
        let runs: u64 = jobs.iter().map(|job| job.stats().runs).sum();
        let report = over(&closing);
        assert!(report.law_holds(), "{report}");
        let after: u64 = jobs.iter().map(|job| job.stats().runs).sum();
        assert_eq!((after, begun.get()), (runs, runs), "round {round}: a run began after the stop");
        let timers: Vec<_> = pokers.into_iter().flat_map(|poker| poker.join().unwrap()).collect();
        // The clock's thread may be about to tell of what was withdrawn under its hands.
        until("every timer has ended", || timers.iter().all(OneShot::is_finished));
        jobs.iter().for_each(|job| job.wait_idle(Some(LONG)).unwrap());
        let single: u64 = timers.len() as u64;
        let fired: u64 = jobs.iter().map(|job| job.stats().outcomes.total()).sum();
        assert_eq!(pool.stats().accepted, single + fired, "round {round}");
        assert_law(&pool.stats());
    }
}
