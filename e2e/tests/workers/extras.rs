//! What pools of processes have beyond the cases: chunks, spare workers, and whether a busy worker answers.

use ebbtide::{Event, Outcome};
use serde_json::{Value, json};

use crate::alone::{B, Test};
use crate::kinds::{each, each_script};
use crate::rig::{Rig, ask, value};
use crate::tools::{Gate, LONG, eventually};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("a_chunk_is_one_task_with_a_reply_for_each", B, a_chunk_is_one_task_with_a_reply_for_each),
    ("the_first_of_a_chunk_that_fails_ends_it_and_is_named", B, the_first_of_a_chunk_that_fails_ends_it_and_is_named),
    ("a_chunk_comes_back_from_a_stop_whole", B, a_chunk_comes_back_from_a_stop_whole),
    ("a_spare_takes_the_place_of_one_that_died", B, a_spare_takes_the_place_of_one_that_died),
    ("a_busy_worker_that_answers_is_told_from_one_that_does_not", B, a_busy_worker_that_answers_is_told),
};

fn a_chunk_is_one_task_with_a_reply_for_each() {
    each(|kind| {
        let rig = Rig::new(&kind, 2..=2);
        let chunks = (0..20).map(|chunk| (0..50).map(|n| ask("echo", chunk * 50 + n)).collect::<Vec<_>>());
        let tasks: Vec<_> = chunks.map(|chunk| rig.note(rig.pool.submit_chunk(chunk).unwrap())).collect();
        let replies: Vec<Value> = tasks.into_iter().flat_map(|task| task.wait().unwrap()).collect();
        assert_eq!(replies, (0..1000).map(Value::from).collect::<Vec<_>>());
        let none = rig.note(rig.pool.submit_chunk(Vec::new()).unwrap());
        assert!(none.wait().unwrap().is_empty());
        assert_eq!(rig.pool.stats().accepted, 21);
        rig.close();
    });
}

fn the_first_of_a_chunk_that_fails_ends_it_and_is_named() {
    each(|kind| {
        let rig = Rig::new(&kind, 1..=1);
        let chunk = vec![ask("echo", 0), ask("fail", "one"), ask("fail", "two")];
        let failed = rig.note(rig.pool.submit_chunk(chunk).unwrap()).wait().unwrap_err().to_string();
        assert!(failed.contains("item 1") && failed.contains("one"), "{failed}");
        assert_eq!(rig.call("echo", "still there"), "still there");
        rig.close();
    });
}

fn a_chunk_comes_back_from_a_stop_whole() {
    each_script(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let running = rig.send("gate", gate.path());
        eventually("it runs", || rig.pool.stats().running_tasks.len() == 1);
        let chunk = rig.note(rig.pool.submit_chunk(vec![ask("echo", 1), ask("echo", 2)]).unwrap());
        let stop = rig.pool.shutdown(ebbtide::Shutdown::stop().within(LONG));
        assert!(chunk.wait().is_err_and(|error| error.to_string().contains("returned")));
        gate.open();
        let _ = value(running);
        assert!(stop.wait().unwrap().law_holds());
        let returned = rig.pool.take_returned();
        assert_eq!(returned.len(), 1);
        let second = Rig::new(&kind, 1..=1);
        for task in returned {
            second.note(second.pool.resubmit(task).unwrap()).wait().unwrap();
        }
        second.close();
    });
}

fn a_spare_takes_the_place_of_one_that_died() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).spares(1).warm());
        let mut events = rig.pool.events();
        let first = rig.call("pid", Value::Null);
        let died = rig.send("exit", 3);
        assert!(died.wait().is_err());
        let second = rig.call("pid", Value::Null);
        assert_ne!(first, second);
        let started = std::iter::from_fn(|| events.next_timeout(LONG))
            .any(|event| matches!(event, Event::WorkerStarted { .. }));
        assert!(started);
        // The pool's end is the end of the spare, too: the harness looks for processes that are left.
        rig.close();
    });
}

fn a_busy_worker_that_answers_is_told() {
    each(|kind| {
        let (rig, gate) = (Rig::new(&kind, 1..=1), Gate::closed());
        let waits = rig.send("gate", gate.path());
        let responsive = |expected| {
            move |rig: &Rig| {
                let running = rig.pool.stats().running_tasks;
                running.first().is_some_and(|task| task.responsive == Some(expected))
            }
        };
        eventually("it answers", || responsive(true)(&rig));
        gate.open();
        assert_eq!(waits.outcome().unwrap_or(Outcome::Completed), Outcome::Completed);
        let _ = value(waits);
        assert_eq!(rig.call("echo", json!([1])), json!([1]));
        rig.close();
    });
}
