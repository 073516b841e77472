//! Odd workers and odd moments: who does not go, who does not answer, who ends while it is spoken to.

use std::collections::BTreeSet;
use std::time::Duration;

use ebbtide::{Event, Outcome, Pool, Restart, Shutdown, WaitError, WorkerCommand};
use serde_json::{Value, json};

use crate::alone::{B, Test};
use crate::kinds::{Kind, each, node, python, rust};
use crate::rig::{Rig, ask, ended, error, value};
use crate::tools::{Gate, LONG, eventually, file, fresh, lines, long, mark, marked};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("a_worker_that_does_not_go_is_ended", B, a_worker_that_does_not_go_is_ended),
    ("a_snapshot_that_never_comes_is_not_waited_for", B, a_snapshot_that_never_comes_is_not_waited_for),
    ("one_that_dies_while_a_large_request_is_sent", B, one_that_dies_while_a_large_request_is_sent),
    ("a_death_among_several_at_a_time", B, a_death_among_several_at_a_time),
    ("a_timeout_among_several_at_a_time", B, a_timeout_among_several_at_a_time),
    ("cancels_at_any_moment_keep_the_law", B, cancels_at_any_moment_keep_the_law),
    ("restarts_of_every_kind_at_any_moment_keep_the_law", B, restarts_of_every_kind_at_any_moment_keep_the_law),
    ("grandchildren_that_hold_the_outputs_hold_up_nobody", B, grandchildren_that_hold_the_outputs_hold_up_nobody),
    ("a_worker_that_closes_its_outputs_serves_on", B, a_worker_that_closes_its_outputs_serves_on),
    ("an_idempotent_task_may_be_cancelled_while_it_is_tried_again", B, an_idempotent_task_may_be_cancelled_while_it_is_tried_again),
};

fn script(js: &str, py: &str) -> [Kind; 2] {
    let (js, py) = (file("odd.js", js), file("odd.py", py));
    let python_command = WorkerCommand::python(format!("{}:f", py.display()));
    let marked = |kind: Kind, command: WorkerCommand| {
        kind.with(|_| command.env(crate::tools::MARK, mark()).env("PYTHONDONTWRITEBYTECODE", "1"))
    };
    [marked(node(), WorkerCommand::node(js)), marked(python(), python_command)]
}

fn a_worker_that_does_not_go_is_ended() {
    let kinds = script(
        "process.on('exit', () => { for (;;) ; }); process.on('SIGTERM', () => {}); module.exports = (x) => x;",
        "import ebbtide_worker, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n@ebbtide_worker.on_stop\ndef stop():\n    while True: pass\n\
         def f(x): return x\n",
    );
    for kind in kinds {
        let rig = Rig::with(&kind, |pool| pool.workers(2..=2).grace(Duration::from_millis(300)));
        assert_eq!(rig.call("a", "b"), json!(["a", "b"]));
        let report = rig.close();
        assert!(report.duration < LONG / 4, "{report}");
        eventually("nobody is left", || marked(&mark()).is_empty());
    }
}

fn a_snapshot_that_never_comes_is_not_waited_for() {
    let kinds = script(
        "const { onSnapshot } = require('ebbtide-worker'); onSnapshot(() => new Promise(() => {})); module.exports = (x) => x;",
        "import time\ndef snapshot():\n    time.sleep(1000)\ndef restore(s): pass\ndef f(x): return x\n",
    );
    for kind in kinds {
        let rig = Rig::with(&kind, |pool| {
            let pool = pool.workers(1..=1).snapshots().grace(Duration::from_millis(300));
            pool.snapshot_timeout(Duration::from_millis(200))
        });
        rig.call("a", 1);
        rig.pool.restart(Restart::rolling()).wait().unwrap();
        rig.call("a", 2);
        rig.close();
    }
}

fn one_that_dies_while_a_large_request_is_sent() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        for n in 0..40 {
            rig.call("echo", n);
        }
        // The large ones do not fit into the socket: they are being written when their worker ends.
        let large = "x".repeat(4 << 20);
        let dies = rig.send("kill", 0);
        let tasks: Vec<_> = (0..6).map(|_| rig.send("echo", large.clone())).collect();
        ended(dies, Outcome::Crashed);
        for task in tasks {
            assert!(value(task) == large, "none of them had begun");
        }
        rig.close();
    });
}

/// Waits for a path and then for ever, or ends its process, or answers: several at a time.
fn meeting() -> [Kind; 2] {
    script(
        "const tools = { wait: () => new Promise(() => {}), kill: () => { process.kill(process.pid, 'SIGKILL'); for (;;) ; }, echo: async (x) => x };
         module.exports = ([tool, x]) => tools[tool](x);",
        "import asyncio, os, signal\nasync def f(request):\n    tool, x = request\n    if tool == 'wait': await asyncio.Event().wait()\n    \
         if tool == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n    return x\n",
    )
}

fn a_death_among_several_at_a_time() {
    for kind in meeting() {
        let rig = Rig::new(&kind.with(|command| command.concurrency(4)), 1..=1);
        assert_eq!(rig.call("echo", 1), json!(1));
        let waiting: Vec<_> = (0..3).map(|_| rig.send("wait", 0)).collect();
        let dies = rig.send("kill", 0);
        let behind: Vec<_> = (0..5).map(|n| rig.send("echo", n)).collect();
        // All that had begun are lost with it, and nobody else.
        waiting.into_iter().chain([dies]).for_each(|task| drop(ended(task, Outcome::Crashed)));
        behind.into_iter().for_each(|task| drop(value(task)));
        rig.close();
    }
}

fn a_timeout_among_several_at_a_time() {
    for kind in meeting() {
        let kind = kind.with(|command| command.concurrency(3));
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).grace(Duration::from_millis(200)));
        let late = rig.pool.task("late").timeout(Duration::from_millis(100)).submit(ask("wait", 0)).unwrap();
        let late = rig.note(late);
        let other = rig.send("wait", 0);
        rig.until_begun(1);
        let outcome = error(late).outcome();
        assert!(matches!(outcome, Outcome::Killed | Outcome::TimedOut), "{outcome}");
        if outcome == Outcome::Killed {
            ended(other, Outcome::Crashed);
        } else {
            assert!(other.cancel());
            error(other);
        }
        assert_eq!(rig.call("echo", 1), json!(1));
        rig.close();
    }
}

fn cancels_at_any_moment_keep_the_law() {
    each(|kind| {
        let rounds = if long() { 2_000 } else { 200 };
        let (rig, notes) = (Rig::new(&kind, 2..=2), fresh("notes"));
        let mut completed = BTreeSet::new();
        let mut kept = Vec::new();
        for n in 0..rounds {
            let task = rig.send(
                if n % 3 == 0 { "spin" } else { "note" },
                if n % 3 == 0 { json!(1) } else { json!([notes, n]) },
            );
            if n % 2 == 0 {
                std::thread::yield_now();
                task.cancel();
            }
            kept.push((n, task));
        }
        for (n, task) in kept {
            match task.wait() {
                Ok(_) => drop(completed.insert(n.to_string())),
                Err(WaitError::Task(error)) if error.is_cancelled() => {}
                Err(other) => panic!("{other}"),
            }
        }
        rig.close();
        let ran = lines(&notes);
        let distinct: BTreeSet<_> = ran.iter().cloned().collect();
        assert_eq!(distinct.len(), ran.len(), "none ran twice");
        assert!(
            ran.iter().all(|n| completed.contains(n)),
            "what ran without looking is Completed: the truth counts"
        );
    });
}

fn restarts_of_every_kind_at_any_moment_keep_the_law() {
    each(|kind| {
        let rounds = if kind.name == "rust" { 24 } else { 8 };
        let rig = Rig::with(&kind, |pool| pool.workers(2..=2).grace(Duration::from_millis(300)));
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    drop(rig.send(if n % 20 == 0 { "spin" } else { "echo" }, 2));
                    crate::tools::pause(Duration::from_micros(200));
                }
            });
            for round in 0..rounds {
                let restart =
                    [Restart::rolling(), Restart::drain(), Restart::stop(), Restart::abort()][round % 4];
                let one = rig.pool.restart(restart);
                let other =
                    rig.pool.restart([Restart::drain(), Restart::abort(), Restart::rolling()][round % 3]);
                let _ = (one.wait().unwrap(), other.wait().unwrap());
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(rig.call("echo", "alive"), "alive");
        let report = rig.close();
        assert_eq!(report.outcomes.crashed + report.outcomes.failed, 0, "{report}");
    });
}

fn grandchildren_that_hold_the_outputs_hold_up_nobody() {
    let kinds = script(
        "const { spawn } = require('child_process'); module.exports = () => { spawn('sleep', ['1000'], { stdio: ['ignore', 'inherit', 'inherit'] }); process.kill(process.pid, 'SIGKILL'); for (;;) ; };",
        "import os, signal, subprocess\ndef f(x):\n    subprocess.Popen(['sleep', '1000'])\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    );
    for kind in kinds {
        let rig = Rig::new(&kind, 1..=1);
        ended(rig.send("a", 1), Outcome::Crashed);
        rig.close();
        eventually("nobody is left", || marked(&mark()).is_empty());
    }
}

fn a_worker_that_closes_its_outputs_serves_on() {
    let kinds = script(
        "const fs = require('fs'); module.exports = (x) => { try { fs.closeSync(1); fs.closeSync(2); } catch {} return x; };",
        "import os\ndef f(x):\n    for fd in (1, 2):\n        try: os.close(fd)\n        except OSError: pass\n    return x\n",
    );
    for kind in kinds {
        let rig = Rig::new(&kind, 1..=1);
        for n in 0..20 {
            assert_eq!(rig.call("a", n), json!(["a", n]));
        }
        rig.close();
    }
}

fn an_idempotent_task_may_be_cancelled_while_it_is_tried_again() {
    let block = fresh("block");
    let kind = rust().with(|command| command.env("EBBTIDE_TEST_BLOCK", &block));
    let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
    let mut events = rig.pool.events();
    let again = rig.note(rig.pool.task("again").idempotent().submit(ask("kill", 0)).unwrap());
    let quarantined = std::iter::from_fn(|| events.next_timeout(LONG))
        .any(|event| matches!(event, Event::TaskQuarantined { .. }));
    assert!(quarantined);
    again.cancel_with("enough");
    let outcome = error(again).outcome();
    assert!(matches!(outcome, Outcome::Cancelled | Outcome::Crashed), "{outcome}");
    // One whose second process cannot be started ends as its first attempt did.
    let again = rig.pool.task("again").idempotent().submit(ask("gate", gate.path())).unwrap();
    let again = rig.note(again);
    rig.until_begun(1);
    std::fs::write(&block, "").unwrap();
    for pid in marked(&mark()) {
        crate::tools::sigkill(pid.unsigned_abs());
    }
    ended(again, Outcome::Crashed);
    std::fs::remove_file(&block).unwrap();
    assert_eq!(rig.call("echo", 1), json!(1));
    rig.close();
    drop(
        Pool::processes(kind.command)
            .workers(1..=1)
            .build::<Value, Value>()
            .unwrap()
            .shutdown(Shutdown::drain())
            .wait(),
    );
}
