//! How many workers there are, how many tasks may wait, and in what order they come.

use std::time::Duration;

use ebbtide::{Outcome, Priority, RejectReason, Restart, Shutdown, Timing, WhenFull};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{each, rust};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{Gate, LONG, eventually, fresh, lines};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_05_it_grows_then_queues_then_refuses", B, w_05_it_grows_then_queues_then_refuses),
    ("w_06_sizes_are_kept_before_during_and_after", B, w_06_sizes_are_kept_before_during_and_after),
    ("w_07_idle_workers_go_down_to_the_least_or_stay", B, w_07_idle_workers_go_down_to_the_least_or_stay),
    ("w_10_waits_and_runs_are_measured", B, w_10_waits_and_runs_are_measured),
    ("w_11_first_come_first_served_and_removal_from_the_middle", B, w_11_first_come_first_served_and_removal_from_the_middle),
    ("more_than_two_thousand_may_wait", B, more_than_two_thousand_may_wait),
    ("pause_resume_resize_and_priorities", B, pause_resume_resize_and_priorities),
};

fn w_05_it_grows_then_queues_then_refuses() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(2..=3).queue(2).when_full(WhenFull::Reject));
        let gate = Gate::closed();
        let mut tasks = Vec::new();
        // Without a pause the queue would be full before a worker is ready.
        for n in 1..=3 {
            tasks.push(rig.send("gate", gate.path()));
            rig.until_begun(n);
        }
        assert_eq!(rig.pool.stats().workers.alive, 3);
        tasks.extend((0..2).map(|_| rig.send("gate", gate.path())));
        let refused = rig.pool.submit(ask("echo", "refused")).unwrap_err();
        assert_eq!(refused.reason(), &RejectReason::Full);
        assert_eq!(refused.into_task(), ask("echo", "refused"));
        // A cancelled one counts no more.
        assert!(tasks[4].cancel());
        ended(tasks.pop().unwrap(), Outcome::Cancelled);
        tasks.push(rig.send("gate", gate.path()));
        gate.open();
        tasks.into_iter().for_each(|task| drop(value(task)));
        let report = rig.close();
        assert_eq!((report.rejected, report.outcomes.completed), (1, 5));
    });
}

fn w_06_sizes_are_kept_before_during_and_after() {
    each(|kind| {
        let (rig, gate) = (Rig::with(&kind, |pool| pool.workers(1..=3)), Gate::closed());
        let burst: Vec<_> = (0..6).map(|_| rig.send("gate", gate.path())).collect();
        rig.until_begun(3);
        assert_eq!(rig.pool.stats().workers.alive, 3, "a cold burst grows to the most");
        gate.open();
        burst.into_iter().for_each(|task| drop(value(task)));
        for restart in [Restart::rolling(), Restart::drain(), Restart::stop(), Restart::abort()] {
            rig.pool.restart(restart).wait().unwrap();
            eventually("the least is there", || rig.pool.stats().workers.idle >= 1);
        }
        rig.close();
    });
}

fn w_07_idle_workers_go_down_to_the_least_or_stay() {
    each(|kind| {
        let gate = Gate::closed();
        let shrinks = Rig::with(&kind, |pool| pool.workers(1..=3).idle_timeout(Duration::from_millis(100)));
        let stays = Rig::with(&kind, |pool| pool.workers(1..=3).no_idle_timeout());
        let tasks: Vec<_> = [&shrinks, &stays, &shrinks, &stays, &shrinks, &stays]
            .map(|rig| rig.send("gate", gate.path()))
            .into();
        shrinks.until_begun(3);
        stays.until_begun(3);
        gate.open();
        tasks.into_iter().for_each(|task| drop(value(task)));
        eventually("two have gone", || shrinks.pool.stats().workers.alive == 1);
        assert_eq!(stays.pool.stats().workers.alive, 3);
        assert_eq!(shrinks.call("echo", 1), json!(1));
        shrinks.close();
        stays.close();
    });
}

fn w_10_waits_and_runs_are_measured() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).timing(Timing::Every));
        // Twice as long as is asked for below: a busy machine reads a START late.
        let tasks: Vec<_> = (0..5).map(|_| rig.send("spin", 20)).collect();
        tasks.into_iter().for_each(|task| drop(value(task)));
        ended(rig.send("fail", "x"), Outcome::Failed);
        eventually("six are measured", || rig.pool.timings().runs.samples == 6);
        let timings = rig.pool.timings();
        assert_eq!(timings.waits.samples, 6);
        assert!(timings.runs.max >= Duration::from_millis(10), "{timings:?}");
        assert!(
            timings.waits.max >= Duration::from_millis(20),
            "the last waited for the others: {timings:?}"
        );
        let outcomes = rig.pool.outcomes();
        assert_eq!((outcomes.completed, outcomes.failed), (5, 1), "a failure is no success");
        rig.close();
        let off = Rig::with(&kind, |pool| pool.workers(1..=1).timing(Timing::Off));
        off.call("echo", 1);
        assert_eq!(off.pool.timings().runs.samples, 0);
        off.close();
    });
}

fn w_11_first_come_first_served_and_removal_from_the_middle() {
    each(|kind| {
        let (rig, notes, gate) = (Rig::new(&kind, 1..=1), fresh("notes"), Gate::closed());
        let first = rig.send("gate", gate.path());
        rig.until_begun(1);
        let tasks: Vec<_> = (0..20).map(|n| rig.send("note", json!([notes, n]))).collect();
        let middle = [7, 8, 12];
        middle.iter().for_each(|&n: &usize| assert!(tasks[n].cancel()));
        gate.open();
        value(first);
        for (n, task) in tasks.into_iter().enumerate() {
            if middle.contains(&n) {
                ended(task, Outcome::Cancelled);
            } else {
                value(task);
            }
        }
        rig.close();
        let order: Vec<String> = (0..20).filter(|n| !middle.contains(n)).map(|n| n.to_string()).collect();
        assert_eq!(lines(&notes), order);
    });
}

fn more_than_two_thousand_may_wait() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(2..=2).queue(10_000));
        let tasks = rig.pool.submit_many((0..5_000).map(|n| ask("echo", n))).unwrap();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(value(rig.note(task)), json!(n));
        }
        rig.close();
    });
}

fn pause_resume_resize_and_priorities() {
    let kind = rust();
    let (rig, notes) = (Rig::new(&kind, 1..=1), fresh("notes"));
    rig.call("echo", 1);
    rig.pool.pause();
    let mut tasks = Vec::new();
    for (priority, line) in [(Priority::Low, "low"), (Priority::Normal, "normal"), (Priority::High, "high")] {
        let task = rig.pool.task(line).priority(priority);
        tasks.push(rig.note(task.submit(ask("note", json!([notes, line]))).unwrap()));
    }
    assert_eq!((rig.pool.stats().running, rig.pool.stats().queued), (0, 3));
    rig.pool.resume();
    tasks.into_iter().for_each(|task| drop(value(task)));
    assert_eq!(lines(&notes), ["high", "normal", "low"]);
    assert_eq!(rig.pool.resize(3..=3).unwrap(), 1..=1);
    rig.pool.warm_up(3);
    eventually("three are there", || rig.pool.stats().workers.idle == 3);
    rig.pool.resize(0..=1).unwrap();
    eventually("two have gone", || rig.pool.stats().workers.alive == 1);
    assert_eq!(rig.call("echo", 2), json!(2));
    // A stop while paused hands back.
    rig.pool.pause();
    let held = rig.send("echo", 3);
    let report = rig.pool.shutdown(Shutdown::stop().within(LONG)).wait().unwrap();
    ended(held, Outcome::Returned);
    rig.audit(&report);
}
