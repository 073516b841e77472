//! Faults that a review found, each with the smallest scene that shows it: user code that panics where the pool calls it, and
//! moments at which a count, a wait or a growth went wrong.
#![expect(clippy::disallowed_methods, reason = "a test's own clock and threads, not the library's")]

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use ebbtide::{FirstError, Outcome, Phase, Pool, Renew, Restart, Shutdown};

const SOON: Duration = Duration::from_secs(20);
const MILLI: Duration = Duration::from_millis(1);

/// Runs a scene that used to hang; it must be over soon.
fn within<T: Send + 'static>(what: &str, scene: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(scene()));
    receiver.recv_timeout(SOON).unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        thread::sleep(MILLI);
    }
    panic!("never came true: {what}");
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("a waker's, on purpose");
    }
}

#[test]
fn a_scope_waits_for_its_bodies_though_a_waker_panics_in_it() {
    within("the scope", || {
        let pool = Arc::new(Pool::builder().workers(1..=1).queue(1).build().unwrap());
        let ended = AtomicBool::new(false);
        let (began, begun) = mpsc::channel();
        let mut waits_for_room = Box::pin(pool.submit_async(|_| ()));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|scope| {
                let ended = &ended;
                let _ = scope.submit(move |_| {
                    began.send(()).unwrap();
                    thread::sleep(500 * MILLI);
                    ended.store(true, SeqCst);
                });
                begun.recv().unwrap();
                let _ = scope.submit(|_| ());
                let waker = Waker::from(Arc::new(Bomb));
                assert!(waits_for_room.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                // The cancel that follows frees the place of the second task, which calls the one who waits for it.
                panic!("the scope's own, on purpose");
            });
        }));
        assert!(unwound.is_err());
        assert!(ended.load(SeqCst), "the scope was left while a body that borrows from it ran");
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_others_asleep() {
    within("the second watcher", || {
        let pool = Pool::new(1);
        let (open, gate) = mpsc::channel::<()>();
        let task = pool.submit(move |_| gate.recv().unwrap()).unwrap();
        let mut bad = task.watch();
        let waker = Waker::from(Arc::new(Bomb));
        assert!(std::pin::Pin::new(&mut bad).poll(&mut Context::from_waker(&waker)).is_pending());
        let waiter = thread::spawn(move || task.wait());
        thread::sleep(50 * MILLI);
        open.send(()).unwrap();
        waiter.join().unwrap().unwrap();
        assert!(pool.shutdown(Shutdown::drain()).wait().unwrap().law_holds());
    });
}

#[test]
fn a_renewal_hook_that_panics_does_not_hang_a_stop() {
    within("the stop", || {
        let pool = Pool::builder()
            .workers(1..=1)
            .renew(Renew::new().when(|_| panic!("a hook's, on purpose")))
            .build()
            .unwrap();
        let _ = catch_unwind(AssertUnwindSafe(|| pool.submit(|_| ()).unwrap().wait()));
        let closing = catch_unwind(AssertUnwindSafe(|| pool.shutdown(Shutdown::drain()))).unwrap();
        assert_eq!(closing.wait().unwrap().outcomes.completed, 1);
    });
}

#[test]
fn an_event_wakes_its_reader_outside_of_every_lock() {
    struct Subscribes(Arc<Pool<ebbtide::Stateless>>, mpsc::Sender<()>);
    impl Wake for Subscribes {
        fn wake(self: Arc<Self>) {
            drop(self.0.events());
            self.1.send(()).unwrap_or_default();
        }
    }
    within("the waker", || {
        let pool = Arc::new(Pool::new(1));
        let (woken, wakes) = mpsc::channel();
        let mut events = pool.events();
        let waker = Waker::from(Arc::new(Subscribes(Arc::clone(&pool), woken)));
        let mut next = Box::pin(events.next_async());
        assert!(matches!(next.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
        pool.pause();
        wakes.recv().unwrap();
    });
}

#[test]
fn the_events_of_a_terminated_pool_are_over() {
    within("the stream", || {
        let pool = Pool::new(1);
        pool.shutdown(Shutdown::drain()).wait().unwrap();
        assert_eq!(pool.events().count(), 0);
    });
}

#[test]
fn one_threads_slow_destructors_hold_up_no_other_pool() {
    struct Slow(mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }
    thread_local! {
        static SLOW: RefCell<Option<Slow>> = const { RefCell::new(None) };
    }
    let (open, gate) = mpsc::channel();
    let bad = Pool::new(1);
    bad.submit(move |_| SLOW.with(|slow| *slow.borrow_mut() = Some(Slow(gate)))).unwrap().wait().unwrap();
    let held = bad.shutdown(Shutdown::drain());
    assert!(held.wait_timeout(200 * MILLI).is_err(), "its thread is not joined yet");
    let good = Pool::new(1);
    good.submit(|_| ()).unwrap().wait().unwrap();
    let report = good.shutdown(Shutdown::drain()).wait_timeout(Duration::from_secs(10));
    open.send(()).unwrap();
    assert!(report.is_ok(), "{report:?}");
    held.wait().unwrap();
}

#[test]
fn nobody_is_started_while_somebody_is_idle() {
    let pool = Pool::builder().workers(2..=4).no_idle_timeout().warm().build().unwrap();
    for _ in 0..100 {
        until("two idle workers", || pool.stats().workers.idle == pool.stats().workers.alive);
        pool.pause();
        let tasks: Vec<_> = (0..2).map(|_| pool.submit(|_| thread::sleep(MILLI)).unwrap()).collect();
        pool.resume();
        tasks.into_iter().for_each(|task| task.wait().unwrap());
    }
    assert_eq!(pool.stats().workers.started, 2);
}

#[test]
fn a_smaller_minimum_is_reached_by_those_who_were_idle_before() {
    let pool = Pool::builder().workers(3..=3).idle_timeout(50 * MILLI).warm().build().unwrap();
    until("three idle workers", || pool.stats().workers.idle == 3);
    // Long enough that each has been told once that it is kept.
    thread::sleep(500 * MILLI);
    pool.resize(1..=3).unwrap();
    until("one worker left", || pool.stats().workers.alive == 1);
}

#[test]
fn a_terminated_pool_takes_no_child_of_an_abandoned_task() {
    within("the child", || {
        let pool = Pool::builder().workers(1..=1).grace(10 * MILLI).build().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (says, said) = mpsc::channel();
        let task = pool
            .task("stubborn")
            .timeout(10 * MILLI)
            .submit(move |task| {
                gate.recv().unwrap();
                says.send(task.submit(|_| ()).map(|child| child.state()).is_err()).unwrap();
            })
            .unwrap();
        assert_eq!(task.wait().unwrap_err().task().unwrap().outcome(), Outcome::Abandoned);
        let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
        assert_eq!(pool.phase(), Phase::Terminated);
        open.send(()).unwrap();
        assert!(said.recv().unwrap(), "accepted after the end");
        assert_eq!(pool.stats().accepted, report.accepted);
    });
}

#[test]
fn a_broken_pool_takes_no_children_either() {
    within("the child", || {
        let pool = Pool::builder().workers(1..=1).grace(10 * MILLI).abandoned_cap(0).build().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (says, said) = mpsc::channel();
        let task = pool
            .task("stubborn")
            .timeout(10 * MILLI)
            .submit(move |task| {
                gate.recv().unwrap();
                says.send(task.submit(|_| ()).map_err(|error| error.reason().clone()).map(drop)).unwrap();
            })
            .unwrap();
        assert!(task.wait().unwrap_err().task().unwrap().is_abandoned());
        until("broken", || pool.stats().broken.is_some());
        open.send(()).unwrap();
        assert!(matches!(said.recv().unwrap(), Err(ebbtide::RejectReason::Broken(_))));
    });
}

#[test]
fn who_runs_is_known_after_a_burst_of_short_tasks() {
    let pool = Pool::builder().workers(1..=1).queue(4_000_000).build().unwrap();
    pool.pause();
    for _ in 0..1_000_000 {
        pool.execute(|_| ()).unwrap();
    }
    let (open, gate) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    let long = pool
        .submit(move |_| {
            began.send(()).unwrap();
            gate.recv().unwrap();
        })
        .unwrap();
    pool.resume();
    begun.recv().unwrap();
    thread::sleep(Duration::from_secs(2));
    let running = pool.stats().running_tasks;
    open.send(()).unwrap();
    long.wait().unwrap();
    assert!(running[0].running_for >= Duration::from_secs(1), "{running:?}");
}

#[test]
fn a_restart_is_over_by_its_deadline_though_no_new_worker_comes() {
    within("the restart", || {
        let (open, gate) = mpsc::channel::<()>();
        let (gate, built) = (Mutex::new(gate), AtomicU32::new(0));
        let pool = Pool::builder()
            .workers(1..=1)
            .state(move |_| {
                if built.fetch_add(1, SeqCst) > 0 {
                    let _ = gate.lock().unwrap().recv();
                }
            })
            .build()
            .unwrap();
        pool.submit(|_, _| ()).unwrap().wait().unwrap();
        let restart = pool.restart(Restart::drain().within(Duration::from_secs(1)));
        let report = restart.wait_timeout(Duration::from_secs(10));
        drop(open);
        assert!(report.unwrap().failed.is_some());
        assert!(pool.shutdown(Shutdown::drain()).wait().unwrap().law_holds());
    });
}

#[test]
fn the_first_success_is_not_waited_for_on_the_last_worker() {
    within("the last worker", || {
        let pool = Arc::new(Pool::new(1));
        let inner = Arc::clone(&pool);
        let answer = pool
            .submit(move |_| {
                inner.first_success([|_: &ebbtide::Context<'_, _>| Ok::<_, ebbtide::Cancelled>(1)], None)
            })
            .unwrap()
            .wait()
            .unwrap();
        assert!(matches!(answer, Err(FirstError::WouldDeadlock)));
    });
}

#[test]
fn a_payload_that_panics_when_dropped_costs_nobody_else() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("a payload's, on purpose");
            }
        }
    }
    within("the stop", || {
        let pool = Pool::builder()
            .workers(1..=1)
            .state(|_| ())
            .on_retire(|(), _| std::panic::panic_any(Payload))
            .build()
            .unwrap();
        pool.submit(|(), _| ()).unwrap().wait().unwrap();
        let report = pool.shutdown(Shutdown::drain()).wait_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(report.abandoned().count(), 0, "{report}");
    });
}
