//! Workers that die: only the task that ran is lost, the others do not notice, and the worker is replaced.

use ebbtide::process::WorkerError;
use ebbtide::{Event, Outcome};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{each, each_script};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{LONG, eventually, fresh, lines, sigkill};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_08_errors_are_of_their_task_only", B, w_08_errors_are_of_their_task_only),
    ("w_08_an_exit_in_a_task_is_of_that_task_only", B, w_08_an_exit_in_a_task_is_of_that_task_only),
    ("w_08_an_end_between_tasks_costs_no_task", B, w_08_an_end_between_tasks_costs_no_task),
    ("p_01_one_of_ten_kills_its_worker_and_nine_complete", B, p_01_one_of_ten_kills_its_worker_and_nine_complete),
    ("p_11_poison_is_stopped_after_two_workers", B, p_11_poison_is_stopped_after_two_workers),
    ("p_11_an_idempotent_task_is_tried_once_more_alone", B, p_11_an_idempotent_task_is_tried_once_more_alone),
    ("a_crash_says_how_with_the_last_words", B, a_crash_says_how_with_the_last_words),
    ("a_storm_of_foreign_kills_loses_nothing_silently", B, a_storm_of_foreign_kills_loses_nothing_silently),
};

fn w_08_errors_are_of_their_task_only() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let pid = rig.call("pid", 0);
        for tool in ["fail", "fail_later"] {
            let error = ended(rig.send(tool, "it does not fit"), Outcome::Failed);
            let told = error.failure().unwrap().downcast_ref::<WorkerError>().unwrap();
            assert_eq!(told.message, "it does not fit");
            let class = if kind.name == "node" { "RangeError" } else { "ValueError" };
            assert_eq!(told.name.rsplit(['.', ':']).next(), Some(class), "{told:?}");
            assert!(!told.retryable);
            if kind.name != "rust" {
                assert!(told.stack.contains("tools."), "{told:?}");
            }
        }
        assert_eq!(rig.call("pid", 0), pid, "an error costs no worker");
        let missing = rig.pool.task("x").function("nowhere").submit(json!(1)).unwrap();
        let error = ended(rig.note(missing), Outcome::Failed);
        assert!(error.to_string().contains("nowhere") && error.to_string().contains("hello"), "{error}");
        // An error after the task had returned is nobody's task.
        assert_eq!(rig.call("fail_after", "too late"), "returned");
        let until = rig.send("spin", 60);
        until.watch().wait(Some(LONG)).unwrap();
        eventually("it serves again", || rig.send("echo", 1).wait().is_ok_and(|echo| echo == json!(1)));
        let report = rig.pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
        rig.audit(&report);
        assert_eq!(report.outcomes.failed, 3);
    });
}

fn w_08_an_exit_in_a_task_is_of_that_task_only() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let before: Vec<_> = (0..5).map(|n| rig.send("echo", n)).collect();
        let exits = rig.send("exit", 3);
        let after: Vec<_> = (0..5).map(|n| rig.send("echo", n)).collect();
        let error = ended(exits, Outcome::Crashed);
        assert!(error.to_string().contains("exited with code 3"), "{error}");
        before.into_iter().chain(after).for_each(|task| drop(value(task)));
        let report = rig.close();
        assert_eq!((report.outcomes.crashed, report.outcomes.completed), (1, 10));
    });
}

fn w_08_an_end_between_tasks_costs_no_task() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let mut events = rig.pool.events();
        let pid = rig.call("pid", 0);
        assert_eq!(rig.call("exit_after", 4), "returned");
        let died = std::iter::from_fn(|| events.next_timeout(LONG)).find_map(|event| match event {
            Event::WorkerDied { how, .. } => Some(how),
            _ => None,
        });
        assert!(died.is_some_and(|how| how.contains("code 4")));
        assert_ne!(rig.call("pid", 0), pid);
        let report = rig.close();
        assert_eq!(report.outcomes.completed, 3);
    });
}

fn p_01_one_of_ten_kills_its_worker_and_nine_complete() {
    each(|kind| {
        let (rig, notes) = (Rig::new(&kind, 2..=2), fresh("notes"));
        let tasks: Vec<_> = (0..10)
            .map(|n| if n == 4 { rig.send("kill", 0) } else { rig.send("note", json!([notes, n])) })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            if n == 4 {
                let error = ended(task, Outcome::Crashed);
                assert!(error.to_string().contains("signal 9"), "{error}");
            } else {
                assert_eq!(value(task), json!(n));
            }
        }
        rig.close();
        let mut ran = lines(&notes);
        ran.sort();
        assert_eq!(ran, ["0", "1", "2", "3", "5", "6", "7", "8", "9"], "each of them once");
    });
}

fn p_11_poison_is_stopped_after_two_workers() {
    each(|kind| {
        let rig = Rig::new(&kind, 2..=2);
        let mut events = rig.pool.events();
        let poison = rig.pool.task("poison").idempotent().submit(ask("kill", 0)).unwrap();
        let poison = rig.note(poison);
        let others: Vec<_> = (0..30).map(|n| rig.send("echo", n)).collect();
        let id = poison.id();
        ended(poison, Outcome::Crashed);
        for (n, task) in others.into_iter().enumerate() {
            assert_eq!(value(task), json!(n));
        }
        rig.close();
        let mut attempts = Vec::new();
        while let Some(event) = events.try_next() {
            if let Event::TaskQuarantined { task, attempt } = event {
                attempts.push((task, attempt));
            }
        }
        assert_eq!(attempts, [(id, 2)]);
    });
}

fn p_11_an_idempotent_task_is_tried_once_more_alone() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let again = rig.pool.task("again").idempotent().submit(ask("kill_first", 0)).unwrap();
        assert_eq!(value(rig.note(again)), json!(2));
        // One that did not say so is not.
        ended(rig.send("kill_first", 0), Outcome::Crashed);
        // Not after a timeout: that was no accident.
        let keyed = rig.pool.task("keyed").key("order 7").idempotent().submit(ask("attempt", 0)).unwrap();
        assert_eq!(value(rig.note(keyed)), json!([1, "order 7"]));
        let report = rig.close();
        assert_eq!((report.outcomes.completed, report.outcomes.crashed), (2, 1));
    });
}

fn a_crash_says_how_with_the_last_words() {
    each_script(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        rig.call("say", "goodbye, world");
        let error = ended(rig.send("exit", 9), Outcome::Crashed);
        assert!(error.to_string().contains("code 9"), "{error}");
        assert!(error.to_string().contains("goodbye, world"), "{error}");
        rig.close();
    });
}

fn a_storm_of_foreign_kills_loses_nothing_silently() {
    each(|kind| {
        let (rig, notes) = (Rig::new(&kind, 2..=2), fresh("notes"));
        let kills = if crate::tools::long() { 60 } else { 8 };
        let mut tasks = Vec::new();
        for n in 0..kills {
            let pid = rig.send("pid", 0);
            pid.watch().wait(Some(LONG)).unwrap();
            tasks.extend((0..20).map(|m| rig.send("note", json!([notes, n * 20 + m]))));
            // It may have ended for another reason: then nobody is hit.
            if let Some(Ok(pid)) = { pid }.try_take()
                && crate::tools::is_alive(i32::try_from(pid.as_u64().unwrap()).unwrap())
            {
                sigkill(u32::try_from(pid.as_u64().unwrap()).unwrap());
            }
        }
        let (mut completed, mut crashed) = (Vec::new(), 0);
        for task in tasks {
            match task.wait() {
                Ok(n) => completed.push(n.to_string()),
                Err(ebbtide::WaitError::Task(error)) if error.outcome() == Outcome::Crashed => crashed += 1,
                other => panic!("{other:?}"),
            }
        }
        rig.close();
        let ran = lines(&notes);
        let distinct: std::collections::BTreeSet<_> = ran.iter().collect();
        assert_eq!(distinct.len(), ran.len(), "none ran twice");
        assert!(completed.iter().all(|n| distinct.contains(n)), "what completed has run");
        assert!(ran.len() - completed.len() <= crashed, "{} ran, {} completed", ran.len(), completed.len());
    });
}
