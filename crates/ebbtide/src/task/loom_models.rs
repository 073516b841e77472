//! What loom explores of a task's life: every interleaving with at most two preemptions, and what the orderings of the atomics allow.
//!
//! Each model was seen to fail with the fault that its comment names. A relaxed store before a hand-over that a relaxed load after it must
//! see stands for whatever is handed over; the stage of a cell is watched by loom itself.

use std::{sync::Arc, time::Duration};

use super::{
    cancel::CancelToken,
    cell::{self, AnyCell, Resolve, Runnable, TaskCell},
    context::Context,
    error::TaskError,
    gate::{Entrance, Gate, HomeId, Make, Refusal, RoomTicket, TaskInfo},
    header::{Header, Wrap},
    id::{TaskId, WorkerId},
    isolation::{Job, Plain, Stateless},
    outcome::{CancelReason, Outcome},
    seat::Seat,
    wait::{self, Wakers},
};
use crate::{
    policy::Priority,
    sync::{
        self, JoinHandle, Mutex,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Relaxed, SeqCst},
        },
        explore,
    },
};

const WORKER: WorkerId = WorkerId(1);

/// A task's body asks nothing of the pool here.
struct NoGate;

impl Gate<Stateless> for NoGate {
    fn accept(&self, _: Priority, _: Entrance<'_>, _: Make<'_, Stateless>) -> Result<TaskId, Refusal> {
        unreachable!("no children here")
    }

    fn leave_line(&self, _: RoomTicket) {}
    fn gives_up(&self) {}

    fn wrap(&self, _: &TaskInfo<'_>) -> Option<Wrap> {
        None
    }

    fn decorates(&self) -> bool {
        false
    }

    fn home(&self) -> HomeId {
        HomeId::unique()
    }
}

/// Loom remembers only the last access to an atomic, so it does not try a load at other times once another thread's load followed it. What
/// begins with a load passes here first, and whoever changes what is loaded passes between its steps.
#[derive(Default)]
struct Turnstile(AtomicU32);

impl Turnstile {
    fn pass(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn header() -> Header {
    Header::new(HomeId::unique(), Priority::Normal, None)
}

fn seat() -> Arc<Seat> {
    Arc::new(Seat::new(WORKER, "worker".into(), 1, 1))
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

fn wait_for(header: &Header, key: usize) -> Outcome {
    wait::block_until(None, |waker| header.poll_outcome(key, waker)).expect("no time-out was given")
}

/// Runs a started task as a worker does, and gives the answer of the seat's `end`.
fn run_on<J: Job<Stateless>>(cell: &TaskCell<Stateless, J>, seat: &Seat, turnstile: &Turnstile) -> bool {
    let header = cell.header();
    seat.begin(TaskId(5), Some(header));
    turnstile.pass();
    let outcome = cell.run(&mut (), &Context { seat, header: Some(header), id: TaskId(5), gate: &NoGate });
    let kept = seat.end();
    if kept {
        header.settle(outcome)
    } else {
        cell.discard()
    }
    kept
}

/// Faults seen: `leave_queue` stores instead of exchanging (both owned the body); `settle` adds with `Relaxed` (the waiter saw no body).
#[test]
fn of_start_and_claim_one_owns_the_body_until_it_settles() {
    explore(|| {
        let task = Arc::new((header(), AtomicU32::new(0)));
        let worker = with(&task, |task| {
            if task.0.start(WORKER) {
                task.1.store(task.1.load(Relaxed) + 1, Relaxed);
                task.0.settle(Outcome::Completed);
            }
        });
        let owner = with(&task, |task| {
            if task.0.claim() {
                task.1.store(task.1.load(Relaxed) + 10, Relaxed);
                task.0.settle(Outcome::Cancelled);
            }
        });
        let body = match wait_for(&task.0, 1) {
            Outcome::Completed => 1,
            _ => 10,
        };
        assert_eq!(task.1.load(Relaxed), body);
        join([worker, owner]);
        assert_eq!(task.1.load(Relaxed), body);
    });
}

/// Faults seen: `poll_outcome` does not look again after it raised the bit (a waiter slept for ever); it leaves its waker after it looked.
#[test]
fn whoever_waits_for_a_task_is_woken_when_it_settles() {
    explore(|| {
        let task = Arc::new(header());
        assert!(task.start(WORKER));
        let watcher = with(&task, |task| assert_eq!(wait_for(task, 1), Outcome::Failed));
        let worker = with(&task, |task| task.settle(Outcome::Failed));
        assert_eq!(wait_for(&task, 2), Outcome::Failed);
        join([watcher, worker]);
    });
}

/// Fault seen: `settle` loads the word and stores the new one (the bit was lost, and the abandoned body was never told).
#[test]
fn a_request_is_noted_once_and_outlives_the_settling_of_an_abandoned_run() {
    explore(|| {
        let task = Arc::new((header(), AtomicU32::new(0)));
        assert!(task.0.start(WORKER));
        let ask = |reason: CancelReason| {
            with(&task, move |task| {
                if task.0.ask(reason) {
                    task.1.fetch_add(1, Relaxed);
                }
                assert!(task.0.is_asked() && task.0.reason().is_some());
            })
        };
        let threads = [ask(CancelReason::Abort), ask(CancelReason::Timeout)];
        task.0.settle(Outcome::Abandoned);
        join(threads);
        assert_eq!(task.1.load(Relaxed), 1);
        assert!(task.0.is_asked());
        assert_eq!(task.0.outcome(), Some(Outcome::Abandoned));
    });
}

/// Faults seen: `settle` adds with `Relaxed`; `claim` succeeds on a running task (both: the stage was touched unordered).
#[test]
fn the_stage_goes_from_the_worker_or_whoever_cancels_to_the_handle() {
    explore(|| {
        let cell = TaskCell::<Stateless, _>::new(header(), Plain::new(|_: &Context<'_, Stateless>| 7));
        let worker = with(&cell, |cell| {
            if cell.header().start(WORKER) {
                assert!(run_on(cell, &seat(), &Turnstile::default()));
            }
        });
        let owner = with(&cell, |cell| {
            let any: Arc<dyn AnyCell> = Arc::clone(cell) as _;
            let _ = cell::cancel(&any, CancelReason::Requested(None));
        });
        let outcome = wait_for(cell.header(), 1);
        let result = cell.take().expect("nobody took it before");
        match outcome {
            Outcome::Completed => assert_eq!(result.ok(), Some(7)),
            _ => assert_eq!(result.err().map(|error| error.outcome()), Some(Outcome::Cancelled)),
        }
        join([worker, owner]);
    });
}

/// A task that was sent to a process comes back to the queue while it is cancelled: whoever was first, it ends once, and it does end. Faults seen:
/// `cancel` does not claim again after it asked (it waited for ever); `unstart` stores instead of exchanging (it went back although it was asked).
#[test]
fn a_task_that_comes_back_while_it_is_cancelled_ends_once() {
    explore(|| {
        let cell = TaskCell::<Stateless, _>::new(header(), Plain::new(|_: &Context<'_, Stateless>| 7));
        assert!(cell.header().start(WORKER));
        let back = with(&cell, |cell| {
            if !cell.header().unstart() {
                cell.end_unrun(TaskError::cancelled(CancelReason::Requested(None)));
                cell.header().settle(Outcome::Cancelled);
            }
        });
        let any: Arc<dyn AnyCell> = Arc::clone(&cell) as _;
        assert!(cell::cancel(&any, CancelReason::Requested(None)));
        assert_eq!(wait_for(cell.header(), 1), Outcome::Cancelled);
        let result = cell.take().expect("nobody took it before");
        assert_eq!(result.err().map(|error| error.outcome()), Some(Outcome::Cancelled));
        join([back]);
    });
}

/// Fault seen: `take` touches the stage of an abandoned task (while its worker wrote there).
#[test]
fn the_stage_of_an_abandoned_task_stays_with_its_worker() {
    explore(|| {
        let cell = TaskCell::<Stateless, _>::new(header(), Plain::new(|_: &Context<'_, Stateless>| 7));
        let place = Arc::new((seat(), Turnstile::default()));
        assert!(cell.header().start(WORKER));
        let worker = {
            let place = Arc::clone(&place);
            with(&cell, move |cell| {
                let _ = run_on(cell, &place.0, &place.1);
            })
        };
        let reaper = with(&place, |place| {
            place.1.pass();
            let _ = place.0.abandon(None, || ());
        });
        let outcome = wait_for(cell.header(), 1);
        let result = cell.take().expect("nobody took it before");
        match outcome {
            Outcome::Completed => assert_eq!(result.ok(), Some(7)),
            _ => assert_eq!(result.err().map(|error| error.outcome()), Some(Outcome::Abandoned)),
        }
        join([worker, reaper]);
    });
}

/// Fault seen: `begin` publishes with `Relaxed` (the abandoner saw the run and not which task it was).
#[test]
fn a_run_that_is_seen_is_seen_with_its_task() {
    explore(|| {
        let run = Arc::new((seat(), header(), Turnstile::default()));
        assert!(run.1.start(WORKER));
        let worker = with(&run, |run| {
            let (seat, header, turnstile) = &**run;
            seat.begin(TaskId(5), Some(header));
            turnstile.pass();
            if seat.end() {
                header.settle(Outcome::Completed);
            }
        });
        run.2.pass();
        let sighting = run.0.abandon(None, || ());
        assert!(sighting.as_ref().is_none_or(|sighting| sighting.task == TaskId(5)));
        join([worker]);
        let outcome = if sighting.is_some() { Outcome::Abandoned } else { Outcome::Completed };
        assert_eq!(run.1.outcome(), Some(outcome));
    });
}

/// Faults seen: `end` stores instead of exchanging (both settled); `end` does not wait out Taking (the worker came back before its task was
/// settled, and would have let go of it).
#[test]
fn of_end_and_abandon_one_counts_and_settles() {
    explore(|| {
        let run = Arc::new((seat(), header(), AtomicU32::new(0), Turnstile::default()));
        let (seat, header, counted, turnstile) = &*run;
        assert!(header.start(WORKER));
        seat.begin(TaskId(5), Some(header));
        let reaper = with(&run, |run| {
            let (seat, _, counted, turnstile) = &**run;
            let _ = seat.abandon(None, || {
                turnstile.pass();
                counted.fetch_add(1, Relaxed);
            });
        });
        let kept = seat.end();
        turnstile.pass();
        if kept {
            counted.fetch_add(1, Relaxed);
            header.settle(Outcome::Completed);
        }
        let outcome = if kept { Outcome::Completed } else { Outcome::Abandoned };
        assert_eq!(header.outcome(), Some(outcome));
        join([reaper]);
        assert_eq!(header.outcome(), Some(outcome));
        assert_eq!(counted.load(Relaxed), 1);
    });
}

/// Fault seen: `abandon` does not compare the number of the run (the next one was taken for it).
#[test]
fn a_run_is_abandoned_by_its_number_and_never_the_next_for_it() {
    explore(|| {
        let run = Arc::new((seat(), Turnstile::default()));
        let worker = with(&run, |run| {
            let (seat, turnstile) = &**run;
            seat.begin(TaskId(1), None);
            turnstile.pass();
            if seat.end() {
                seat.begin(TaskId(2), None);
                turnstile.pass();
                assert!(seat.end(), "the second run was not meant");
            }
        });
        run.1.pass();
        let sighting = run.0.abandon(Some(1), || ());
        assert!(sighting.is_none_or(|sighting| sighting.task == TaskId(1)));
        join([worker]);
    });
}

/// Fault seen: `on_cancel` looks for the reason under one lock and leaves the action under a second (it never ran).
#[test]
fn an_action_runs_once_whether_it_comes_before_the_request_or_after() {
    explore(|| {
        let token = Arc::new((CancelToken::new(), AtomicU32::new(0)));
        let canceller = with(&token, |token| {
            assert!(token.0.cancel());
        });
        let runs = Arc::clone(&token);
        let guard = token.0.on_cancel(move |_| {
            runs.1.fetch_add(1, SeqCst);
        });
        join([canceller]);
        assert_eq!(token.1.load(SeqCst), 1);
        drop(guard);
    });
}

/// Fault seen: the guard's drop looks for its action under one lock and takes that place under a second (which was nobody's by then).
#[test]
fn an_action_is_taken_back_or_runs_and_another_is_not_touched() {
    explore(|| {
        let token = Arc::new((CancelToken::new(), AtomicU32::new(0), AtomicU32::new(0)));
        let count = |by: u32| {
            let token = Arc::downgrade(&token);
            move |_: &CancelReason| {
                let token = token.upgrade().expect("the model holds it");
                if by == 0 {
                    token.2.fetch_add(1, SeqCst)
                } else {
                    token.1.fetch_add(by, SeqCst)
                };
            }
        };
        let (first, kept) = (token.0.on_cancel(count(1)), token.0.on_cancel(count(0)));
        let second = token.0.on_cancel(count(10));
        let dropper = with(&token, move |_| drop(first));
        let other = with(&token, move |_| drop(second));
        assert!(token.0.cancel());
        join([dropper, other]);
        assert!(matches!(token.1.load(SeqCst), 0 | 1 | 10 | 11));
        assert_eq!(token.2.load(SeqCst), 1);
        drop(kept);
    });
}

/// Faults seen: `poll_with` leaves its waker and does not look again (the sleeper slept for ever); the reason is written in a second lock
/// after the flag was raised (a token was cancelled without one).
#[test]
fn a_request_reaches_sleepers_and_children_however_late_they_come() {
    explore(|| {
        let token = Arc::new(CancelToken::new());
        let sleeper = with(&token, |token| {
            assert!(token.wait_timeout(Duration::from_secs(3600)));
            assert!(token.reason().is_some());
        });
        let canceller = with(&token, |token| {
            assert!(token.cancel());
        });
        let child = token.child();
        join([sleeper, canceller]);
        assert_eq!(child.reason(), Some(CancelReason::Parent(None)));
    });
}

/// Faults seen: `block_until` notes the count of wakes after it polled; it parks without looking at the count (both slept for ever).
#[test]
fn a_wake_is_not_lost_to_whatever_else_parks_on_the_thread() {
    struct Inbox {
        message: AtomicBool,
        ready: AtomicBool,
        wakers: Mutex<Wakers>,
    }
    explore(|| {
        let inbox = Arc::new(Inbox {
            message: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            wakers: Mutex::new(Wakers::default()),
        });
        let stranger = {
            let sleeper = sync::current();
            with(&inbox, move |inbox| {
                inbox.message.store(true, SeqCst);
                sleeper.unpark();
            })
        };
        let waker = with(&inbox, |inbox| {
            inbox.ready.store(true, SeqCst);
            let wakers = inbox.wakers.lock().take();
            wait::wake_all(wakers);
        });
        let value = wait::block_until(None, |waker| {
            let _ = inbox.wakers.lock().register(1, waker);
            let ready = inbox.ready.load(SeqCst);
            // A hook that receives something: it takes the token of whoever unparks.
            while !inbox.message.load(SeqCst) {
                sync::park();
            }
            ready.then_some(7)
        });
        assert_eq!(value, Some(7));
        join([stranger, waker]);
    });
}
