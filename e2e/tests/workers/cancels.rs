//! Cancels and timeouts: who obeys keeps its worker, who does not loses it, and nobody else is touched.

use std::time::Duration;

use ebbtide::{CancelReason, CancelToken, Outcome};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{each, each_script};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{Gate, LONG, fresh, lines, now, pause};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_04_running_queued_and_ended_tasks_are_cancelled", B, w_04_running_queued_and_ended_tasks_are_cancelled),
    ("w_04_the_reason_reaches_the_task", B, w_04_the_reason_reaches_the_task),
    ("p_12_a_busy_loop_past_its_timeout_is_killed", B, p_12_a_busy_loop_past_its_timeout_is_killed),
    ("p_12_one_that_ignores_sigterm_is_killed", B, p_12_one_that_ignores_sigterm_is_killed),
    ("p_13_a_cancel_that_is_honoured_keeps_the_worker", B, p_13_a_cancel_that_is_honoured_keeps_the_worker),
    ("a_timeout_that_is_honoured_is_timed_out", B, a_timeout_that_is_honoured_is_timed_out),
    ("a_timeout_counts_from_the_start", B, a_timeout_counts_from_the_start),
    ("a_task_sent_ahead_is_cancelled_and_never_begins", B, a_task_sent_ahead_is_cancelled_and_never_begins),
    ("a_task_whose_deadline_has_passed_is_never_sent", B, a_task_whose_deadline_has_passed_is_never_sent),
    ("a_deaf_task_that_returns_in_time_is_completed", B, a_deaf_task_that_returns_in_time_is_completed),
};

fn w_04_running_queued_and_ended_tasks_are_cancelled() {
    each(|kind| {
        let (rig, gate, token) = (Rig::new(&kind, 2..=2), Gate::closed(), CancelToken::new());
        let task = |name: &str| rig.pool.task(name.to_owned()).cancelled_by(&token);
        let running: Vec<_> =
            (0..2).map(|_| rig.note(task("running").submit(ask("gate", gate.path())).unwrap())).collect();
        rig.until_begun(2);
        let queued: Vec<_> = (0..8).map(|n| rig.send("echo", n)).collect();
        // From many threads at once, each of them twice. Those that run last: a worker that is free would take one that is not cancelled yet.
        for handles in [&queued, &running] {
            std::thread::scope(|scope| {
                for handle in handles.iter().chain(handles) {
                    scope.spawn(move || handle.cancel_with("no longer wanted"));
                }
            });
        }
        token.cancel();
        for handle in queued.into_iter().chain(running) {
            assert!(!handle.cancel(), "it was asked before");
            let error = ended(handle, Outcome::Cancelled);
            assert!(error.to_string().contains("no longer wanted"), "{error}");
        }
        // A cancel does not leak into what runs next.
        for n in 0..8 {
            assert_eq!(rig.call("echo", n), json!(n));
        }
        let ended = rig.send("echo", "x");
        ended.watch().wait(Some(LONG)).unwrap();
        assert!(!ended.cancel());
        assert_eq!(value(ended), "x");
        rig.close();
    });
}

fn w_04_the_reason_reaches_the_task() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let task = rig.send("why", gate.path());
        rig.until_begun(1);
        assert!(task.cancel_with("tea is ready"));
        // It looked, and returned a value all the same: the truth counts.
        let seen = value(task);
        assert!(seen.as_str().unwrap().contains("tea is ready"), "{seen}");
        rig.close();
    });
}

fn p_12_a_busy_loop_past_its_timeout_is_killed() {
    each(|kind| {
        let grace = Duration::from_millis(300);
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).warm().grace(grace));
        let pid = rig.call("pid", 0);
        let task = rig.pool.task("busy").timeout(Duration::from_millis(200));
        let (begun, busy) = (now(), rig.note(task.submit(ask("busy", 0)).unwrap()));
        let behind = rig.send("echo", "behind");
        let error = ended(busy, Outcome::Killed);
        assert!(error.to_string().contains("timeout"), "{error}");
        let took = begun.elapsed();
        // At half its grace it gets SIGTERM; the bound above is only against hangs.
        assert!(took >= Duration::from_millis(200) + grace / 2, "{took:?}");
        assert!(took < LONG / 4, "{took:?}");
        assert_eq!(value(behind), "behind");
        assert_ne!(rig.call("pid", 0), pid);
        rig.close();
    });
}

fn p_12_one_that_ignores_sigterm_is_killed() {
    each_script(|kind| {
        // Long enough for a busy machine to begin it: what its cancel overtakes does not begin, and obeys.
        let (grace, limit) = (Duration::from_millis(300), Duration::from_secs(1));
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).warm().grace(grace));
        let task = rig.pool.task("stubborn").timeout(limit);
        let (begun, busy) = (now(), rig.note(task.submit(ask("stubborn", 0)).unwrap()));
        let error = ended(busy, Outcome::Killed);
        assert!(error.to_string().contains("timeout"), "{error}");
        let took = begun.elapsed();
        assert!(took >= limit + grace && took < LONG / 4, "{took:?}");
        assert_eq!(rig.call("echo", 1), json!(1));
        rig.close();
    });
}

fn p_13_a_cancel_that_is_honoured_keeps_the_worker() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let pid = rig.call("pid", 0);
        for _ in 0..5 {
            let task = rig.send("gate", gate.path());
            rig.until_begun(1);
            assert!(task.cancel());
            ended(task, Outcome::Cancelled);
        }
        assert_eq!(rig.call("pid", 0), pid);
        let report = rig.close();
        assert_eq!((report.outcomes.cancelled, report.outcomes.completed), (5, 2));
    });
}

fn a_timeout_that_is_honoured_is_timed_out() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let pid = rig.call("pid", 0);
        let task = rig.pool.task("slow").timeout(Duration::from_millis(50));
        let error = ended(rig.note(task.submit(ask("gate", gate.path())).unwrap()), Outcome::TimedOut);
        assert_eq!(error.cancel_reason(), Some(&CancelReason::Timeout));
        assert_eq!(rig.call("pid", 0), pid);
        // A deadline counts from the submit: this one passes in the queue, and its body never begins.
        let (notes, busy) = (fresh("notes"), rig.send("gate", gate.path()));
        rig.until_begun(1);
        let late = rig.pool.task("late").deadline(Duration::from_millis(30));
        let late = rig.note(late.submit(ask("note", json!([notes, "late"]))).unwrap());
        ended(late, Outcome::TimedOut);
        gate.open();
        value(busy);
        rig.close();
        assert_eq!(lines(&notes), Vec::<String>::new());
    });
}

fn a_timeout_counts_from_the_start() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        // Together they take far longer than one may; none of them alone does.
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let task = rig.pool.task("short").timeout(Duration::from_millis(700));
                rig.note(task.submit(ask("spin", 100)).unwrap())
            })
            .collect();
        tasks.into_iter().for_each(|task| drop(value(task)));
        rig.close();
    });
}

fn a_task_sent_ahead_is_cancelled_and_never_begins() {
    each(|kind| {
        let (rig, gate, notes) = (Rig::new(&kind, 1..=1), Gate::closed(), fresh("notes"));
        // Short tasks, so that more are sent ahead.
        for n in 0..40 {
            rig.call("echo", n);
        }
        let long = rig.send("gate", gate.path());
        let ahead: Vec<_> = (0..6).map(|n| rig.send("note", json!([notes, n]))).collect();
        for (n, task) in ahead.iter().enumerate() {
            if n % 2 == 0 {
                assert!(task.cancel());
            }
        }
        // A cancel is a message, and counts before a start if it has come by then: a thread of the pool that was just writing on a busy
        // machine has it to write, too.
        pause(Duration::from_millis(200));
        gate.open();
        value(long);
        for (n, task) in ahead.into_iter().enumerate() {
            if n % 2 == 0 {
                ended(task, Outcome::Cancelled);
            } else {
                value(task);
            }
        }
        rig.close();
        assert_eq!(lines(&notes), ["1", "3", "5"]);
    });
}

fn a_deaf_task_that_returns_in_time_is_completed() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let task = rig.send("deaf", gate.path());
        rig.until_begun(1);
        assert!(task.cancel());
        gate.open();
        assert_eq!(value(task), gate.path());
        rig.close();
    });
}

fn a_task_whose_deadline_has_passed_is_never_sent() {
    each(|kind| {
        let (rig, notes) = (Rig::new(&kind, 2..=2), fresh("notes"));
        let late = |n| rig.pool.task("late").deadline(Duration::ZERO).submit(ask("note", json!([notes, n])));
        let tasks: Vec<_> = (0..200).map(|n| rig.note(late(n).unwrap())).collect();
        tasks.into_iter().for_each(|task| drop(ended(task, Outcome::TimedOut)));
        assert!(!notes.exists(), "{:?}", lines(&notes));
        assert_eq!(rig.close().outcomes.timed_out, 200);
    });
}
