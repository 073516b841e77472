//! The two ways out of a task's room: the gate that children are submitted through, and the home that is
//! told when a handle cancels or waits.
//!
//! A task does not hold its pool (a reference count per task would be the most contended word of all): it
//! holds the number of its home, looked up on the rare paths that need it.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

use super::{
    cell::AnyCell,
    entry::Entry,
    header::Wrap,
    id::{TaskId, WorkerId},
    isolation::Isolation,
    outcome::Outcome,
};
use crate::{clock::Moment, error::RejectReason, policy::Priority, sync};

/// What an accepted task is told about where it was put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) id: TaskId,
    pub(crate) lane: u32,
    /// When, if this task is timed; else `Moment::default()`.
    pub(crate) accepted_at: Moment,
}

/// Makes the entry once there is room for it; called at most once.
pub(crate) type Make<'m, I> = &'m mut dyn FnMut(Ticket) -> Entry<I>;

/// Where tasks are submitted: the pool, as far as a task knows it.
pub(crate) trait Gate<I: Isolation>: Send + Sync {
    /// Accepts the task that `make` makes, or says why not.
    fn accept(
        &self,
        priority: Priority,
        entrance: Entrance<'_>,
        make: Make<'_, I>,
    ) -> Result<TaskId, Refusal>;
    /// Takes back a place in the line of those who wait for room.
    fn leave_line(&self, ticket: RoomTicket);
    /// Who waited for room has given up: its task was rejected.
    fn gives_up(&self);
    /// What the pool's decorators put around a task; `None` where there are none.
    fn wrap(&self, task: &TaskInfo<'_>) -> Option<Wrap>;
    /// True if `wrap` may give something.
    fn decorates(&self) -> bool;
    fn home(&self) -> HomeId;
}

/// How a task comes to the gate.
#[derive(Debug)]
pub(crate) enum Entrance<'w> {
    /// From a running task of the same pool, in this lane: never waits, may use the reserve.
    Child(u32),
    /// From outside, with no wish to wait.
    Try,
    /// From outside, on a thread that may block: to be woken when there may be room.
    Block(&'w mut Option<RoomTicket>, &'w Waker),
    /// The same from a future.
    Poll(&'w mut Option<RoomTicket>, &'w Waker),
    /// Of a task that was accepted before and whose time has come: waits for room whatever the policy is.
    Due(&'w mut Option<RoomTicket>, &'w Waker),
}

/// A place in the line of those who wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomTicket(pub(crate) u64);

/// Why a task was not accepted just now.
#[derive(Debug)]
pub(crate) enum Refusal {
    Rejected(RejectReason),
    /// The queue is full and the waker will be woken.
    Wait,
}

/// What a decorator is told of the task that is being submitted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TaskInfo<'t> {
    /// The name given with `pool.task(name)`.
    pub name: Option<&'t str>,
    /// The caller's key.
    pub key: Option<&'t str>,
    /// How urgent it is.
    pub priority: Priority,
}

/// Number of a pool, unique within the process among those that are there; it comes round after four billion pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HomeId(u32);

/// What a task's handle needs of the pool.
pub(crate) trait Home: Send + Sync {
    /// A waiting task was ended by its owner: free its place, count its outcome.
    fn ended_in_queue(&self, place: Place, id: TaskId, outcome: Outcome);
    /// A running task was asked to cancel: ring at its worker, and see that it obeys.
    fn asked(&self, cell: &Arc<dyn AnyCell>);
    /// The calling worker of this pool wants to block on one of its own tasks. False if nobody would be left to run it.
    fn begin_wait(&self) -> bool;
    fn end_wait(&self);
}

/// Where in the queue a task waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) lane: u32,
    pub(crate) level: usize,
}

static HOMES: Mutex<Option<HashMap<u32, Weak<dyn Home>>>> = Mutex::new(None);
static NEXT: AtomicU32 = AtomicU32::new(1);

impl HomeId {
    pub(crate) fn unique() -> Self {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
            if !homes.as_ref().is_some_and(|homes| homes.contains_key(&number)) {
                return Self(number);
            }
        }
    }

    pub(crate) fn register(self, home: Weak<dyn Home>) {
        let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
        homes.get_or_insert_with(HashMap::new).insert(self.0, home);
    }

    pub(crate) fn unregister(self) {
        let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = homes.as_mut().and_then(|homes| homes.remove(&self.0));
        drop(homes);
        drop(gone);
    }

    pub(crate) fn find(self) -> Option<Arc<dyn Home>> {
        let homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
        homes.as_ref()?.get(&self.0)?.upgrade()
    }
}

/// Which worker the calling thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    pub(crate) home: HomeId,
    /// [`GUEST`] on a thread that runs one task for a full pool.
    pub(crate) worker: WorkerId,
    pub(crate) lane: u32,
}

/// The number of those who are no workers but run a task: callers of a full pool that has them run it.
pub(crate) const GUEST: WorkerId = WorkerId(0);

sync::thread_local! {
    static HERE: Cell<Option<Here>> = const { Cell::new(None) };
    /// How many waits for tasks of its own pool the calling worker is in, one within the other.
    static WAITS: Cell<usize> = const { Cell::new(0) };
}

/// Marks the calling thread as a worker (or, with `None`, no longer). Gives what it was before.
pub(crate) fn set_here(place: Option<Here>) -> Option<Here> {
    HERE.with(|here| here.replace(place))
}

/// Which worker of `home` the calling thread is, if it is one (or a guest).
#[inline]
pub(crate) fn here(home: HomeId) -> Option<Here> {
    HERE.with(|here| here.get().filter(|here| here.home == home))
}

/// True on a worker of `home`, guests not counted.
#[inline]
pub(crate) fn is_worker_here(home: HomeId) -> bool {
    here(home).is_some_and(|here| here.worker != GUEST)
}

/// The calling worker goes into a wait. True if it is in one already.
pub(crate) fn waits_already() -> bool {
    WAITS.with(|waits| waits.replace(waits.get() + 1) > 0)
}

/// The calling worker comes out of a wait. True if it was the outermost.
pub(crate) fn waits_no_more() -> bool {
    WAITS.with(|waits| {
        waits.set(waits.get() - 1);
        waits.get() == 0
    })
}
