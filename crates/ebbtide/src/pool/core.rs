//! The pool itself: what every handle, worker and submitter of it shares, and the task path through it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    control::Control,
    events::{Event, Hub},
    ledger::{Balance, Reading},
    shelf::{Shelf, Side},
    timing::Clockbook,
};
use crate::{
    clock::Moment,
    policy::{IdleTimeout, LOOK, Priority},
    queue::{Accepted, Arrival, Effect, NotTaken, Overflow, Queue, Take, Tray},
    sync::{
        self, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{
        cell::AnyCell,
        entry::{Body, Entry},
        gate::{self, Entrance, GUEST, Gate, Here, Home, HomeId, Make, Place, Refusal, RoomTicket, TaskInfo},
        header::Wrap,
        id::{TaskId, WorkerId},
        isolation::Isolation,
        outcome::{CancelReason, Outcome, Outcomes, ReturnReason},
        panics,
        seat::{Order, Seat},
    },
    timer::Alarm,
    worker::{
        craft::{Craft, Snapshot},
        reason::RetireReason,
        thread::{Came, Employer, Next, Notice, ThreadWorker, WITHOUT_ORDER},
    },
};

/// Puts something around a task; see `PoolBuilder::decorate`.
pub(crate) type Decorator = Box<dyn Fn(&TaskInfo<'_>) -> Wrap + Send + Sync>;

/// Lets go of what the pool held.
pub(crate) type Release = Box<dyn FnOnce() + Send>;

/// How long an idle worker sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    UntilTimeout,
    /// The roster keeps it.
    Endless,
}

pub(crate) struct Config {
    pub(crate) name: Arc<str>,
    pub(crate) deadline: Duration,
    pub(crate) grace: Duration,
    pub(crate) idle_timeout: IdleTimeout,
    pub(crate) snapshot_box: Duration,
    pub(crate) decorator: Option<Decorator>,
}

pub(crate) struct Core<I: Isolation> {
    pub(crate) me: Weak<Self>,
    pub(crate) home: HomeId,
    pub(crate) config: Config,
    pub(crate) craft: Arc<Craft<I>>,
    pub(crate) queue: Queue<I>,
    pub(crate) control: Mutex<Control>,
    pub(crate) hub: Hub,
    pub(crate) outbox: super::outbox::Outbox,
    pub(crate) clockbook: Clockbook,
    pub(crate) renewal: super::renew::Renewal,
    /// What submits by time.
    pub(crate) clocks: super::clocks::Clocks,
    /// Lets go of the pool's own leases when it has terminated.
    pub(crate) release: Mutex<Option<Release>>,
    /// The resource that was moved in.
    pub(crate) owned: Mutex<Option<super::lend::Held>>,
    /// Unstarted tasks that were handed back and not taken yet.
    pub(crate) returned: Shelf<I>,
    pub(crate) rejected: AtomicU64,
    pub(crate) caller_runs: AtomicU64,
    /// Tasks taken from their workers; counted here before their handles resolve.
    pub(crate) abandoned: AtomicU64,
    /// The keeper is on its round: who runs is looked at every 100 ms while anybody does.
    looking: AtomicBool,
}

impl<I: Isolation> Core<I> {
    pub(crate) fn new(
        config: Config,
        craft: Craft<I>,
        queue: Queue<I>,
        control: Control,
        hub: Hub,
        renewal: super::renew::Renewal,
    ) -> Arc<Self> {
        let home = HomeId::unique();
        let core = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            home,
            config,
            craft: Arc::new(craft),
            queue,
            control: Mutex::new(control),
            hub,
            outbox: super::outbox::Outbox::new(),
            clockbook: Clockbook::new(),
            renewal,
            clocks: super::clocks::Clocks::new(),
            release: Mutex::new(None),
            owned: Mutex::new(None),
            returned: Shelf::new(),
            rejected: AtomicU64::new(0),
            caller_runs: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            looking: AtomicBool::new(false),
        });
        let weak: Weak<Self> = Weak::clone(&core.me);
        home.register(weak);
        core
    }

    /// Wakes whom an effect names, and starts somebody where nobody is idle.
    pub(crate) fn apply(&self, mut effect: Effect) {
        self.queue.wake(&mut effect);
        if effect.hungry.is_some() || effect.quiet {
            self.review();
        }
    }

    /// Reads the counters in the ledger's order. The control lock keeps seats from being folded meanwhile.
    pub(crate) fn balance(&self, control: &Control) -> Balance {
        let mut ended_running = control.ended_running();
        ended_running.add(Outcome::Abandoned, self.abandoned.load(Ordering::Acquire));
        let (counts, not_due, ended_not_due) = self.clocks.with_counts(|| self.queue.counts());
        let reading = Reading {
            ended_running,
            ended_waiting: counts.ended,
            started: counts.started,
            accepted: counts.accepted,
            not_due,
            ended_not_due,
        };
        let balance = reading.balance();
        debug_assert!(balance.is_some(), "the law is broken: {reading:?}");
        balance.unwrap_or_default()
    }

    /// Runs a task on the thread that submitted it: the queue was full and the policy says so.
    fn run_as_guest(&self, entry: Entry<I>, lane: u32) {
        self.caller_runs.fetch_add(1, Ordering::Relaxed);
        let Some(core) = self.me.upgrade() else { return };
        let name: Arc<str> = format!("{}-caller", self.config.name).into();
        let seat = Arc::new(Seat::new(GUEST, name, 0, lane));
        self.guest_comes(&seat);
        let before = gate::set_here(Some(Here { home: self.home, worker: GUEST, lane }));
        let worker = ThreadWorker {
            seat: Arc::clone(&seat),
            craft: Arc::clone(&self.craft),
            employer: core,
            seed: Mutex::new(None),
            tray: Arc::new(Tray::new(GUEST, lane)),
        };
        worker.run_as_guest(entry);
        gate::set_here(before);
        self.guest_goes(&seat);
    }

    pub(crate) fn keep_looking(&self) {
        if !self.looking.load(Ordering::Relaxed) && !self.looking.swap(true, Ordering::AcqRel) {
            self.look_later();
        }
    }

    fn look_later(&self) {
        let me = Weak::clone(&self.me);
        let alarm = Alarm::at(Moment::now().plus(LOOK), move || {
            if let Some(core) = me.upgrade() {
                core.look();
            }
        });
        alarm.leave();
    }

    /// The keeper's round: remembers who runs since when; goes on while anybody does.
    fn look(&self) {
        let busy = self.look_round();
        let effect = self.queue.relieve();
        self.apply(effect);
        self.publish();
        if busy {
            self.look_later();
            return;
        }
        self.looking.store(false, Ordering::Release);
        if self.look_round() {
            self.keep_looking();
        }
    }

    /// Looks at every seat. True while the next round is needed: while anybody runs a task, or is between two.
    fn look_round(&self) -> bool {
        let control = self.control.lock();
        let running = !control.look(Moment::now()).is_empty();
        running || control.desks.len() > self.queue.counts().idle
    }
}

impl<I: Isolation> Gate<I> for Core<I> {
    fn accept(
        &self,
        priority: Priority,
        entrance: Entrance<'_>,
        make: Make<'_, I>,
    ) -> Result<TaskId, Refusal> {
        // Whoever works for this pool is let in as a child, whichever way it came.
        let entrance = match (&entrance, gate::here(self.home)) {
            (Entrance::Child(_), _) | (_, None) => entrance,
            (_, Some(here)) => Entrance::Child(here.lane),
        };
        let (accepted, effect) = self.queue.accept(priority, entrance, make);
        self.apply(effect);
        match accepted {
            Ok((accepted, Overflow(victim))) => {
                if let Some(victim) = victim {
                    victim.end_cancelled(CancelReason::Shed);
                }
                match accepted {
                    Accepted::Queued(id) => Ok(id),
                    Accepted::CallerRuns(entry, lane) => {
                        let id = entry.id;
                        self.run_as_guest(entry, lane);
                        Ok(id)
                    }
                }
            }
            Err(refusal) => {
                if let Refusal::Rejected(_) = refusal {
                    self.rejected.fetch_add(1, Ordering::Relaxed);
                }
                Err(refusal)
            }
        }
    }

    fn leave_line(&self, ticket: RoomTicket) {
        let effect = self.queue.leave_line(ticket);
        self.apply(effect);
    }

    fn gives_up(&self) {
        self.count_rejected();
    }

    fn wrap(&self, task: &TaskInfo<'_>) -> Option<Wrap> {
        let span = super::trace::span(&self.config.name, task);
        let own = self.config.decorator.as_ref().map(|decorate| decorate(task));
        match (span, own) {
            (Some(span), Some(own)) => Some(Box::new(move |run| {
                let mut own = Some(own);
                span(&mut || own.take().into_iter().for_each(|own| own(run)));
            })),
            (span, own) => span.or(own),
        }
    }

    fn decorates(&self) -> bool {
        self.config.decorator.is_some() || super::trace::spans()
    }

    fn home(&self) -> HomeId {
        self.home
    }
}

impl<I: Isolation> Home for Core<I> {
    fn ended_in_queue(&self, place: Place, _id: TaskId, outcome: Outcome) {
        let effect = self.queue.ended(place, outcome);
        self.apply(effect);
    }

    fn asked(&self, cell: &Arc<dyn AnyCell>) {
        let header = cell.header();
        let reason = header.reason().unwrap_or(CancelReason::Abort);
        // Rung at whether its run is to be seen yet or not: a body that takes its token later finds the request itself.
        let seats = self.control.lock().seats_at(header.worker());
        for seat in &seats {
            seat.ring(header.id(), reason.clone());
            if let Some(post) = seat.post() {
                post.ask(header.id(), &reason, self.config.grace);
            }
        }
        self.abandon_later(cell, self.config.grace);
    }

    fn begin_wait(&self) -> bool {
        // A worker that waits within a wait, as in a scope of its own, is one worker.
        gate::waits_already() || {
            if let Some(here) = gate::here(self.home) {
                // It may be what it waits for.
                let effect = self.queue.recall(here.worker);
                self.apply(effect);
            }
            let may = self.control.lock().roster.begin_wait();
            if !may {
                gate::waits_no_more();
            }
            may
        }
    }

    fn end_wait(&self) {
        let outermost = gate::waits_no_more();
        if outermost && self.control.lock().roster.end_wait() {
            self.review();
        }
    }
}

impl<I: Isolation> Employer<I> for Core<I> {
    fn next(&self, seat: &Seat, tray: &Tray<I>, came: Came) -> Next<I> {
        let mut arrival = if came == Came::Fresh { Arrival::Fresh } else { Arrival::FromRun };
        let mut patience = Patience::UntilTimeout;
        loop {
            if let Some(next) = seat.must() {
                let effect = self.queue.depart(tray, arrival);
                self.apply(effect);
                return next;
            }
            let thread = seat.thread().expect("the worker sat down before it asked");
            let (take, effect) = self.queue.take(tray, arrival, thread);
            self.apply(effect);
            match take {
                Take::Task(entry) => {
                    if arrival != Arrival::FromRun {
                        self.keep_looking();
                    }
                    return Next::Task(entry);
                }
                Take::Leave => return Next::Leave,
                Take::Watch(heard) => {
                    arrival = Arrival::FromWatch;
                    self.queue.watch(tray, heard, || seat.ordered() != Order::None);
                }
                Take::Sleep => {
                    arrival = Arrival::FromSleep;
                    // An order that came while it lay down found nobody to wake.
                    if seat.ordered() == Order::None {
                        patience = self.sleep(seat, patience);
                    }
                }
            }
        }
    }

    fn ready(&self, seat: &Seat, build: Duration, size: Option<u64>) {
        seat.set_size(size.unwrap_or(0));
        // Before the roster looks at what is unserved: this worker is on its way to it.
        self.queue.expect(seat.lane);
        self.worker_ready(seat, build);
    }

    fn start_failed(&self, seat: &Seat, cause: String) {
        if seat.is_aborted() || seat.ordered() == Order::Leave {
            // It was told to go while it started: it has not failed.
            self.worker_start_ended(seat.id);
        } else {
            self.worker_start_failed(seat.id, &cause.into());
        }
    }

    fn due(&self, seat: &Seat, why: RetireReason) {
        self.worker_due(seat.id, why);
    }

    fn due_now(&self, seat: &Seat, why: RetireReason) {
        self.worker_due_now(seat.id, why);
    }

    fn snapshot(&self, seat: &Seat, snapshot: Option<Snapshot>) {
        self.snapshot_taken(seat.id, snapshot);
    }

    fn leaves(&self, seat: &Seat, why: RetireReason) {
        let effect = self.queue.recall(seat.id);
        self.apply(effect);
        self.worker_leaves(seat.id, why);
    }

    fn why(&self, seat: &Seat) -> RetireReason {
        let control = self.control.lock();
        control.desks.get(&seat.id).and_then(|desk| desk.why).unwrap_or(WITHOUT_ORDER)
    }

    fn ended(&self, seat: &Arc<Seat>) {
        self.worker_ended(seat);
    }

    fn unusual(&self, task: TaskId, name: Option<&Arc<str>>, outcome: Outcome) {
        if self.hub.is_watched() || self.renewal.watches() {
            self.send(Event::TaskEnded { task, name: name.cloned(), outcome });
        }
    }

    fn watched(&self, seat: &Seat, task: TaskId, since: Moment) {
        let now = Moment::now();
        let mut control = self.control.lock();
        for procedure in &mut control.procedures {
            procedure.draft.run_ended(seat.id, task, since, now);
        }
    }

    fn timed(&self, accepted: Moment, started: Moment, ended: Moment) {
        self.clockbook.record(accepted, started, ended);
    }

    fn size(&self, seat: &Seat, size: u64) {
        seat.set_size(size);
        self.renewal.size_changed(self);
    }

    fn next_now(&self, tray: &Tray<I>) -> Option<Entry<I>> {
        let (entry, effect) = self.queue.take_now(tray);
        self.apply(effect);
        entry
    }

    fn give_back(&self, seat: &Seat, entries: Vec<Entry<I>>) {
        let mut not_taken = Vec::new();
        // The first one last: each goes to the front.
        for entry in entries.into_iter().rev() {
            match self.queue.give_back(entry) {
                Ok(effect) => self.apply(effect),
                Err((entry, NotTaken::Asked)) => self.end_asked(seat, entry),
                Err((entry, NotTaken::Stopped)) => not_taken.push((entry, ReturnReason::PoolStopped)),
                Err((entry, NotTaken::Broken(cause))) => {
                    not_taken.push((entry, ReturnReason::Broken(cause)));
                }
            }
        }
        if !not_taken.is_empty() {
            self.end_returned(seat, not_taken.into_iter().rev());
        }
    }

    fn died_young(&self, seat: &Seat, cause: &Arc<str>) {
        self.worker_died_young(seat.id, cause);
    }

    fn rouse(&self, seat: &Seat) {
        self.queue.rouse(seat.id);
        if let Some(thread) = seat.thread() {
            thread.unpark();
        }
    }

    fn tell(&self, notice: Notice) {
        self.send(notice.into());
    }

    fn is_heard(&self) -> bool {
        self.hub.is_watched() || self.renewal.watches()
    }
}

impl<I: Isolation> Core<I> {
    /// Ends a task that was taken, has not begun and was asked to cancel.
    fn end_asked(&self, seat: &Seat, entry: Entry<I>) {
        let header = match &entry.body {
            Body::Cell(cell) => cell.header(),
            Body::Inline(_) => unreachable!("only a task with a header can be asked"),
        };
        let reason = header.reason().unwrap_or(CancelReason::Abort);
        seat.count_shared(reason.outcome());
        self.unusual(entry.id, header.name(), reason.outcome());
        entry.end_cancelled(reason);
    }

    /// Ends tasks that were taken, have not begun and are not taken back.
    fn end_returned(&self, seat: &Seat, entries: impl Iterator<Item = (Entry<I>, ReturnReason)>) {
        let (mut laying, mut leaves, mut stays) = (self.returned.lay(), Vec::new(), Vec::new());
        for (entry, reason) in entries {
            seat.count_shared(Outcome::Returned);
            let run = if laying.end(&entry, &reason) { &mut leaves } else { &mut stays };
            run.push(entry);
        }
        // They are older than what was returned out of the queue.
        laying.down(leaves, Side::Front);
        panics::drop_quietly(stays);
    }

    /// Sleeps until woken, or until the idle timeout: then the roster is asked whether the worker is still wanted. One that is kept
    /// sleeps without a timeout the next time; it must ask for work before, for the wake-up may have come with the timeout.
    fn sleep(&self, seat: &Seat, patience: Patience) -> Patience {
        match (self.config.idle_timeout, patience) {
            (IdleTimeout::After(timeout), Patience::UntilTimeout) => {
                let until = Moment::now().plus(timeout);
                sync::park_timeout(timeout);
                let kept = Moment::now() >= until && !self.idle_expired(seat.id);
                if kept { Patience::Endless } else { patience }
            }
            _ => {
                sync::park();
                // Somebody woke it: if there is nothing to take, it may be because the size was changed.
                Patience::UntilTimeout
            }
        }
    }

    /// Hands the pool's numbers to `metrics`, where that feature is on.
    pub(crate) fn publish(&self) {
        #[cfg(feature = "metrics")]
        super::metrics::publish(&self.stats());
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// How tasks have ended so far.
    pub(crate) fn outcomes(&self) -> Outcomes {
        let control = self.control.lock();
        self.balance(&control).outcomes
    }

    /// The name of a worker, and of its thread.
    pub(crate) fn worker_name(&self, id: WorkerId) -> Arc<str> {
        format!("{}-{id}", self.config.name).into()
    }
}

impl<I: Isolation> Drop for Core<I> {
    fn drop(&mut self) {
        self.home.unregister();
        self.hub.close();
    }
}
