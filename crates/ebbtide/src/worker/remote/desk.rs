//! Where a worker process is worked with: what is under way, what goes out, and what ends. Shared by its driver (a thread of the pool), its
//! reader, and whoever asks something of it.
//!
//! Invariants: 1. A flight is in the book from before its frame can be read by the worker until it has ended or gone back; whoever takes it
//! out of the book, under the lock, ends it or gives it back, once. 2. Nothing of the user's and nothing of the pool's is called under the book's
//! lock. 3. Only one thread at a time takes tasks from the pool for this worker (`taking`), so they are sent in their order.

use std::sync::{Arc, Weak, atomic::Ordering};

use bytes::Bytes;

use super::{
    death::Death,
    flights::{Flight, Flights},
    frames,
    listener::Calls,
    outgoing::{Left, Outgoing, Patience},
    plan::Plan,
    process::Wire,
};
use crate::{
    clock::Moment,
    sync::Mutex,
    task::{
        cell::{self, Runnable},
        entry::{Body, Entry},
        error::TaskError,
        id::TaskId,
        isolation::{Isolation, Parcel},
        outcome::{CancelReason, Outcome},
        panics,
        seat::{Order, Seat},
    },
    worker::thread::{Employer, ThreadWorker},
};

pub(super) struct Desk<I: Isolation> {
    pub(super) me: Weak<Self>,
    pub(super) worker: ThreadWorker<I>,
    pub(super) wire: Arc<Wire>,
    pub(super) plan: Arc<Plan>,
    pub(super) out: Outgoing,
    pub(super) book: Mutex<Book<I>>,
    /// Calls the reader where it rests.
    pub(super) calls: Arc<Calls>,
    /// Held by whoever takes tasks and writes their frames, with the buffer for that.
    taking: Mutex<Vec<u8>>,
}

pub(super) struct Book<I: Isolation> {
    pub(super) flights: Flights<I>,
    pub(super) stage: Stage,
    /// The task that the seat shows: the oldest that has begun.
    shown: Option<TaskId>,
    pub(super) death: Option<Death>,
    /// Their worker died under them; they are tried once more.
    pub(super) suspects: Vec<Flight<I>>,
    /// How the worker died that had begun the task which is tried again here.
    pub(super) before: Option<Death>,
    /// Given up, but who knows who still looks at them.
    pub(super) given_up: Vec<Entry<I>>,
    pub(super) snapshot: Answer,
    /// The number of the last request for one.
    pub(super) asked: u64,
    /// A PING has not been answered.
    pub(super) pinged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// No more tasks.
    Closing,
    /// The process is gone.
    Dead,
}

/// What became of a request for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    NotAsked,
    Asked,
    Given(Option<Vec<u8>>),
}

impl<I: Isolation> Desk<I> {
    pub(super) fn new(worker: &ThreadWorker<I>, wire: Arc<Wire>, plan: Arc<Plan>) -> Arc<Self> {
        let flights = Flights::new(wire.credits.load(Ordering::Relaxed), plan.wishes.credits);
        let book = Book {
            flights,
            stage: Stage::Open,
            shown: None,
            death: None,
            suspects: Vec::new(),
            before: None,
            given_up: Vec::new(),
            snapshot: Answer::NotAsked,
            asked: 0,
            pinged: false,
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            worker: worker.twin(),
            wire,
            plan,
            out: Outgoing::new(),
            book: Mutex::new(book),
            calls: Arc::default(),
            taking: Mutex::new(Vec::new()),
        })
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.worker.seat
    }

    pub(super) fn employer(&self) -> &dyn Employer<I> {
        &*self.worker.employer
    }

    /// Wakes the driver, to look again.
    pub(super) fn wake(&self) {
        if let Some(thread) = self.seat().thread() {
            thread.unpark();
        }
    }

    pub(super) fn under_way(&self) -> usize {
        self.book.lock().flights.len()
    }

    pub(super) fn stage(&self) -> Stage {
        self.book.lock().stage
    }

    /// Sends a task, and as many more as there is room for and tasks wait.
    pub(super) fn send(&self, entry: Entry<I>) {
        let mut buffer = self.taking.lock();
        if let Err(entry) = self.put(entry, 1, &mut buffer) {
            self.back(vec![entry]);
        }
        self.take_more(&mut buffer);
    }

    /// Sends a task that nothing else is to be sent with. Gives it back if the process is dead.
    pub(super) fn send_alone(&self, entry: Entry<I>, attempt: u32) -> Result<(), Entry<I>> {
        self.put(entry, attempt, &mut self.taking.lock())
    }

    /// Tasks that have not begun here go back. One that is tried again has begun elsewhere: it is not as if it never had, and ends as it did there.
    pub(super) fn give_back(&self, flights: Vec<Flight<I>>) {
        let (again, back): (Vec<_>, Vec<_>) = flights.into_iter().partition(|flight| flight.attempt > 1);
        self.back(back.into_iter().map(|flight| flight.entry).collect());
        for flight in again {
            let error = match self.asked(&flight) {
                Some(reason) => TaskError::cancelled(reason),
                None => self.book.lock().before.clone().unwrap_or_default().of_task(flight.entry.id),
            };
            self.conclude(flight, Err(error));
        }
    }

    /// Gives back what was sent, or nearly, and has not begun.
    fn back(&self, entries: Vec<Entry<I>>) {
        for entry in &entries {
            if let Body::Cell(cell) = &entry.body {
                cell.came_back();
            }
        }
        self.employer().give_back(self.seat(), entries);
    }

    /// Sends more, if something is under way: else the driver asks the pool, and becomes idle if it has nothing.
    pub(super) fn refill(&self) {
        let mut buffer = self.taking.lock();
        self.take_more(&mut buffer);
    }

    fn take_more(&self, buffer: &mut Vec<u8>) {
        while self.may_take() {
            let next = self.worker.tray.next().or_else(|| self.employer().next_now(&self.worker.tray));
            let Some(entry) = next else { return };
            if let Err(entry) = self.put(entry, 1, buffer) {
                self.back(vec![entry]);
            }
        }
    }

    fn may_take(&self) -> bool {
        if self.seat().ordered() != Order::None {
            return false;
        }
        let book = self.book.lock();
        book.stage == Stage::Open && book.flights.len() > 0 && book.flights.room(self.worker.tray.each()) > 0
    }

    /// Puts one task onto its way, unless the process is dead.
    fn put(&self, entry: Entry<I>, attempt: u32, buffer: &mut Vec<u8>) -> Result<(), Entry<I>> {
        let id = entry.id;
        let Body::Cell(cell) = &entry.body else {
            unreachable!("what is sent to a process always has a cell");
        };
        let cell = Arc::clone(cell);
        let flight = Flight { entry, attempt, sent: Moment::now(), begun: None, armed: false };
        if let Some(reason) = self.withdrawn(&*cell) {
            self.conclude(flight, Err(TaskError::cancelled(reason)));
            return Ok(());
        }
        let body = match cell.set_out().and_then(|()| self.write(id, &*cell, attempt, buffer)) {
            Ok(body) => body,
            Err(error) => {
                if let Some(reason) = error.return_reason() {
                    cell.header().note_return(reason);
                }
                self.conclude(flight, Err(error));
                return Ok(());
            }
        };
        let alone = {
            let mut book = self.book.lock();
            if book.stage == Stage::Dead {
                buffer.clear();
                return Err(flight.entry);
            }
            book.flights.send(flight);
            book.flights.len() == 1
        };
        if alone {
            self.arm(id, &cell);
        }
        self.out.append(buffer, body);
        // One that was asked after the look above, and before it was in the book, has nobody else to tell its worker.
        if let Some(reason) = cell.header().reason() {
            frames::cancel(buffer, id, &reason);
            self.out.append(buffer, None);
        }
        Ok(())
    }

    /// Writes its frame, but for what is given, inside what the pool's decorators put around a task.
    fn write(
        &self,
        id: TaskId,
        cell: &dyn Runnable<I>,
        attempt: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Bytes>, TaskError> {
        let wrap = cell.header().extras().and_then(|extras| extras.wrap.lock().take());
        let mut result = None;
        // Once, whatever a decorator does: a second head would stand where the body of the first one has to follow.
        let mut write = || {
            if result.is_none() {
                result = Some(frames::task(buffer, id, cell, attempt, self.wire.most));
            }
        };
        let done = panics::quietly(|| match wrap {
            None => write(),
            Some(wrap) => wrap(&mut write),
        });
        match (result, done) {
            (Some(result), _) => result,
            (None, Some(())) => Err(TaskError::failed("the pool's decorator did not run the task".into())),
            (None, None) => {
                buffer.clear();
                Err(TaskError::failed("writing the request panicked".into()))
            }
        }
    }

    /// Why it must not even begin.
    fn withdrawn(&self, cell: &dyn Runnable<I>) -> Option<CancelReason> {
        let header = cell.header();
        let aborted = || self.seat().is_aborted().then_some(CancelReason::Abort);
        header.reason().or_else(|| header.revoked()).or_else(aborted)
    }

    /// Nothing has begun although something was sent: the time of the next one runs all the same, or a worker that hangs between two tasks
    /// would hold it for ever.
    pub(super) fn arm_next(&self) {
        let next = {
            let book = self.book.lock();
            let idle = book.flights.none_has_begun();
            let first = book.flights.iter().next().filter(|flight| idle && !flight.armed);
            first.and_then(|flight| match &flight.entry.body {
                Body::Cell(cell) => Some((flight.entry.id, Arc::clone(cell))),
                Body::Inline(_) => None,
            })
        };
        if let Some((id, cell)) = next {
            self.arm(id, &cell);
        }
    }

    /// Lets the timeout of a task run, once.
    pub(super) fn arm(&self, id: TaskId, cell: &Arc<dyn Runnable<I>>) {
        if !cell.header().has_timeout() {
            return;
        }
        let first = {
            let mut book = self.book.lock();
            book.flights.find(id).is_some_and(|flight| !std::mem::replace(&mut flight.armed, true))
        };
        if first {
            let any = Arc::downgrade(cell);
            cell.header().arm_timeout(move || {
                if let Some(cell) = any.upgrade() {
                    let _ = cell::cancel(&(cell as _), CancelReason::Timeout);
                }
            });
        }
    }

    /// Ends a task that is out of the book. Gives how.
    pub(super) fn conclude(
        &self,
        flight: Flight<I>,
        reply: Result<(Option<&str>, Parcel<'_>), TaskError>,
    ) -> Outcome {
        let Entry { id, accepted_at, body } = flight.entry;
        let Body::Cell(cell) = body else { unreachable!("what is sent to a process always has a cell") };
        let outcome = cell.complete(reply);
        self.show_no_more(id);
        let header = cell.header();
        self.seat().count_shared(outcome);
        header.settle(outcome);
        if outcome != Outcome::Completed {
            self.employer().unusual(id, header.name(), outcome);
        }
        if accepted_at != Moment::default() {
            let now = Moment::now();
            self.employer().timed(accepted_at, flight.begun.unwrap_or(now), now);
        }
        panics::drop_quietly(cell);
        outcome
    }

    /// The seat shows a task that has begun, if it shows none.
    pub(super) fn show(&self, book: &mut Book<I>) {
        if book.shown.is_some() {
            return;
        }
        if let Some(flight) = book.flights.oldest_begun()
            && let Body::Cell(cell) = &flight.entry.body
        {
            self.seat().begin(flight.entry.id, Some(cell.header()));
            book.shown = Some(flight.entry.id);
        }
    }

    /// The seat looks at a task no more; its cell must still be there.
    pub(super) fn show_no_more(&self, id: TaskId) {
        let watched = {
            let mut book = self.book.lock();
            if book.shown != Some(id) {
                return;
            }
            let watched = self.seat().watched_since();
            let _ = self.seat().end();
            self.seat().set_pulse(None);
            book.shown = None;
            self.show(&mut book);
            watched
        };
        if let Some(since) = watched {
            self.employer().watched(self.seat(), id, since);
        }
    }

    pub(super) fn shown(&self) -> Option<TaskId> {
        self.book.lock().shown
    }

    /// Since when the task runs that the seat shows.
    pub(super) fn shown_since(&self) -> Option<Moment> {
        let mut book = self.book.lock();
        let id = book.shown?;
        book.flights.find(id)?.begun
    }

    /// Why a task that ended as asked was asked.
    pub(super) fn asked(&self, flight: &Flight<I>) -> Option<CancelReason> {
        let Body::Cell(cell) = &flight.entry.body else { return None };
        let aborted = || self.seat().is_aborted().then_some(CancelReason::Abort);
        cell.header().reason().or_else(aborted)
    }

    /// Sends a frame, at once if the socket takes it: what was sent ahead and is cancelled must not begin because the driver has not been
    /// on a core meanwhile. What is left is the driver's.
    pub(super) fn say(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::new();
        write(&mut frame);
        self.out.append(&mut frame, None);
        let _ = self.flush(Patience::DoNotWait);
        self.calls.call();
        self.wake();
    }

    /// Writes what there is.
    pub(super) fn flush(&self, patience: Patience) -> Left {
        self.out.flush(&self.wire.socket, patience)
    }
}
