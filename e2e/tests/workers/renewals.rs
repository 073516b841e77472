//! Renewal under load: retirements with jitter, rolling restarts, and what workers have learnt.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ebbtide::{Event, Outcome, Restart, Retirement};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{Kind, each, node, python, rust};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{LONG, descriptors, eventually, fresh, lines, long, pause, status};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("p_09_workers_retire_one_after_the_other_and_lose_nothing", B, p_09_workers_retire_one_after_the_other_and_lose_nothing),
    ("p_09_an_age_retires_idle_workers_too", B, p_09_an_age_retires_idle_workers_too),
    ("p_15_rolling_restarts_under_load_lose_nothing", B, p_15_rolling_restarts_under_load_lose_nothing),
    ("a_snapshot_is_handed_to_the_replacement", B, a_snapshot_is_handed_to_the_replacement),
    ("a_snapshot_is_kept_over_a_restart_of_the_pool", B, a_snapshot_is_kept_over_a_restart_of_the_pool),
    ("a_kept_snapshot_that_is_rubbish_is_told", B, a_kept_snapshot_that_is_rubbish_is_told),
};

fn p_09_workers_retire_one_after_the_other_and_lose_nothing() {
    each(|kind| {
        let notes = fresh("notes");
        let rig = Rig::with(&kind, |pool| {
            pool.workers(4..=4).retire(Retirement::new().after_tasks(12).jitter(0.5))
        });
        let mut events = rig.pool.events();
        let mut tasks: u64 = 0;
        let mut ended: BTreeMap<u64, usize> = BTreeMap::new();
        // Until eight have gone by themselves.
        while ended.values().sum::<usize>() < 8 {
            let some: Vec<_> = (0..20).map(|n| rig.send("note", json!([notes, n]))).collect();
            some.into_iter().for_each(|task| drop(value(task)));
            tasks += 20;
            assert!(rig.pool.stats().workers.alive >= 4, "{:?}", rig.pool.stats());
            while let Some(event) = events.try_next() {
                match event {
                    Event::WorkerEnded { tasks, .. } => *ended.entry(tasks).or_default() += 1,
                    Event::WorkerDied { how, .. } => panic!("{how}"),
                    _ => {}
                }
            }
            assert!(tasks < 100_000, "{ended:?}");
            pause(Duration::from_millis(2));
        }
        assert!(ended.keys().all(|&tasks| tasks >= 6), "none before the least of its limit: {ended:?}");
        assert!(ended.len() >= 2, "not all at the same number: {ended:?}");
        let report = rig.close();
        assert_eq!((report.outcomes.completed, lines(&notes).len() as u64), (tasks, tasks));
    });
}

fn p_09_an_age_retires_idle_workers_too() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| {
            pool.workers(2..=2).warm().retire(Retirement::new().older_than(Duration::from_millis(400)))
        });
        let pid = rig.call("pid", 0);
        eventually("four more have started", || rig.pool.stats().workers.started >= 6);
        assert_ne!(rig.call("pid", 0), pid);
        rig.close();
    });
}

fn p_15_rolling_restarts_under_load_lose_nothing() {
    for (kind, short) in [(rust(), 60), (node(), 8), (python(), 12)] {
        restart_under_load(&kind, if long() { 200 } else { short });
    }
}

fn restart_under_load(kind: &Kind, restarts: usize) {
    let rig = Rig::with(kind, |pool| pool.workers(2..=2).warm().queue(64));
    let notes = fresh("notes");
    let stop = AtomicBool::new(false);
    let mut marks = Vec::new();
    let sent: Vec<u64> = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = Vec::new();
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // The first of each handful is long enough for others to wait behind it.
                let tool = if n % 50 == 0 { "spin" } else { "echo" };
                drop(rig.send(tool, 5));
                if n % 7 == 0 {
                    drop(rig.send("note", json!([notes, n])));
                    sent.push(n);
                }
                // A third of the machine is left for those that start.
                pause(Duration::from_micros(300));
            }
            sent
        });
        for n in 0..restarts {
            let report = rig.pool.restart(Restart::rolling()).wait().unwrap();
            assert!(report.is_clean(), "{n}: {report}");
            if n == restarts / 4 || n + 1 == restarts {
                marks.push((descriptors(), status("self", "Threads"), status("self", "VmRSS")));
            }
        }
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    let (early, late) = (marks[0], marks[1]);
    // A restart that is over may still be closing the last of its descriptors; a leak would have grown with their number.
    assert!(late.0 <= early.0 + 12 && late.1 <= early.1 + 4, "{early:?} {late:?}");
    assert!(late.2 <= early.2 + (24 << 10), "KiB: {early:?} {late:?}");
    let workers = rig.pool.stats().workers;
    assert!(workers.started as usize >= 2 * restarts && workers.alive <= 4, "{workers:?}");
    let report = rig.close();
    assert_eq!(report.outcomes.total(), report.outcomes.completed, "{report}");
    let mut ran: Vec<u64> = lines(&notes).iter().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, sent, "each once");
}

fn a_snapshot_is_handed_to_the_replacement() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).snapshots());
        assert_eq!(rig.call("count", 5), json!(5));
        for n in 0..3 {
            let pid = rig.call("pid", 0);
            rig.pool.restart(Restart::rolling()).wait().unwrap();
            assert_eq!(rig.call("count", 1), json!(6 + n));
            assert_ne!(rig.call("pid", 0), pid);
        }
        // Not after a crash: what it knew may be what killed it.
        ended(rig.send("kill", 0), Outcome::Crashed);
        assert_eq!(rig.call("count", 1), json!(1));
        rig.close();
        let without = Rig::new(&kind, 1..=1);
        without.call("count", 5);
        without.pool.restart(Restart::rolling()).wait().unwrap();
        assert_eq!(without.call("count", 1), json!(1), "only where that is wanted");
        without.close();
    });
}

fn a_snapshot_is_kept_over_a_restart_of_the_pool() {
    each(|kind| {
        let directory = fresh("state");
        let open = || Rig::with(&kind, |pool| pool.name("a/counter").workers(1..=1).state_dir(&directory));
        for round in 1..=3 {
            let rig = open();
            assert_eq!(rig.call("count", 10), json!(10 * round));
            rig.close();
        }
        let rig = open();
        assert_eq!(rig.call("count", 1), json!(31));
        rig.pool.restart(Restart::rolling()).wait().unwrap();
        assert_eq!(rig.call("count", 1), json!(32));
        // A crash loses what was learnt since it was last kept, and no more.
        ended(rig.send("kill", 0), Outcome::Crashed);
        assert_eq!(rig.call("count", 1), json!(32));
        rig.close();
        let files: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["a_counter.snapshot"], "whole or not at all");
    });
}

fn a_kept_snapshot_that_is_rubbish_is_told() {
    each(|kind| {
        let directory = fresh("state");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("pool.snapshot"), "rubbish").unwrap();
        let rig =
            Rig::with(&kind, |pool| pool.workers(1..=1).state_dir(&directory).restart_intensity(1, LONG));
        // Nobody waits for ever: it is the cause of a broken pool, or it was left out.
        let task = rig.note(rig.pool.submit(ask("count", 1)).unwrap());
        match task.wait() {
            Ok(count) => assert_eq!(count, json!(1)),
            Err(error) => assert!(error.to_string().contains("broken"), "{error}"),
        }
        rig.close();
    });
}
