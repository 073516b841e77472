//! Restarts: nothing that waits is lost, whoever is forced is replaced, and the pool is as it was.

use std::time::Duration;

use ebbtide::{Outcome, RejectReason, Restart};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{each, node};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{Gate, LONG, file};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_01_restart_drain_finishes_all_that_waits", B, w_01_restart_drain_finishes_all_that_waits),
    ("w_02_restart_stop_returns_what_has_not_begun", B, w_02_restart_stop_returns_what_has_not_begun),
    ("a_restart_whose_new_workers_do_not_start_says_so", B, a_restart_whose_new_workers_do_not_start_says_so),
    ("w_03_restart_abort_ends_a_busy_loop_and_nothing_comes_back_to_life", B, w_03_restart_abort_ends_a_busy_loop_and_nothing_comes_back_to_life),
};

fn w_01_restart_drain_finishes_all_that_waits() {
    each(|kind| {
        for (min, max) in [(0, 1), (1, 1), (2, 2), (0, 4), (4, 4), (8, 8)] {
            for waiting in [0, 40] {
                let cold = Rig::with(&kind, |pool| pool.workers(min..=max));
                let tasks: Vec<_> = (0..waiting).map(|n| cold.send("echo", n)).collect();
                let report = cold.pool.restart(Restart::drain().within(LONG)).wait().unwrap();
                assert!(report.is_clean(), "{report}");
                for (n, task) in tasks.into_iter().enumerate() {
                    assert_eq!(task.outcome(), Some(Outcome::Completed));
                    assert_eq!(value(task), json!(n));
                }
                assert_eq!(cold.call("echo", "after"), "after");
                cold.close();
            }
        }
    });
}

fn w_02_restart_stop_returns_what_has_not_begun() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 2..=2), Gate::closed());
        let running: Vec<_> = (0..2).map(|_| rig.send("gate", gate.path())).collect();
        rig.until_begun(2);
        let waiting: Vec<_> = (0..10).map(|n| rig.send("echo", n)).collect();
        let restart = rig.pool.restart(Restart::stop().within(LONG));
        let later = rig.send("echo", "later");
        waiting.into_iter().for_each(|task| drop(ended(task, Outcome::Returned)));
        gate.open();
        running.into_iter().for_each(|task| assert_eq!(value(task), gate.path()));
        assert!(restart.wait().unwrap().is_clean());
        assert_eq!(value(later), "later");
        assert_eq!(rig.pool.take_returned().len(), 10);
        rig.close();
    });
}

fn w_03_restart_abort_ends_a_busy_loop_and_nothing_comes_back_to_life() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).grace(Duration::from_millis(200)));
        let busy = rig.send("busy", 0);
        rig.until_begun(1);
        let waiting = rig.send("echo", "never");
        let (one, other) = (rig.pool.restart(Restart::abort()), rig.pool.restart(Restart::abort()));
        let error = ended(busy, Outcome::Killed);
        assert!(error.to_string().contains("abort"), "{error}");
        ended(waiting, Outcome::Returned);
        one.wait().unwrap();
        other.wait().unwrap();
        assert_eq!(rig.call("echo", "alive"), "alive");
        assert_eq!(rig.pool.take_returned().len(), 1);
        let report = rig.close();
        assert_eq!((report.outcomes.killed, report.outcomes.completed), (1, 1));
    });
}

/// The file of the worker is spoilt while it serves: the restart that would load it says what is wrong with it, and so does the pool.
fn a_restart_whose_new_workers_do_not_start_says_so() {
    for restart in [Restart::drain(), Restart::stop(), Restart::abort()] {
        let good = "module.exports = request => request[1];";
        let script = file("spoilt.js", good);
        let kind = node();
        let command = ebbtide::WorkerCommand::node(&script);
        let rig =
            Rig::with(&kind.with(|_| command), |pool| pool.workers(2..=2).warm().restart_intensity(2, LONG));
        assert_eq!(rig.call("echo", 1), json!(1));
        std::fs::write(&script, "module.exports = request =>").unwrap();
        let report = rig.pool.restart(restart.within(LONG)).wait().unwrap();
        let why = report.failed.clone().unwrap_or_default();
        assert!(why.contains("SyntaxError"), "{report}");
        let refused = rig.pool.submit(ask("echo", 1)).unwrap_err();
        assert!(
            matches!(refused.reason(), RejectReason::Broken(cause) if cause.contains("SyntaxError")),
            "{refused}"
        );
        std::fs::write(&script, good).unwrap();
        let report = rig.pool.restart(restart.within(LONG)).wait().unwrap();
        assert!(report.failed.is_none(), "{report}");
        assert_eq!(rig.call("echo", 2), json!(2));
        rig.close();
    }
}
