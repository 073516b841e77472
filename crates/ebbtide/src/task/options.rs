//! Submitting one task: its options, the cell or the slot it becomes, and the way through the gate.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll, Waker},
    time::Duration,
};

use super::{
    cancel::{CancelGuard, CancelToken},
    cell::{self, AnyCell, TaskCell},
    entry::{Loose, Offer},
    gate::{Entrance, Gate, Refusal, RoomTicket, TaskInfo},
    handle::Handle,
    header::{Extras, Header},
    id::TaskId,
    isolation::{Isolation, Job},
    outcome::CancelReason,
    wait,
};
use crate::{clock::Moment, error::RejectReason, policy::Priority, timer::Alarm};

/// One task with options, on its way into a pool. From `pool.task(name)`; ends with one of the `submit` methods.
#[must_use = "a task does nothing until it is submitted"]
pub struct Task<'p, I: Isolation> {
    gate: &'p dyn Gate<I>,
    door: Door,
    options: Options,
}

/// Which way tasks of this origin take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Outside,
    /// From a running task in this lane.
    Child(u32),
}

#[derive(Clone, Default)]
struct Options {
    name: Option<Arc<str>>,
    key: Option<Arc<str>>,
    priority: Priority,
    timeout: Option<Duration>,
    deadline: Option<Duration>,
    /// The deadline as a moment; counted from the submit, waiting for room included.
    due: Option<Moment>,
    parent: Option<CancelToken>,
    scoped: bool,
    function: Option<Arc<str>>,
    idempotent: bool,
    tried: u32,
}

/// A job that was not accepted, and why.
pub(crate) type Refused<J> = (J, RejectReason);

impl<'p, I: Isolation> Task<'p, I> {
    pub(crate) fn new(gate: &'p dyn Gate<I>, door: Door) -> Self {
        Self { gate, door, options: Options::default() }
    }

    /// Names it: in stats, events, reports and spans.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// The caller's own key for this piece of work, the same for every attempt at it; visible to the body.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// How urgent it is. Default: [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }

    /// Asks it to cancel when it has *run* for so long; after the pool's grace it is abandoned. Default: none.
    #[doc(alias = "runTimeout")]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Ends it `TimedOut` if it has not started so long after it was submitted, and asks it to cancel if it
    /// has. A submit that waits for room gives up then, with [`RejectReason::TimedOut`]. Default: none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Puts it under a token: cancelled with it, whether it waits or runs. A submit that waits for room gives up then, with
    /// [`RejectReason::Cancelled`].
    #[doc(alias = "AbortSignal")]
    pub fn cancelled_by(mut self, parent: &CancelToken) -> Self {
        self.options.parent = Some(parent.clone());
        self
    }

    pub(crate) fn for_function(mut self, function: Arc<str>) -> Self {
        self.options.function = Some(function);
        self
    }

    pub(crate) fn declared_idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }

    pub(crate) fn tried(mut self, times: u32) -> Self {
        self.options.tried = times;
        self
    }

    pub(crate) fn scoped(mut self) -> Self {
        self.options.scoped = true;
        self
    }

    /// Submits a job and waits for room; from a worker of the pool never waits.
    pub(crate) fn submit_job<J: Job<I>>(mut self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        self.start_clock();
        let entry = self.cell(job);
        self.submit_cell(entry)
    }

    /// The same with the job in its cell already.
    pub(crate) fn submit_cell<J: Job<I>>(
        self,
        entry: Arc<TaskCell<I, J>>,
    ) -> Result<Handle<J::Output>, Refused<J>> {
        let gate = self.gate;
        let mut line = Line { gate, ticket: None };
        let mut bell = None;
        let accepted = wait::block_until(self.options.due, |waker| {
            match self.knock(&entry, Knock::Block(&mut line, waker)) {
                Err(Refusal::Wait) => {
                    bell = bell.take().or_else(|| self.ring(waker));
                    self.hopeless().map(|why| Err(Refusal::Rejected(why)))
                }
                other => Some(other),
            }
        });
        drop((line, bell));
        let accepted = accepted.unwrap_or(Err(Refusal::Rejected(RejectReason::TimedOut)));
        if let Err(Refusal::Rejected(RejectReason::TimedOut | RejectReason::Cancelled)) = accepted {
            gate.gives_up();
        }
        self.finish(entry, accepted)
    }

    pub(crate) fn try_submit_job<J: Job<I>>(mut self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        self.start_clock();
        let entry = self.cell(job);
        let accepted = self.knock(&entry, Knock::Try);
        self.finish(entry, accepted)
    }

    pub(crate) fn submit_job_async<J: Job<I>>(mut self, job: J) -> SubmitJob<'p, I, J> {
        self.start_clock();
        let cell = self.cell(job);
        let line = Line { gate: self.gate, ticket: None };
        SubmitJob { line, bells: None, task: Some((self, cell)) }
    }

    /// Submits a job without a handle. Without options or decorators it takes no allocation of its own.
    pub(crate) fn execute_job<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>> {
        if !self.is_plain() {
            let handle = match wish {
                Wish::Wait => self.submit_job(job)?,
                Wish::Try => self.try_submit_job(job)?,
            };
            return Ok(handle.id());
        }
        let mut job = Some(job);
        let mut make = |ticket| Loose(job.take().expect("an entry is made once")).enter(ticket);
        let mut line = Line { gate: self.gate, ticket: None };
        let accepted = match (wish, self.door) {
            (_, Door::Child(lane)) => self.gate.accept(Priority::Normal, Entrance::Child(lane), &mut make),
            (Wish::Try, Door::Outside) => self.gate.accept(Priority::Normal, Entrance::Try, &mut make),
            (Wish::Wait, Door::Outside) => wait::block_until(None, |waker| {
                let entrance = Entrance::Block(&mut line.ticket, waker);
                match self.gate.accept(Priority::Normal, entrance, &mut make) {
                    Err(Refusal::Wait) => None,
                    other => Some(other),
                }
            })
            .unwrap_or(Err(Refusal::Wait)),
        };
        drop(line);
        accepted.map_err(|refusal| (job.take().expect("a refused task was not made"), refusal.into()))
    }

    /// Why room is waited for no longer.
    fn hopeless(&self) -> Option<RejectReason> {
        let Options { parent, due, .. } = &self.options;
        if parent.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(RejectReason::Cancelled);
        }
        due.filter(|due| Moment::now() >= *due).map(|_| RejectReason::TimedOut)
    }

    /// Wakes who waits for room when the token is cancelled.
    fn ring(&self, waker: &Waker) -> Option<CancelGuard> {
        let waker = waker.clone();
        self.options.parent.as_ref().map(|parent| parent.on_cancel(move |_| wait::wake(waker)))
    }

    fn start_clock(&mut self) {
        self.options.due = self.options.deadline.map(|deadline| Moment::now().plus(deadline));
    }

    fn is_plain(&self) -> bool {
        let Options { name, key, priority, timeout, deadline, parent, scoped, .. } = &self.options;
        let bare = name.is_none() && key.is_none() && timeout.is_none() && deadline.is_none();
        bare && parent.is_none() && !scoped && *priority == Priority::Normal && !self.gate.decorates()
    }

    fn cell<J: Job<I>>(&self, job: J) -> Arc<TaskCell<I, J>> {
        let Options {
            name,
            key,
            priority,
            timeout,
            deadline,
            parent,
            scoped,
            function,
            idempotent,
            tried,
            ..
        } = &self.options;
        let wrap = if self.gate.decorates() {
            let info = TaskInfo { name: name.as_deref(), key: key.as_deref(), priority: *priority };
            self.gate.wrap(&info)
        } else {
            None
        };
        let named = name.is_some() || key.is_some() || *scoped || wrap.is_some();
        let remote = function.is_some() || *idempotent || *tried > 0;
        let timed = timeout.is_some() || deadline.is_some() || parent.is_some();
        let extras = (named || timed || remote).then(|| {
            let mut extras = Extras {
                name: name.clone(),
                key: key.clone(),
                timeout: *timeout,
                parent: parent.clone(),
                due: self.options.due,
                scoped: *scoped,
                function: function.clone(),
                idempotent: *idempotent,
                tried: *tried,
                ..Extras::default()
            };
            extras.wrap = crate::sync::Mutex::new(wrap);
            extras
        });
        TaskCell::new(Header::new(self.gate.home(), *priority, extras), job)
    }

    fn knock<J: Job<I>>(
        &self,
        cell: &Arc<TaskCell<I, J>>,
        knock: Knock<'_, '_, I>,
    ) -> Result<TaskId, Refusal> {
        let mut make = |ticket| cell.enter(ticket);
        let entrance = match (self.door, knock) {
            (Door::Child(lane), _) => Entrance::Child(lane),
            (Door::Outside, Knock::Try) => Entrance::Try,
            (Door::Outside, Knock::Block(line, waker)) => Entrance::Block(&mut line.ticket, waker),
            (Door::Outside, Knock::Poll(line, waker)) => Entrance::Poll(&mut line.ticket, waker),
        };
        let accepted = self.gate.accept(self.options.priority, entrance, &mut make)?;
        self.arm(cell);
        Ok(accepted)
    }

    /// Hangs the accepted task on its deadline and its parent.
    fn arm<J: Job<I>>(&self, cell: &Arc<TaskCell<I, J>>) {
        let Some(extras) = cell.header().extras() else { return };
        if let Some(due) = self.options.due {
            let weak = Arc::downgrade(cell);
            let alarm = Alarm::at(due, move || {
                if let Some(cell) = weak.upgrade() {
                    let _ = cell::cancel(&(cell as _), CancelReason::Deadline);
                }
            });
            extras.holds.lock().deadline = Some(alarm);
        }
        if let Some(parent) = &self.options.parent {
            let weak = Arc::downgrade(cell);
            let guard = parent.on_cancel(move |reason| {
                if let Some(cell) = weak.upgrade() {
                    let _ = cell::cancel(&(cell as _), reason.as_parent());
                }
            });
            extras.holds.lock().parent = Some(guard);
        }
        if cell.header().outcome().is_some() {
            // It ended before these were in place.
            drop(std::mem::take(&mut *extras.holds.lock()));
        }
    }

    fn finish<J: Job<I>>(
        &self,
        cell: Arc<TaskCell<I, J>>,
        accepted: Result<TaskId, Refusal>,
    ) -> Result<Handle<J::Output>, Refused<J>> {
        match accepted {
            Ok(_) => Ok(Handle::new(cell)),
            Err(refusal) => {
                let job = TaskCell::into_job(cell).expect("a refused task has one owner");
                Err((job, refusal.into()))
            }
        }
    }
}

/// Whether a submit without a handle waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Wait,
    Try,
}

enum Knock<'k, 'p, I: Isolation> {
    Try,
    Block(&'k mut Line<'p, I>, &'k Waker),
    Poll(&'k mut Line<'p, I>, &'k Waker),
}

/// A place in the line for room, given up when it is dropped.
struct Line<'p, I: Isolation> {
    gate: &'p dyn Gate<I>,
    ticket: Option<RoomTicket>,
}

impl<I: Isolation> Drop for Line<'_, I> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.leave_line(ticket);
        }
    }
}

/// A task with the cell it becomes.
type Pending<'p, I, J> = (Task<'p, I>, Arc<TaskCell<I, J>>);

/// A submit that waits for room without blocking a thread. Dropping it before it is done submits nothing.
pub(crate) struct SubmitJob<'p, I: Isolation, J: Job<I>> {
    line: Line<'p, I>,
    /// What wakes it to give up: its deadline and its token.
    bells: Option<(Option<Alarm>, Option<CancelGuard>)>,
    task: Option<Pending<'p, I, J>>,
}

impl<I: Isolation, J: Job<I>> Future for SubmitJob<'_, I, J> {
    type Output = Result<Handle<J::Output>, Refused<J>>;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some((task, cell)) = this.task.take() else { return Poll::Pending };
        match task.knock(&cell, Knock::Poll(&mut this.line, poller.waker())) {
            Err(Refusal::Wait) => {
                let waker = poller.waker().clone();
                let alarm = task.options.due.map(|due| Alarm::at(due, move || wait::wake(waker)));
                this.bells = Some((alarm, task.ring(poller.waker())));
                if let Some(why) = task.hopeless() {
                    task.gate.gives_up();
                    return Poll::Ready(task.finish(cell, Err(Refusal::Rejected(why))));
                }
                this.task = Some((task, cell));
                Poll::Pending
            }
            other => Poll::Ready(task.finish(cell, other)),
        }
    }
}

impl From<Refusal> for RejectReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(reason) => reason,
            Refusal::Wait => Self::Full,
        }
    }
}

impl<I: Isolation> fmt::Debug for Task<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { name, key, priority, timeout, deadline, .. } = &self.options;
        f.debug_struct("Task")
            .field("name", name)
            .field("key", key)
            .field("priority", priority)
            .field("timeout", timeout)
            .field("deadline", deadline)
            .finish_non_exhaustive()
    }
}
