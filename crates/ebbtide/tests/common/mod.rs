//! What the conformance tests share: gates instead of sleeps, waits that end, and a ledger beside the pool's own.

use std::{
    future::Future,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake},
    thread,
    time::{Duration, Instant},
};

use ebbtide::{
    Closing, Handle, Isolation, Outcome, Phase, Pool, Report, Shutdown, Stats, TaskError, WaitError, Watch,
};

/// Longer than anything here takes: who waits so long waits in vain, and the test fails instead of hanging.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What a task of a pool without state is given.
pub(crate) type Me<'t> = ebbtide::Context<'t, ebbtide::Stateless>;

/// A gate that tasks wait at until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: usize,
    came: usize,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        state.came += 1;
        self.0.1.notify_all();
        let (mut state, late) = self.0.1.wait_timeout_while(state, LONG, |state| !state.open).unwrap();
        state.waiting -= 1;
        self.0.1.notify_all();
        assert!(!late.timed_out(), "nobody opened the gate");
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Waits until `count` have come to the gate, passed or not.
    pub(crate) fn await_comers(&self, count: usize) {
        let state = self.0.0.lock().unwrap();
        let (state, late) = self.0.1.wait_timeout_while(state, LONG, |state| state.came < count).unwrap();
        assert!(!late.timed_out(), "{} of {count} came to the gate", state.came);
    }

    pub(crate) fn comers(&self) -> usize {
        self.0.0.lock().unwrap().came
    }
}

/// A counter that tasks and tests share.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Counts one; gives how many that makes.
    pub(crate) fn up(&self) -> u64 {
        self.0.fetch_add(1, SeqCst) + 1
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// The test's own account of what was accepted and how it ended, kept apart from the pool's counters.
#[derive(Default)]
pub(crate) struct Ledger {
    watches: Mutex<Vec<Watch>>,
    unwatched: AtomicU64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Writes an accepted task down.
    pub(crate) fn keep<T: Send + 'static>(&self, handle: Handle<T>) -> Handle<T> {
        self.watches.lock().unwrap().push(handle.watch());
        handle
    }

    /// Writes down accepted tasks that have no handle.
    pub(crate) fn executed(&self, count: u64) {
        self.unwatched.fetch_add(count, SeqCst);
    }

    /// Drains the pool (if nobody ended it before), waits for the end and for every handle, and holds the law against
    /// this ledger and against the pool's own counters.
    pub(crate) fn close<I: Isolation>(&self, pool: &Pool<I>) -> Report {
        let report = over(&pool.shutdown(Shutdown::drain()));
        assert_eq!(pool.phase(), Phase::Terminated);
        assert!(report.law_holds(), "{report}");
        assert_eq!((report.queued, report.running), (0, 0), "{report}");
        let watches = std::mem::take(&mut *self.watches.lock().unwrap());
        let unwatched = self.unwatched.load(SeqCst);
        let mut own = [0_u64; Outcome::ALL.len()];
        for watch in &watches {
            let outcome = watch.wait(Some(LONG)).expect("every handle resolves");
            own[outcome as usize] += 1;
        }
        let stats = pool.stats();
        assert_law(&stats);
        assert_eq!((stats.queued, stats.running), (0, 0));
        assert_eq!(stats.accepted, watches.len() as u64 + unwatched, "accepted: the pool's and the test's");
        for outcome in Outcome::ALL {
            let (pools, own) = (stats.outcomes.get(outcome), own[outcome as usize]);
            let agree = if unwatched == 0 { pools == own } else { pools >= own };
            assert!(agree, "{outcome}: the pool says {pools}, the handles {own}");
        }
        report
    }
}

/// Wakes a thread that waits for a future.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The law in one snapshot.
pub(crate) fn assert_law(stats: &Stats) {
    let ended = stats.outcomes.total();
    assert_eq!(stats.accepted, stats.queued + stats.running + ended, "the law: {stats:?}");
}

/// The value of a task that must have one.
pub(crate) fn value<T: Send + 'static>(mut handle: Handle<T>) -> T {
    handle.wait_timeout(LONG).expect("the task completes")
}

/// How a task ended that must have no value.
pub(crate) fn failure<T: Send + 'static>(mut handle: Handle<T>) -> TaskError {
    match handle.wait_timeout(LONG) {
        Err(WaitError::Task(error)) => error,
        Err(other) => panic!("the task has not ended: {other}"),
        Ok(_) => panic!("the task completed"),
    }
}

/// Waits for the end of a procedure.
pub(crate) fn over(closing: &Closing) -> Report {
    closing.wait_timeout(LONG).unwrap_or_else(|still| panic!("{still}"))
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = now();
    while !so() {
        assert!(began.elapsed() < LONG, "in vain waited until {what}");
        thread::park_timeout(Duration::from_micros(200));
    }
}

/// For what must be seen to *not* happen: lets some time pass.
pub(crate) fn some_time() {
    let began = now();
    while began.elapsed() < Duration::from_millis(60) {
        thread::park_timeout(Duration::from_millis(60));
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own stopwatch, not the pool's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Runs a future on this thread, on no runtime at all.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut poller = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    let began = now();
    loop {
        match future.as_mut().poll(&mut poller) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park_timeout(Duration::from_secs(1)),
        }
        assert!(began.elapsed() < LONG, "the future never became ready");
    }
}

/// How many threads of this process have names that begin so (the kernel keeps 15 bytes of a name).
pub(crate) fn threads_named(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists a process's threads");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// An error with a face of its own, to be recognised on the other side.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broke(pub(crate) u32);

impl std::fmt::Display for Broke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broke number {}", self.0)
    }
}

impl std::error::Error for Broke {}

/// Panics without the panic hook's noise on standard error.
pub(crate) fn fall(message: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(message))
}
