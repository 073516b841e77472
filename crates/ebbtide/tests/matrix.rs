//! The whole matrix of stops, enumerated: what the pool does × how it is stopped × whether the deadline is met × who asks, on pools
//! with and without state, with one worker and three. After each cell the law holds, in the pool's counters and in a ledger of the
//! test's own, and nobody is left waiting.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ebbtide::{Closing, Phase, Pool, Report, Restart, Returned, Shutdown, Stateless, Threads};
use ledger::{Deed, Kind, Ledger, sums_of};
use patience::{LONG, until};

#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/patience.rs"]
mod patience;
#[path = "support/quiet.rs"]
mod quiet;
#[path = "support/threads.rs"]
mod threads;

/// Short enough for a matrix, long enough to be a deadline.
const SHORT: Duration = Duration::from_millis(40);
/// Cells under way at a time; they mostly wait.
const AT_ONCE: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Nothing,
    Queued,
    Running,
    Stuck,
    Panicking,
    Spawning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Drain,
    Stop,
    Abort,
    RestartDrain,
    RestartStop,
    RestartAbort,
    Rolling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    Met,
    Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callers {
    One,
    Two,
    StrongerSecond,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    load: Load,
    how: How,
    deadline: Deadline,
    callers: Callers,
    workers: usize,
}

const LOADS: [Load; 6] =
    [Load::Nothing, Load::Queued, Load::Running, Load::Stuck, Load::Panicking, Load::Spawning];
const CALLERS: [Callers; 3] = [Callers::One, Callers::Two, Callers::StrongerSecond];

#[test]
fn shutdown_drain() {
    all_cells_of(How::Drain);
}

#[test]
fn shutdown_stop() {
    all_cells_of(How::Stop);
}

#[test]
fn shutdown_abort() {
    all_cells_of(How::Abort);
}

#[test]
fn restart_drain() {
    all_cells_of(How::RestartDrain);
}

#[test]
fn restart_stop() {
    all_cells_of(How::RestartStop);
}

#[test]
fn restart_abort() {
    all_cells_of(How::RestartAbort);
}

#[test]
fn restart_rolling() {
    all_cells_of(How::Rolling);
}

fn all_cells_of(how: How) {
    quiet::hush();
    let mut cells = Vec::new();
    for load in LOADS {
        for deadline in [Deadline::Met, Deadline::Missed] {
            for callers in CALLERS {
                for workers in [1, 3] {
                    cells.push(Cell { load, how, deadline, callers, workers });
                }
            }
        }
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, SeqCst)) {
                    Run::<Stateless>::new(*cell).whole();
                    Run::<Threads<u64>>::new(*cell).whole();
                }
            });
        }
    });
    assert!(next.load(SeqCst) >= cells.len());
}

/// One cell on one kind of pool.
struct Run<K: Kind> {
    cell: Cell,
    prefix: String,
    pool: Pool<K>,
    ledger: Arc<Ledger>,
    reports: Mutex<Vec<Report>>,
}

impl<K: Kind> Run<K> {
    fn new(cell: Cell) -> Self {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mx{}", POOLS.fetch_add(1, SeqCst));
        let builder = Pool::builder()
            .name(&name)
            .workers(cell.workers..=cell.workers)
            .queue(6)
            .children_reserve(100)
            .abandoned_cap(100)
            .deadline(LONG)
            .grace(LONG / 2);
        let (pool, ledger, reports) = (K::build(builder), Arc::default(), Mutex::default());
        Self { cell, prefix: format!("{name}-"), pool, ledger, reports }
    }

    fn whole(self) {
        self.fill();
        std::thread::scope(|scope| {
            if self.cell.load == Load::Queued {
                for _ in 0..2 {
                    scope.spawn(|| self.ledger.submit(&self.pool, Deed::Plain));
                }
                until("two wait for room", || self.pool.stats().waiting_for_room == 2);
            }
            self.stop();
        });
        self.check_after();
        self.clear_away();
    }

    /// Brings the pool into the state of the cell.
    fn fill(&self) {
        let (held, more) = match self.cell.load {
            Load::Nothing => return,
            Load::Queued => (Deed::Obey, Some((Deed::Plain, 6))),
            Load::Running => (Deed::Obey, None),
            Load::Stuck => (Deed::Stick, Some((Deed::Plain, 2))),
            Load::Panicking => (Deed::Panic, Some((Deed::Panic, 4))),
            Load::Spawning => (Deed::Spawn(3), Some((Deed::Spawn(1), 2))),
        };
        for _ in 0..self.cell.workers {
            assert!(self.ledger.submit(&self.pool, held));
        }
        until("all workers are busy", || self.ledger.running() == self.cell.workers as u64);
        if let Some((deed, count)) = more {
            (0..count).for_each(|_| assert!(self.ledger.submit(&self.pool, deed)));
        }
    }

    /// Asks, as the cell says, and waits for the reports.
    fn stop(&self) {
        let first = self.ask(self.cell.how);
        let asked = AtomicUsize::new(usize::from(self.cell.callers == Callers::One));
        std::thread::scope(|scope| {
            let second = match self.cell.callers {
                Callers::One => None,
                Callers::Two => Some(self.cell.how),
                Callers::StrongerSecond => Some(self.cell.how.stronger()),
            };
            if let Some(how) = second {
                let asked = &asked;
                scope.spawn(move || {
                    let closing = self.ask(how);
                    asked.store(1, SeqCst);
                    self.wait(&closing);
                });
            }
            until("all have asked", || asked.load(SeqCst) == 1);
            if self.cell.deadline == Deadline::Met {
                self.ledger.open();
            } else if self.rolls_for_ever() {
                let still = first.wait_timeout(SHORT).expect_err("a rolling restart disturbs nobody");
                assert!(still.running.len() >= self.cell.workers, "{still}");
                self.ledger.open();
            }
            self.wait(&first);
        });
    }

    /// A rolling restart has no deadline: it waits for whoever runs.
    fn rolls_for_ever(&self) -> bool {
        let alone = self.cell.callers != Callers::StrongerSecond;
        self.cell.how == How::Rolling && self.cell.load != Load::Nothing && alone
    }

    fn ask(&self, how: How) -> Closing {
        let (within, grace) = match self.cell.deadline {
            Deadline::Met => (LONG, LONG / 2),
            Deadline::Missed => (SHORT, SHORT / 4),
        };
        let shutdown = |mode: Shutdown| self.pool.shutdown(mode.within(within).grace(grace));
        let restart = |mode: Restart| self.pool.restart(mode.within(within).grace(grace));
        match how {
            How::Drain => shutdown(Shutdown::drain()),
            How::Stop => shutdown(Shutdown::stop()),
            How::Abort => shutdown(Shutdown::abort()),
            How::RestartDrain => restart(Restart::drain()),
            How::RestartStop => restart(Restart::stop()),
            How::RestartAbort => restart(Restart::abort()),
            How::Rolling => restart(Restart::rolling()),
        }
    }

    fn wait(&self, closing: &Closing) {
        let report = closing.wait_timeout(LONG).unwrap_or_else(|still| panic!("{:?}: {still}", self.cell));
        assert!(report.law_holds(), "{:?}: {report}", self.cell);
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }

    /// What holds as soon as the reports are there, with stuck bodies still stuck.
    fn check_after(&self) {
        let stats = self.pool.stats();
        let sum = stats.queued + stats.running + stats.outcomes.total();
        assert_eq!(stats.accepted, sum, "{:?}: {stats:?}", self.cell);
        assert_eq!(stats.waiting_for_room, 0, "{:?}: {stats:?}", self.cell);
        if !self.cell.ends_the_pool() {
            assert!(self.ledger.submit(&self.pool, Deed::Plain), "{:?}: usable after a restart", self.cell);
            until("the minimum is there", || self.pool.stats().workers.alive >= self.cell.workers);
            self.wait(&self.pool.shutdown(Shutdown::drain().within(LONG).grace(LONG / 4)));
        }
        assert!(!self.ledger.submit(&self.pool, Deed::Plain), "{:?}: nothing after the end", self.cell);
        let stats = self.pool.stats();
        assert_eq!(stats.phase, Phase::Terminated);
        assert_eq!((stats.queued, stats.running), (0, 0), "{:?}: {stats:?}", self.cell);
        assert_eq!(stats.accepted, stats.outcomes.total(), "{:?}: {stats:?}", self.cell);
        let abandoned = usize::try_from(stats.outcomes.abandoned).expect("a few");
        assert_eq!(stats.workers.alive, 0, "{:?}: {stats:?}", self.cell);
        let at_most = if self.is_stuck() { abandoned } else { LATE };
        until("the threads are gone, but the abandoned ones", || {
            threads::threads_named(&self.prefix) <= at_most
        });
        if self.is_stuck() {
            assert_eq!(abandoned, self.cell.workers, "{:?}: {stats:?}", self.cell);
        }
    }

    /// True if stuck bodies were in the way of a deadline.
    fn is_stuck(&self) -> bool {
        self.cell.load == Load::Stuck && self.cell.deadline == Deadline::Missed && !self.rolls_for_ever()
    }

    /// Lets the stuck go, and closes the ledger.
    fn clear_away(self) {
        self.ledger.open();
        until("every thread is gone", || threads::threads_named(&self.prefix) == 0);
        until("no thread counts as given up", || self.pool.stats().workers.abandoned == 0);
        let stats = self.pool.stats();
        assert_eq!(stats.accepted, self.ledger.accepted(), "{:?}", self.cell);
        assert_eq!(stats.rejected, self.ledger.rejected(), "{:?}", self.cell);
        let back = self.pool.take_returned();
        assert_eq!(back.len() as u64, stats.outcomes.returned, "{:?}: each comes back once", self.cell);
        assert!(self.pool.take_returned().is_empty(), "{:?}: and only once", self.cell);
        let mut numbers: Vec<_> = back.iter().map(Returned::id).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), back.len(), "{:?}", self.cell);
        drop(back);
        let sums = self.ledger.close();
        assert_eq!(sums, sums_of(&stats.outcomes), "{:?}: the ledger and the counters", self.cell);
        self.check_promises(sums);
        self.check_callers();
    }

    /// What the mode promised when its deadline was met.
    fn check_promises(&self, sums: [u64; 9]) {
        let [_, failed, _, cancelled, _, _, _, abandoned, returned] = sums;
        assert_eq!(failed, 0, "{:?}", self.cell);
        if self.cell.deadline == Deadline::Missed && !self.rolls_for_ever() {
            return;
        }
        let strongest = match self.cell.callers {
            Callers::StrongerSecond => self.cell.how.stronger(),
            _ => self.cell.how,
        };
        assert_eq!(abandoned, 0, "{:?}: the grace was long", self.cell);
        if !strongest.is_abort() {
            assert_eq!(cancelled, 0, "{:?}: only an abort asks", self.cell);
        }
        if matches!(strongest, How::Drain | How::RestartDrain | How::Rolling) {
            assert_eq!(returned, 0, "{:?}: everything accepted is finished", self.cell);
        }
    }

    /// Two who asked for the same shutdown got the same report.
    fn check_callers(&self) {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let shutdown = matches!(self.cell.how, How::Drain | How::Stop | How::Abort);
        if shutdown && self.cell.callers != Callers::One {
            let [one, two] = &reports[..] else { panic!("{:?}: {} reports", self.cell, reports.len()) };
            assert_eq!(one.to_json(), two.to_json(), "{:?}", self.cell);
        }
    }
}

/// Threads that were abandoned by a short grace although their bodies would have obeyed.
const LATE: usize = 3;

impl Cell {
    fn ends_the_pool(self) -> bool {
        let shutdown = |how| matches!(how, How::Drain | How::Stop | How::Abort);
        shutdown(self.how) || self.callers == Callers::StrongerSecond && shutdown(self.how.stronger())
    }
}

impl How {
    fn stronger(self) -> Self {
        match self {
            Self::Drain | Self::Stop | Self::Abort | Self::RestartAbort => Self::Abort,
            Self::RestartDrain | Self::RestartStop | Self::Rolling => Self::RestartAbort,
        }
    }

    fn is_abort(self) -> bool {
        matches!(self, Self::Abort | Self::RestartAbort)
    }
}
