//! The ways to submit and to wait, the same on pools of processes as on threads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ebbtide::{Completions, FirstError, Outcome, WhenFull, join_all};
use serde_json::{Value, json};

use crate::alone::{B, Test};
use crate::kinds::each;
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{Gate, LONG, file, lines};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("many_are_submitted_in_order", B, many_are_submitted_in_order),
    ("the_first_success_is_taken_and_the_others_are_asked_to_end", B, the_first_success_is_taken_and_the_others_are_asked_to_end),
    ("completions_come_as_they_end", B, completions_come_as_they_end),
    ("handles_are_futures", B, handles_are_futures),
    ("a_decorator_wraps_every_request", B, a_decorator_wraps_every_request),
    ("submitters_and_executes", B, submitters_and_executes),
    ("the_oldest_is_shed", B, the_oldest_is_shed),
    ("asynchronous_workers_run_several_at_a_time", B, asynchronous_workers_run_several_at_a_time),
};

fn many_are_submitted_in_order() {
    each(|kind| {
        let rig = Rig::new(&kind, 2..=2);
        let tasks = rig.pool.submit_many((0..300).map(|n| ask("echo", n))).unwrap();
        let tasks: Vec<_> = tasks.into_iter().map(|task| rig.note(task)).collect();
        let results = join_all(tasks, Some(LONG)).unwrap();
        for (n, result) in results.into_iter().enumerate() {
            assert_eq!(result.unwrap(), json!(n));
        }
        rig.close();
    });
}

fn the_first_success_is_taken_and_the_others_are_asked_to_end() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 3..=3), Gate::closed());
        let requests = [ask("gate", gate.path()), ask("fail", "no"), ask("echo", "first")];
        assert_eq!(rig.pool.first_success(requests, Some(LONG)).unwrap(), "first");
        let failing = rig.pool.first_success([ask("fail", "one"), ask("fail", "two")], Some(LONG));
        let Err(FirstError::AllFailed(last)) = failing else { panic!("{failing:?}") };
        assert!(last.is_failed());
        let report = rig.pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
        assert!(report.law_holds(), "{report}");
        // Of the first three the one that fails may have failed before the first success, or be cancelled for it.
        let asked = report.outcomes.cancelled;
        assert_eq!((report.accepted, report.outcomes.completed, report.outcomes.failed + asked), (5, 1, 4));
        assert!((1..=2).contains(&asked), "{report}");
    });
}

fn completions_come_as_they_end() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 2..=2), Gate::closed());
        let all = Completions::new();
        let last = rig.send("gate", gate.path());
        let last_id = last.id();
        all.push(last);
        rig.until_begun(1);
        let mut ids: BTreeSet<_> = (0..10)
            .map(|n| {
                let task = rig.send(if n == 5 { "fail" } else { "echo" }, "x");
                let id = task.id();
                all.push(task);
                id
            })
            .collect();
        all.close();
        for _ in 0..10 {
            let next = all.take_timeout(LONG).unwrap();
            assert!(ids.remove(&next.id), "{:?} came twice", next.id);
        }
        gate.open();
        assert_eq!(all.take_timeout(LONG).unwrap().id, last_id);
        assert!(all.take().is_none());
        rig.close();
    });
}

fn handles_are_futures() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(2..=2).queue(2));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for n in 0..50 {
                let tasks: Vec<_> =
                    [rig.pool.submit_async(ask("echo", n)), rig.pool.submit_async(ask("echo", n))].into();
                for task in tasks {
                    let task = rig.note(task.await.unwrap());
                    assert_eq!(tokio::time::timeout(LONG, task).await.unwrap().unwrap(), json!(n));
                }
            }
        });
        rig.close();
    });
}

fn a_decorator_wraps_every_request() {
    each(|kind| {
        let (made, ran) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (makes, runs) = (Arc::clone(&made), Arc::clone(&ran));
        let rig = Rig::with(&kind, |pool| {
            pool.workers(1..=1).decorate(move |_| {
                makes.fetch_add(1, Ordering::Relaxed);
                let runs = Arc::clone(&runs);
                Box::new(move |body| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    body();
                })
            })
        });
        let tasks: Vec<_> = (0..20).map(|n| rig.send("echo", n)).collect();
        tasks.into_iter().for_each(|task| drop(value(task)));
        rig.close();
        assert_eq!((made.load(Ordering::Relaxed), ran.load(Ordering::Relaxed)), (20, 20));
    });
}

fn submitters_and_executes() {
    each(|kind| {
        let (rig, notes) = (Rig::new(&kind, 1..=1), file("notes", ""));
        let submitter = rig.pool.submitter();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let submitter = submitter.clone();
                let notes = &notes;
                scope.spawn(move || {
                    submitter.execute(ask("note", json!([notes, n]))).unwrap();
                });
            }
        });
        let after = rig.pool.submit(ask("echo", 1)).unwrap();
        assert_eq!(value(after), json!(1));
        let report = rig.pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
        assert_eq!((report.accepted, report.outcomes.completed), (5, 5));
        assert!(submitter.submit(ask("echo", 1)).is_err());
        assert_eq!(lines(&notes).len(), 4);
    });
}

fn the_oldest_is_shed() {
    each(|kind| {
        let gate = Gate::closed();
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).queue(2).when_full(WhenFull::ShedOldest));
        let runs = rig.send("gate", gate.path());
        rig.until_begun(1);
        let tasks: Vec<_> = (0..4).map(|n| rig.send("echo", n)).collect();
        gate.open();
        value(runs);
        for (n, task) in tasks.into_iter().enumerate() {
            if n < 2 {
                ended(task, Outcome::Cancelled);
            } else {
                assert_eq!(value(task), json!(n));
            }
        }
        rig.close();
    });
}

fn asynchronous_workers_run_several_at_a_time() {
    let js = file(
        "meet.js",
        "let here = 0; module.exports = async (n) => { here += 1; while (here < n) await new Promise((done) => setTimeout(done, 2)); return here; };",
    );
    let py = file(
        "meet.py",
        "import asyncio\nhere = 0\nasync def f(n):\n    global here\n    here += 1\n    while here < n:\n        await asyncio.sleep(0.002)\n    return here\n",
    );
    let commands =
        [ebbtide::WorkerCommand::node(js), ebbtide::WorkerCommand::python(format!("{}:f", py.display()))];
    for command in commands {
        let pool =
            ebbtide::Pool::processes(command.concurrency(4)).workers(1..=1).build::<u64, Value>().unwrap();
        // They wait for each other: one at a time would never end.
        let tasks: Vec<_> = (0..4).map(|_| pool.submit(4).unwrap()).collect();
        tasks.into_iter().for_each(|task| drop(value(task)));
        let report =
            pool.shutdown(ebbtide::Shutdown::drain().within(Duration::from_secs(20))).wait().unwrap();
        assert_eq!(report.outcomes.completed, 4);
    }
}
