//! Races, many of each: submit against shutdown, cancel against start, dropped handles, restart after restart.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context as Poller, Poll, Wake, Waker},
    time::Duration,
};

use dice::Dice;
use ebbtide::{Outcome, Pool, Restart, Shutdown};
use patience::{LONG, until};

#[path = "support/dice.rs"]
mod dice;
#[path = "support/patience.rs"]
mod patience;
#[path = "support/threads.rs"]
mod threads;

/// How many times submitters race with a shutdown.
const RACES: u64 = 10_000;
const RESTARTS: u64 = 1_000;
/// More than the allocator's own unrest, less than what a leak of a worker per restart would come to.
const MAY_GROW: u64 = 64 << 20;

/// What the test itself has counted.
#[derive(Default)]
struct Tally {
    accepted: AtomicU64,
    rejected: AtomicU64,
    ran: AtomicU64,
    completed: AtomicU64,
    cancelled: AtomicU64,
    returned: AtomicU64,
}

impl Tally {
    fn ended(&self, outcome: Result<(), ebbtide::WaitError>, ran_before_end: bool) {
        match outcome.map_err(|error| error.task().map(ebbtide::TaskError::outcome)) {
            Ok(()) => {
                assert!(ran_before_end, "a handle that completes before its body has ended");
                self.completed.fetch_add(1, SeqCst)
            }
            Err(Some(Outcome::Cancelled)) => self.cancelled.fetch_add(1, SeqCst),
            Err(Some(Outcome::Returned)) => self.returned.fetch_add(1, SeqCst),
            Err(other) => panic!("neither ended nor rejected: {other:?}"),
        };
    }
}

#[test]
fn ten_thousand_races_of_submit_against_shutdown() {
    const THREADS: u64 = 4;
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, SeqCst);
                    if round >= RACES {
                        break;
                    }
                    race(round);
                }
            });
        }
    });
}

/// One race: three submitters, each in its own way, one of them blocked for room most of the time, and one who stops.
fn race(round: u64) {
    let mut dice = Dice(round);
    let workers = 1 + usize::try_from(dice.below(3)).expect("small");
    let queue = 1 + usize::try_from(dice.below(4)).expect("small");
    let pool = Pool::builder().workers(1..=workers).queue(queue).build().expect("the options are right");
    let tally = Tally::default();
    let report = std::thread::scope(|scope| {
        for way in 0..3 {
            let (pool, tally) = (&pool, &tally);
            scope.spawn(move || while submit_once(pool, tally, way) {});
        }
        for _ in 0..dice.below(20_000) {
            std::hint::spin_loop();
        }
        let mode = match dice.below(3) {
            0 => Shutdown::drain(),
            1 => Shutdown::stop(),
            _ => Shutdown::abort(),
        };
        pool.shutdown(mode.within(LONG))
            .wait_timeout(LONG)
            .unwrap_or_else(|still| panic!("round {round}: {still}"))
    });
    let got = |counter: &AtomicU64| counter.load(SeqCst);
    assert_eq!(report.accepted, got(&tally.accepted), "round {round}: {report}");
    assert_eq!(pool.stats().rejected, got(&tally.rejected), "round {round}");
    assert_eq!(report.outcomes.completed, got(&tally.completed), "round {round}: {report}");
    assert_eq!(report.outcomes.returned, got(&tally.returned), "round {round}: {report}");
    assert_eq!(report.outcomes.cancelled, got(&tally.cancelled), "round {round}: {report}");
    assert_eq!(report.outcomes.total(), report.accepted, "round {round}: {report}");
    assert_eq!(got(&tally.ran), got(&tally.completed), "round {round}: only what completed ran");
    assert_eq!(pool.take_returned().len() as u64, report.outcomes.returned, "round {round}");
}

/// Submits one task and waits for its end; false once the pool takes no more.
fn submit_once(pool: &Pool<ebbtide::Stateless>, tally: &Tally, way: u32) -> bool {
    let mine = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&mine);
    let all = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&all);
    let body = move |_: &ebbtide::Context<'_, ebbtide::Stateless>| {
        seen.fetch_add(1, SeqCst);
        counted.fetch_add(1, SeqCst);
    };
    let came = match way {
        0 => pool.submit(body),
        1 => block_on(pool.submit_async(body)),
        _ => pool.try_submit(body),
    };
    match came {
        Ok(mut handle) => {
            tally.accepted.fetch_add(1, SeqCst);
            let result = handle.wait_timeout(LONG);
            tally.ended(result, mine.load(SeqCst) == 1);
            tally.ran.fetch_add(all.load(SeqCst), SeqCst);
            true
        }
        Err(error) => {
            tally.rejected.fetch_add(1, SeqCst);
            let full = error.is_full();
            drop(error.into_task());
            assert_eq!(mine.load(SeqCst), 0, "a rejected task never runs");
            full
        }
    }
}

#[test]
fn a_cancel_races_with_the_start() {
    let pool = Pool::builder().workers(2..=2).queue(64).build().unwrap();
    let (mut completed, mut cancelled) = (0, 0);
    for round in 0..20_000_u64 {
        let starts = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&starts);
        let mut handle = pool
            .submit_fallible(move |task| {
                seen.fetch_add(1, SeqCst);
                task.check()
            })
            .unwrap();
        for _ in 0..round % 200 {
            std::hint::spin_loop();
        }
        let asked = handle.cancel();
        match handle.wait_timeout(LONG) {
            Ok(()) => completed += 1,
            Err(error) => {
                assert!(asked && error.task().unwrap().is_cancelled(), "{error}");
                cancelled += 1;
            }
        }
        assert!(starts.load(SeqCst) <= 1);
    }
    let stats = pool.stats();
    assert_eq!((stats.outcomes.completed, stats.outcomes.cancelled), (completed, cancelled));
    assert!(cancelled > 0, "none was caught in time: not a race");
    assert_eq!(stats.accepted, stats.queued + stats.running + stats.outcomes.total());
}

#[test]
fn a_dropped_handle_detaches_and_its_task_runs_once() {
    let pool = Pool::builder().workers(2..=2).build().unwrap();
    let (runs, drops) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    struct Counted(Arc<AtomicU64>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    for _ in 0..20_000 {
        let (runs, value) = (Arc::clone(&runs), Counted(Arc::clone(&drops)));
        let handle = pool.submit(move |_| {
            runs.fetch_add(1, SeqCst);
            value
        });
        drop(handle);
    }
    let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert_eq!(report.outcomes.completed, 20_000);
    assert_eq!((runs.load(SeqCst), drops.load(SeqCst)), (20_000, 20_000));
}

#[test]
fn timeouts_that_fire_while_the_task_ends_harm_nobody() {
    let pool = Pool::builder()
        .workers(2..=2)
        .grace(Duration::from_millis(1))
        .abandoned_cap(100_000)
        .build()
        .unwrap();
    let mut outcomes = [0_u64; 9];
    for round in 0..3_000_u64 {
        let nap = Duration::from_micros(900 + round % 200);
        let mut handle = pool
            .task("close call")
            .timeout(Duration::from_millis(1))
            .submit_fallible(move |task| task.sleep(nap))
            .unwrap();
        let outcome = match handle.wait_timeout(LONG) {
            Ok(()) => Outcome::Completed,
            Err(error) => error.task().unwrap().outcome(),
        };
        assert!(matches!(outcome, Outcome::Completed | Outcome::TimedOut | Outcome::Abandoned), "{outcome}");
        outcomes[outcome as usize] += 1;
        // Whoever comes next sees nothing of it.
        assert!(pool.submit(|task| task.is_cancelled()).unwrap().wait().is_ok_and(|asked| !asked));
    }
    let stats = pool.stats();
    let counted = Outcome::ALL.map(|outcome| stats.outcomes.get(outcome));
    outcomes[Outcome::Completed as usize] += 3_000;
    assert_eq!(counted, outcomes);
    assert!(stats.outcomes.timed_out > 0, "{stats:?}");
}

#[test]
fn a_thousand_restarts_leave_nothing_behind() {
    let pool = Pool::builder()
        .name("grow")
        .workers(2..=3)
        .queue(64)
        .state(|_| vec![0_u8; 64 << 10])
        .build()
        .unwrap();
    let stop = AtomicUsize::new(0);
    let ended = AtomicU64::new(0);
    let mut before = (0, 0, 0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while stop.load(SeqCst) == 0 {
                    let mut handle = pool.submit(|state, _| state[0] = 1).expect("it is open all the time");
                    let outcome = handle.wait_timeout(LONG);
                    assert!(outcome.is_ok() || outcome.is_err_and(|error| error.task().is_some()));
                    ended.fetch_add(1, SeqCst);
                    std::thread::yield_now();
                }
            });
        }
        for round in 0..RESTARTS {
            let restart = match round % 3 {
                0 => Restart::drain(),
                1 => Restart::abort(),
                _ => Restart::rolling(),
            };
            let report = pool.restart(restart).wait_timeout(LONG);
            let report = report.unwrap_or_else(|still| panic!("round {round}: {still}"));
            assert!(report.law_holds() && report.failed.is_none(), "round {round}: {report}");
            drop(pool.take_returned());
            if round == RESTARTS / 5 {
                before = footprint();
            }
        }
        stop.store(1, SeqCst);
    });
    until("only the present workers are there", || threads::threads_named("grow-") <= 3);
    let after = footprint();
    assert!(after.0 <= before.0 + 4, "threads: {before:?} then {after:?}");
    assert!(after.1 <= before.1 + 4, "descriptors: {before:?} then {after:?}");
    assert!(after.2 <= before.2 + MAY_GROW, "memory: {before:?} then {after:?}");
    let stats = pool.stats();
    assert_eq!(stats.accepted, ended.load(SeqCst));
    assert_eq!(stats.accepted, stats.outcomes.total());
    assert_eq!(u64::from(stats.generation), 1 + RESTARTS);
}

/// Threads, descriptors and resident bytes of this process.
fn footprint() -> (usize, usize, u64) {
    let count = |path| std::fs::read_dir(path).expect("procfs is mounted").count();
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    (threads::threads_named("grow-"), count("/proc/self/fd"), pages * 4096)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker: Waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Poller::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
