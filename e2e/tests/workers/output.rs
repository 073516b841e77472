//! What workers print and log is kept, attributed, and never in the way.

use ebbtide::{Event, Events, OutputSource, TaskId};
use serde_json::json;

use crate::alone::{B, G, Test};
use crate::kinds::{Kind, each, node, python, rust};
use crate::rig::{Rig, ask, value};
use crate::tools::{Gate, LONG, eventually, long, status};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("w_14_what_a_worker_prints_and_logs_is_told", B, w_14_what_a_worker_prints_and_logs_is_told),
    ("w_14_niceness_is_set", G, w_14_niceness_is_set),
    ("w_14_progress_is_shown_while_it_runs", B, w_14_progress_is_shown_while_it_runs),
    ("p_03_a_flood_on_both_outputs_is_read_and_bounded", B, p_03_a_flood_on_both_outputs_is_read_and_bounded),
    ("p_03_a_flood_that_nobody_reads_as_events_is_bounded", B, p_03_a_flood_that_nobody_reads_as_events_is_bounded),
};

type Line = (OutputSource, Option<TaskId>, String);

/// Waits for a line with that text.
fn line(events: &mut Events, wanted: &str) -> Line {
    std::iter::from_fn(|| events.next_timeout(LONG))
        .find_map(|event| match event {
            Event::WorkerOutput { task, source, text, .. } if text == wanted => Some((source, task, text)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no line {wanted:?}"))
}

fn w_14_what_a_worker_prints_and_logs_is_told() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let mut events = rig.pool.events();
        rig.call("say", "tick");
        assert_eq!(line(&mut events, "tick").0, OutputSource::Stdout);
        let mut events = rig.pool.events();
        rig.call("say", "tock");
        assert_eq!(line(&mut events, "tock!").0, OutputSource::Stderr);
        for (level, source) in [
            ("debug", OutputSource::Debug),
            ("info", OutputSource::Info),
            ("warn", OutputSource::Warn),
            ("error", OutputSource::Error),
        ] {
            let task = rig.send("log", json!([level, "noted"]));
            let id = task.id();
            value(task);
            assert_eq!(line(&mut events, "noted"), (source, Some(id), "noted".to_owned()));
        }
        // Between two tasks, too.
        rig.call("log_outside", json!(["info", "and outside"]));
        let (_, task, _) = line(&mut events, "and outside");
        assert!(kind.name == "rust" || task.is_none(), "{task:?}");
        gate.open();
        rig.close();
    });
}

fn w_14_niceness_is_set() {
    each(|kind| {
        let rig = Rig::new(&kind.with(|command| command.nice(7)), 1..=1);
        let own = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(rig.call("nice", 0), json!(own + 7));
        rig.close();
    });
}

fn w_14_progress_is_shown_while_it_runs() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let task = rig.pool.task("import").submit(ask("progress", json!(["3 of 4", gate.path()]))).unwrap();
        let task = rig.note(task);
        eventually("it is shown", || {
            let running = rig.pool.stats().running_tasks;
            running
                .iter()
                .any(|run| run.name.as_deref() == Some("import") && run.progress.as_deref() == Some("3 of 4"))
        });
        gate.open();
        value(task);
        rig.close();
    });
}

/// How much more memory this process ever used than at first, in MiB, after a flood of so many bytes.
fn flood(kind: &Kind, bytes: u64, heard: bool) -> u64 {
    let rig = Rig::new(kind, 1..=1);
    rig.call("echo", 1);
    let before = status("self", "VmHWM");
    let events = heard.then(|| rig.pool.events());
    assert_eq!(rig.call("flood", bytes), json!(bytes));
    assert_eq!(rig.call("echo", "still here"), "still here");
    if let Some(events) = &events {
        assert!(events.missed() > 0, "a flood is more than a reader is kept waiting for");
    }
    // The tail is what it said last.
    let error = crate::rig::ended(rig.send("exit", 3), ebbtide::Outcome::Crashed).to_string();
    assert!(error.contains("the last line"), "{}", &error[error.len().saturating_sub(200)..]);
    rig.close();
    // The kernel adds up what each processor knows: the sum may be a few pages behind.
    status("self", "VmHWM").saturating_sub(before) >> 10
}

fn p_03_a_flood_on_both_outputs_is_read_and_bounded() {
    for kind in [rust(), node(), python()] {
        let grown = flood(&kind, 1 << 30, false);
        assert!(grown < 16, "{}: {grown} MiB more than before", kind.name);
    }
}

fn p_03_a_flood_that_nobody_reads_as_events_is_bounded() {
    for kind in [rust(), node(), python()] {
        let grown = flood(&kind, if long() { 1 << 30 } else { 64 << 20 }, true);
        assert!(grown < 32, "{}: {grown} MiB more than before", kind.name);
    }
}
