//! A worker takes short tasks several at a time. Those it has taken and not started are still queued: these tests put a long task
//! into a stream of short ones, so that some lie behind it, and ask of them everything that a queued task promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{Gate, LONG, Me, until};
use ebbtide::{Handle, Outcome, Pool, Priority, Report, Restart, Shutdown, Stateless};

/// So many short tasks before the long one: the pool has learnt that they are short.
const BEFORE: u64 = 5_000;
/// And so many after it.
const BEHIND: usize = 600;

/// A pool whose one task waits at the gate while `BEHIND` others wait behind it, submitted without a break.
struct Jam {
    pool: Pool<Stateless>,
    gate: Gate,
    ran: Arc<AtomicU64>,
    behind: Vec<Handle<usize>>,
    order: Arc<Mutex<Vec<usize>>>,
}

fn jam(workers: usize) -> Jam {
    jam_of(workers, BEHIND)
}

/// Everything is queued before anything runs, so that the workers find enough to take several.
fn jam_of(workers: usize, behind: usize) -> Jam {
    let pool =
        Pool::builder().name("jam").workers(workers..=workers).queue(8_192).grace(Duration::from_millis(50));
    let pool = pool.build().unwrap();
    let (gate, ran) = (Gate::new(), Arc::new(AtomicU64::new(0)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let begin = Gate::new();
    for _ in 0..workers {
        let begin = begin.clone();
        pool.execute(move |_: &Me| begin.pass()).unwrap();
    }
    begin.await_comers(workers);
    for _ in 0..BEFORE {
        pool.execute(|_: &Me| ()).unwrap();
    }
    let long = gate.clone();
    pool.execute(move |_: &Me| long.pass()).unwrap();
    let behind = (0..behind)
        .map(|number| {
            let (ran, order) = (Arc::clone(&ran), Arc::clone(&order));
            let task = move |_: &Me| {
                ran.fetch_add(1, SeqCst);
                order.lock().unwrap().push(number);
                number
            };
            pool.submit(task).unwrap()
        })
        .collect();
    begin.open();
    gate.await_comers(1);
    Jam { pool, gate, ran, behind, order }
}

fn drain(pool: &Pool<Stateless>) -> Report {
    pool.shutdown(Shutdown::drain()).wait().unwrap()
}

fn law(report: &Report) {
    assert!(report.law_holds(), "{report}");
    assert_eq!((report.queued, report.running), (0, 0), "{report}");
}

fn end<T: Send + 'static>(handle: Handle<T>) -> Outcome {
    handle.wait().map_or_else(|error| error.task().unwrap().outcome(), |_| Outcome::Completed)
}

#[test]
fn none_waits_behind_a_long_task_while_another_worker_is_there() {
    for behind in [1, 2, 5, 10, 20, 40, 60, 600].repeat(3) {
        let Jam { pool, gate, behind, .. } = jam_of(2, behind);
        for (number, mut handle) in behind.into_iter().enumerate() {
            assert_eq!(handle.wait_timeout(LONG).unwrap(), number);
        }
        gate.open();
        law(&drain(&pool));
    }
}

/// Workers that sleep are called although one of their colleagues may take everything that waits: the tasks of each round can end only together.
#[test]
fn sleeping_workers_come_for_what_lies_on_a_tray() {
    const WORKERS: usize = 8;
    let pool =
        Pool::builder().name("meeting").workers(WORKERS..=WORKERS).queue(8_192).warm().build().unwrap();
    for round in 0..300 {
        // Short ones, after which a worker takes many at once; then they sleep, or some of them do.
        let short = (0..500).map(|_| |_: &Me| ());
        pool.submit_many(short).unwrap().into_iter().for_each(|handle| handle.wait().unwrap());
        if round % 2 == 0 {
            until("all sleep", || pool.stats().workers.idle == WORKERS);
        }
        let meeting = Arc::new(Barrier::new(WORKERS));
        let tasks = (0..WORKERS).map(|_| {
            let meeting = Arc::clone(&meeting);
            move |_: &Me| {
                meeting.wait();
            }
        });
        for mut handle in pool.submit_many(tasks).unwrap() {
            handle.wait_timeout(LONG).unwrap();
        }
    }
    law(&drain(&pool));
}

#[test]
fn they_count_as_queued_and_fill_the_queue() {
    let Jam { pool, gate, behind, .. } = jam(1);
    assert_eq!(pool.stats().queued, BEHIND as u64);
    assert_eq!(pool.stats().running, 1);
    let room = 8_192 - BEHIND;
    let more = (0..).take_while(|_| pool.try_execute(|_: &Me| ()).is_ok()).count();
    assert_eq!(more, room, "the capacity is exact");
    gate.open();
    behind.into_iter().for_each(|handle| {
        handle.wait().unwrap();
    });
    law(&drain(&pool));
}

#[test]
fn each_can_be_cancelled_and_never_runs() {
    let Jam { pool, gate, ran, behind, .. } = jam(1);
    assert!(behind.iter().all(Handle::cancel));
    assert!(behind.iter().all(|handle| handle.outcome() == Some(Outcome::Cancelled)), "at once");
    assert_eq!(pool.stats().queued, 0);
    gate.open();
    let report = drain(&pool);
    law(&report);
    assert_eq!((ran.load(SeqCst), report.outcomes.cancelled), (0, BEHIND as u64));
}

#[test]
fn a_stop_returns_them_in_order() {
    let Jam { pool, gate, ran, behind, .. } = jam(1);
    let closing = pool.shutdown(Shutdown::stop());
    behind.into_iter().for_each(|handle| assert_eq!(end(handle), Outcome::Returned));
    let ids: Vec<_> = pool.take_returned().iter().map(ebbtide::Returned::id).collect();
    assert_eq!(ids.len(), BEHIND);
    assert!(ids.is_sorted());
    gate.open();
    law(&closing.wait().unwrap());
    assert_eq!(ran.load(SeqCst), 0);
}

#[test]
fn an_abandoned_worker_leaves_them_to_its_successor() {
    let Jam { pool, gate, behind, ran, .. } = jam(1);
    // It does not look: after the grace its worker is replaced.
    let closing = pool.restart(Restart::abort());
    behind.into_iter().for_each(|handle| assert_eq!(end(handle), Outcome::Returned));
    closing.wait().unwrap();
    assert_eq!(pool.submit(|_: &Me| 7).unwrap().wait().unwrap(), 7);
    gate.open();
    law(&drain(&pool));
    assert_eq!(ran.load(SeqCst), 0);
}

#[test]
fn a_drained_generation_leaves_none_behind() {
    let Jam { pool, gate, behind, ran, .. } = jam(1);
    let closing = pool.restart(Restart::drain());
    gate.open();
    behind.into_iter().for_each(|handle| assert_eq!(end(handle), Outcome::Completed));
    closing.wait().unwrap();
    law(&drain(&pool));
    assert_eq!(ran.load(SeqCst), BEHIND as u64);
}

#[test]
fn a_more_urgent_task_goes_before_them() {
    let Jam { pool, gate, behind, order, .. } = jam(1);
    let first = Arc::clone(&order);
    let urgent = pool.task("urgent").priority(Priority::High);
    let urgent = urgent.submit(move |_: &Me| first.lock().unwrap().push(usize::MAX)).unwrap();
    gate.open();
    urgent.wait().unwrap();
    behind.into_iter().for_each(|handle| {
        handle.wait().unwrap();
    });
    let order = order.lock().unwrap();
    assert_eq!(order[0], usize::MAX);
    assert!(order[1..].is_sorted(), "the others in the order they came");
    law(&drain(&pool));
}

#[test]
fn none_starts_while_the_pool_is_paused() {
    let Jam { pool, gate, behind, ran, order } = jam(1);
    pool.pause();
    gate.open();
    until("the long one to end", || pool.stats().running == 0);
    assert_eq!((ran.load(SeqCst), pool.stats().queued), (0, BEHIND as u64));
    pool.resume();
    behind.into_iter().for_each(|handle| {
        handle.wait().unwrap();
    });
    assert!(order.lock().unwrap().is_sorted());
    law(&drain(&pool));
}

#[test]
fn one_that_the_long_one_waits_for_is_run() {
    let pool = Pool::builder().workers(2..=2).queue(8_192).build().unwrap();
    for round in 0..200_u64 {
        let (say, hear) = std::sync::mpsc::channel();
        for _ in 0..500 {
            pool.execute(|_: &Me| ()).unwrap();
        }
        let waits = pool.submit(move |_: &Me| hear.recv_timeout(LONG).unwrap()).unwrap();
        pool.execute(move |_: &Me| say.send(round).unwrap()).unwrap();
        assert_eq!(waits.wait().unwrap(), round);
    }
    law(&drain(&pool));
}

#[test]
fn whoever_waits_for_room_is_called_although_the_worker_is_in_a_long_task() {
    let pool = Pool::builder().workers(1..=1).queue(512).build().unwrap();
    let (gate, second) = (Gate::new(), Gate::new());
    for _ in 0..BEFORE {
        pool.execute(|_: &Me| ()).unwrap();
    }
    let long = gate.clone();
    pool.execute(move |_: &Me| long.pass()).unwrap();
    gate.await_comers(1);
    for number in 0..512 {
        let long = second.clone();
        let task = move |_: &Me| {
            if number == 8 {
                long.pass();
            }
        };
        pool.try_execute(task).unwrap();
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.execute(|_: &Me| ()).map(drop).map_err(drop));
        until("somebody to wait for room", || pool.stats().waiting_for_room == 1);
        gate.open();
        assert_eq!(waiter.join().unwrap(), Ok(()), "nine places are free");
        second.open();
    });
    law(&drain(&pool));
}
