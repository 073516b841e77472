//! The part of a task that is the same for all: one word of life, who was asked, who waits.
//!
//! ```text
//! Queued ─start─► Running ─settle─► Done(outcome)
//!    ◄────unstart────┘          (sent ahead to a process, and called back)
//!    └────claim────► Ending ─settle─►   ┘
//! ```
//! Invariants: 1. only one of `start` and `claim` succeeds. 2. Who succeeded owns the body until `settle`.
//! 3. `settle` is called once, after the outcome was counted, and wakes whoever registered before it. 4. A reason is
//! written once, before its bit is set.

use std::{sync::Arc, task::Waker, time::Duration};

use once_cell::race::OnceBox;

use super::{
    cancel::{CancelGuard, CancelToken},
    gate::{HomeId, Place, Ticket},
    id::{TaskId, WorkerId},
    outcome::{CancelReason, Outcome, ReturnReason},
    panics,
    wait::{self, Wakers},
};
use crate::{
    clock::Moment,
    policy::Priority,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    timer::Alarm,
};

const QUEUED: u32 = 0;
const RUNNING: u32 = 1;
const ENDING: u32 = 2;
const DONE: u32 = 3;
const STATE: u32 = 0b11;
const WAITED_FOR: u32 = 1 << 2;
const ASKED: u32 = 1 << 3;
const PRIORITY_SHIFT: u32 = 4;
const PRIORITY: u32 = 0b11 << PRIORITY_SHIFT;
const OUTCOME_SHIFT: u32 = 8;

/// Where a task is in its life, as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Accepted, not started.
    Queued,
    /// Its body runs.
    Running,
    /// Its body runs and was asked to cancel. Asked is not ended: only the body's end is.
    CancelRequested,
    /// It has ended, in this way.
    Ended(Outcome),
}

/// A closure that runs a task inside something: a span, a scope of thread-locals.
pub type Wrap = Box<dyn FnOnce(&mut dyn FnMut()) + Send>;

/// Thirty-two bytes: there are as many of these as tasks wait.
pub(crate) struct Header {
    word: AtomicU32,
    lane: AtomicU32,
    worker: AtomicU32,
    home: HomeId,
    id: AtomicU64,
    more: OnceBox<More>,
}

/// What few tasks have: extras from the start, the rest when somebody waits or asks.
#[derive(Default)]
struct More {
    side: Mutex<Side>,
    extras: Option<Extras>,
}

/// What came to it while it was there.
#[derive(Default)]
struct Side {
    wakers: Wakers,
    reason: Option<CancelReason>,
    returned: Option<ReturnReason>,
}

/// What a task was given beyond its body.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) parent: Option<CancelToken>,
    /// From then on it must not begin. Its alarm is late where many ring at once.
    pub(crate) due: Option<Moment>,
    pub(crate) scoped: bool,
    /// Which function of its worker process it is for, if not the default one.
    pub(crate) function: Option<Arc<str>>,
    /// It may be begun once more if its worker process died under it.
    pub(crate) idempotent: bool,
    /// So often its owner tried it before, as other tasks.
    pub(crate) tried: u32,
    pub(crate) wrap: Mutex<Option<Wrap>>,
    pub(crate) holds: Mutex<Holds>,
}

/// What must be taken back when the task has ended: dropping it does.
#[derive(Default)]
pub(crate) struct Holds {
    pub(crate) deadline: Option<Alarm>,
    pub(crate) timeout: Option<Alarm>,
    pub(crate) parent: Option<CancelGuard>,
}

impl Default for Mutex<Side> {
    fn default() -> Self {
        Self::new(Side::default())
    }
}

impl Default for Mutex<Option<Wrap>> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Default for Mutex<Holds> {
    fn default() -> Self {
        Self::new(Holds::default())
    }
}

impl Extras {
    fn let_go(&self) {
        let holds = std::mem::take(&mut *self.holds.lock());
        drop(holds);
    }
}

impl Header {
    #[inline]
    pub(crate) fn new(home: HomeId, priority: Priority, extras: Option<Extras>) -> Self {
        let level = u32::try_from(priority.level()).expect("three levels");
        let more = OnceBox::new();
        if extras.is_some() {
            let _ = more.set(Box::new(More { extras, ..More::default() }));
        }
        Self {
            word: AtomicU32::new(QUEUED | level << PRIORITY_SHIFT),
            lane: AtomicU32::new(0),
            worker: AtomicU32::new(0),
            home,
            id: AtomicU64::new(0),
            more,
        }
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        self.more.get_or_init(Box::default).side.lock()
    }

    #[inline]
    pub(crate) fn accepted(&self, ticket: Ticket) {
        self.id.store(ticket.id.0, Ordering::Relaxed);
        self.lane.store(ticket.lane, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        TaskId(self.id.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn home(&self) -> HomeId {
        self.home
    }

    #[inline]
    pub(crate) fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::Relaxed))
    }

    pub(crate) fn place(&self) -> Place {
        let level = (self.word.load(Ordering::Relaxed) & PRIORITY) >> PRIORITY_SHIFT;
        Place { lane: self.lane.load(Ordering::Relaxed), level: level as usize }
    }

    #[inline]
    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.more.get()?.extras.as_ref()
    }

    #[inline]
    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.extras()?.name.as_ref()
    }

    /// Queued → Running, by the worker that took it. False if somebody ended it first.
    #[must_use]
    #[inline]
    pub(crate) fn start(&self, worker: WorkerId) -> bool {
        self.worker.store(worker.0, Ordering::Relaxed);
        self.leave_queue(RUNNING)
    }

    /// Running → Queued, by the worker that took it and has not begun it. False if it was asked to cancel: then it must be ended.
    #[must_use]
    pub(crate) fn unstart(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            debug_assert!(word & STATE == RUNNING, "unstarted from {word:#x}");
            if word & ASKED != 0 {
                return false;
            }
            let queued = word & !STATE | QUEUED;
            match self.word.compare_exchange_weak(word, queued, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Queued → Ending, by whoever cancels, sheds, times out or returns it. False if somebody was first.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.leave_queue(ENDING)
    }

    #[inline]
    fn leave_queue(&self, next: u32) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & STATE != QUEUED {
                return false;
            }
            match self.word.compare_exchange_weak(word, word | next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Running or Ending → Done. The last touch of whoever owned the body.
    #[inline]
    pub(crate) fn settle(&self, outcome: Outcome) {
        if self.mark_done(outcome) {
            wait::wake_all(self.waiting());
        }
    }

    /// The same, but leaves it to the caller to wake those who wait.
    #[must_use]
    pub(crate) fn settle_quietly(&self, outcome: Outcome) -> Vec<(usize, Waker)> {
        if self.mark_done(outcome) { self.waiting() } else { Vec::new() }
    }

    /// True if somebody waits for it.
    #[inline]
    fn mark_done(&self, outcome: Outcome) -> bool {
        if let Some(extras) = self.extras() {
            extras.let_go();
        }
        let outcome = u32::try_from(outcome.index()).expect("nine outcomes") << OUTCOME_SHIFT;
        // Nobody else changes the state now, and the outcome's bits are zero: one addition sets both and leaves the others.
        let state = self.word.load(Ordering::Relaxed) & STATE;
        debug_assert!(matches!(state, RUNNING | ENDING), "settled from {state:#x}");
        let before = self.word.fetch_add(DONE - state + outcome, Ordering::AcqRel);
        before & WAITED_FOR != 0
    }

    #[cold]
    fn waiting(&self) -> Vec<(usize, Waker)> {
        self.side().wakers.take()
    }

    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let word = self.word.load(Ordering::Acquire);
        (word & STATE == DONE).then(|| Outcome::from_index((word >> OUTCOME_SHIFT) as usize))
    }

    #[inline]
    pub(crate) fn is_queued(&self) -> bool {
        self.word.load(Ordering::Acquire) & STATE == QUEUED
    }

    pub(crate) fn is_running(&self) -> bool {
        self.word.load(Ordering::Acquire) & STATE == RUNNING
    }

    pub(crate) fn state(&self) -> TaskState {
        match self.word.load(Ordering::Acquire) & STATE {
            QUEUED => TaskState::Queued,
            DONE => self.outcome().map_or(TaskState::Running, TaskState::Ended),
            _ if self.is_asked() => TaskState::CancelRequested,
            _ => TaskState::Running,
        }
    }

    /// Gives the outcome, or leaves the waker to be woken when there is one.
    pub(crate) fn poll_outcome(&self, key: usize, waker: &Waker) -> Option<Outcome> {
        if let Some(outcome) = self.outcome() {
            return Some(outcome);
        }
        let _replaced;
        let mut side = self.side();
        _replaced = side.wakers.register(key, waker);
        // After this the one who settles sees the bit and comes for the waker, or we see that it is done.
        self.word.fetch_or(WAITED_FOR, Ordering::AcqRel);
        self.outcome()
    }

    /// Who waited under this key waits no more.
    pub(crate) fn forget(&self, key: usize) {
        let gone = self.more.get().and_then(|more| more.side.lock().wakers.forget(key));
        panics::drop_quietly(gone);
    }

    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.word.load(Ordering::Acquire) & ASKED != 0
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.more.get()?.side.lock().reason.clone()
    }

    /// Why it must not begin: the token it was submitted under is cancelled, or its deadline has passed.
    #[inline]
    pub(crate) fn revoked(&self) -> Option<CancelReason> {
        let extras = self.extras()?;
        let parent = || Some(extras.parent.as_ref()?.reason()?.as_parent());
        let late = || extras.due.filter(|due| Moment::now() >= *due).map(|_| CancelReason::Deadline);
        parent().or_else(late)
    }

    /// Writes down that a running task is asked to cancel. False if it was asked before.
    #[must_use]
    pub(crate) fn ask(&self, reason: CancelReason) -> bool {
        let mut side = self.side();
        if side.reason.is_some() {
            return false;
        }
        side.reason = Some(reason);
        self.word.fetch_or(ASKED, Ordering::SeqCst);
        true
    }

    /// Why it was returned; without a note it was the stop of its pool.
    pub(crate) fn return_reason(&self) -> ReturnReason {
        let noted = self.more.get().and_then(|more| more.side.lock().returned.clone());
        noted.unwrap_or(ReturnReason::PoolStopped)
    }

    pub(crate) fn note_return(&self, reason: &ReturnReason) {
        if *reason != ReturnReason::PoolStopped {
            self.side().returned = Some(reason.clone());
        }
    }

    #[inline]
    pub(crate) fn has_timeout(&self) -> bool {
        self.extras().is_some_and(|extras| extras.timeout.is_some())
    }

    /// Arms the timeout at the start of the body; `ring` is called when it passes.
    #[inline]
    pub(crate) fn arm_timeout(&self, ring: impl FnOnce() + Send + 'static) {
        if let Some(extras) = self.extras()
            && let Some(timeout) = extras.timeout
        {
            let alarm = Alarm::at(Moment::now().plus(timeout), ring);
            extras.holds.lock().timeout = Some(alarm);
        }
    }
}
