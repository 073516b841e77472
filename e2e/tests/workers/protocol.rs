//! Workers that do not keep to the protocol end with a reason that has a name, and the pool lives.

use std::time::Duration;

use ebbtide::{Event, Outcome, RejectReason, Restart, ReturnReason};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::alone::{B, Test};
use crate::kinds::{each, rogue};
use crate::rig::{Rig, ask, ended, value};
use crate::tools::{LONG, eventually, fresh, lines, mark, marked, now};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("p_04_who_breaks_the_protocol_in_a_task_ends", B, p_04_who_breaks_the_protocol_in_a_task_ends),
    ("p_04_who_breaks_the_protocol_at_its_start_never_serves", B, p_04_who_breaks_the_protocol_at_its_start_never_serves),
    ("p_04_half_a_frame_is_not_waited_for_for_ever", B, p_04_half_a_frame_is_not_waited_for_for_ever),
    ("who_began_behind_a_fault_does_not_begin_again", B, who_began_behind_a_fault_does_not_begin_again),
    ("who_was_slow_to_begin_is_sent_to_again", B, who_was_slow_to_begin_is_sent_to_again),
    ("a_snapshot_that_comes_late_is_not_the_answer_to_the_next_question", B, a_snapshot_that_comes_late_is_not_the_answer_to_the_next_question),
    ("a_spare_that_is_being_started_ends_with_its_pool", B, a_spare_that_is_being_started_ends_with_its_pool),
    ("who_dies_with_its_socket_full_is_not_waited_for_although_an_heir_holds_it", B, who_dies_with_its_socket_full_is_not_waited_for_although_an_heir_holds_it),
    ("p_05_who_never_says_hello_or_ready_breaks_the_pool", B, p_05_who_never_says_hello_or_ready_breaks_the_pool),
    ("p_05_a_restart_repairs_a_broken_pool", B, p_05_a_restart_repairs_a_broken_pool),
    ("p_10_a_replacement_that_does_not_start_leaves_the_old_one", B, p_10_a_replacement_that_does_not_start_leaves_the_old_one),
};

/// The fault, and a word that its error must have.
const IN_A_TASK: [(&str, &str); 17] = [
    ("garbage", "protocol"),
    ("huge", "protocol"),
    ("over-limit", "protocol"),
    ("short", "protocol"),
    ("meta-too-long", "protocol"),
    ("bad-meta", "protocol"),
    ("unknown-type", "99"),
    ("a-pools-type", "protocol"),
    ("a-strangers-result", "task 999999"),
    ("a-strangers-start", "task 999999"),
    ("start-twice", "second START"),
    ("returned-unasked", "RETURNED"),
    ("snapshot-unasked", "SNAPSHOT"),
    ("hello-again", "HELLO"),
    ("ready-again", "READY"),
    ("half", "exited with code 0"),
    ("close", "did not go"),
];

fn p_04_who_breaks_the_protocol_in_a_task_ends() {
    let rig = Rig::new(&rogue("none"), 1..=1);
    for (fault, word) in IN_A_TASK {
        assert_eq!(rig.call("echo", fault), fault);
        let (guilty, behind) = (rig.send(fault, 0), rig.send("echo", "behind"));
        let error = ended(guilty, Outcome::Crashed);
        assert!(error.to_string().contains(word), "{fault}: {error}");
        assert_eq!(value(behind), "behind", "{fault}");
    }
    // Whoever is sent to it before it has ended may be begun by it, and end with it: so its successor is waited for.
    let succeeded = |fault: &dyn Fn()| {
        let started = rig.pool.stats().workers.started;
        fault();
        eventually("another has come", || rig.pool.stats().workers.started > started);
    };
    // The first answer counts; the second is the fault.
    succeeded(&|| assert_eq!(rig.call("result-twice", 0), "first"));
    succeeded(&|| {
        let error = ended(rig.send("no-start", 0), Outcome::Failed);
        assert!(error.to_string().contains("did not start"), "{error}");
    });
    assert_eq!(rig.call("echo", "alive"), "alive");
    rig.close();
}

fn p_04_who_breaks_the_protocol_at_its_start_never_serves() {
    for (fault, word) in [
        ("ready-first", "READY before HELLO"),
        ("nonce", "nonce"),
        ("proto", "version 7"),
        ("garbage", "protocol"),
        ("error", "no database"),
        ("exit", "I cannot go on"),
        ("result-first", "RESULT before READY"),
    ] {
        let rig = Rig::with(&rogue(fault), |pool| pool.workers(1..=1).restart_intensity(1, LONG));
        let waiting = rig.send("echo", 1);
        let error = ended(waiting, Outcome::Returned);
        assert!(error.to_string().contains(word), "{fault}: {error}");
        rig.close();
    }
}

fn p_04_half_a_frame_is_not_waited_for_for_ever() {
    let rig = Rig::with(&rogue("none"), |pool| pool.workers(1..=1).grace(Duration::from_millis(100)));
    let half = rig.pool.task("half").timeout(Duration::from_millis(100));
    let half = rig.note(half.submit(ask("half-and-wait", 0)).unwrap());
    ended(half, Outcome::Killed);
    assert_eq!(rig.call("echo", "alive"), "alive");
    rig.close();
}

/// Found by a worker that runs four at a time on a busy machine: what it had been too slow to begin was not sent to it again before another had ended, and the
/// others waited for that.
fn who_was_slow_to_begin_is_sent_to_again() {
    let rig = Rig::new(&rogue("two-credits"), 1..=1);
    let (first, second) = (rig.send("slow-to-begin", 0), rig.send("echo", "second"));
    assert_eq!(value(second), "second");
    assert_eq!(value(first), "first");
    rig.close();
}

fn who_began_behind_a_fault_does_not_begin_again() {
    let notes = fresh("notes");
    let rig = Rig::new(&rogue("two-credits"), 1..=1);
    let guilty = rig.send("garbage-and-go-on", 0);
    let behind = rig.send("note", notes.to_str().unwrap());
    for task in [guilty, behind] {
        let error = ended(task, Outcome::Crashed);
        assert!(error.to_string().contains("protocol"), "{error}");
    }
    assert_eq!(rig.call("echo", "alive"), "alive");
    rig.close();
    assert_eq!(lines(&notes), ["begun"]);
}

fn a_snapshot_that_comes_late_is_not_the_answer_to_the_next_question() {
    let directory = fresh("state");
    let rig = Rig::with(&rogue("none"), |pool| {
        pool.workers(1..=1).warm().state_dir(&directory).snapshot_timeout(Duration::from_millis(500))
    });
    let mut events = rig.pool.events();
    rig.call("echo", 1);
    // The first question is its replacement's, and the time for it runs out; the second is that for the file, when it leaves.
    let report = rig.pool.restart(Restart::rolling()).wait().unwrap();
    assert!(report.is_clean(), "{report}");
    let kept = directory.join("pool.snapshot");
    eventually("a state is kept", || kept.exists());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "answer 2");
    assert_eq!(rig.call("echo", "alive"), "alive");
    let died = |event: &Event| matches!(event, Event::WorkerDied { .. });
    assert!(!std::iter::from_fn(|| events.next_timeout(Duration::ZERO)).any(|event| died(&event)));
    rig.close();
}

fn a_spare_that_is_being_started_ends_with_its_pool() {
    let there = fresh("there");
    let kind = rogue("only-the-first").with(|command| command.arg(&there));
    let rig = Rig::with(&kind, |pool| pool.workers(1..=1).spares(1).start_timeout(LONG));
    assert_eq!(rig.call("echo", "alive"), "alive");
    eventually("a spare is being started", || marked(&mark()).len() >= 2);
    rig.close();
    let began = now();
    eventually("nobody is left", || marked(&mark()).is_empty());
    assert!(began.elapsed() < LONG / 2, "it was waited for, until its time was up");
}

/// Nobody reads and nobody closes the socket: whoever waited for room in it would wait for ever.
fn who_dies_with_its_socket_full_is_not_waited_for_although_an_heir_holds_it() {
    let first = fresh("first");
    let rig = Rig::new(&rogue("heir").with(|command| command.arg(&first)), 1..=1);
    // More than a socket takes.
    let big = "x".repeat(4 << 20);
    assert!(rig.call("echo", &*big) == big, "it came to another, and came back whole");
    rig.close();
    // Without a guardian nobody ends what a worker has started.
    eventually("the heir is ended", || {
        let left = marked(&mark());
        left.iter().filter_map(|heir| Pid::from_raw(*heir)).for_each(|heir| {
            let _ = kill_process(heir, Signal::KILL);
        });
        left.is_empty()
    });
}

fn p_05_who_never_says_hello_or_ready_breaks_the_pool() {
    for (fault, word) in [("silent", "HELLO"), ("no-ready", "READY")] {
        let rig = Rig::with(&rogue(fault), |pool| {
            pool.workers(2..=2).restart_intensity(1, LONG).start_timeout(Duration::from_secs(3))
        });
        let waiting: Vec<_> = (0..5).map(|n| rig.send("echo", n)).collect();
        for task in waiting {
            let error = ended(task, Outcome::Returned);
            assert!(error.to_string().contains(word), "{error}");
            assert!(matches!(error.return_reason(), Some(ReturnReason::Broken(_))), "{error}");
        }
        let refused = rig.pool.submit(ask("echo", 1)).unwrap_err();
        let RejectReason::Broken(cause) = refused.reason() else { panic!("{refused}") };
        assert!(cause.contains(word), "{cause}");
        assert!(rig.pool.stats().broken.is_some());
        rig.close();
    }
}

fn p_05_a_restart_repairs_a_broken_pool() {
    let mended = fresh("mended");
    let kind = rogue("silent").with(|command| command.arg(&mended));
    let rig = Rig::with(&kind, |pool| {
        pool.workers(1..=1).restart_intensity(1, LONG).start_timeout(Duration::from_secs(3))
    });
    ended(rig.send("echo", 1), Outcome::Returned);
    std::fs::write(&mended, "").unwrap();
    let _ = rig.pool.restart(Restart::drain()).wait().unwrap();
    assert_eq!(rig.call("echo", "alive"), "alive");
    let back = rig.pool.take_returned().pop().unwrap();
    let again = rig.pool.resubmit(back).unwrap();
    value(rig.note(again));
    rig.close();
}

fn p_10_a_replacement_that_does_not_start_leaves_the_old_one() {
    each(|kind| {
        let (block, notes) = (fresh("block"), fresh("notes"));
        let kind = kind.with(|command| command.env("EBBTIDE_TEST_BLOCK", &block));
        let rig = Rig::with(&kind, |pool| {
            let retire = ebbtide::Retirement::new().after_tasks(3).jitter(0.0);
            pool.workers(1..=1).retire(retire).restart_intensity(50, LONG)
        });
        let mut events = rig.pool.events();
        let pid = rig.call("pid", 0);
        std::fs::write(&block, "").unwrap();
        for n in 0..20 {
            assert_eq!(rig.call("note", json!([notes, n])), json!(n));
        }
        assert_eq!(rig.call("pid", 0), pid, "it serves on");
        let failed = std::iter::from_fn(|| events.next_timeout(LONG)).find_map(|event| match event {
            ebbtide::Event::WorkerStartFailed { cause, .. } => Some(cause),
            _ => None,
        });
        assert!(failed.is_some_and(|cause| cause.contains("blocked by the test")));
        std::fs::remove_file(&block).unwrap();
        crate::tools::eventually("it is replaced after all", || rig.call("pid", 0) != pid);
        rig.close();
        assert_eq!(lines(&notes).len(), 20);
    });
}
