//! A pool under test with a ledger of its own: every handle resolves, once, and the pool's counters say the same.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

use ebbtide::process::{Processes, Raw};
use ebbtide::{
    Handle, Outcome, Outcomes, Phase, Pool, PoolBuilder, Report, Shutdown, TaskError, WaitError, Watch,
};
use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::tools::{LONG, eventually};

pub(crate) type Isolation = Processes<Value, Value>;
pub(crate) type Builder = PoolBuilder<Processes<Raw, Raw>>;

pub(crate) struct Rig {
    pub(crate) pool: Pool<Isolation>,
    ledger: Mutex<Ledger>,
}

/// What was accepted, and how it ended. Those that have ended are only counted: a watch keeps its task in memory.
#[derive(Default)]
struct Ledger {
    accepted: u64,
    open: Vec<Watch>,
    ended: [u64; Outcome::ALL.len()],
}

impl Ledger {
    fn count(&mut self) {
        let ended = &mut self.ended;
        self.open.retain(|watch| {
            let outcome = watch.outcome();
            let place = Outcome::ALL.iter().position(|one| Some(*one) == outcome);
            place.map(|place| ended[place] += 1).is_none()
        });
    }
}

/// A request of a tool.
pub(crate) fn ask(tool: &str, argument: impl Into<Value>) -> Value {
    json!([tool, argument.into()])
}

impl Rig {
    /// A pool of so many workers, warm.
    pub(crate) fn new(kind: &Kind, workers: RangeInclusive<usize>) -> Self {
        Self::with(kind, |pool| pool.workers(workers).warm())
    }

    /// A pool with options.
    pub(crate) fn with(kind: &Kind, set: impl FnOnce(Builder) -> Builder) -> Self {
        let pool = set(Pool::processes(kind.command.clone())).build().unwrap();
        Self { pool, ledger: Mutex::default() }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Writes an accepted task down.
    pub(crate) fn note<T: Send + 'static>(&self, handle: Handle<T>) -> Handle<T> {
        let mut ledger = self.ledger();
        ledger.accepted += 1;
        ledger.open.push(handle.watch());
        if ledger.open.len().is_multiple_of(1024) {
            ledger.count();
        }
        drop(ledger);
        handle
    }

    pub(crate) fn send(&self, tool: &str, argument: impl Into<Value>) -> Handle<Value> {
        self.note(self.pool.submit(ask(tool, argument)).unwrap())
    }

    /// Sends and waits for the value.
    pub(crate) fn call(&self, tool: &str, argument: impl Into<Value>) -> Value {
        value(self.send(tool, argument))
    }

    /// Waits until so many workers have begun a task: it was not only sent.
    pub(crate) fn until_begun(&self, workers: usize) {
        eventually("as many have begun", || self.pool.stats().running_tasks.len() == workers);
    }

    /// Drains the pool, and holds it to the law and to the ledger.
    pub(crate) fn close(self) -> Report {
        self.close_by(Shutdown::drain().within(LONG))
    }

    /// The same by another way of ending.
    pub(crate) fn close_by(self, shutdown: Shutdown) -> Report {
        let report = self.pool.shutdown(shutdown).wait().unwrap();
        self.audit(&report);
        report
    }

    /// Everything has ended, once, and everybody says the same about it.
    pub(crate) fn audit(&self, report: &Report) {
        let mut ledger = self.ledger();
        ledger.count();
        assert_eq!(ledger.open.len(), 0, "so many tasks of a pool that has ended have not");
        let (accepted, own) = (ledger.accepted, ledger.ended);
        let counted = |outcomes: &Outcomes| Outcome::ALL.map(|outcome| outcomes.get(outcome));
        let stats = self.pool.stats();
        assert_eq!(stats.accepted, accepted, "{stats:?}");
        assert_eq!(counted(&stats.outcomes), own, "counted, and in the ledger");
        assert_eq!((stats.queued, stats.running, stats.workers.alive), (0, 0, 0), "{stats:?}");
        assert_eq!((stats.phase, counted(&report.outcomes)), (Phase::Terminated, own), "{report}");
        assert!(report.law_holds(), "{report}");
    }
}

/// The value of a task that must have one.
pub(crate) fn value<T: Send + 'static>(mut handle: Handle<T>) -> T {
    handle.wait_timeout(LONG).unwrap()
}

/// How a task ended that must have no value.
pub(crate) fn error<T: Send + std::fmt::Debug + 'static>(mut handle: Handle<T>) -> TaskError {
    match handle.wait_timeout(LONG) {
        Err(WaitError::Task(error)) => error,
        other => panic!("{other:?} instead of an error"),
    }
}

/// The same, and it must have been that outcome.
pub(crate) fn ended<T: Send + std::fmt::Debug + 'static>(handle: Handle<T>, outcome: Outcome) -> TaskError {
    let error = error(handle);
    assert_eq!(error.outcome(), outcome, "{error}");
    error
}
