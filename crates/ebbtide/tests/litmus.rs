//! Litmus tests in the manner of jcstress: two threads meet over one pool, many times each, and every result they can have is named
//! beforehand as acceptable, interesting (acceptable, and only a race gives it) or forbidden. One that has no name is forbidden.
//!
//! ```text
//! cargo test --release -p ebbtide --test litmus -- --nocapture
//! ```
//! A million samples each, 20 000 in a debug build, a hundred million with `EBBTIDE_LONG=1`; `EBBTIDE_SAMPLES` is any number.
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::print_stderr, reason = "the table is what one runs this for")]

use std::fmt::Write as _;
use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};

use ebbtide::{Handle, Outcome, Pool, Restart, Shutdown, Stateless, Watch};
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

/// As many meetings as it takes for so many samples.
fn rounds() -> u64 {
    let asked = std::env::var("EBBTIDE_SAMPLES").ok().and_then(|text| text.parse().ok());
    let samples =
        asked.unwrap_or_else(|| match (std::env::var_os("EBBTIDE_LONG").is_some(), cfg!(debug_assertions)) {
            (true, _) => 100_000_000,
            (false, true) => 20_000,
            (false, false) => 1_000_000,
        });
    u64::div_ceil(samples, BURST as u64)
}

/// So many tasks one meeting has, each a sample: the threads meet at the first and stay together from one to the next, so that starting
/// them (and a pool, where each needs its own) is paid for once.
const BURST: usize = 64;

/// Two threads that go at once, round after round: each round's parts are made by one of them, and both do theirs.
struct Pair {
    round: AtomicU64,
    done: AtomicU64,
}

/// Runs `scene` until there are so many samples: it gives what the other thread does, and what this one does and then sees of each task.
#[expect(clippy::disallowed_methods, reason = "the test's own threads")]
fn litmus(name: &str, table: &[(Seen, Grade)], mut scene: impl FnMut(&mut dyn FnMut(Job)) -> Vec<Seen>) {
    let rounds = rounds();
    let pair = Arc::new(Pair { round: AtomicU64::new(0), done: AtomicU64::new(0) });
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Job>(1);
    let theirs = Arc::clone(&pair);
    let other = std::thread::spawn(move || {
        let mut round = 0;
        while let Ok(job) = receiver.recv() {
            round += 1;
            spin_until(|| theirs.round.load(SeqCst) >= round);
            job();
            theirs.done.store(round, SeqCst);
        }
    });
    let mut counts: BTreeMap<Seen, u64> = BTreeMap::new();
    for round in 1..=rounds {
        let mut begin = |job: Job| {
            sender.send(job).expect("it listens");
            pair.round.store(round, SeqCst);
            hesitate(round);
        };
        let seen = scene(&mut begin);
        assert_eq!(seen.len(), BURST);
        spin_until(|| pair.done.load(SeqCst) >= round);
        seen.into_iter().for_each(|seen| *counts.entry(seen).or_default() += 1);
    }
    drop(sender);
    patience::until("the other thread has ended", || other.is_finished());
    other.join().expect("it does not panic");
    grade(name, table, &counts, rounds * BURST as u64);
}

/// So that who is first changes from sample to sample.
fn hesitate(number: u64) {
    for _ in 0..number * 31 % 97 {
        std::hint::spin_loop();
    }
}

/// Waits close by, and gives the core away where the other needs it.
fn spin_until(mut condition: impl FnMut() -> bool) {
    for turn in 1_u32.. {
        if condition() {
            return;
        }
        if turn.is_multiple_of(64) {
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
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
    let mut number = 0;
    // A pool lives for one meeting.
    litmus("submit / shutdown", &table, |begin| {
        number += 1;
        let pool =
            Arc::new(Pool::builder().workers(0..=1).queue(BURST).build().expect("the options are right"));
        let ran: Arc<[AtomicU32; BURST]> = Arc::new([const { AtomicU32::new(0) }; BURST]);
        let submitted = Arc::new(AtomicU64::new(0));
        let (theirs, come) = (Arc::clone(&pool), Arc::clone(&submitted));
        // Now before all of them, now between two.
        let after = number % BURST as u64;
        begin(Box::new(move || {
            spin_until(|| come.load(SeqCst) >= after);
            hesitate(number);
            drop(theirs.shutdown(Shutdown::stop()));
        }));
        let handles: Vec<_> = (0..BURST)
            .map(|at| {
                submitted.store(at as u64, SeqCst);
                hesitate(number + at as u64);
                let body = Arc::clone(&ran);
                pool.submit(move |_| {
                    body[at].fetch_add(1, SeqCst);
                })
            })
            .collect();
        submitted.store(u64::MAX, SeqCst);
        let accepted = handles.iter().filter(|handle| handle.is_ok()).count() as u64;
        let seen: Vec<_> = handles.into_iter().map(|submitted| submitted.ok().map(outcome)).collect();
        let report = pool.shutdown(Shutdown::stop()).wait_timeout(LONG).expect("it ends");
        assert!(
            report.accepted == accepted && report.law_holds(),
            "counted otherwise than it was answered: {report}"
        );
        let see = |(at, outcome): (usize, Option<Outcome>)| match (outcome, ran[at].load(SeqCst)) {
            (Some(Outcome::Completed), 1) => "accepted and completed",
            (Some(Outcome::Returned), 0) => "accepted and returned",
            (None, 0) => "rejected, and never run",
            (Some(Outcome::Completed | Outcome::Returned) | None, _) => {
                "run although it was not to be, or twice"
            }
            (Some(_), _) => "accepted, and ended otherwise",
        };
        seen.into_iter().enumerate().map(see).collect()
    });
}

/// A pool of one worker, for all meetings.
fn standing() -> Arc<Pool<Stateless>> {
    Arc::new(Pool::builder().workers(1..=1).queue(4 * BURST).build().expect("the options are right"))
}

/// Holds the pool's worker back until all of a meeting are there.
fn hold(pool: &Pool<Stateless>) -> (Arc<AtomicBool>, Handle<()>) {
    let gate = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&gate);
    let held = pool.submit(move |_| spin_until(|| opened.load(SeqCst))).expect("it is open and has room");
    (gate, held)
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
    let mut number = 0;
    litmus("cancel / complete", &table, |begin| {
        number += 1;
        let (gate, held) = hold(&pool);
        let ran: Arc<[AtomicU32; BURST]> = Arc::new([const { AtomicU32::new(0) }; BURST]);
        let asked: Arc<[AtomicU32; BURST]> = Arc::new([const { AtomicU32::new(0) }; BURST]);
        // Before each there is one that nobody cancels and that says how far the worker is; both then hesitate, each in its own measure.
        let reached = Arc::new(AtomicUsize::new(0));
        let submit = |at: usize| {
            let reached = Arc::clone(&reached);
            let before = move || {
                reached.store(at + 1, SeqCst);
                hesitate(3 * number + at as u64);
            };
            drop(pool.submit(move |_| before()).expect("it is open and has room"));
            let body = Arc::clone(&ran);
            let submitted = pool.submit(move |_| {
                body[at].fetch_add(1, SeqCst);
            });
            submitted.expect("it is open and has room")
        };
        let handles: Vec<_> = (0..BURST).map(submit).collect();
        let watches: Vec<_> = handles.iter().map(Handle::watch).collect();
        let told = Arc::clone(&asked);
        begin(Box::new(move || {
            for (at, watch) in watches.iter().enumerate() {
                spin_until(|| reached.load(SeqCst) > at);
                hesitate(number + 5 * at as u64);
                told[at].store(1 + u32::from(watch.cancel()), SeqCst);
            }
        }));
        gate.store(true, SeqCst);
        assert_eq!(outcome(held), Outcome::Completed);
        let see = |(at, handle): (usize, Handle<()>)| {
            let (ended, runs) = (outcome(handle), ran[at].load(SeqCst));
            spin_until(|| asked[at].load(SeqCst) > 0);
            match (ended, runs, asked[at].load(SeqCst) == 2) {
                (Outcome::Completed, 1, false) => "completed, the request came too late",
                (Outcome::Completed, 1, true) => "completed, although it was asked",
                (Outcome::Cancelled, 0, true) => "cancelled before it began",
                (Outcome::Cancelled, 0, false) => "cancelled, and nobody asked",
                (Outcome::Cancelled, ..) => "cancelled, and it ran",
                (Outcome::Completed, ..) => "completed, and it did not run",
                _ => "ended otherwise",
            }
        };
        handles.into_iter().enumerate().map(see).collect()
    });
    let report = pool.shutdown(Shutdown::drain()).wait_timeout(LONG).expect("it ends");
    assert!(report.law_holds(), "{report}");
}

/// What a body holds.
struct Held(Arc<[AtomicU32; BURST]>, usize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0[self.1].fetch_add(1, SeqCst);
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
    let mut number = 0;
    litmus("panic / drop", &table, |begin| {
        number += 1;
        let (gate, held) = hold(&pool);
        let drops: Arc<[AtomicU32; BURST]> = Arc::new([const { AtomicU32::new(0) }; BURST]);
        let first: Arc<[AtomicU32; BURST]> = Arc::new([const { AtomicU32::new(0) }; BURST]);
        let submit = |at: usize| {
            let held = Held(Arc::clone(&drops), at);
            let submitted = pool.submit(move |_| -> () {
                let _held = held;
                resume_unwind(Box::new("on purpose"))
            });
            submitted.expect("it is open and has room")
        };
        let handles: Vec<_> = (0..BURST).map(submit).collect();
        let watches: Vec<_> = handles.iter().map(Handle::watch).collect();
        let (told, theirs) = (Arc::clone(&first), watches.clone());
        begin(Box::new(move || {
            for (at, handle) in handles.into_iter().enumerate() {
                if let Some(before) = at.checked_sub(1) {
                    spin_until(|| theirs[before].outcome().is_some());
                }
                hesitate(number + at as u64);
                told[at].store(1 + u32::from(theirs[at].outcome().is_none()), SeqCst);
                drop(handle);
            }
        }));
        gate.store(true, SeqCst);
        assert_eq!(outcome(held), Outcome::Completed);
        let see = |(at, watch): (usize, Watch)| {
            let ended = watch.wait(Some(LONG)).expect("it ends");
            let drops = drops[at].load(SeqCst);
            spin_until(|| first[at].load(SeqCst) > 0);
            match (ended, drops, first[at].load(SeqCst)) {
                (Outcome::Panicked, 1, 1) => "panicked before the handle was dropped",
                (Outcome::Panicked, 1, _) => "the handle was dropped first",
                (Outcome::Panicked, 0, _) => "resolved before what the body held was dropped",
                (Outcome::Panicked, ..) => "dropped twice",
                _ => "ended otherwise",
            }
        };
        watches.into_iter().enumerate().map(see).collect()
    });
    let stats = pool.stats();
    assert_eq!(stats.outcomes.panicked, rounds() * BURST as u64);
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
    let mut number = 0;
    litmus("restart / submit", &table, |begin| {
        number += 1;
        let before = pool.stats().generation;
        let submitted = Arc::new(AtomicU64::new(0));
        let (theirs, come) = (Arc::clone(&pool), Arc::clone(&submitted));
        let after = number % BURST as u64;
        begin(Box::new(move || {
            spin_until(|| come.load(SeqCst) >= after);
            hesitate(number);
            let restart = theirs.restart(Restart::stop());
            let _ = restart.wait_timeout(LONG).expect("it ends");
        }));
        let ran_in: Arc<[AtomicU32; BURST]> = Arc::new([const { AtomicU32::new(0) }; BURST]);
        let submit = |at: usize| {
            submitted.store(at as u64, SeqCst);
            hesitate(number + at as u64);
            let body = Arc::clone(&ran_in);
            pool.submit(move |task| {
                body[at].fetch_add(task.generation(), SeqCst);
            })
        };
        let handles: Vec<_> = (0..BURST).map(submit).collect();
        let see = |(at, submitted): (usize, Result<Handle<()>, _>)| {
            let Ok(handle) = submitted else { return "rejected, although the pool is open" };
            let ended = outcome(handle);
            match (ended, ran_in[at].load(SeqCst)) {
                (Outcome::Completed, ran_in) if ran_in == before => "completed by the old generation",
                (Outcome::Completed, ran_in) if ran_in == before + 1 => "completed by the new generation",
                (Outcome::Completed, _) => "completed by a generation that was not there",
                (Outcome::Returned, 0) => "returned with the old generation",
                (Outcome::Returned, _) => "returned, and it ran",
                _ => "ended otherwise",
            }
        };
        let seen = handles.into_iter().enumerate().map(see).collect();
        drop(pool.take_returned());
        seen
    });
    let report = pool.shutdown(Shutdown::drain()).wait_timeout(LONG).expect("it ends");
    assert!(report.law_holds() && report.accepted == rounds() * BURST as u64, "{report}");
}
