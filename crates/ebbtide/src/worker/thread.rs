//! A worker that is a thread: builds its state, runs task after task, and lays the state down where it built it.
//!
//! A thread can be asked and abandoned, never ended from outside. One that was abandoned finds out when its task comes
//! back: it then drops its state and goes, and never takes another task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{
    craft::{AfterPanic, Craft, Handover, Snapshot, WorkerInfo, fraction},
    output::OutputSource,
    reason::RetireReason,
};
use crate::{
    clock::Moment,
    queue::Tray,
    sync::Mutex,
    task::{
        cell::{self, Runnable},
        context::Context,
        entry::{Body, Entry},
        error::panic_message,
        gate::{self, Gate, Here},
        id::{TaskId, WorkerId},
        inline::InlineTask,
        isolation::Isolation,
        outcome::{CancelReason, Outcome},
        panics,
        seat::{Order, Seat},
    },
};

/// What a worker needs of its pool.
pub(crate) trait Employer<I: Isolation>: Gate<I> {
    /// The next task, waited for; or that it is time to go.
    fn next(&self, seat: &Seat, tray: &Tray<I>, came: Came) -> Next<I>;
    fn ready(&self, seat: &Seat, build: Duration, size: Option<u64>);
    fn start_failed(&self, seat: &Seat, cause: String);
    /// A limit was reached: a replacement is wanted, the worker goes on until it is told to leave.
    fn due(&self, seat: &Seat, why: RetireReason);
    /// The same, and it is told to leave at once, replacement or not; unless none could be started of late.
    fn due_now(&self, seat: &Seat, why: RetireReason);
    fn snapshot(&self, seat: &Seat, snapshot: Option<Snapshot>);
    /// It leaves by itself.
    fn leaves(&self, seat: &Seat, why: RetireReason);
    /// Why it was told to leave.
    fn why(&self, seat: &Seat) -> RetireReason;
    /// Its last word. Nothing of the user's runs on the thread after this but thread-local destructors.
    fn ended(&self, seat: &Arc<Seat>);
    /// A started task ended otherwise than `Completed`.
    fn unusual(&self, task: TaskId, name: Option<&Arc<str>>, outcome: Outcome);
    /// A task that somebody had looked at has ended.
    fn watched(&self, seat: &Seat, task: TaskId, since: Moment);
    fn timed(&self, accepted: Moment, started: Moment, ended: Moment);
    fn size(&self, seat: &Seat, size: u64);
    /// One more task for a worker that has some under way; it is not waited for.
    fn next_now(&self, tray: &Tray<I>) -> Option<Entry<I>>;
    /// Tasks that were taken and have not begun go back to the front of the queue, in their order, or are ended if that takes them no more.
    fn give_back(&self, seat: &Seat, entries: Vec<Entry<I>>);
    /// It died of itself before it had done anything: that counts as a start that failed.
    fn died_young(&self, seat: &Seat, cause: &Arc<str>);
    /// Wakes a worker that is idle or waits, to look at its orders.
    fn rouse(&self, seat: &Seat);
    fn tell(&self, event: Notice);
    /// True if somebody hears what is told.
    fn is_heard(&self) -> bool;
}

/// What a worker has to say beside its work.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// Its process wrote or logged a line.
    Output { worker: WorkerId, task: Option<TaskId>, source: OutputSource, text: String },
    /// Its process is gone, and nobody had asked it to go.
    Died { worker: WorkerId, how: Arc<str> },
    /// A task whose worker died under it is tried once more, alone.
    Quarantined { task: TaskId, attempt: u32 },
    /// A limit is wrong, and is not held to any more.
    LimitIgnored { why: Arc<str> },
    /// What it had learnt could not be written down.
    StateNotKept { worker: WorkerId, why: Arc<str> },
}

/// Where a worker comes from when it asks for work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Came {
    /// For the first time in its life; exactly once.
    #[default]
    Fresh,
    FromTask,
    FromSnapshot,
}

pub(crate) enum Next<I: Isolation> {
    Task(Entry<I>),
    Snapshot,
    Leave,
}

pub(crate) struct ThreadWorker<I: Isolation> {
    pub(crate) seat: Arc<Seat>,
    pub(crate) craft: Arc<Craft<I>>,
    pub(crate) employer: Arc<dyn Employer<I>>,
    pub(crate) seed: Mutex<Option<Snapshot>>,
    pub(crate) tray: Arc<Tray<I>>,
}

/// What the present worker has done so far, for its limits.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    came: Came,
    pub(crate) tasks: u64,
    failures: u32,
    /// Its state was above the limit of sizes before the first task, and has been ever since: a replacement would be, too.
    born_too_large: bool,
}

/// How a run left its worker.
enum After {
    GoOn,
    /// The state is suspect.
    Leave(RetireReason),
    /// The run was abandoned: this thread belongs to nobody any more.
    Lost,
}

impl<I: Isolation> ThreadWorker<I> {
    /// The whole life of the thread.
    pub(crate) fn run(self) {
        self.seat.sit();
        let here = Here { home: self.employer.home(), worker: self.seat.id, lane: self.seat.lane };
        let before = gate::set_here(Some(here));
        if let Some(state) = self.build() {
            (self.craft.serve)(&self, state);
        }
        self.employer.ended(&self.seat);
        gate::set_here(before);
    }

    /// The same worker for another thread that works for it: neither of them starts it anew.
    pub(crate) fn twin(&self) -> Self {
        Self {
            seat: Arc::clone(&self.seat),
            craft: Arc::clone(&self.craft),
            employer: Arc::clone(&self.employer),
            seed: Mutex::new(None),
            tray: Arc::clone(&self.tray),
        }
    }

    /// Runs one task on a caller's thread. Only for pools whose workers have no state.
    pub(crate) fn run_as_guest(&self, entry: Entry<I>) {
        let info = WorkerInfo::of(&self.seat);
        if let Ok(mut state) = (self.craft.build)(&info, None) {
            let _ = self.run_one(entry, &mut state, &mut Tally::default());
        }
    }

    fn build(&self) -> Option<I::State> {
        let info = WorkerInfo::of(&self.seat);
        let (began, seed) = (Moment::now(), self.seed.lock().take());
        let built = catch_unwind(AssertUnwindSafe(|| (self.craft.build)(&info, seed)));
        let cause = match built {
            Ok(Ok(state)) => {
                let size = self.measure(&state);
                self.employer.ready(&self.seat, Moment::now().since(began), size);
                return Some(state);
            }
            Ok(Err(error)) => panics::quietly(move || error.to_string())
                .unwrap_or_else(|| "an error that panics when it is shown".to_owned()),
            Err(payload) => {
                let message = format!("building its state panicked: {}", panic_message(&*payload));
                panics::bury(payload);
                message
            }
        };
        self.employer.start_failed(&self.seat, cause);
        None
    }

    pub(crate) fn serve(&self, mut state: I::State) {
        let mut tally = Tally { born_too_large: self.is_born_too_large(), ..Tally::default() };
        // A panic that comes here is that of a destructor: the task had ended.
        let why = loop {
            match catch_unwind(AssertUnwindSafe(|| self.work(&mut state, &mut tally))) {
                Ok(why) => break why,
                Err(payload) => {
                    panics::count_drop_panic();
                    panics::bury(payload);
                }
            }
        };
        if why.is_some_and(|why| why != RetireReason::Panicked) && self.craft.handover == Handover::OldFirst {
            self.save(&mut state);
        }
        if let (Some(why), Some(hook)) = (why, &self.craft.on_retire) {
            let _ = panics::quietly(|| hook(&mut state, why));
        }
        panics::drop_quietly(state);
    }

    /// Runs tasks until it is time to go, and says why; `None` if the thread was abandoned.
    fn work(&self, state: &mut I::State, tally: &mut Tally) -> Option<RetireReason> {
        let mut came = std::mem::replace(&mut tally.came, Came::FromTask);
        loop {
            match self.next(came) {
                Next::Leave => return Some(self.employer.why(&self.seat)),
                Next::Snapshot => {
                    self.save(state);
                    came = Came::FromSnapshot;
                }
                Next::Task(entry) => {
                    came = Came::FromTask;
                    match self.run_one(entry, state, tally) {
                        After::GoOn => {}
                        After::Leave(why) => {
                            self.employer.leaves(&self.seat, why);
                            return Some(why);
                        }
                        After::Lost => return None,
                    }
                }
            }
        }
    }

    /// The next task from its own tray, else what the pool says.
    pub(crate) fn next(&self, came: Came) -> Next<I> {
        if self.seat.ordered() == Order::None
            && let Some(entry) = self.tray.next()
        {
            return Next::Task(entry);
        }
        self.employer.next(&self.seat, &self.tray, came)
    }

    fn save(&self, state: &mut I::State) {
        let snapshot = self.craft.save.as_ref().and_then(|save| panics::quietly(|| save(state)));
        self.seat.snapshot_done();
        self.employer.snapshot(&self.seat, snapshot);
    }

    #[inline]
    fn run_one(&self, entry: Entry<I>, state: &mut I::State, tally: &mut Tally) -> After {
        let Entry { id, accepted_at: accepted, body } = entry;
        let timed = (accepted != Moment::default()).then(Moment::now);
        let (outcome, kept) = match body {
            Body::Inline(task) => self.run_inline(id, task, state),
            Body::Cell(cell) => self.run_cell(id, cell, state),
        };
        if !kept {
            return After::Lost;
        }
        if let Some(started) = timed {
            self.employer.timed(accepted, started, Moment::now());
        }
        if outcome == Outcome::Completed && !self.craft.has_limits() {
            return After::GoOn;
        }
        self.after(outcome, state, tally)
    }

    /// Gives how it ended, and false if it was abandoned.
    #[inline]
    fn run_inline(&self, id: TaskId, task: InlineTask<I>, state: &mut I::State) -> (Outcome, bool) {
        self.seat.begin(id, None);
        let context = self.context(id, None);
        let ended = catch_unwind(AssertUnwindSafe(|| task.run(state, &context)));
        let outcome = match ended {
            Ok(Ok(())) => Outcome::Completed,
            Ok(Err(error)) => {
                crate::task::error::TaskError::from_body(error, context.cancel_reason()).outcome()
            }
            Err(payload) => {
                panics::drop_quietly(payload);
                Outcome::Panicked
            }
        };
        let kept = self.finish(id, outcome, || ());
        if kept && outcome != Outcome::Completed {
            self.employer.unusual(id, None, outcome);
        }
        (outcome, kept)
    }

    /// Gives how it ended, and false if it was abandoned.
    #[inline]
    fn run_cell(&self, id: TaskId, cell: Arc<dyn Runnable<I>>, state: &mut I::State) -> (Outcome, bool) {
        let header = cell.header();
        self.seat.begin(id, Some(header));
        if header.has_timeout() {
            let any = Arc::downgrade(&cell);
            header.arm_timeout(move || {
                if let Some(cell) = any.upgrade() {
                    let _ = cell::cancel(&(cell as _), CancelReason::Timeout);
                }
            });
        }
        let outcome = cell.run(state, &self.context(id, Some(header)));
        let kept = self.finish(id, outcome, || header.settle(outcome));
        if !kept {
            cell.discard();
        } else if outcome != Outcome::Completed {
            self.employer.unusual(id, header.name(), outcome);
        }
        panics::drop_quietly(cell);
        (outcome, kept)
    }

    fn context<'c>(&'c self, id: TaskId, header: Option<&'c crate::task::header::Header>) -> Context<'c, I> {
        let gate: &dyn Gate<I> = &*self.employer;
        Context { seat: &self.seat, header, id, gate }
    }

    /// Ends the run: counts it, then lets its handle resolve. False if it was abandoned.
    fn finish(&self, id: TaskId, outcome: Outcome, settle: impl FnOnce()) -> bool {
        let watched = self.seat.watched_since();
        if let Some(since) = watched {
            self.employer.watched(&self.seat, id, since);
        }
        if !self.seat.end() {
            return false;
        }
        self.seat.count(outcome);
        settle();
        true
    }

    /// Looks at the worker's limits, between two tasks.
    fn after(&self, outcome: Outcome, state: &I::State, tally: &mut Tally) -> After {
        if outcome == Outcome::Panicked && self.craft.after_panic == AfterPanic::Replace {
            return After::Leave(RetireReason::Panicked);
        }
        self.look_at_limits(outcome, self.measure(state), tally);
        After::GoOn
    }

    /// Counts a task that has ended, and says so where a limit is reached.
    pub(crate) fn look_at_limits(&self, outcome: Outcome, size: Option<u64>, tally: &mut Tally) {
        tally.tasks += 1;
        let failed = matches!(
            outcome,
            Outcome::Failed | Outcome::Panicked | Outcome::Crashed | Outcome::Killed | Outcome::TimedOut
        );
        tally.failures = if failed { tally.failures + 1 } else { 0 };
        let limits = &self.craft.limits;
        if limits.failures.is_some_and(|most| tally.failures >= most) {
            tally.failures = 0;
            self.employer.due(&self.seat, RetireReason::Failures);
        }
        if limits.tasks.is_some_and(|most| tally.tasks == self.jittered(most)) {
            self.employer.due(&self.seat, RetireReason::Tasks);
        }
        if let Some(size) = size {
            self.employer.size(&self.seat, size);
            let is_above = limits.size.is_some_and(|most| size > most);
            tally.born_too_large &= is_above;
            if is_above && !tally.born_too_large {
                self.employer.due(&self.seat, RetireReason::Size);
            }
        }
    }

    /// Says so where the limit of sizes is below what a state has from the start: to be held to, it would have every worker replaced after
    /// its first task, without end.
    fn is_born_too_large(&self) -> bool {
        let size = self.seat.size();
        let Some(most) = self.craft.limits.size.filter(|most| size > *most) else { return false };
        let why = format!(
            "larger_than({most}): the state of {} has a size of {size} before its first task: not retired for it. Raise the limit",
            self.seat.name
        );
        self.employer.tell(Notice::LimitIgnored { why: why.into() });
        true
    }

    fn measure(&self, state: &I::State) -> Option<u64> {
        let measure = self.craft.measure.as_ref()?;
        panics::quietly(|| measure(state))
    }

    /// This worker's own number of tasks: the limit, less its part of the jitter.
    fn jittered(&self, most: u64) -> u64 {
        let less = most as f64 * self.craft.limits.jitter * fraction(self.seat.id);
        most.saturating_sub(less as u64).max(1)
    }
}

/// Why a worker goes that was not told anything: its generation is over.
pub(crate) const WITHOUT_ORDER: RetireReason = RetireReason::Stopped;

impl Seat {
    /// What the worker should do before it asks for a task.
    pub(crate) fn must<I: Isolation>(&self) -> Option<Next<I>> {
        match self.ordered() {
            Order::None => None,
            Order::Snapshot => Some(Next::Snapshot),
            Order::Leave => Some(Next::Leave),
        }
    }
}
