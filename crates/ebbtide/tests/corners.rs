//! Corners where a stop, a restart or a resize meets something else: each was, or could have been, a hang or a lost task.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context as Poller, Wake, Waker},
    time::Duration,
};

use ebbtide::{
    CancelToken, Context, Handle, Outcome, Phase, Pool, RejectReason, Renew, Restart, Retirement, Shutdown,
    Stateless, SubmitError,
};
use patience::{LONG, until};

#[path = "support/latch.rs"]
mod latch;
#[path = "support/patience.rs"]
mod patience;

use latch::{Latch, OpensAtLast};

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_drain_of_a_paused_pool_without_workers_runs_what_waits() {
    let pool = Pool::new(1);
    pool.pause();
    let handle = pool.submit(|_| 7).unwrap();
    assert_eq!(pool.stats().workers.alive, 0);
    let report = pool.shutdown(Shutdown::drain().within(LONG)).wait_timeout(LONG / 2).unwrap();
    assert_eq!(report.outcomes.completed, 1, "{report}");
    assert_eq!(handle.wait().unwrap(), 7);
}

#[test]
fn a_restart_of_a_paused_pool_without_workers_runs_what_waits() {
    let pool = Pool::new(1);
    pool.pause();
    let handle = pool.submit(|_| 7).unwrap();
    let report = pool.restart(Restart::drain().within(LONG)).wait_timeout(LONG / 2).unwrap();
    assert_eq!(report.outcomes.completed, 1, "{report}");
    assert_eq!(handle.wait().unwrap(), 7);
    let later = pool.submit(|_| 8).unwrap();
    assert_eq!(pool.stats().queued, 1, "the pause outlives the restart");
    pool.resume();
    assert_eq!(later.wait().unwrap(), 8);
}

#[test]
fn a_restart_of_an_unused_pool_is_over_and_warms_its_minimum() {
    for restart in [Restart::drain(), Restart::stop(), Restart::abort(), Restart::rolling()] {
        let pool = Pool::builder().workers(2..=3).build().unwrap();
        let report = pool.restart(restart.within(LONG)).wait_timeout(LONG / 2).unwrap();
        assert!(report.failed.is_none(), "{report}");
        assert_eq!(pool.stats().workers.alive, 2, "{restart:?}");
    }
}

/// On an idle pool a worker takes each at once, while the alarm that would end it is still on its way.
#[test]
fn a_task_whose_deadline_has_passed_never_begins() {
    let pool = Pool::builder().workers(2..=2).queue(2_000).warm().build().unwrap();
    until("both serve", || pool.stats().workers.idle == 2);
    let ran = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let ran = Arc::clone(&ran);
            pool.task("late").deadline(Duration::ZERO).submit(move |_| ran.fetch_add(1, SeqCst)).unwrap()
        })
        .collect();
    let outcomes = tasks.into_iter().map(|task| task.wait().map_err(|error| error.task().unwrap().outcome()));
    assert!(outcomes.into_iter().all(|outcome| outcome == Err(Outcome::TimedOut)));
    assert_eq!((ran.load(SeqCst), pool.stats().outcomes.timed_out), (0, 1_000));
}

/// A submit that waits for room keeps to the task's own deadline and token, and gives the task back.
#[test]
fn who_waits_for_room_gives_up_at_the_deadline_or_when_cancelled() {
    let (pool, latch) = (Pool::builder().workers(1..=1).queue(1).build().unwrap(), Latch::default());
    let _opens = OpensAtLast(latch.clone());
    let door = latch.clone();
    let busy = pool.submit(move |_| door.pass()).unwrap();
    until("it runs", || latch.came() == 1);
    let waiting = pool.submit(|_| ()).unwrap();
    let asynchronous = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let token = CancelToken::new();
    let late = || pool.task("late").deadline(20 * MILLI);
    let unwanted = || pool.task("unwanted").cancelled_by(&token);
    let reason = |refused: Result<Handle<i32>, SubmitError<_>>| refused.unwrap_err().reason().clone();
    let job = |_: &Context<'_, Stateless>| 1;
    assert_eq!(reason(late().submit(job)), RejectReason::TimedOut);
    assert_eq!(reason(asynchronous.block_on(late().submit_async(job))), RejectReason::TimedOut);
    assert_eq!(reason(pool.task("late").deadline(Duration::ZERO).submit(job)), RejectReason::TimedOut);
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| reason(unwanted().submit(job)));
        let pending = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            reason(runtime.block_on(unwanted().submit_async(job)))
        });
        until("both wait for room", || pool.stats().waiting_for_room == 2);
        token.cancel();
        assert_eq!(blocked.join().unwrap(), RejectReason::Cancelled);
        assert_eq!(pending.join().unwrap(), RejectReason::Cancelled);
    });
    let stats = pool.stats();
    assert_eq!((stats.accepted, stats.rejected, stats.waiting_for_room), (2, 5, 0));
    latch.open();
    busy.wait().unwrap();
    waiting.wait().unwrap();
}

/// `?` wraps our error into the body's own: it obeyed all the same.
#[test]
fn a_body_that_obeys_with_an_error_of_its_own_has_obeyed() {
    #[derive(Debug)]
    struct Own(Option<Box<Own>>);
    impl std::fmt::Display for Own {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the body's own error")
        }
    }
    impl std::error::Error for Own {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.0.as_deref().map_or(Some(&ebbtide::Cancelled), |inner| Some(inner))
        }
    }
    let pool = Pool::new(1);
    let deep = || Own(Some(Box::new(Own(None))));
    let obeys = move |task: &Context<'_, Stateless>| {
        let _ = task.sleep(LONG);
        Err::<(), _>(deep())
    };
    let timed = pool.task("timed").timeout(5 * MILLI).submit_fallible(obeys).unwrap();
    assert_eq!(timed.wait().unwrap_err().task().unwrap().outcome(), Outcome::TimedOut);
    let failed = pool.submit_fallible(move |_| Err::<(), _>(deep())).unwrap().wait().unwrap_err();
    assert!(failed.task().unwrap().downcast_ref::<Own>().is_some(), "nobody had asked: {failed}");
}

/// Whoever is woken by the stop finds the queue as it was: it must not take what is on its way back.
#[test]
fn a_stop_while_paused_begins_nothing() {
    for _ in 0..2_000 {
        let pool = Pool::new(2);
        pool.submit(|_| ()).unwrap().wait().unwrap();
        pool.pause();
        let held: Vec<_> = (0..4).map(|_| pool.submit(|_| ()).unwrap()).collect();
        assert_eq!(pool.shutdown(Shutdown::stop()).wait().unwrap().outcomes.returned, 4);
        for task in held {
            assert_eq!(task.wait().unwrap_err().task().unwrap().outcome(), Outcome::Returned);
        }
    }
}

#[test]
fn who_waits_for_the_end_hears_of_it_although_the_pool_was_dropped() {
    let pool = Pool::new(2);
    let handle = pool.submit(|_| 1).unwrap();
    let closing = pool.shutdown(Shutdown::drain());
    drop(pool);
    assert_eq!(handle.wait().unwrap(), 1);
    assert!(closing.wait_timeout(LONG).is_ok_and(|report| report.outcomes.completed == 1));
}

#[test]
fn tasks_of_a_pool_that_is_dropped_while_its_workers_cannot_start_have_an_end() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&attempts);
    let pool = Pool::builder()
        .workers(1..=1)
        .deadline(LONG / 3)
        .grace(MILLI)
        .try_state(move |_| if seen.fetch_add(1, SeqCst) < 2 { Err("not yet") } else { Ok(()) })
        .build()
        .unwrap();
    let mut handle = pool.submit(|(), _| 1).unwrap();
    until("the first start failed", || attempts.load(SeqCst) >= 1 && pool.stats().workers.alive == 0);
    drop(pool);
    assert_eq!(handle.wait_timeout(LONG).unwrap(), 1, "it was accepted, so it runs once a worker starts");
}

#[test]
fn a_resize_below_the_number_of_blocked_workers_leaves_somebody_to_run_their_children() {
    let pool = Pool::builder().workers(3..=3).deadline(LONG * 4).build().unwrap();
    pool.warm_up(3);
    until("all serve", || pool.stats().workers.idle == 3);
    let latch = Latch::default();
    let _opens = OpensAtLast(latch.clone());
    let parents: Vec<_> = (0..2)
        .map(|_| {
            let latch = latch.clone();
            pool.submit(move |task| {
                latch.pass();
                let child = task.submit(|_| 1).unwrap();
                child.wait().unwrap()
            })
            .unwrap()
        })
        .collect();
    until("both run", || latch.came() == 2);
    // The third is made busy so that the children wait, then both parents block, then the pool is made smaller.
    let third = Latch::default();
    let _opens_third = OpensAtLast(third.clone());
    let door = third.clone();
    let busy = pool.submit(move |_| door.pass()).unwrap();
    until("the third runs", || third.came() == 1);
    latch.open();
    until("the children wait", || pool.stats().queued == 2);
    pool.resize(1..=1).unwrap();
    third.open();
    busy.wait().unwrap();
    for mut parent in parents {
        assert_eq!(parent.wait_timeout(LONG).unwrap(), 1);
    }
    until("it has shrunk", || pool.stats().workers.alive == 1);
    assert_eq!(pool.submit(|_| 2).unwrap().wait().unwrap(), 2);
}

#[test]
fn a_worker_that_waits_in_its_own_scope_counts_once() {
    let pool = Arc::new(Pool::new(2));
    let inner = Arc::clone(&pool);
    let sum =
        pool.submit(move |_| inner.scope(|scope| scope.submit(|_| 5).unwrap().wait().unwrap())).unwrap();
    assert_eq!(sum.wait().unwrap(), 5);
}

#[test]
fn a_resize_while_workers_start_is_kept() {
    let latch = Latch::default();
    let _opens = OpensAtLast(latch.clone());
    let door = latch.clone();
    let pool = Pool::builder().workers(4..=4).warm().state(move |_| door.pass()).build().unwrap();
    until("all build", || latch.came() == 4);
    pool.resize(1..=1).unwrap();
    latch.open();
    until("the surplus has gone", || pool.stats().workers.alive == 1);
    assert_eq!(pool.submit(|(), _| 2).unwrap().wait().unwrap(), 2);
}

#[test]
fn a_worker_that_panics_while_it_is_being_replaced_is_replaced_once() {
    for _ in 0..20 {
        let latch = Latch::default();
        let _opens = OpensAtLast(latch.clone());
        let door = latch.clone();
        let built = AtomicUsize::new(0);
        let pool = Pool::builder()
            .workers(1..=1)
            .state(move |_| {
                if built.fetch_add(1, SeqCst) > 0 {
                    door.pass();
                }
            })
            .build()
            .unwrap();
        pool.submit(|(), _| ()).unwrap().wait().unwrap();
        let roll = pool.restart(Restart::rolling());
        until("the replacement is being built", || latch.came() == 1);
        let panicked = pool.submit(|(), _| panic!("on purpose")).unwrap();
        assert!(panicked.wait().unwrap_err().task().unwrap().is_panicked());
        let more: Vec<_> = (0..3).map(|_| pool.submit(|(), _| ()).unwrap()).collect();
        latch.open();
        more.into_iter().for_each(|handle| handle.wait().unwrap());
        roll.wait_timeout(LONG).unwrap();
        until("one is there", || pool.stats().workers.alive == 1);
        assert_eq!(pool.stats().workers.started, 2, "the first and its one replacement");
    }
}

#[test]
fn a_restart_that_empties_the_queue_lets_in_all_who_find_room() {
    let pool = Pool::builder().workers(1..=1).queue(3).build().unwrap();
    pool.pause();
    for _ in 0..3 {
        pool.execute(|_| ()).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| pool.submit(|_| ()).unwrap());
        }
        until("three wait for room", || pool.stats().waiting_for_room == 3);
        pool.restart(Restart::stop()).wait_timeout(LONG).unwrap();
        let came_in = soon(|| pool.stats().waiting_for_room == 0);
        pool.resume();
        assert!(came_in, "there was room for three");
    });
    assert_eq!(pool.take_returned().len(), 3);
}

/// Waits a while for something that should come at once; false if it does not.
fn soon(mut condition: impl FnMut() -> bool) -> bool {
    (0..5_000).any(|_| {
        nap(MILLI);
        condition()
    })
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock, not the library's")]
fn nap(duration: Duration) {
    std::thread::sleep(duration);
}

#[test]
fn who_ends_while_being_abandoned_is_not_counted_as_abandoned_for_ever() {
    let pool = Pool::builder().workers(2..=2).grace(2 * MILLI).abandoned_cap(10_000).build().unwrap();
    for round in 0..300_u64 {
        let handles: Vec<_> = (0..2)
            .map(|n| {
                // Ends about when its grace does.
                let late = Duration::from_micros(2_900 + 10 * ((round * 7 + n * 13) % 40));
                pool.task("late").timeout(MILLI).submit(move |_| nap(late)).unwrap()
            })
            .collect();
        for handle in handles {
            let _ = handle.wait();
        }
    }
    until("no thread is left that was given up", || pool.stats().workers.abandoned == 0);
    assert!(pool.stats().broken.is_none());
    let stats = pool.stats();
    assert_eq!(stats.outcomes.total(), 600);
    assert!(stats.outcomes.get(Outcome::Abandoned) > 0 && stats.outcomes.completed > 0, "{stats:?}");
}

#[test]
fn everything_is_back_when_the_report_is() {
    for round in 0..200_u64 {
        let pool = Pool::builder().workers(1..=1).queue(4_000).build().unwrap();
        let latch = Latch::default();
        let door = latch.clone();
        pool.execute(move |_| door.pass()).unwrap();
        until("it runs", || latch.came() == 1);
        for _ in 0..2_000 {
            pool.execute(|_| ()).unwrap();
        }
        std::thread::scope(|scope| {
            let closing = pool.shutdown(Shutdown::drain());
            scope.spawn(|| drop(pool.shutdown(Shutdown::stop())));
            for _ in 0..round % 50 * 20 {
                std::hint::spin_loop();
            }
            latch.open();
            let report = closing.wait_timeout(LONG).unwrap();
            let back = pool.take_returned().len() as u64;
            assert_eq!(back, report.outcomes.returned, "round {round}: {report}");
        });
    }
}

#[test]
fn a_caller_that_runs_its_own_task_is_waited_for() {
    for round in 0..400_u64 {
        let pool = Arc::new(
            Pool::builder().workers(1..=1).queue(1).when_full(ebbtide::WhenFull::CallerRuns).build().unwrap(),
        );
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while pool.execute(|_| ()).is_ok() {});
            }
            for _ in 0..round * 7 % 1_000 {
                std::hint::spin_loop();
            }
            let mode = if round % 2 == 0 { Shutdown::stop() } else { Shutdown::drain() };
            let report = pool.shutdown(mode).wait_timeout(LONG).unwrap();
            assert!(report.law_holds(), "{report}");
            assert_eq!((report.queued, report.running), (0, 0), "round {round}: {report}");
        });
        assert_eq!(pool.phase(), Phase::Terminated);
    }
}

#[test]
fn a_wake_that_meets_the_idle_timeout_is_not_lost() {
    let pool = Pool::builder().workers(1..=1).idle_timeout(MILLI / 2).build().unwrap();
    for round in 0..4_000_u32 {
        let mut handle = pool.submit(|_| ()).unwrap();
        handle
            .wait_timeout(LONG)
            .unwrap_or_else(|error| panic!("round {round}: {error}: {:?}", pool.stats()));
        // Comes back at about the moment at which the worker gives up waiting.
        nap(Duration::from_micros(u64::from(360 + round % 80)));
    }
}

/// Whoever waits for another task is asked to cancel: it hears that at once, may cancel the other one or wait on, and ends `Cancelled` by
/// passing the error on.
#[test]
fn who_waits_for_another_task_hears_its_own_cancel() {
    let pool = Pool::new(2);
    let latch = Latch::default();
    let _opens = OpensAtLast(latch.clone());
    let door = latch.clone();
    let (child, children) = std::sync::mpsc::channel();
    let parent = pool
        .submit_fallible(move |context| {
            let door = door.clone();
            let mut handle = context.submit(move |_| door.pass()).unwrap();
            let waited = handle.wait_unless(&context.token());
            child.send(handle).unwrap();
            waited
        })
        .unwrap();
    until("the child runs", || latch.came() == 1);
    assert!(parent.cancel());
    let error = { parent }.wait_timeout(LONG).unwrap_err();
    assert_eq!(error.task().unwrap().outcome(), Outcome::Cancelled, "{error}");
    let mut child = children.try_recv().unwrap();
    assert_eq!(child.outcome(), None, "it goes on");
    latch.open();
    child.wait_timeout(LONG).unwrap();
    // One that has ended is not looked past, and an old request is seen before the wait begins.
    let (token, mut done) = (CancelToken::new(), pool.submit(|_| 7).unwrap());
    token.cancel();
    until("it has ended", || done.is_finished());
    assert_eq!(done.wait_unless(&token).unwrap(), 7);
}

/// Worked out with fractions, the longest duration was one that does not fit: a panic in `build`, or a worker gone before its first task.
#[test]
fn limits_as_long_as_can_be_said_are_no_limits() {
    let forever = Duration::MAX;
    let builder = Pool::builder()
        .workers(1..=1)
        .retire(Retirement::new().older_than(forever).jitter(0.0))
        .renew(Renew::new().every(forever).jitter(0.0))
        .restart_intensity(u32::MAX, forever)
        .idle_timeout(forever)
        .deadline(forever)
        .grace(forever);
    let pool = builder.build().unwrap();
    let task = pool.task("patient").timeout(forever).deadline(forever);
    assert_eq!(task.submit(|_| 7).unwrap().wait_timeout(LONG).unwrap(), 7);
    let report = pool.shutdown(Shutdown::drain()).wait_timeout(LONG).unwrap();
    assert_eq!(report.outcomes.completed, 1, "{report}");
}

/// A waker that is counted for as long as somebody keeps it.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

/// Polls once, drops it, and says whether it kept the waker while it waited, and afterwards.
fn kept(waiting: impl Future) -> (bool, bool) {
    let counted = Arc::new(Counted);
    let waker = Waker::from(Arc::clone(&counted));
    let before = Arc::strong_count(&counted);
    let meanwhile = {
        let mut waiting = pin!(waiting);
        assert!(waiting.as_mut().poll(&mut Poller::from_waker(&waker)).is_pending());
        Arc::strong_count(&counted) > before
    };
    (meanwhile, Arc::strong_count(&counted) > before)
}

/// A token, a task and a run may last as long as the program, and be waited for without number: each wait that was given up stayed in their
/// lists, and was looked at by every later one. A task that slept every second grew, and slowed down.
#[test]
fn who_waits_no_more_leaves_nothing_behind() {
    let (pool, token, latch) = (Pool::new(2), CancelToken::new(), Latch::default());
    let (_opens, door) = (OpensAtLast(latch.clone()), latch);
    let job = pool.every(LONG).delay().start(move |_| door.pass()).unwrap();
    let task = pool.submit_fallible(|task| task.sleep(LONG)).unwrap();
    until("the job runs", || job.stats().under_way == 1);
    assert_eq!(kept(token.cancelled()), (true, false));
    assert_eq!(kept(task.watch()), (true, false));
    assert_eq!(kept(job.idle()), (true, false));
    task.cancel();
}
