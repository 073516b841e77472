//! Memory of workers: retired above the soft limit, killed above the hard one, and never the pool.

use std::time::Duration;

use ebbtide::{ByteSize, Event, Events, Memory, Outcome, RetireReason};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{Kind, each, node};
use crate::rig::{Rig, ended, error, value};
use crate::tools::{LONG, eventually, file, fresh, pause};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_09_out_of_memory_ends_that_task_and_the_pool_lives", B, w_09_out_of_memory_ends_that_task_and_the_pool_lives),
    ("w_09_a_v8_heap_that_is_full_ends_that_task", B, w_09_a_v8_heap_that_is_full_ends_that_task),
    ("p_07_a_soft_limit_retires_after_the_task_and_capacity_stays", B, p_07_a_soft_limit_retires_after_the_task_and_capacity_stays),
    ("p_07_who_is_near_the_hard_limit_goes_before_it_is_killed", B, p_07_who_is_near_the_hard_limit_goes_before_it_is_killed),
    ("p_07_a_hard_limit_kills_only_the_task_that_ran", B, p_07_a_hard_limit_kills_only_the_task_that_ran),
    ("p_08_a_soft_limit_below_the_baseline_is_told_and_ignored", B, p_08_a_soft_limit_below_the_baseline_is_told_and_ignored),
    ("p_08_a_hard_limit_below_the_baseline_breaks_the_pool_clearly", B, p_08_a_hard_limit_below_the_baseline_breaks_the_pool_clearly),
    ("p_08_a_limit_that_every_task_passes_is_given_up", B, p_08_a_limit_that_every_task_passes_is_given_up),
};

/// More than a worker of this language uses when it is idle, and not much more.
fn some(kind: &Kind) -> u64 {
    if kind.name == "node" { 160 } else { 110 }
}

fn w_09_out_of_memory_ends_that_task_and_the_pool_lives() {
    each(|kind| {
        let limit = ByteSize::mib(some(&kind) + 60);
        let rig = Rig::with(&kind, |pool| pool.workers(2..=2).memory(Memory::kill_above(limit)));
        let others: Vec<_> = (0..10).map(|n| rig.send("echo", n)).collect();
        let hog = rig.send("hog", 2_000);
        let more: Vec<_> = (0..10).map(|n| rig.send("echo", n)).collect();
        let error = error(hog);
        // Ended by us, by the kernel at the cap, or by its own allocator, which the cap refused.
        assert!(matches!(error.outcome(), Outcome::Killed | Outcome::Crashed | Outcome::Failed), "{error}");
        assert!(error.to_string().to_lowercase().contains("memory"), "{error}");
        others.into_iter().chain(more).for_each(|task| drop(value(task)));
        assert_eq!(rig.call("echo", "alive"), "alive");
        let report = rig.close();
        assert_eq!(report.outcomes.completed, 21);
    });
}

fn w_09_a_v8_heap_that_is_full_ends_that_task() {
    let text = "const kept = []; module.exports = (n) => { for (let i = 0; i < n; i += 1) kept.push({ i, text: `${i} of them` }); return kept.length; };";
    let path = file("heap.js", text);
    let command = ebbtide::WorkerCommand::node(path).arg("--max-old-space-size=32");
    let pool = ebbtide::Pool::processes(command).workers(1..=1).build::<u64, u64>().unwrap();
    let full = pool.submit(50_000_000).unwrap();
    let behind = pool.submit(10).unwrap();
    let error = ended(full, Outcome::Crashed);
    assert!(error.to_string().contains("heap out of memory"), "{error}");
    assert_eq!(value(behind), 10, "a fresh worker");
    let report = pool.shutdown(ebbtide::Shutdown::drain()).wait().unwrap();
    assert!(report.law_holds() && node().name == "node");
}

/// The workers that started and ended, in order: `+` and `-`.
fn course(events: &mut Events) -> String {
    let mut course = String::new();
    while let Some(event) = events.try_next() {
        match event {
            Event::WorkerStarted { .. } => course.push('+'),
            Event::WorkerEnded { .. } => course.push('-'),
            Event::WorkerDied { how, .. } => panic!("{how}"),
            _ => {}
        }
    }
    course
}

fn p_07_a_soft_limit_retires_after_the_task_and_capacity_stays() {
    each(|kind| {
        let soft = Memory::retire_at(ByteSize::mib(some(&kind)));
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).warm().memory(soft));
        let mut events = rig.pool.events();
        // Until the second replacement has served. While one starts, the old one serves on, and grows on.
        let (mut tasks, mut fresh) = (0, 0);
        while fresh < 3 {
            assert!(tasks < 2_000, "{fresh} replacements after {tasks} tasks");
            fresh += u64::from(rig.call("hog", 5) == json!(5));
            tasks += 1;
            pause(Duration::from_millis(2));
        }
        let course = course(&mut events);
        // A replacement is ready before the old one ends.
        let mut alive: i32 = 0;
        for step in course.chars() {
            alive += if step == '+' { 1 } else { -1 };
            assert!(alive >= 1, "{course}");
        }
        let report = rig.close();
        assert_eq!(report.outcomes.completed, tasks);
    });
}

/// Found by a leak under a load under which no replacement became ready in time.
fn p_07_who_is_near_the_hard_limit_goes_before_it_is_killed() {
    each(|kind| {
        let (wait, some) = (fresh("wait"), some(&kind));
        let kind = kind.with(|command| command.env("EBBTIDE_TEST_WAIT", &wait));
        let memory = Memory::retire_at(ByteSize::mib(some)).kill_at(ByteSize::mib(some + 100));
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).warm().memory(memory));
        let _ = rig.call("echo", 1);
        // No replacement becomes ready, until the worker has gone.
        std::fs::write(&wait, "").unwrap();
        let mut tasks = 1;
        while rig.pool.stats().queued == 0 {
            assert!(tasks < 2_000, "{:?}", rig.pool.stats());
            let hog = rig.send("hog", 5);
            tasks += 1;
            eventually("it has ended, or nobody is there", || {
                hog.is_finished() || rig.pool.stats().retired.contains_key(&RetireReason::Size)
            });
        }
        std::fs::remove_file(&wait).unwrap();
        assert_eq!(rig.call("echo", "alive"), "alive");
        assert!(rig.pool.stats().retired[&RetireReason::Size] >= 1);
        let report = rig.close();
        assert_eq!(report.outcomes.completed, tasks + 1, "nobody was killed: {report}");
    });
}

fn p_07_a_hard_limit_kills_only_the_task_that_ran() {
    each(|kind| {
        let limit = Memory::kill_above(ByteSize::mib(some(&kind) + 60));
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).memory(limit));
        let mut lost = 0;
        for round in 0..3 {
            // It fills up task by task: only the one that passes the limit is lost.
            let mut tasks = Vec::new();
            for _ in 0..12 {
                tasks.push(rig.send("hog", 30));
            }
            for task in tasks {
                match task.wait() {
                    Ok(_) => {}
                    Err(ebbtide::WaitError::Task(error)) => {
                        assert!(error.to_string().to_lowercase().contains("memory"), "{round}: {error}");
                        lost += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
        // Who is found above the limit between two tasks goes without one.
        assert!(lost <= 18, "{lost} of 36");
        assert!(rig.pool.stats().workers.started >= 3, "{:?}", rig.pool.stats());
        // The last of them may be so near its limit that an echo is too much; the next worker is fresh.
        let first = rig.send("echo", "alive").wait();
        assert!(first.is_ok_and(|reply| reply == "alive") || rig.call("echo", "alive") == "alive");
        rig.close();
    });
}

fn p_08_a_soft_limit_below_the_baseline_is_told_and_ignored() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).memory(Memory::retire_at(ByteSize::mib(1))));
        let mut events = rig.pool.events();
        for n in 0..30 {
            assert_eq!(rig.call("echo", n), json!(n));
        }
        assert!(rig.pool.stats().workers.started <= 2, "{:?}", rig.pool.stats());
        let told = std::iter::from_fn(|| events.next_timeout(LONG)).find_map(|event| match event {
            Event::LimitIgnored { why } => Some(why),
            _ => None,
        });
        assert!(told.is_some_and(|why| why.contains("retire_at") && why.contains("Raise")));
        rig.close();
    });
}

fn p_08_a_hard_limit_below_the_baseline_breaks_the_pool_clearly() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| {
            let limit = Memory::kill_above(ByteSize::kib(300));
            pool.workers(1..=1).memory(limit).restart_intensity(2, LONG)
        });
        let error = ended(rig.send("echo", 1), Outcome::Returned);
        let text = error.to_string();
        assert!(text.contains("memory") && text.contains("kill_at"), "{error}");
        rig.close();
    });
}

fn p_08_a_limit_that_every_task_passes_is_given_up() {
    each(|kind| {
        let soft = Memory::retire_at(ByteSize::mib(some(&kind)));
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).memory(soft));
        for n in 0..12 {
            rig.call("hog", some(&kind) - if n % 2 == 0 { 5 } else { 10 });
            if rig.pool.stats().workers.started > 8 {
                break;
            }
        }
        let started = rig.pool.stats().workers.started;
        assert!(started <= 6, "{started} workers for 12 tasks");
        rig.close();
    });
}
