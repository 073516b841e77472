//! What loom explores of the queue: every interleaving with at most two preemptions, and what the orderings of the atomics allow.
//!
//! Each model was seen to fail with the fault that its comment names.

use std::{collections::VecDeque, sync::Arc};

use super::{
    lane::LaneIntake,
    room::Queue,
    terms::{Arrival, Take},
    tray::{Tray, Unloaded},
};
use crate::{
    clock::Moment,
    policy::{Priority, Timing, WhenFull},
    sync::{
        self, JoinHandle, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        explore,
    },
    task::{
        cell::{AnyCell, TaskCell},
        context::Context,
        entry::{Entry, Loose, Offer},
        gate::{Entrance, HomeId, Ticket},
        header::Header,
        id::{TaskId, WorkerId},
        isolation::{Job, Plain, Stateless},
        outcome::Outcome,
        wait,
    },
};

const FIRST: WorkerId = WorkerId(1);
const SECOND: WorkerId = WorkerId(2);
const LANE: u32 = 1;

fn nothing() -> impl Job<Stateless, Output = ()> {
    Plain::new(|_: &Context<'_, Stateless>| ())
}

fn entry(number: u64) -> Entry<Stateless> {
    Loose(nothing()).enter(Ticket { id: TaskId(number), lane: LANE, accepted_at: Moment::default() })
}

fn cell() -> Arc<TaskCell<Stateless, impl Job<Stateless, Output = ()>>> {
    TaskCell::new(Header::new(HomeId::unique(), Priority::Normal, None), nothing())
}

fn queue() -> Queue<Stateless> {
    let queue = Queue::new(8, 0, WhenFull::Wait, Timing::Off);
    assert!(!queue.set_may_grow(|_| false));
    queue
}

fn put<O: Offer<Stateless>>(queue: &Queue<Stateless>, offer: O) {
    let Err(offer) = queue.express(offer) else { return };
    let mut offer = Some(offer);
    let mut make = |ticket| offer.take().expect("made once").enter(ticket);
    let (accepted, mut effect) = queue.accept(Priority::Normal, Entrance::Try, &mut make);
    assert!(accepted.is_ok());
    queue.wake(&mut effect);
}

fn with<T: Send + Sync + 'static>(
    shared: &Arc<T>,
    body: impl FnOnce(&Arc<T>) + Send + 'static,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    sync::spawn(String::new(), None, move || body(&shared)).expect("a model has threads")
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

fn numbers<'e>(entries: impl IntoIterator<Item = &'e Entry<Stateless>>) -> Vec<u64> {
    entries.into_iter().map(|entry| entry.id.0).collect()
}

/// What a worker does between two tasks: its tray, then the queue, until there is something or nothing will come.
fn next(queue: &Queue<Stateless>, tray: &Tray<Stateless>) -> Option<Entry<Stateless>> {
    if let Some(entry) = tray.next() {
        return Some(entry);
    }
    let mut arrival = Arrival::FromRun;
    loop {
        let (take, mut effect) = queue.take(tray, arrival, &sync::current());
        queue.wake(&mut effect);
        match take {
            Take::Task(entry) => return Some(entry),
            Take::Leave => return None,
            Take::Watch(heard) => {
                arrival = Arrival::FromWatch;
                queue.watch(tray, heard, || false);
            }
            Take::Sleep => {
                arrival = Arrival::FromSleep;
                sync::park();
            }
        }
    }
}

fn fill(tray: &Tray<Stateless>, entries: impl IntoIterator<Item = Entry<Stateless>>) {
    let mut entries: VecDeque<_> = entries.into_iter().collect();
    let count = entries.len();
    tray.fill(1, &mut entries, count);
}

/// A worker takes from its tray while another thread, which holds the queue's lock, takes the older half off.
fn worker_against(thief: impl FnOnce(&Tray<Stateless>) -> Unloaded<Stateless> + Send + 'static) {
    let tray = Arc::new(Tray::<Stateless>::new(FIRST, LANE));
    let books = Arc::new(Mutex::new(()));
    fill(&tray, (1..=3).map(entry));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let other = {
        let (books, taken) = (Arc::clone(&books), Arc::clone(&taken));
        with(&tray, move |tray| {
            let _books = books.lock();
            let Unloaded { entries, started, .. } = thief(tray);
            *taken.lock() = numbers(&entries);
            assert!(entries.len() as u64 + started <= 3);
        })
    };
    let mut run = Vec::new();
    while let Some(entry) = tray.next() {
        run.push(entry.id.0);
    }
    join([other]);
    let taken = taken.lock().clone();
    assert!(run.is_sorted() && taken.is_sorted());
    let mut all = [run, taken].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3], "each once");
}

/// Fault seen: `unload_some` takes everything off under one lock and puts the rest back under a second (its worker found nothing and went).
#[test]
fn each_task_on_a_tray_goes_one_way_and_in_order() {
    explore(|| worker_against(|tray| tray.unload_half()));
}

/// Faults seen: `unload_some` takes what was started in a lock of its own, before the tasks (one was missing in the books); `next` counts in
/// a second lock, after the task has left the tray.
#[test]
fn what_was_started_from_a_tray_is_exact_whenever_it_is_asked() {
    explore(|| {
        worker_against(|tray| {
            let (_, before) = tray.settle();
            let Unloaded { entries, level, started } = tray.unload();
            assert_eq!(before + started + entries.len() as u64, 3, "started or still there, nothing else");
            Unloaded { entries, level, started }
        });
    });
}

/// Fault seen: `next` gives a tombstone out (it ran and was cancelled as well).
#[test]
fn a_task_on_a_tray_is_its_owners_to_cancel_until_it_starts() {
    explore(|| {
        let (tray, cell) = (Tray::<Stateless>::new(FIRST, LANE), cell());
        let ticket = Ticket { id: TaskId(1), lane: LANE, accepted_at: Moment::default() };
        fill(&tray, [(&cell).enter(ticket), entry(2)]);
        let cancelled = Arc::new(AtomicU32::new(0));
        let owner = {
            let cell = Arc::clone(&cell);
            with(&cancelled, move |cancelled| cancelled.store(cell.header().claim().into(), Relaxed))
        };
        let run: Vec<_> = std::iter::from_fn(|| tray.next()).map(|entry| entry.id.0).collect();
        join([owner]);
        let started = tray.settle().1;
        assert_eq!(started, run.len() as u64);
        match cancelled.load(Relaxed) {
            0 => assert_eq!(run, [1, 2]),
            _ => assert_eq!(run, [2]),
        }
    });
}

/// Faults seen: `take` leaves the express way open (nobody woke the worker that had gone to sleep); `arrive` forgets that the one who
/// watched is awake (as if somebody were on the way); it lies down in the list of the idle under a second lock.
#[test]
fn a_task_that_comes_while_a_worker_watches_or_lies_down_is_taken() {
    explore(|| {
        let queue = Arc::new(queue());
        let tray = queue.hire(FIRST, LANE);
        let caller = with(&queue, |queue| {
            put(queue, Loose(nothing()));
            put(queue, Loose(nothing()));
        });
        let run: Vec<_> = (0..2).filter_map(|_| next(&queue, &tray)).map(|entry| entry.id.0).collect();
        assert_eq!(run, [1, 2]);
        join([caller]);
        assert_eq!((queue.counts().queued, queue.counts().started), (0, 2));
    });
}

/// Fault seen: a worker that finds nothing does not look at the others' trays (each waited for the other for ever).
#[test]
fn tasks_that_wait_for_each_other_meet_across_a_tray() {
    explore(|| {
        let queue = Arc::new(queue());
        let trays = [FIRST, SECOND].map(|worker| queue.hire(worker, LANE));
        // As if each had run short tasks of late.
        trays.iter().for_each(|tray| tray.step(1, Moment::default()));
        (0..3).for_each(|_| put(&queue, Loose(nothing())));
        let meeting = Arc::new(Meeting { begun: [(); 2].map(|()| begun()), ended: AtomicU32::new(0) });
        let threads = trays.map(|tray| {
            let meeting = Arc::clone(&meeting);
            with(&queue, move |queue| meeting.work(queue, &tray))
        });
        join(threads);
        assert_eq!((queue.counts().queued, queue.counts().started), (0, 3));
    });
}

/// Fault seen: whoever was woken and takes a task does not wake the next (the other slept on, and the first task waited for ever).
#[test]
fn tasks_that_wait_for_each_other_wake_both_workers() {
    explore(|| {
        let queue = Arc::new(queue());
        let trays = [FIRST, SECOND].map(|worker| queue.hire(worker, LANE));
        let meeting = Arc::new(Meeting { begun: [(); 2].map(|()| begun()), ended: AtomicU32::new(1) });
        let threads = trays.map(|tray| {
            let meeting = Arc::clone(&meeting);
            with(&queue, move |queue| meeting.work(queue, &tray))
        });
        (0..2).for_each(|_| put(&queue, Loose(nothing())));
        join(threads);
        assert_eq!((queue.counts().queued, queue.counts().started), (0, 2));
    });
}

/// The first two tasks wait until both have begun; the third does nothing.
struct Meeting {
    begun: [Header; 2],
    ended: AtomicU32,
}

fn begun() -> Header {
    let header = Header::new(HomeId::unique(), Priority::Normal, None);
    assert!(header.start(FIRST));
    header
}

impl Meeting {
    fn work(&self, queue: &Queue<Stateless>, tray: &Tray<Stateless>) {
        while let Some(entry) = next(queue, tray) {
            if let Some((own, other)) = [(0, 1), (1, 0)].get(entry.id.0 as usize - 1) {
                self.begun[*own].settle(Outcome::Completed);
                let other = &self.begun[*other];
                let _ = wait::block_until(None, |waker| other.poll_outcome(1, waker));
            }
            if self.ended.fetch_add(1, Relaxed) == 2 {
                queue.narrow(LANE, LaneIntake::Closed).iter().for_each(sync::Thread::unpark);
            }
        }
    }
}
