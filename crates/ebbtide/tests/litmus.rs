//! Litmus tests in the manner of jcstress: two threads meet over one pool, many times each, and every result they can have is named
//! beforehand as acceptable, interesting (acceptable, and only a race gives it) or forbidden. One that has no name is forbidden.
//!
//! ```text
//! cargo test --release -p ebbtide --test litmus -- --nocapture
//! ```
//! 40 000 samples each, 2 000 in a debug build, a million with `EBBTIDE_LONG=1`; `EBBTIDE_SAMPLES` is any number.
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::print_stderr, reason = "the table is what one runs this for")]

use std::fmt::Write as _;
use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
};

use ebbtide::{Handle, Outcome, Pool, Restart, Shutdown, Stateless};
use patience::LONG;

#[path = "support/patience.rs"]
mod patience;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Acceptable,
    Interesting,
    Forbidden,
}

use Grade::{Acceptable, Interesting};

/// What two threads saw.
type Seen = &'static str;

fn samples() -> u64 {
    let asked = std::env::var("EBBTIDE_SAMPLES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| match (std::env::var_os("EBBTIDE_LONG").is_some(), cfg!(debug_assertions)) {
        (true, _) => 1_000_000,
        (false, true) => 2_000,
        (false, false) => 40_000,
    })
}

/// Two threads that go at once, round after round: each round's parts are made by one of them, and both do theirs.
struct Pair {
    round: AtomicU64,
    done: AtomicU64,
}

/// Runs `scene` for every sample: it gives what the other thread does, and what this one does and then sees.
#[expect(clippy::disallowed_methods, reason = "the test's own threads")]
fn litmus(name: &str, table: &[(Seen, Grade)], mut scene: impl FnMut(&mut dyn FnMut(Job)) -> Seen) {
    let samples = samples();
    let pair = Arc::new(Pair { round: AtomicU64::new(0), done: AtomicU64::new(0) });
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Job>(1);
    let theirs = Arc::clone(&pair);
    let other = std::thread::spawn(move || {
        let mut round = 0;
        while let Ok(job) = receiver.recv() {
            round += 1;
            while theirs.round.load(SeqCst) < round {
                std::hint::spin_loop();
            }
            job();
            theirs.done.store(round, SeqCst);
        }
    });
    let mut counts: BTreeMap<Seen, u64> = BTreeMap::new();
    let mut round = 0;
    for sample in 0..samples {
        let mut begin = |job: Job| {
            sender.send(job).expect("it listens");
            round += 1;
            pair.round.store(round, SeqCst);
            // Who is first is to change from sample to sample.
            for _ in 0..sample % 97 {
                std::hint::spin_loop();
            }
        };
        let seen = scene(&mut begin);
        while pair.done.load(SeqCst) < round {
            std::thread::yield_now();
        }
        *counts.entry(seen).or_default() += 1;
    }
    drop(sender);
    patience::until("the other thread has ended", || other.is_finished());
    other.join().expect("it does not panic");
    grade(name, table, &counts, samples);
}

type Job = Box<dyn FnOnce() + Send>;

fn grade(name: &str, table: &[(Seen, Grade)], counts: &BTreeMap<Seen, u64>, samples: u64) {
    let mut lines = format!("{name}: {samples} samples\n");
    let mut forbidden = Vec::new();
    for (seen, grade) in table {
        let count = counts.get(seen).copied().unwrap_or_default();
        let grade = format!("{grade:?}").to_lowercase();
        let _ = writeln!(lines, "  {count:>11}  {grade:<11}  {seen}");
    }
    for (seen, count) in counts {
        if !table.iter().any(|(known, grade)| known == seen && *grade != Grade::Forbidden) {
            let _ = writeln!(lines, "  {count:>11}  forbidden    {seen}");
            forbidden.push(*seen);
        }
    }
    eprint!("{lines}");
    assert_eq!(counts.values().sum::<u64>(), samples);
    assert!(forbidden.is_empty(), "{name}: {forbidden:?}\n{lines}");
}

fn outcome(mut handle: Handle<()>) -> Outcome {
    match handle.wait_timeout(LONG) {
        Ok(()) => Outcome::Completed,
        Err(error) => error.task().expect("it ends").outcome(),
    }
}

/// A submit and a stop: accepted and run, accepted and returned, or rejected; never both, never neither.
#[test]
fn submit_and_shutdown() {
    let table = [
        ("accepted and completed", Acceptable),
        ("accepted and returned", Interesting),
        ("rejected, and never run", Acceptable),
    ];
    // A pool lives for one sample; those of a worker and a thread each are dear, so it has no worker until it needs one.
    litmus("submit / shutdown", &table, |begin| {
        let pool = Arc::new(Pool::builder().workers(0..=1).queue(4).build().expect("the options are right"));
        let ran = Arc::new(AtomicU32::new(0));
        let theirs = Arc::clone(&pool);
        begin(Box::new(move || drop(theirs.shutdown(Shutdown::stop()))));
        let body = Arc::clone(&ran);
        let submitted = pool.submit(move |_| {
            body.fetch_add(1, SeqCst);
        });
        let accepted = u64::from(submitted.is_ok());
        let seen = submitted.map_or("rejected, and never run", |handle| match outcome(handle) {
            Outcome::Completed => "accepted and completed",
            Outcome::Returned => "accepted and returned",
            _ => "accepted, and ended otherwise",
        });
        let report = pool.shutdown(Shutdown::stop()).wait_timeout(LONG).expect("it ends");
        let once = ran.load(SeqCst) == u32::from(seen == "accepted and completed");
        match () {
            () if !once => "run although it was not to be, or twice",
            () if report.accepted != accepted || !report.law_holds() => {
                "counted otherwise than it was answered"
            }
            () => seen,
        }
    });
}

fn standing() -> Arc<Pool<Stateless>> {
    Arc::new(Pool::builder().workers(1..=1).queue(64).build().expect("the options are right"))
}

/// A cancel and an end: the outcome is one, the body ran as often as that says, and the canceller is told the truth.
#[test]
fn cancel_and_complete() {
    let table = [
        ("completed, the request came too late", Acceptable),
        ("completed, although it was asked", Interesting),
        ("cancelled before it began", Acceptable),
    ];
    let pool = standing();
    litmus("cancel / complete", &table, |begin| {
        let ran = Arc::new(AtomicU32::new(0));
        let body = Arc::clone(&ran);
        let submitted = pool.submit(move |_| {
            body.fetch_add(1, SeqCst);
        });
        let handle = submitted.expect("it is open and has room");
        let (watch, asked) = (handle.watch(), Arc::new(AtomicU32::new(0)));
        let told = Arc::clone(&asked);
        begin(Box::new(move || told.store(1 + u32::from(watch.cancel()), SeqCst)));
        let ended = outcome(handle);
        let runs = ran.load(SeqCst);
        while asked.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        match (ended, runs, asked.load(SeqCst) == 2) {
            (Outcome::Completed, 1, false) => "completed, the request came too late",
            (Outcome::Completed, 1, true) => "completed, although it was asked",
            (Outcome::Cancelled, 0, true) => "cancelled before it began",
            (Outcome::Cancelled, 0, false) => "cancelled, and nobody asked",
            (Outcome::Cancelled, ..) => "cancelled, and it ran",
            (Outcome::Completed, ..) => "completed, and it did not run",
            _ => "ended otherwise",
        }
    });
    let report = pool.shutdown(Shutdown::drain()).wait_timeout(LONG).expect("it ends");
    assert!(report.law_holds(), "{report}");
}

/// What a body holds.
struct Held(Arc<AtomicU32>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A panic and a handle that is dropped: the outcome is counted, and what the body held is dropped, once.
#[test]
fn panic_and_drop() {
    let table = [
        ("panicked before the handle was dropped", Acceptable),
        ("the handle was dropped first", Acceptable),
    ];
    let pool = standing();
    litmus("panic / drop", &table, |begin| {
        let drops = Arc::new(AtomicU32::new(0));
        let held = Held(Arc::clone(&drops));
        let submitted = pool.submit(move |_| {
            let _held = held;
            resume_unwind(Box::new("on purpose"))
        });
        let handle: Handle<()> = submitted.expect("it is open and has room");
        let watch = handle.watch();
        let first = Arc::new(AtomicU32::new(0));
        let (told, seen) = (Arc::clone(&first), watch.clone());
        begin(Box::new(move || {
            told.store(1 + u32::from(seen.outcome().is_none()), SeqCst);
            drop(handle);
        }));
        let ended = watch.wait(Some(LONG)).expect("it ends");
        while first.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        match (ended, drops.load(SeqCst), first.load(SeqCst)) {
            (Outcome::Panicked, 1, 1) => "panicked before the handle was dropped",
            (Outcome::Panicked, 1, _) => "the handle was dropped first",
            (Outcome::Panicked, 0, _) => "resolved before what the body held was dropped",
            (Outcome::Panicked, ..) => "dropped twice",
            _ => "ended otherwise",
        }
    });
    let stats = pool.stats();
    assert_eq!(stats.outcomes.panicked, samples());
}

/// A restart and a submit: the pool is open all the time, so the task runs, once, in the one generation or the other.
#[test]
fn restart_and_submit() {
    let table = [
        ("completed by the old generation", Acceptable),
        ("completed by the new generation", Acceptable),
        ("returned with the old generation", Interesting),
    ];
    let pool = standing();
    // A restart ends a thread and starts one: a fiftieth of the samples.
    let mut number = 0;
    litmus("restart / submit", &table, |begin| {
        number += 1;
        let before = pool.stats().generation;
        let restarts = number % 50 == 0;
        let theirs = Arc::clone(&pool);
        begin(Box::new(move || {
            if restarts {
                drop(theirs.restart(Restart::stop()));
            }
        }));
        let ran_in = Arc::new(AtomicU32::new(0));
        let body = Arc::clone(&ran_in);
        let submitted = pool.submit(move |task| {
            body.fetch_add(task.generation(), SeqCst);
        });
        let Ok(handle) = submitted else { return "rejected, although the pool is open" };
        let ended = outcome(handle);
        let ran_in = ran_in.load(SeqCst);
        drop(pool.take_returned());
        match (ended, ran_in) {
            (Outcome::Completed, ran_in) if ran_in == before => "completed by the old generation",
            (Outcome::Completed, ran_in) if ran_in == before + 1 => "completed by the new generation",
            (Outcome::Completed, _) => "completed by a generation that was not there",
            (Outcome::Returned, 0) => "returned with the old generation",
            (Outcome::Returned, _) => "returned, and it ran",
            _ => "ended otherwise",
        }
    });
    let report = pool.shutdown(Shutdown::drain()).wait_timeout(LONG).expect("it ends");
    assert!(report.law_holds() && report.accepted == samples(), "{report}");
}
