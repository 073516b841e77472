//! Stops: what was sent ahead comes back, what is just starting ends, and a pool that is dropped finishes.

use std::time::Duration;

use ebbtide::{Outcome, Pool, ReturnReason, Shutdown};
use serde_json::{Value, json};

use crate::alone::{B, Test};
use crate::kinds::{each, rogue, rust};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{Gate, LONG, eventually, fresh, lines, mark, marked};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("stop_returns_what_was_sent_ahead_and_it_runs_elsewhere", B, stop_returns_what_was_sent_ahead_and_it_runs_elsewhere),
    ("drain_finishes_what_was_sent_ahead", B, drain_finishes_what_was_sent_ahead),
    ("an_abort_ends_workers_that_are_still_starting", B, an_abort_ends_workers_that_are_still_starting),
    ("a_shutdown_while_workers_start_drains", B, a_shutdown_while_workers_start_drains),
    ("a_pool_that_is_dropped_finishes_its_work", B, a_pool_that_is_dropped_finishes_its_work),
    ("abort_ends_who_obeys_and_who_does_not", B, abort_ends_who_obeys_and_who_does_not),
    ("a_drain_that_takes_too_long_becomes_an_abort", B, a_drain_that_takes_too_long_becomes_an_abort),
    ("endings_at_any_moment_keep_the_law", B, endings_at_any_moment_keep_the_law),
};

fn stop_returns_what_was_sent_ahead_and_it_runs_elsewhere() {
    each(|kind| {
        let (rig, gate, notes) = (Rig::new(&kind, 1..=1), Gate::closed(), fresh("notes"));
        for n in 0..100 {
            rig.call("echo", n);
        }
        let first = rig.send("gate", gate.path());
        let ahead: Vec<_> = (0..10).map(|n| rig.send("note", json!([notes, n]))).collect();
        rig.until_begun(1);
        let stopping = rig.pool.shutdown(Shutdown::stop().within(LONG));
        for task in ahead {
            let error = ended(task, Outcome::Returned);
            assert_eq!(error.return_reason(), Some(&ReturnReason::PoolStopped));
        }
        gate.open();
        assert_eq!(value(first), gate.path());
        let report = stopping.wait().unwrap();
        rig.audit(&report);
        let back = rig.pool.take_returned();
        assert_eq!((back.len(), rig.pool.take_returned().len()), (10, 0), "each leaves once");
        assert_eq!(lines(&notes), Vec::<String>::new());
        // They are requests still, and another pool runs them, in their order.
        let next = Rig::new(&kind, 1..=1);
        let again: Vec<_> =
            back.into_iter().map(|task| next.note(next.pool.resubmit(task).unwrap())).collect();
        again.into_iter().for_each(value);
        next.close();
        assert_eq!(lines(&notes), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}

fn drain_finishes_what_was_sent_ahead() {
    each(|kind| {
        let (rig, gate, notes) = (Rig::new(&kind, 2..=2), Gate::closed(), fresh("notes"));
        let first = rig.send("gate", gate.path());
        rig.until_begun(1);
        let rest: Vec<_> = (0..50).map(|n| rig.send("note", json!([notes, n]))).collect();
        let stopping = rig.pool.shutdown(Shutdown::drain().within(LONG));
        assert!(rig.pool.submit(ask("echo", 1)).is_err());
        gate.open();
        rest.into_iter().chain([first]).for_each(|task| drop(value(task)));
        rig.audit(&stopping.wait().unwrap());
        assert_eq!(lines(&notes).len(), 50);
    });
}

fn an_abort_ends_workers_that_are_still_starting() {
    for fault in ["silent", "no-ready"] {
        let rig = Rig::new(&rogue(fault), 2..=2);
        let waiting = rig.send("echo", 1);
        eventually("two processes are there", || marked(&mark()).len() >= 2);
        let report = rig.pool.shutdown(Shutdown::abort().grace(Duration::from_millis(200))).wait().unwrap();
        ended(waiting, Outcome::Returned);
        assert!(report.duration < LONG / 4, "the start's own time-out is not waited for: {report}");
        rig.audit(&report);
    }
}

fn a_shutdown_while_workers_start_drains() {
    each(|kind| {
        for _ in 0..5 {
            let rig = Rig::new(&kind, 2..=2);
            let task = rig.send("echo", 1);
            let report = rig.close();
            assert_eq!(value(task), json!(1));
            assert_eq!(report.outcomes.completed, 1);
        }
    });
}

fn a_pool_that_is_dropped_finishes_its_work() {
    each(|kind| {
        let notes = fresh("notes");
        let pool = Pool::processes(kind.command).workers(1..=2).build::<Value, Value>().unwrap();
        let tasks: Vec<_> = (0..20).map(|n| pool.submit(ask("note", json!([notes, n]))).unwrap()).collect();
        drop(pool);
        tasks.into_iter().for_each(|task| drop(value(task)));
        assert_eq!(lines(&notes).len(), 20);
        eventually("its workers have gone", || marked(&mark()).is_empty());
    });
}

fn abort_ends_who_obeys_and_who_does_not() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 2..=2), Gate::closed());
        let (obeys, busy) = (rig.send("gate", gate.path()), rig.send("busy", 0));
        rig.until_begun(2);
        let waiting = rig.send("echo", 1);
        let report = rig.pool.shutdown(Shutdown::abort().grace(Duration::from_millis(300))).wait().unwrap();
        ended(obeys, Outcome::Cancelled);
        ended(busy, Outcome::Killed);
        ended(waiting, Outcome::Returned);
        assert!(report.abandoned().next().is_none(), "{report}");
        rig.audit(&report);
    });
}

fn a_drain_that_takes_too_long_becomes_an_abort() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let (busy, waiting) = (rig.send("busy", 0), rig.send("echo", 1));
        rig.until_begun(1);
        let drain = Shutdown::drain().within(Duration::from_secs(2)).grace(Duration::from_millis(200));
        let report = rig.pool.shutdown(drain).wait().unwrap();
        ended(busy, Outcome::Killed);
        ended(waiting, Outcome::Returned);
        assert!(report.duration < LONG / 4, "{report}");
        rig.audit(&report);
    });
}

/// Submitters at work while the pool ends in every way, at a moment that moves.
fn endings_at_any_moment_keep_the_law() {
    let rounds = if crate::tools::long() { 300 } else { 40 };
    for round in 0..rounds {
        let rig = Rig::new(&rust(), 2..=2);
        let ending = match round % 3 {
            0 => Shutdown::drain(),
            1 => Shutdown::stop(),
            _ => Shutdown::abort().grace(Duration::from_millis(200)),
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Ok(task) = rig.pool.submit(ask("echo", round)) {
                        drop(rig.note(task));
                    }
                });
            }
            eventually("some are through", || rig.pool.outcomes().completed >= round * 20);
            rig.pool.shutdown(ending).wait().unwrap();
        });
        let report = rig.pool.shutdown(ending).wait().unwrap();
        rig.audit(&report);
        assert_eq!(report.outcomes.failed + report.outcomes.crashed, 0, "{report}");
        assert_eq!(rig.pool.take_returned().len() as u64, report.outcomes.returned);
    }
}
