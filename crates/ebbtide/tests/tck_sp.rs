//! Executor cases SP and RC: jobs and timers when their pool stops, and timers that are cancelled.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use common::{Count, Gate, LONG, Me, assert_law, over, some_time, until};
use ebbtide::{
    Cancelled, JobEnd, JobState, Outcome, Pool, RejectReason, ReturnReason, Shutdown, TaskError, WaitError,
};

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(1);

fn task_error(error: WaitError) -> TaskError {
    match error {
        WaitError::Task(error) => error,
        other => panic!("it has not ended: {other}"),
    }
}

/// Betters: there are no policies to set. Nothing begins by time after a shutdown was asked for, and a cancelled timer is gone.
#[test]
fn sp_01_what_the_jdk_has_policies_for_has_one_answer() {
    let (pool, gate, ran) = (Pool::new(1), Gate::new(), Count::new());
    let (pass, late, often) = (gate.clone(), ran.clone(), ran.clone());
    let holder = pool.submit(move |_| pass.pass()).unwrap();
    gate.await_comers(1);
    let delayed = pool.after(Duration::from_millis(30)).start(move |_| late.up()).unwrap();
    let periodic = pool.every(SOON).rate().start(move |_| often.up()).unwrap();
    let closing = pool.shutdown(Shutdown::drain());
    some_time();
    assert_eq!((periodic.stats().state, periodic.stats().next_in), (JobState::Over(JobEnd::Stopped), None));
    assert_eq!(task_error(delayed.wait().unwrap_err()).return_reason(), Some(&ReturnReason::NotDue));
    gate.open();
    let report = over(&closing);
    holder.wait().unwrap();
    assert_eq!(ran.get(), 0, "the run that waited in the queue did not begin either");
    assert!(report.law_holds() && report.outcomes.returned >= 1, "{report}");
}

/// Betters: the JDK waits the hour.
#[test]
fn sp_05_a_run_that_is_due_in_an_hour_does_not_keep_the_pool() {
    for shutdown in [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()] {
        let (pool, ran) = (Pool::new(1), Count::new());
        let late = ran.clone();
        let timer = pool.after(HOUR).name("in an hour").start(move |_| late.up()).unwrap();
        let job = pool.every(HOUR).first_after(HOUR).start(|_| ()).unwrap();
        let report = over(&pool.shutdown(shutdown));
        assert_eq!((report.accepted, report.outcomes.returned, report.law_holds()), (1, 1, true), "{report}");
        let error = task_error(timer.wait().unwrap_err());
        assert_eq!(
            (error.outcome(), error.return_reason()),
            (Outcome::Returned, Some(&ReturnReason::NotDue))
        );
        assert!(job.is_over());
        // The closure itself is there, once, and can still be run.
        let mut returned = pool.take_returned();
        assert_eq!((returned.len(), returned[0].name()), (1, Some("in an hour")));
        let other = Pool::new(1);
        other.resubmit(returned.remove(0)).unwrap().wait().unwrap();
        assert_eq!(ran.get(), 1);
    }
}

#[test]
fn sp_07_a_pool_that_stops_takes_no_jobs_and_counts_refusals_only() {
    for shutdown in [Shutdown::drain(), Shutdown::abort().grace(LONG / 4).within(LONG)] {
        let (pool, gate) = (Pool::new(1), Gate::new());
        let pass = gate.clone();
        let holder = pool.submit(move |_| pass.pass()).unwrap();
        gate.await_comers(1);
        let closing = pool.shutdown(shutdown);
        let before = pool.stats();
        let reason = Some(&RejectReason::ShuttingDown);
        let text = "given back".to_owned();
        let refused = pool.after(SOON).start(move |_| text).unwrap_err();
        assert_eq!(refused.rejected(), reason);
        assert_eq!(pool.every(SOON).rate().start(|_| ()).unwrap_err().rejected(), reason);
        assert_eq!(pool.submitter().every(SOON).delay().start(|_| ()).unwrap_err().rejected(), reason);
        assert_eq!(pool.submit(|_| ()).unwrap_err().reason(), &RejectReason::ShuttingDown);
        let after = pool.stats();
        assert_eq!(after.rejected, before.rejected + 4);
        assert_eq!((after.accepted, after.queued, after.running), (before.accepted, 0, 1));
        gate.open();
        over(&closing);
        holder.wait().unwrap();
        let error = pool.after(SOON).start(refused.into_body()).unwrap_err();
        assert_eq!(error.rejected(), Some(&RejectReason::Terminated));
    }
}

/// Betters: under drain a run is left alone; an abort asks it, and one that obeys is `Cancelled`, which is nobody's failure.
#[test]
fn sp_09_a_stop_never_makes_a_run_fail() {
    for round in 0..60 {
        let pool = Pool::new(1);
        let begun = Count::new();
        let own = begun.clone();
        let body = move |task: &Me<'_>| {
            own.up();
            task.sleep(Duration::from_micros(300))?;
            Ok::<_, Cancelled>(())
        };
        let job = pool.every(Duration::from_micros(200)).start_fallible(body).unwrap();
        until("it ran", || job.stats().runs > round % 7);
        let shutdown = if round % 2 == 0 { Shutdown::abort() } else { Shutdown::drain() };
        let closing = pool.shutdown(shutdown);
        let runs = job.stats().runs;
        let report = over(&closing);
        job.wait_idle(Some(LONG)).unwrap();
        let stats = job.stats();
        assert_eq!(stats.runs, runs, "a run began after the stop");
        assert_eq!(begun.get(), runs, "the test's own count");
        assert_eq!(stats.failures, 0, "round {round}: {stats:?}");
        assert_eq!((report.outcomes.failed, report.outcomes.panicked, report.law_holds()), (0, 0, true));
        if round % 2 == 1 {
            assert_eq!(report.outcomes.cancelled, 0, "a drain asks nobody: {report}");
        }
        assert_eq!(stats.outcomes.total(), report.accepted);
    }
}

#[test]
fn sp_10_timers_can_be_cancelled_before_and_after_the_shutdown() {
    let (pool, gate) = (Pool::new(1), Gate::new());
    let pass = gate.clone();
    let holder = pool.submit(move |_| pass.pass()).unwrap();
    gate.await_comers(1);
    let timers: Vec<_> = (0..4).map(|_| pool.after(HOUR).start(|_| ()).unwrap()).collect();
    let jobs: Vec<_> = (0..2).map(|_| pool.every(HOUR).first_after(HOUR).start(|_| ()).unwrap()).collect();
    assert!(timers[0].cancel() && timers[1].cancel());
    jobs[0].cancel();
    let closing = pool.shutdown(Shutdown::drain());
    assert!(!timers[2].cancel(), "it is over already");
    jobs[1].cancel();
    jobs[1].stop();
    let outcomes: Vec<_> = timers.iter().map(|timer| timer.outcome().unwrap()).collect();
    assert_eq!(outcomes, [Outcome::Cancelled, Outcome::Cancelled, Outcome::Returned, Outcome::Returned]);
    let states: Vec<_> = jobs.iter().map(|job| job.stats().state).collect();
    assert_eq!(
        states,
        [JobState::Over(JobEnd::Cancelled), JobState::Over(JobEnd::Stopped)],
        "the first counts"
    );
    gate.open();
    let report = over(&closing);
    holder.wait().unwrap();
    assert_eq!((report.outcomes.cancelled, report.outcomes.returned, report.accepted), (2, 2, 5));
}

#[test]
fn sp_11_cancelled_timers_do_not_delay_the_end() {
    let pool = Pool::new(1);
    let timers: Vec<_> = (0..10_000).map(|_| pool.after(HOUR).start(|_| ()).unwrap()).collect();
    assert!(timers.iter().all(|timer| timer.cancel()));
    assert_eq!(pool.stats().not_due, 0);
    let report = over(&pool.shutdown(Shutdown::drain()));
    assert_eq!((report.outcomes.cancelled, report.outcomes.returned, report.law_holds()), (10_000, 0, true));
    assert!(pool.take_returned().is_empty());
}

/// Betters: what a cancelled timer held is dropped at once, not after its hour.
#[test]
fn rc_02_a_hundred_thousand_cancelled_timers_leave_nothing_behind() {
    let (pool, held) = (Pool::new(1), Arc::new(()));
    let timers: Vec<_> = (0..100_000)
        .map(|_| {
            let held = Arc::clone(&held);
            pool.after(HOUR).start(move |_| drop(held)).unwrap()
        })
        .collect();
    assert_eq!((pool.stats().not_due, Arc::strong_count(&held)), (100_000, 100_001));
    assert!(timers.iter().all(|timer| timer.cancel()));
    let stats = pool.stats();
    assert_eq!((stats.not_due, stats.outcomes.cancelled, Arc::strong_count(&held)), (0, 100_000, 1));
    assert_law(&stats);
    assert_eq!(pool.stats().workers.alive, 0, "nobody worked for it");
}

/// 6 000 timers in no order, every third cancelled: the others run by their times.
#[test]
fn rc_03_timers_cancelled_in_the_middle_leave_the_order_of_the_others() {
    const TIMERS: u64 = 6_000;
    let pool = Pool::builder().workers(1..=1).queue(40_000).build().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    // 7919 is prime to 6 000, so each number comes once, far from its neighbours. The first is due in five seconds.
    let numbers = (0..TIMERS).map(|n| n * 7_919 % TIMERS);
    let base = SystemTime::now() + Duration::from_secs(5);
    let timers: Vec<_> = numbers
        .map(|number| {
            let (order, due) = (Arc::clone(&order), base + Duration::from_micros(10 * number));
            (number, pool.at(due).start(move |_| order.lock().unwrap().push(number)).unwrap())
        })
        .collect();
    for (_, timer) in timers.iter().filter(|(number, _)| number % 3 == 0) {
        assert!(timer.cancel());
    }
    assert_eq!(pool.stats().not_due, TIMERS / 3 * 2, "the machine stood still for seconds: try again");
    until("the others have run", || pool.outcomes().total() == TIMERS);
    let order = order.lock().unwrap();
    assert_eq!(order.len() as u64, TIMERS / 3 * 2);
    assert!(order.iter().all(|number| number % 3 != 0));
    assert!(order.is_sorted(), "out of order");
    let report = over(&pool.shutdown(Shutdown::drain()));
    assert_eq!((report.outcomes.completed, report.outcomes.cancelled), (TIMERS / 3 * 2, TIMERS / 3));
}
