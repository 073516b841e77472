//! What crosses: JSON and bytes, large ones in both directions, and what cannot cross.

use ebbtide::process::{Raw, WorkerError};
use ebbtide::{Handle, Outcome, Pool, Shutdown, WorkerCommand};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::alone::{B, Test};
use crate::kinds::each;
use crate::rig::{Rig, ask, ended, value};
use crate::tools::file;

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("p_06_large_bodies_both_ways_at_once", B, p_06_large_bodies_both_ways_at_once),
    ("bytes_cross_as_they_are", B, bytes_cross_as_they_are),
    ("what_cannot_be_sent_fails_alone", B, what_cannot_be_sent_fails_alone),
    ("a_reply_of_another_type_fails_and_says_so", B, a_reply_of_another_type_fails_and_says_so),
    ("what_json_would_lose_is_refused_with_its_place", B, what_json_would_lose_is_refused_with_its_place),
    ("too_long_a_body_fails_both_ways", B, too_long_a_body_fails_both_ways),
    ("user_code_of_a_body_may_panic", B, user_code_of_a_body_may_panic),
};

fn p_06_large_bodies_both_ways_at_once() {
    each(|kind| {
        for workers in [1, 2] {
            let rig = Rig::new(&kind, workers..=workers);
            // So that several are sent ahead.
            for n in 0..40 {
                rig.call("echo", n);
            }
            let large = |n: usize| n.to_string() + &"x".repeat(1 << 20);
            let tasks: Vec<_> = (0..12).map(|n| rig.send("echo", large(n))).collect();
            for (n, task) in tasks.into_iter().enumerate() {
                assert!(value(task) == large(n), "{n} came back as something else");
            }
            rig.close();
        }
    });
}

fn bytes_cross_as_they_are() {
    each(|kind| {
        let command = kind.command.export("raw");
        let pool = Pool::processes(command).workers(1..=1).build::<Raw, Raw>().unwrap();
        for bytes in [&b""[..], b"\0\xff\x80 not a text", &vec![9; 1 << 20][..]] {
            let reply = value(pool.submit(Raw::new("image/x-test", bytes)).unwrap());
            assert_eq!(reply.content_type(), "application/octet-stream");
            assert!(reply.bytes() == [b"image/x-test:", bytes].concat(), "{} bytes", bytes.len());
        }
        pool.shutdown(Shutdown::drain()).wait().unwrap();
    });
}

/// A request of which some cannot be written.
struct Picky(i64);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => Err(serde::ser::Error::custom("zero has no form")),
            13 => panic!("thirteen"),
            n => ("echo", n).serialize(serializer),
        }
    }
}

/// A reply of which some cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Fussy(i64);

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            7 => panic!("seven"),
            n => Ok(Self(n)),
        }
    }
}

fn outcome<T: Send + std::fmt::Debug + 'static>(handle: Handle<T>) -> Outcome {
    crate::rig::error(handle).outcome()
}

fn what_cannot_be_sent_fails_alone() {
    each(|kind| {
        let pool = Pool::processes(kind.command).workers(1..=1).build::<Picky, Value>().unwrap();
        let tasks: Vec<_> = (-2..=2).map(|n| pool.submit(Picky(n)).unwrap()).collect();
        for (n, task) in (-2..=2).zip(tasks) {
            if n == 0 {
                let error = ended(task, Outcome::Failed);
                assert!(error.to_string().contains("zero has no form"), "{error}");
            } else {
                assert_eq!(value(task), json!(n));
            }
        }
        let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
        assert_eq!((report.accepted, report.outcomes.failed, report.outcomes.completed), (5, 1, 4));
    });
}

fn user_code_of_a_body_may_panic() {
    each(|kind| {
        let pool = Pool::processes(kind.command).workers(1..=1).build::<Picky, Fussy>().unwrap();
        assert_eq!(value(pool.submit(Picky(1)).unwrap()), Fussy(1));
        assert_ne!(outcome(pool.submit(Picky(13)).unwrap()), Outcome::Completed);
        assert_ne!(outcome(pool.submit(Picky(7)).unwrap()), Outcome::Completed);
        assert_eq!(value(pool.submit(Picky(2)).unwrap()), Fussy(2), "the pool lives");
        let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
        assert!(report.law_holds() && report.accepted == 4 && report.outcomes.completed == 2, "{report}");
    });
}

fn a_reply_of_another_type_fails_and_says_so() {
    each(|kind| {
        let pool = Pool::processes(kind.command).workers(1..=1).build::<Value, u64>().unwrap();
        let error = ended(pool.submit(ask("echo", "a text")).unwrap(), Outcome::Failed);
        assert!(error.to_string().contains("u64") && error.to_string().contains("a text"), "{error}");
        assert_eq!(value(pool.submit(ask("echo", 5)).unwrap()), 5);
        if kind.name != "rust" {
            let error = ended(pool.submit(ask("bytes", 5)).unwrap(), Outcome::Failed);
            assert!(error.to_string().contains("application/octet-stream"), "{error}");
        }
        let error = ended(pool.submit(ask("refuse", 0)).unwrap(), Outcome::Failed);
        assert!(error.downcast_ref::<WorkerError>().is_some(), "{error:?}");
        pool.shutdown(Shutdown::drain()).wait().unwrap();
    });
}

fn too_long_a_body_fails_both_ways() {
    each(|kind| {
        let rig = Rig::with(&kind, |pool| pool.workers(1..=1).max_body(128 << 10));
        let pid = rig.call("pid", 0);
        let error = ended(rig.send("echo", "x".repeat(200_000)), Outcome::Failed);
        assert!(error.to_string().contains("cannot be sent"), "{error}");
        let error = ended(rig.send("bytes", 200_000), Outcome::Failed);
        assert!(error.to_string().contains("131072"), "{error}");
        assert_eq!(rig.call("echo", "x".repeat(100_000)), "x".repeat(100_000));
        assert_eq!(rig.call("pid", 0), pid, "no worker was lost over it");
        rig.close();
    });
}

fn what_json_would_lose_is_refused_with_its_place() {
    let js = file(
        "lost.js",
        "module.exports = (n) => [() => new Map(), () => ({ a: [{}, { b: new Set() }] }), () => (function* () {})(), () => ({ e: new Error('x') }), () => ({ n: [NaN] }), () => ({ a: [n, null] })][n]();",
    );
    let py = file(
        "lost.py",
        "def f(n):\n    return [lambda: {1}, lambda: {'a': [{}, {'b': {1}}]}, lambda: (x for x in []), lambda: {'e': ValueError('x')}, \
         lambda: {'n': [float('nan')]}, lambda: {'a': [n, None]}][n]()\n",
    );
    let node = (
        WorkerCommand::node(js),
        ["it is a Map", "a Set at .a[1].b", "a Generator", "an Error (Error) at .e", "NaN at .n[0]"],
    );
    let python = WorkerCommand::python(format!("{}:f", py.display()));
    let python = (
        python,
        [
            "set",
            "set has no JSON form at ['a'][1]['b']",
            "generator",
            "ValueError has no JSON form at ['e']",
            "nan is not a JSON number at ['n'][0]",
        ],
    );
    for (command, wanted) in [node, python] {
        let pool = Pool::processes(command).workers(1..=1).build::<usize, Value>().unwrap();
        for (n, words) in wanted.into_iter().enumerate() {
            let error = ended(pool.submit(n).unwrap(), Outcome::Failed).to_string();
            assert!(error.contains(words), "{words} is not in {error}");
        }
        assert_eq!(value(pool.submit(5).unwrap()), json!({"a": [5, null]}));
        pool.shutdown(Shutdown::drain()).wait().unwrap();
    }
}
