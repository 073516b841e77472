//! A soak of the real thing, on real threads: tasks that panic, fail, obey and do not, while the pool is resized, restarted in every way,
//! paused, drained and opened anew. Every task is in books of our own, which must be the pool's; and nothing is left behind.
//!
//! Ten seconds; `EBBTIDE_SOAK=60` (seconds) is the form of the release notes, `EBBTIDE_LONG=1` an hour. What runs the tasks is a
//! [`Population`], so that other kinds of workers are put under the same weather.
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::print_stderr, reason = "what came of it is said")]
#![expect(clippy::disallowed_methods, reason = "bodies that do not look, and weather that lasts for a time")]

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use dice::Dice;
use ebbtide::{Cancelled, Handle, Isolation, Outcome, Pool, Report, Restart, Retirement, Shutdown, Threads};
use patience::{LONG, until};

#[path = "support/dice.rs"]
mod dice;
#[path = "support/patience.rs"]
mod patience;
#[path = "support/threads.rs"]
mod threads;

/// More than the allocator's own unrest, less than any leak would come to in this time.
const MAY_GROW: u64 = 64 << 20;
const SUBMITTERS: u64 = 3;

/// A kind of workers, and what its tasks do.
trait Population: Send + Sync + 'static {
    type Isolation: Isolation;

    /// The beginning of the names of its threads.
    const NAME: &'static str;

    fn pool(&self) -> Pool<Self::Isolation>;

    /// Submits one, or is refused.
    fn submit(&self, pool: &Pool<Self::Isolation>, dice: &mut Dice) -> Option<Handle<()>>;
}

/// Threads with a state of their own.
struct OfThreads;

impl Population for OfThreads {
    type Isolation = Threads<Vec<u64>>;

    const NAME: &'static str = "weather";

    fn pool(&self) -> Pool<Self::Isolation> {
        Pool::builder()
            .name(Self::NAME)
            .workers(1..=3)
            .queue(64)
            .grace(Duration::from_millis(4))
            .deadline(LONG)
            .abandoned_cap(10_000)
            .retire(Retirement::new().after_tasks(20_000))
            .state(|_| vec![0; 512])
            .build()
            .expect("the options are right")
    }

    fn submit(&self, pool: &Pool<Self::Isolation>, dice: &mut Dice) -> Option<Handle<()>> {
        let what = dice.below(4_000);
        let task = move |state: &mut Vec<u64>, task: &ebbtide::Context<'_, Self::Isolation>| {
            state[0] += 1;
            match what {
                0..=3 => resume_unwind(Box::new("on purpose")),
                4..=40 => Err("on purpose".into()),
                41..=44 => task.sleep(Duration::from_millis(3)).map_err(ebbtide::BoxError::from),
                // It does not look: past its grace it is abandoned.
                45 => {
                    std::thread::sleep(Duration::from_millis(12));
                    Ok(())
                }
                46..=60 if task.is_cancelled() => Err(Box::new(Cancelled) as ebbtide::BoxError),
                _ => Ok(()),
            }
        };
        let timeout = if what == 45 { 1 } else { 10_000 };
        pool.task("chaos").timeout(Duration::from_millis(timeout)).submit_fallible(task).ok()
    }
}

/// The books: how every accepted task ended, as its handle said.
#[derive(Default)]
struct Books {
    outcomes: [AtomicU64; 9],
}

impl Books {
    fn end(&self, mut handle: Handle<()>) {
        let outcome = match handle.wait_timeout(LONG) {
            Ok(()) => Outcome::Completed,
            Err(error) => error.task().expect("every task ends").outcome(),
        };
        self.outcomes[outcome as usize].fetch_add(1, SeqCst);
    }

    fn counts(&self) -> [u64; 9] {
        std::array::from_fn(|place| self.outcomes[place].load(SeqCst))
    }
}

struct Weather<P: Population> {
    population: P,
    pool: RwLock<Arc<Pool<P::Isolation>>>,
    books: Books,
    over: AtomicBool,
    /// What the reports of all pools so far come to.
    reported: Mutex<[u64; 9]>,
}

impl<P: Population> Weather<P> {
    fn pool(&self) -> Arc<Pool<P::Isolation>> {
        Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Submits, cancels some of it, and waits for all.
    fn submit(&self, seed: u64) {
        let mut dice = Dice(seed);
        while !self.over.load(SeqCst) {
            let pool = self.pool();
            let handles: Vec<_> =
                (0..1 + dice.below(200)).filter_map(|_| self.population.submit(&pool, &mut dice)).collect();
            for handle in handles {
                if dice.below(50) == 0 {
                    handle.cancel();
                }
                self.books.end(handle);
            }
        }
    }

    /// Does something to the pool, again and again.
    fn blow(&self, seed: u64) {
        let mut dice = Dice(seed);
        while !self.over.load(SeqCst) {
            let pool = self.pool();
            match dice.below(12) {
                0 => self.reopen(&mut dice),
                1..=3 => drop(pool.restart(Restart::rolling()).wait_timeout(LONG)),
                4 => drop(pool.restart(Restart::drain()).wait_timeout(LONG)),
                5 => drop(pool.restart(Restart::stop()).wait_timeout(LONG)),
                6 => drop(pool.restart(Restart::abort()).wait_timeout(LONG)),
                7 | 8 => {
                    let min = usize::try_from(dice.below(3)).expect("small");
                    pool.resize(min..=min + 1 + usize::try_from(dice.below(2)).expect("small"))
                        .expect("a range");
                }
                9 => {
                    pool.pause();
                    pool.resume();
                }
                _ => std::thread::sleep(Duration::from_millis(dice.below(20))),
            }
            drop(pool.take_returned());
            let stats = pool.stats();
            assert_eq!(stats.accepted, stats.queued + stats.running + stats.outcomes.total(), "{stats:?}");
        }
    }

    /// Ends the pool, and puts another in its place.
    fn reopen(&self, dice: &mut Dice) {
        let next = Arc::new(self.population.pool());
        let pool = std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), next);
        let mode = [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()];
        self.end(&pool, mode[usize::try_from(dice.below(3)).expect("small")]);
    }

    fn end(&self, pool: &Pool<P::Isolation>, mode: Shutdown) {
        let report: Report = pool.shutdown(mode).wait_timeout(LONG).unwrap_or_else(|still| panic!("{still}"));
        assert!(report.law_holds() && report.queued + report.running == 0, "{report}");
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for outcome in Outcome::ALL {
            reported[outcome as usize] += pool.stats().outcomes.get(outcome);
        }
        drop(pool.take_returned());
    }
}

fn soak<P: Population>(population: P) {
    let seconds = std::env::var("EBBTIDE_SOAK").ok().and_then(|text| text.parse().ok());
    let long = if std::env::var_os("EBBTIDE_LONG").is_some() { 3_600 } else { 10 };
    let time = Duration::from_secs(seconds.unwrap_or(long));
    let pool = RwLock::new(Arc::new(population.pool()));
    let (books, over, reported) = (Books::default(), AtomicBool::new(false), Mutex::new([0; 9]));
    let weather = Weather { population, pool, books, over, reported };
    let (before, after) = std::thread::scope(|scope| {
        let weather = &weather;
        for seed in 0..SUBMITTERS {
            scope.spawn(move || weather.submit(seed));
        }
        scope.spawn(|| weather.blow(99));
        std::thread::sleep(time / 4);
        let before = (descriptors(), resident());
        std::thread::sleep(time - time / 4);
        let after = (descriptors(), resident());
        weather.over.store(true, SeqCst);
        (before, after)
    });
    weather.end(&weather.pool(), Shutdown::drain());
    let counts = weather.books.counts();
    let reported = *weather.reported.lock().unwrap_or_else(PoisonError::into_inner);
    eprintln!(
        "{}: {} tasks in {time:?}, by outcome {counts:?}; memory {before:?} then {after:?}",
        P::NAME,
        counts.iter().sum::<u64>()
    );
    assert_eq!(counts, reported, "our books and the pools'");
    until("every thread has ended, the abandoned ones too", || {
        threads::threads_named(&format!("{}-", P::NAME)) == 0
    });
    assert!(after.0 <= before.0 + 8, "descriptors: {before:?} then {after:?}");
    assert!(after.1 <= before.1 + MAY_GROW, "memory: {before:?} then {after:?}");
    for outcome in [Outcome::Completed, Outcome::Failed, Outcome::Panicked, Outcome::Abandoned] {
        assert!(counts[outcome as usize] > 0, "no task ended {outcome}: this was no weather");
    }
}

#[test]
fn threads_in_any_weather() {
    soak(OfThreads);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs is mounted").count()
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    pages * 4096
}
