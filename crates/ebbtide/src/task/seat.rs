//! Where a worker sits while it runs a task: what others may see of the run, ask of it, and take from it.
//!
//! The word holds the number of the run and where it is:
//! ```text
//! Idle ─begin─► Running ─end─► Idle
//!                  └─abandon─► Taking ─► Abandoned      (the worker that comes back finds it has lost)
//! ```
//! Invariants: 1. of `end` and `abandon` exactly one succeeds for a run, and the one that does counts its outcome and
//! settles it. 2. While the word says Running or Taking, `current` points to a header the worker keeps alive:
//! the worker lets go of a task only after `end` gave its answer, which waits out Taking.
#![expect(
    unsafe_code,
    reason = "an abandoner settles a task through a pointer that the worker keeps alive; invariant 2"
)]

use std::{
    ptr,
    sync::{Arc, OnceLock, Weak},
};

use super::{
    cancel::CancelToken,
    header::Header,
    id::{TaskId, WorkerId},
    outcome::{CancelReason, Outcome, Outcomes},
    post::Post,
};
use crate::{
    clock::Moment,
    sync::{
        self, Mutex, Thread,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering},
    },
};

const IDLE: u64 = 0;
const RUNNING: u64 = 1;
const TAKING: u64 = 2;
const ABANDONED: u64 = 3;
const STATE: u64 = 0b11;

pub(crate) struct Seat {
    pub(crate) id: WorkerId,
    pub(crate) name: Arc<str>,
    pub(crate) generation: u32,
    pub(crate) lane: u32,
    thread: OnceLock<Thread>,
    /// What the state last reported as its size.
    size: AtomicU64,
    word: AtomicU64,
    task: AtomicU64,
    current: AtomicPtr<Header>,
    /// Raised once, when the pool is aborted: this seat's run and every later one is asked to cancel.
    aborted: AtomicBool,
    /// What the pool asks of the worker between two tasks; see [`Order`].
    order: AtomicU8,
    /// The run that somebody looked at, and when; the worker then measures its end.
    seen_run: AtomicU64,
    seen_at: AtomicU64,
    /// True while `side` holds something of the present run.
    touched: AtomicBool,
    side: Mutex<Side>,
    counts: [AtomicU64; 9],
    /// Whether its process answers while it runs a task: 0 if that was not asked.
    pulse: AtomicU8,
    /// What drives its worker, where that can be ended by force.
    post: Mutex<Option<Weak<dyn Post>>>,
}

#[derive(Default)]
struct Side {
    token: Option<CancelToken>,
    name: Option<Arc<str>>,
    progress: Option<String>,
}

/// What a pool asks of a worker between two tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    None,
    /// Save the state for a successor, then go on.
    Snapshot,
    /// Take no more tasks, and end.
    Leave,
}

/// A run as it is seen from outside.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) task: TaskId,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) progress: Option<String>,
    /// Whether its process answers meanwhile, if it was asked.
    pub(crate) responsive: Option<bool>,
    /// It runs since then, or longer: the first look at it.
    pub(crate) since: Moment,
}

impl Seat {
    pub(crate) fn new(id: WorkerId, name: Arc<str>, generation: u32, lane: u32) -> Self {
        Self {
            id,
            name,
            generation,
            lane,
            thread: OnceLock::new(),
            size: AtomicU64::new(0),
            word: AtomicU64::new(IDLE),
            task: AtomicU64::new(0),
            current: AtomicPtr::new(ptr::null_mut()),
            aborted: AtomicBool::new(false),
            order: AtomicU8::new(0),
            seen_run: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
            touched: AtomicBool::new(false),
            side: Mutex::new(Side::default()),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            pulse: AtomicU8::new(0),
            post: Mutex::new(None),
        }
    }

    /// The calling thread sits down: it is the worker.
    pub(crate) fn sit(&self) {
        let _ = self.thread.set(sync::current());
    }

    #[inline]
    pub(crate) fn thread(&self) -> Option<&Thread> {
        self.thread.get()
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Relaxed);
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// The worker starts a run. `header` is that of a task with a handle.
    #[inline]
    pub(crate) fn begin(&self, task: TaskId, header: Option<&Header>) {
        let word = self.word.load(Ordering::Relaxed);
        debug_assert_eq!(word & STATE, IDLE);
        self.task.store(task.0, Ordering::Relaxed);
        let pointer = header.map_or(ptr::null_mut(), |header| ptr::from_ref(header).cast_mut());
        self.current.store(pointer, Ordering::Relaxed);
        if let Some(name) = header.and_then(Header::name) {
            self.side.lock().name = Some(Arc::clone(name));
            self.touched.store(true, Ordering::Relaxed);
        }
        self.word.store(((word >> 2) + 1) << 2 | RUNNING, Ordering::Release);
    }

    /// The worker ends its run. False if it was abandoned: then its outcome is counted and settled already.
    #[must_use]
    #[inline]
    pub(crate) fn end(&self) -> bool {
        let running = self.word.load(Ordering::Relaxed) & !STATE | RUNNING;
        let idle = running & !STATE | IDLE;
        let ended = self.word.compare_exchange(running, idle, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if self.touched.load(Ordering::Relaxed) {
            self.clean();
        }
        while !ended && self.word.load(Ordering::Acquire) & STATE == TAKING {
            sync::yield_now();
        }
        ended
    }

    #[cold]
    fn clean(&self) {
        self.touched.store(false, Ordering::Relaxed);
        *self.side.lock() = Side::default();
    }

    /// Takes the run away from its worker: counts it with `count`, resolves its handle. Gives the task, or `None` if the
    /// run (of that number, if one is given) has ended.
    pub(crate) fn abandon(&self, run: Option<u64>, count: impl FnOnce()) -> Option<Sighting> {
        let word = self.word.load(Ordering::Acquire);
        if word & STATE != RUNNING || run.is_some_and(|run| run != word >> 2) {
            return None;
        }
        let sighting = self.look(Moment::now())?;
        let taking = word & !STATE | TAKING;
        self.word.compare_exchange(word, taking, Ordering::AcqRel, Ordering::Acquire).ok()?;
        count();
        let header = self.current.load(Ordering::Relaxed);
        if !header.is_null() {
            // SAFETY: the word says Taking, so by invariant 2 the worker keeps the header alive until it changes.
            unsafe { &*header }.settle(Outcome::Abandoned);
        }
        self.word.store(taking & !STATE | ABANDONED, Ordering::Release);
        Some(sighting)
    }

    /// True once its run was taken from its worker, which then runs no other.
    pub(crate) fn is_lost(&self) -> bool {
        self.word.load(Ordering::Acquire) & STATE == ABANDONED
    }

    /// The number of the present run of `task`, if that is what runs.
    pub(crate) fn run_of(&self, task: TaskId) -> Option<u64> {
        let word = self.word.load(Ordering::Acquire);
        (word & STATE == RUNNING && self.task.load(Ordering::Relaxed) == task.0).then_some(word >> 2)
    }

    /// Looks who runs here, and remembers the first look at each run. Only one thread looks at a time.
    pub(crate) fn look(&self, now: Moment) -> Option<Sighting> {
        let word = self.word.load(Ordering::Acquire);
        if word & STATE == IDLE {
            return None;
        }
        let run = word >> 2;
        if self.seen_run.load(Ordering::Relaxed) != run {
            self.seen_at.store(now.nanos(), Ordering::Relaxed);
            self.seen_run.store(run, Ordering::Release);
        }
        let task = TaskId(self.task.load(Ordering::Relaxed));
        let (name, progress) = {
            let side = self.side.lock();
            (side.name.clone(), side.progress.clone())
        };
        let since = Moment::from_nanos(self.seen_at.load(Ordering::Relaxed));
        let responsive = match self.pulse.load(Ordering::Relaxed) {
            0 => None,
            pulse => Some(pulse == 1),
        };
        let sighting = Sighting { task, name, progress, responsive, since };
        (self.word.load(Ordering::Acquire) >> 2 == run).then_some(sighting)
    }

    /// Since when the present run was watched, if it was; asked by the worker itself, once per task.
    #[inline]
    pub(crate) fn watched_since(&self) -> Option<Moment> {
        let run = self.word.load(Ordering::Relaxed) >> 2;
        (self.seen_run.load(Ordering::Relaxed) == run)
            .then(|| Moment::from_nanos(self.seen_at.load(Ordering::Relaxed)))
    }

    /// How many runs were begun here.
    pub(crate) fn runs(&self) -> u64 {
        self.word.load(Ordering::Relaxed) >> 2
    }

    #[inline]
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Asks whatever runs here, now and later, to cancel.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
        let token = self.side.lock().token.clone();
        if let Some(token) = token {
            token.cancel_because(CancelReason::Abort);
        }
    }

    /// Passes a request for `task` on to the token its body took, if it took one.
    pub(crate) fn ring(&self, task: TaskId, reason: CancelReason) {
        let token = {
            let side = self.side.lock();
            let here = self.task.load(Ordering::Relaxed) == task.0;
            side.token.clone().filter(|_| here)
        };
        if let Some(token) = token {
            token.cancel_because(reason);
        }
    }

    /// The token of the present run, made when it is first asked for. `asked` is read after it can be rung at.
    pub(crate) fn token(&self, asked: impl FnOnce() -> Option<CancelReason>) -> CancelToken {
        let token = {
            let mut side = self.side.lock();
            self.touched.store(true, Ordering::Relaxed);
            side.token.get_or_insert_with(CancelToken::new).clone()
        };
        if let Some(reason) = asked() {
            token.cancel_because(reason);
        }
        token
    }

    pub(crate) fn set_progress(&self, progress: String) {
        self.touched.store(true, Ordering::Relaxed);
        self.side.lock().progress = Some(progress);
    }

    pub(crate) fn order(&self, order: Order) {
        let code = match order {
            Order::None => 0,
            Order::Snapshot => 1,
            Order::Leave => 2,
        };
        // Leave is never taken back.
        self.order.fetch_max(code, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn ordered(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::None,
            1 => Order::Snapshot,
            _ => Order::Leave,
        }
    }

    /// The snapshot was taken: go on, unless something stronger was ordered meanwhile.
    pub(crate) fn snapshot_done(&self) {
        let _ = self.order.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Counts how a run ended. Only by the worker itself.
    #[inline]
    pub(crate) fn count(&self, outcome: Outcome) {
        let counter = &self.counts[outcome.index()];
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Counts how a run ended, where several threads do that for one worker; all of them in this way.
    pub(crate) fn count_shared(&self, outcome: Outcome) {
        self.counts[outcome.index()].fetch_add(1, Ordering::AcqRel);
    }

    /// Its process answered, or did not; or that is not known of what runs now.
    pub(crate) fn set_pulse(&self, responsive: Option<bool>) {
        self.pulse.store(responsive.map_or(0, |is| if is { 1 } else { 2 }), Ordering::Relaxed);
    }

    /// Its worker can be ended by force, through this, for as long as somebody holds it.
    pub(crate) fn set_post(&self, post: Weak<dyn Post>) {
        let old = self.post.lock().replace(post);
        drop(old);
    }

    pub(crate) fn post(&self) -> Option<Arc<dyn Post>> {
        self.post.lock().as_ref().and_then(Weak::upgrade)
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for outcome in Outcome::ALL {
            outcomes.add(outcome, self.counts[outcome.index()].load(Ordering::Acquire));
        }
        outcomes
    }
}
