//! What submits into the pool by time, as far as the pool knows it: something to be stopped before everything else.
//!
//! Tasks that were accepted for a later time are counted here until they are due, so that the law holds for them too. Lock order:
//! control, then this, then the queue.

use std::{collections::HashMap, mem, sync::Arc};

use super::core::Core;
use crate::{
    error::RejectReason,
    policy::{JOBS, Priority},
    pool::phase::Phase,
    queue::Accepted,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{
        entry::Entry,
        gate::{Entrance, Gate, HomeId, Make, Refusal, RoomTicket, TaskInfo},
        header::Wrap,
        id::TaskId,
        isolation::Isolation,
        outcome::{CancelReason, Outcome, Outcomes},
    },
};

/// Submits by time. Told to stop, it submits nothing more, and what it submitted and did not begin is withdrawn.
pub(crate) trait Clock: Send + Sync {
    fn stop(&self);

    /// Its pool is open: it was held until now.
    fn release(&self);
}

/// Whether a clock stands for one task, which is accepted with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    ForOneTask,
    ForASeries,
}

/// Whether clocks stand until their pool is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Held {
    #[default]
    No,
    Yes,
}

#[derive(Default)]
pub(crate) struct Clocks {
    book: Mutex<Book>,
}

/// Names a clock among those of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClockId(u64);

/// A task that was accepted for a later time: whether it has left that state, into the queue or by its end. Only touched under the
/// book's lock, so that it leaves once.
#[derive(Default)]
pub(crate) struct NotDue {
    left: AtomicBool,
}

#[derive(Default)]
struct Book {
    closed: bool,
    /// Callers that are stopping clocks just now.
    stopping: usize,
    held: Held,
    running: HashMap<ClockId, Arc<dyn Clock>>,
    next: u64,
    not_due: u64,
    ended_not_due: Outcomes,
    /// Tasks that were due and whose clocks have not heard of their ends yet: it is they who hand back what did not begin.
    out: usize,
}

impl Default for Mutex<Book> {
    fn default() -> Self {
        Self::new(Book::default())
    }
}

impl Clocks {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes a clock in, and says whether it is to stand until `open`; that of one task never is, for the task is accepted. Refused once the
    /// pool was told to shut down: then nothing begins by time any more.
    pub(crate) fn add(&self, clock: Arc<dyn Clock>, stands: Stands) -> Result<(ClockId, Held), RejectReason> {
        let mut book = self.book.lock();
        if book.closed {
            return Err(RejectReason::ShuttingDown);
        }
        if book.running.len() >= JOBS {
            return Err(RejectReason::Full);
        }
        book.next += 1;
        let id = ClockId(book.next);
        book.running.insert(id, clock);
        if stands == Stands::ForOneTask {
            book.not_due += 1;
            return Ok((id, Held::No));
        }
        Ok((id, book.held))
    }

    /// The clocks of jobs that come from now on stand until `open`.
    pub(crate) fn hold(&self) {
        self.book.lock().held = Held::Yes;
    }

    /// Lets go of those that stand, in the order in which they came.
    pub(crate) fn open(&self) {
        let mut held: Vec<_> = {
            let mut book = self.book.lock();
            if mem::take(&mut book.held) == Held::No {
                return;
            }
            book.running.iter().map(|(id, clock)| (*id, Arc::clone(clock))).collect()
        };
        held.sort_unstable_by_key(|(id, _)| *id);
        held.into_iter().for_each(|(_, clock)| clock.release());
    }

    /// A clock has nothing more to do.
    pub(crate) fn remove(&self, id: ClockId) {
        let gone = self.book.lock().running.remove(&id);
        drop(gone);
    }

    /// Ends a task before it comes into the queue. False if it is there, or has ended.
    pub(crate) fn end_not_due(&self, task: &NotDue, outcome: Outcome) -> bool {
        let mut book = self.book.lock();
        if task.left.swap(true, Ordering::Relaxed) {
            return false;
        }
        book.not_due -= 1;
        book.ended_not_due.add(outcome, 1);
        true
    }

    /// Stops all clocks, for good; in the order in which they came. Whoever calls it asks the decisions afterwards: until then the pool
    /// is not over, also for a second caller who found nothing left to stop.
    pub(crate) fn stop(&self) {
        let mut running: Vec<_> = {
            let mut book = self.book.lock();
            book.closed = true;
            book.stopping += 1;
            book.running.drain().collect()
        };
        running.sort_unstable_by_key(|(id, _)| *id);
        running.into_iter().for_each(|(_, clock)| clock.stop());
        self.book.lock().stopping -= 1;
    }

    /// True while something may still be handed back: somebody stops clocks, or a task's end has not come to its clock.
    pub(crate) fn is_stopping(&self) -> bool {
        let book = self.book.lock();
        book.stopping > 0 || book.out > 0
    }

    /// A task that was due has ended, and its clock has done with it. True if a shutdown may have waited for that.
    #[must_use]
    fn came_in(&self) -> bool {
        let mut book = self.book.lock();
        book.out -= 1;
        book.closed && book.out == 0
    }

    /// Reads other counters while no task moves from here into the queue; gives them with how many are not due, and how those ended
    /// that never were.
    pub(crate) fn with_counts<T>(&self, others: impl FnOnce() -> T) -> (T, u64, Outcomes) {
        let book = self.book.lock();
        (others(), book.not_due, book.ended_not_due)
    }
}

/// The gate for a task that was accepted before: now it is due, goes into the queue and is counted there. It waits for room
/// whatever the pool's policy is, for it cannot be rejected any more.
pub(crate) struct DueGate<'t, I: Isolation>(pub(crate) Arc<Core<I>>, pub(crate) &'t NotDue);

impl<I: Isolation> Gate<I> for DueGate<'_, I> {
    fn accept(
        &self,
        priority: Priority,
        entrance: Entrance<'_>,
        make: Make<'_, I>,
    ) -> Result<TaskId, Refusal> {
        let entrance = match entrance {
            Entrance::Poll(ticket, waker) | Entrance::Block(ticket, waker) => Entrance::Due(ticket, waker),
            other => other,
        };
        let (admission, effect) = {
            let mut book = self.0.clocks.book.lock();
            if self.1.left.load(Ordering::Relaxed) {
                // Its end came first; whoever ended it knows.
                return Err(Refusal::Rejected(RejectReason::ShuttingDown));
            }
            let (admission, effect) = self.0.queue.accept(priority, entrance, make);
            if admission.is_ok() {
                self.1.left.store(true, Ordering::Relaxed);
                book.not_due -= 1;
                book.out += 1;
            }
            (admission, effect)
        };
        self.0.apply(effect);
        let (accepted, overflow) = admission?;
        if let Some(victim) = overflow.0 {
            victim.end_cancelled(CancelReason::Shed);
        }
        match accepted {
            Accepted::Queued(id) => Ok(id),
            Accepted::CallerRuns(entry, _) => unreachable!("task {} of a timer ran on its caller", entry.id),
        }
    }

    fn leave_line(&self, ticket: RoomTicket) {
        self.0.leave_line(ticket);
    }

    fn gives_up(&self) {
        self.0.count_rejected();
    }

    fn wrap(&self, task: &TaskInfo<'_>) -> Option<Wrap> {
        self.0.wrap(task)
    }

    fn decorates(&self) -> bool {
        self.0.decorates()
    }

    fn home(&self) -> HomeId {
        self.0.home
    }
}

impl<I: Isolation> Core<I> {
    /// Why nothing can be scheduled here, if that is so. Counts the refusal.
    pub(crate) fn refuses_clocks(&self) -> Option<RejectReason> {
        let control = self.control.lock();
        let reason = match control.current().passage.phase() {
            Phase::Terminated => Some(RejectReason::Terminated),
            _ if control.shut => Some(RejectReason::ShuttingDown),
            _ => control.roster.broken().map(|cause| RejectReason::Broken(Arc::clone(cause))),
        };
        if reason.is_some() {
            self.count_rejected();
        }
        reason
    }

    pub(crate) fn count_rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// A task that was due has ended, and its clock has done with it.
    pub(crate) fn clock_heard(&self) {
        if self.clocks.came_in() {
            self.drive(|_, _, _| (Vec::new(), ()));
        }
    }

    /// Lays an unstarted task where `take_returned` finds it. Its outcome has been counted.
    pub(crate) fn hand_back(&self, entry: Entry<I>) {
        self.returned.put(entry);
    }
}
