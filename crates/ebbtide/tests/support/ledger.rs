//! A ledger of the tests' own: what was submitted, how often each body started, how it ended, how often it was dropped.
//!
//! The pool's counters are held against it; nothing here is told by the pool but the handles.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use ebbtide::{Context, Handle, Isolation, Outcome, Outcomes, Pool, PoolBuilder, Stateless, Threads};

use crate::{patience::LONG, quiet::ON_PURPOSE};

type BoxError = Box<dyn Error + Send + Sync>;

/// What a body does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing.
    Plain,
    /// Runs until the ledger's door opens, or ends by obeying.
    Obey,
    /// Runs until the door opens, whatever it is asked.
    Stick,
    /// Runs as `Obey` and then panics.
    Panic,
    /// Runs as `Obey` and then submits children, so many levels deep, two each.
    Spawn(u32),
}

/// One submitted body.
#[derive(Debug, Default)]
pub(crate) struct Page {
    starts: AtomicU64,
    values: AtomicU64,
    cancels: AtomicU64,
    panics: AtomicU64,
    drops: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: AtomicBool,
    running: AtomicU64,
    accepted: Mutex<Vec<(Arc<Page>, Handle<()>)>>,
    rejected: Mutex<Vec<Arc<Page>>>,
}

/// A body on its way; its drop is counted.
#[derive(Debug)]
pub(crate) struct Work {
    ledger: Arc<Ledger>,
    page: Arc<Page>,
    deed: Deed,
}

/// The kinds of pools that the same bodies run on.
pub(crate) trait Kind: Isolation + Sized {
    fn build(builder: PoolBuilder<Stateless>) -> Pool<Self>;
    fn submit(pool: &Pool<Self>, work: Work) -> Result<Handle<()>, Work>;
    fn child(context: &Context<'_, Self>, work: Work) -> Result<Handle<()>, Work>;
}

impl Ledger {
    pub(crate) fn work(self: &Arc<Self>, deed: Deed) -> Work {
        Work { ledger: Arc::clone(self), page: Arc::default(), deed }
    }

    /// Submits from outside and writes down what came of it. False if it was rejected.
    pub(crate) fn submit<K: Kind>(self: &Arc<Self>, pool: &Pool<K>, deed: Deed) -> bool {
        let work = self.work(deed);
        let page = Arc::clone(&work.page);
        self.note(page, K::submit(pool, work))
    }

    /// Lets every body go on.
    pub(crate) fn open(&self) {
        self.open.store(true, SeqCst);
    }

    /// Bodies that have begun and not ended.
    pub(crate) fn running(&self) -> u64 {
        self.running.load(SeqCst)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// When no thread and nothing returned is left: waits for every handle and holds its outcome against what the body itself has seen. Gives the sums.
    pub(crate) fn close(&self) -> [u64; 9] {
        let mut sums = [0; 9];
        loop {
            let next = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((page, mut handle)) = next else { break };
            let outcome = match handle.wait_timeout(LONG) {
                Ok(()) => Outcome::Completed,
                Err(error) => error.task().map(|task| task.outcome()).expect("a handle never stays open"),
            };
            assert_eq!(handle.outcome(), Some(outcome));
            page.check(outcome);
            sums[outcome as usize] += 1;
        }
        for page in self.rejected.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            assert_eq!(page.starts.load(SeqCst), 0, "a rejected task never runs");
            assert_eq!(page.drops.load(SeqCst), 1, "a rejected task comes back and leaves nothing behind");
        }
        sums
    }

    fn note(&self, page: Arc<Page>, came: Result<Handle<()>, Work>) -> bool {
        match came {
            Ok(handle) => {
                self.accepted.lock().unwrap_or_else(PoisonError::into_inner).push((page, handle));
                true
            }
            Err(work) => {
                assert!(Arc::ptr_eq(&work.page, &page), "the task that comes back is the one that was given");
                drop(work);
                self.rejected.lock().unwrap_or_else(PoisonError::into_inner).push(page);
                false
            }
        }
    }
}

impl Page {
    fn check(&self, outcome: Outcome) {
        let starts = self.starts.load(SeqCst);
        let ends = [&self.values, &self.panics, &self.cancels].map(|count| count.load(SeqCst));
        let right = match outcome {
            Outcome::Completed => starts == 1 && ends == [1, 0, 0],
            Outcome::Panicked => starts == 1 && ends == [0, 1, 0],
            Outcome::Cancelled => starts == 0 && ends == [0; 3] || starts == 1 && ends == [0, 0, 1],
            // Its body may still run, or have ended since.
            Outcome::Abandoned => starts == 1,
            Outcome::Returned => starts == 0 && ends == [0; 3],
            _ => false,
        };
        assert!(right, "{outcome} does not fit what the body saw: {self:?}");
        assert_eq!(self.drops.load(SeqCst), 1, "a body is dropped once: {self:?}");
    }
}

impl Work {
    /// The body.
    pub(crate) fn run<K: Kind>(self, context: &Context<'_, K>) -> Result<(), BoxError> {
        let again = self.page.starts.fetch_add(1, SeqCst);
        assert_eq!(again, 0, "a task runs at most once");
        self.ledger.running.fetch_add(1, SeqCst);
        let waited = self.wait(context);
        self.ledger.running.fetch_sub(1, SeqCst);
        if waited.is_err() {
            self.page.cancels.fetch_add(1, SeqCst);
            return Ok(waited?);
        }
        if self.deed == Deed::Panic {
            self.page.panics.fetch_add(1, SeqCst);
            std::panic::panic_any(ON_PURPOSE);
        }
        if let Deed::Spawn(depth) = self.deed {
            for _ in 0..2 {
                let deed = if depth > 1 { Deed::Spawn(depth - 1) } else { Deed::Plain };
                let child = self.ledger.work(deed);
                let page = Arc::clone(&child.page);
                self.ledger.note(page, K::child(context, child));
            }
        }
        self.page.values.fetch_add(1, SeqCst);
        Ok(())
    }

    fn wait<K: Kind>(&self, context: &Context<'_, K>) -> Result<(), ebbtide::Cancelled> {
        let is_open = || self.ledger.open.load(SeqCst);
        match self.deed {
            Deed::Plain => {}
            Deed::Stick => {
                while !is_open() {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
            Deed::Obey | Deed::Panic | Deed::Spawn(_) => {
                while !is_open() {
                    context.sleep(Duration::from_millis(1))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.page.drops.fetch_add(1, SeqCst);
    }
}

/// The pool's own counters in the order of `Outcome::ALL`.
pub(crate) fn sums_of(outcomes: &Outcomes) -> [u64; 9] {
    Outcome::ALL.map(|outcome| outcomes.get(outcome))
}

/// Where a body is kept so that it can be taken back out of a closure that was refused.
type Slot = Arc<Mutex<Option<Work>>>;

fn take(slot: &Slot) -> Work {
    let work = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    work.expect("a body is run once or comes back")
}

macro_rules! kind {
    ($kind:ty, [$($state:ident)?] $context:ident, $build:expr) => {
        impl Kind for $kind {
            fn build(builder: PoolBuilder<Stateless>) -> Pool<Self> {
                $build(builder).build().expect("the options are right")
            }

            fn submit(pool: &Pool<Self>, work: Work) -> Result<Handle<()>, Work> {
                let slot = Slot::new(Mutex::new(Some(work)));
                let held = Arc::clone(&slot);
                let came = pool.submit_fallible(move |$($state,)? $context| take(&held).run($context));
                came.map_err(|error| {
                    drop(error.into_task());
                    take(&slot)
                })
            }

            fn child(context: &Context<'_, Self>, work: Work) -> Result<Handle<()>, Work> {
                let slot = Slot::new(Mutex::new(Some(work)));
                let held = Arc::clone(&slot);
                let came = context.submit_fallible(move |$($state,)? $context| take(&held).run($context));
                came.map_err(|error| {
                    drop(error.into_task());
                    take(&slot)
                })
            }
        }
    };
}

kind!(Stateless, [] context, |builder| builder);
kind!(Threads<u64>, [_state] context, |builder: PoolBuilder<Stateless>| builder.state(|_| 0_u64));
