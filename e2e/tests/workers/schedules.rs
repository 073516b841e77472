//! Schedules on pools of processes: what is scheduled is a request, and nothing is sent into a pool that stops.

use std::path::Path;
use std::time::Duration;

use ebbtide::{JobEnd, JobState, Outcome, Report, Shutdown, WaitError};
use serde_json::Value;

use crate::alone::{B, Test};
use crate::kinds::{each, rust};
use crate::rig::{Rig, ask, value};
use crate::tools::{Gate, LONG, eventually, fresh, lines};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("a_job_sends_a_request_each_time", B, a_job_sends_a_request_each_time),
    ("a_single_run_gives_its_reply", B, a_single_run_gives_its_reply),
    ("runs_that_fail_are_outcomes_and_enough_of_them_end_the_job", B, runs_that_fail_are_outcomes),
    ("a_single_run_that_was_not_due_is_given_back_as_its_request", B, not_due_is_given_back),
    ("a_run_that_was_sent_ahead_and_came_back_has_not_begun", B, a_run_that_came_back_has_not_begun),
    ("no_job_sends_into_a_pool_that_stops", B, no_job_sends_into_a_pool_that_stops),
};

const OFTEN: Duration = Duration::from_millis(3);

/// The request to write the next number down.
fn noting(path: &Path) -> impl FnMut() -> Value + Send + 'static {
    let (path, mut n) = (path.to_str().unwrap().to_owned(), 0);
    move || {
        n += 1;
        ask("note", vec![Value::from(path.as_str()), n.into()])
    }
}

/// The pool's jobs are not in the rig's ledger.
fn end(rig: &Rig, how: Shutdown) -> Report {
    let report = rig.pool.shutdown(how.within(LONG)).wait().unwrap();
    assert!(report.law_holds(), "{report}");
    report
}

fn a_job_sends_a_request_each_time() {
    each(|kind| {
        let (rig, path) = (Rig::new(&kind, 1..=2), fresh("notes"));
        let job = rig.pool.every(OFTEN).rate().name("note").start(noting(&path)).unwrap();
        eventually("it has run a few times", || lines(&path).len() >= 5);
        job.stop();
        job.wait_idle(Some(LONG)).unwrap();
        let (stats, noted) = (job.stats(), lines(&path));
        assert_eq!(noted, (1..=noted.len()).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(
            (stats.runs, stats.outcomes.completed),
            (noted.len() as u64, noted.len() as u64),
            "{stats:?}"
        );
        assert_eq!(stats.state, JobState::Over(JobEnd::Stopped));
        end(&rig, Shutdown::drain());
        assert_eq!(lines(&path), noted);
    });
}

fn a_single_run_gives_its_reply() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        assert_eq!(rig.pool.after(OFTEN).start(ask("echo", "later")).unwrap().wait().unwrap(), "later");
        let named = rig.pool.after(OFTEN).function("hello").start("you".into()).unwrap();
        assert_eq!(named.wait().unwrap(), "hello you");
        let never = rig.pool.after(LONG).start(ask("echo", "never")).unwrap();
        assert!(never.cancel());
        assert!(matches!(never.wait(), Err(WaitError::Task(error)) if error.outcome() == Outcome::Cancelled));
        let late =
            rig.pool.after(OFTEN).timeout(Duration::from_millis(50)).start(ask("gate", "nowhere")).unwrap();
        assert!(matches!(late.wait(), Err(WaitError::Task(error)) if error.outcome() == Outcome::TimedOut));
        let report = end(&rig, Shutdown::drain());
        assert_eq!((report.accepted, report.outcomes.completed), (4, 2), "{report}");
    });
}

fn runs_that_fail_are_outcomes() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let job = rig.pool.every(OFTEN).give_up_after(3).start(|| ask("fail", "on purpose")).unwrap();
        eventually("it gave up", || job.is_over());
        job.wait_idle(Some(LONG)).unwrap();
        let stats = job.stats();
        assert_eq!(stats.state, JobState::Over(JobEnd::GaveUp));
        assert_eq!((stats.runs, stats.outcomes.failed, stats.failures_in_row), (3, 3, 3), "{stats:?}");
        assert!(stats.last.unwrap().error.unwrap().contains("on purpose"));
        // It is not even sent.
        let job = rig.pool.every(OFTEN).give_up_after(2).start(|| panic!("no request today")).unwrap();
        eventually("it gave up", || job.is_over());
        job.wait_idle(Some(LONG)).unwrap();
        assert_eq!(job.stats().outcomes.panicked, 2);
        assert!(job.stats().last.unwrap().error.unwrap().contains("no request today"));
        assert_eq!(rig.call("echo", "still there"), "still there");
        end(&rig, Shutdown::drain());
    });
}

fn not_due_is_given_back() {
    each(|kind| {
        let (rig, path) = (Rig::new(&kind, 1..=1), fresh("notes"));
        let single = rig.pool.after(LONG * 60).name("later").start(noting(&path)()).unwrap();
        let report = end(&rig, Shutdown::stop());
        assert!(matches!(single.wait(), Err(WaitError::Task(error)) if error.outcome() == Outcome::Returned));
        assert_eq!(report.outcomes.returned, 1, "{report}");
        let returned = rig.pool.take_returned();
        assert_eq!(returned.iter().map(|task| task.name()).collect::<Vec<_>>(), [Some("later")]);
        let second = Rig::new(&kind, 1..=1);
        for task in returned {
            second.note(second.pool.resubmit(task).unwrap()).wait().unwrap();
        }
        assert_eq!(lines(&path), ["1"]);
        second.close();
    });
}

fn a_run_that_came_back_has_not_begun() {
    each(|kind| {
        let (rig, gate, path) = (Rig::new(&kind, 1..=1), Gate::closed(), fresh("notes"));
        let job = rig.pool.every(LONG).first_after(LONG).start(noting(&path)).unwrap();
        // Short ones in a row, and more is sent ahead.
        let short: Vec<_> = (0..200).map(|n| rig.send("echo", n)).collect();
        short.into_iter().for_each(|task| drop(value(task)));
        rig.pool.pause();
        let running = rig.send("gate", gate.path());
        job.run_now().unwrap();
        eventually("it waits", || rig.pool.stats().queued == 2);
        rig.pool.resume();
        rig.until_begun(1);
        eventually("it came back, or was never sent", || rig.pool.stats().queued == 1);
        assert_eq!(job.stats().runs, 0, "{:?}", job.stats());
        job.stop();
        job.wait_idle(Some(LONG)).unwrap();
        let stats = job.stats();
        assert_eq!((stats.runs, stats.outcomes.returned, stats.outcomes.total()), (0, 1, 1), "{stats:?}");
        gate.open();
        let _ = value(running);
        end(&rig, Shutdown::drain());
        assert_eq!(lines(&path), [""; 0]);
    });
}

fn no_job_sends_into_a_pool_that_stops() {
    let rounds = if crate::tools::long() { 300 } else { 30 };
    for round in 0..rounds {
        let (rig, path) = (Rig::new(&rust(), 1..=2), fresh("notes"));
        let job = rig.pool.every(Duration::from_micros(300)).start(noting(&path)).unwrap();
        eventually("it has run", || !lines(&path).is_empty());
        let how = [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()][round % 3];
        let stop = rig.pool.shutdown(how.within(LONG));
        let begun = job.stats().runs;
        let report = stop.wait().unwrap();
        assert!(report.law_holds(), "{report}");
        let stats = job.stats();
        assert!(stats.runs <= begun && job.is_over(), "one was sent after the stop: {begun} then, {stats:?}");
        let noted = lines(&path).len() as u64;
        assert!((stats.outcomes.completed..=stats.runs).contains(&noted), "{noted} lines, {stats:?}");
    }
}
