//! The part of a task that is the same for all: one word of life, who was asked, who waits.
//!
//! ```text
//! Queued ─start─► Running ─settle─► Done(outcome)
//!    └────claim────► Ending ─settle─►   ┘
//! ```
//! Invariants: 1. only one of `start` and `claim` succeeds. 2. Who succeeded owns the body until `settle`.
//! 3. `settle` is called once, after the outcome was counted, and wakes whoever registered before it. 4. A reason is
//! written once, before `asked` is raised.

use std::{sync::Arc, task::Waker, time::Duration};

use super::{
    cancel::{CancelGuard, CancelToken},
    gate::{HomeId, Place, Ticket},
    id::{TaskId, WorkerId},
    outcome::{CancelReason, Outcome, ReturnReason},
    wait::{self, Wakers},
};
use crate::{
    clock::Moment,
    policy::Priority,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    timer::Alarm,
};

const QUEUED: u32 = 0;
const RUNNING: u32 = 1;
const ENDING: u32 = 2;
const DONE: u32 = 3;
const STATE: u32 = 0b11;
const WAITED_FOR: u32 = 1 << 2;
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

pub(crate) struct Header {
    word: AtomicU32,
    asked: AtomicBool,
    priority: Priority,
    lane: AtomicU32,
    worker: AtomicU32,
    id: AtomicU64,
    home: HomeId,
    side: Mutex<Option<Box<Side>>>,
    extras: Option<Box<Extras>>,
}

/// What is seldom there.
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
    pub(crate) scoped: bool,
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

impl Header {
    pub(crate) fn new(home: HomeId, priority: Priority, extras: Option<Box<Extras>>) -> Self {
        Self {
            word: AtomicU32::new(QUEUED),
            asked: AtomicBool::new(false),
            priority,
            lane: AtomicU32::new(0),
            worker: AtomicU32::new(0),
            id: AtomicU64::new(0),
            home,
            side: Mutex::new(None),
            extras,
        }
    }

    pub(crate) fn accepted(&self, ticket: Ticket) {
        self.id.store(ticket.id.0, Ordering::Relaxed);
        self.lane.store(ticket.lane, Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId(self.id.load(Ordering::Relaxed))
    }

    pub(crate) fn home(&self) -> HomeId {
        self.home
    }

    pub(crate) fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::Relaxed))
    }

    pub(crate) fn place(&self) -> Place {
        Place { lane: self.lane.load(Ordering::Relaxed), level: self.priority.level() }
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.extras()?.name.as_ref()
    }

    /// Queued → Running, by the worker that took it. False if somebody ended it first.
    #[must_use]
    pub(crate) fn start(&self, worker: WorkerId) -> bool {
        self.worker.store(worker.0, Ordering::Relaxed);
        self.leave_queue(RUNNING)
    }

    /// Queued → Ending, by whoever cancels, sheds, times out or returns it. False if somebody was first.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.leave_queue(ENDING)
    }

    fn leave_queue(&self, next: u32) -> bool {
        let mut word = QUEUED;
        loop {
            match self.word.compare_exchange_weak(word, word | next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) if now & STATE != QUEUED => return false,
                Err(now) => word = now,
            }
        }
    }

    /// Running or Ending → Done. The last touch of whoever owned the body.
    pub(crate) fn settle(&self, outcome: Outcome) {
        if let Some(extras) = self.extras() {
            let holds = std::mem::take(&mut *extras.holds.lock());
            drop(holds);
        }
        let done = DONE | u32::try_from(outcome.index()).unwrap_or(0) << OUTCOME_SHIFT;
        let before = self.word.swap(done, Ordering::AcqRel);
        debug_assert!(matches!(before & STATE, RUNNING | ENDING), "settled from {before:#x}");
        if before & WAITED_FOR != 0 {
            let wakers = self.side.lock().as_mut().map(|side| side.wakers.take());
            wait::wake_all(wakers.unwrap_or_default());
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let word = self.word.load(Ordering::Acquire);
        (word & STATE == DONE).then(|| Outcome::from_index((word >> OUTCOME_SHIFT) as usize))
    }

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
        let mut side = self.side.lock();
        _replaced = side.get_or_insert_default().wakers.register(key, waker);
        // After this the one who settles sees the bit and comes for the waker, or we see that it is done.
        self.word.fetch_or(WAITED_FOR, Ordering::AcqRel);
        self.outcome()
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.side.lock().as_ref()?.reason.clone()
    }

    /// Why it must not begin: the token it was submitted under is cancelled.
    pub(crate) fn revoked(&self) -> Option<CancelReason> {
        Some(self.extras()?.parent.as_ref()?.reason()?.as_parent())
    }

    /// Writes down that a running task is asked to cancel. False if it was asked before.
    #[must_use]
    pub(crate) fn ask(&self, reason: CancelReason) -> bool {
        let mut side = self.side.lock();
        let side = side.get_or_insert_default();
        if side.reason.is_some() {
            return false;
        }
        side.reason = Some(reason);
        self.asked.store(true, Ordering::SeqCst);
        true
    }

    /// Why it was returned; without a note it was the stop of its pool.
    pub(crate) fn return_reason(&self) -> ReturnReason {
        let side = self.side.lock();
        side.as_ref().and_then(|side| side.returned.clone()).unwrap_or(ReturnReason::PoolStopped)
    }

    pub(crate) fn note_return(&self, reason: &ReturnReason) {
        if *reason != ReturnReason::PoolStopped {
            self.side.lock().get_or_insert_default().returned = Some(reason.clone());
        }
    }

    /// Arms the timeout at the start of the body; `ring` is called when it passes.
    pub(crate) fn arm_timeout(&self, ring: impl FnOnce() + Send + 'static) {
        if let Some(extras) = self.extras()
            && let Some(timeout) = extras.timeout
        {
            let alarm = Alarm::at(Moment::now().plus(timeout), ring);
            extras.holds.lock().timeout = Some(alarm);
        }
    }
}
