//! The main ways through a pool, once each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use ebbtide::{Mode, Outcome, Phase, Pool, RejectReason, Restart, Shutdown, WaitError, WhenFull, WorkerEnd};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_value_comes_back() {
    let pool = Pool::new(2);
    let handles: Vec<_> = (0..100).map(|n| pool.submit(move |_| n * 2).unwrap()).collect();
    let values: Vec<_> = handles.into_iter().map(|handle| handle.wait().unwrap()).collect();
    assert_eq!(values, (0..100).map(|n| n * 2).collect::<Vec<_>>());
    let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert!(report.law_holds() && report.is_clean(), "{report}");
    assert_eq!(report.outcomes.completed, 100);
    assert_eq!(pool.phase(), Phase::Terminated);
    assert_eq!(*pool.submit(|_| ()).unwrap_err().reason(), RejectReason::Terminated);
}

#[test]
fn a_stop_finishes_what_runs_and_returns_what_waits() {
    let pool = Pool::builder().workers(1..=1).build().unwrap();
    let (open, gate) = mpsc::channel::<()>();
    let (started, begun) = mpsc::channel();
    let running = pool
        .submit(move |_| {
            started.send(()).unwrap();
            gate.recv().unwrap();
            7
        })
        .unwrap();
    begun.recv().unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let ran = Arc::clone(&ran);
            pool.submit(move |_| ran.fetch_add(1, SeqCst)).unwrap()
        })
        .collect();
    let closing = pool.shutdown(Shutdown::stop());
    for handle in waiting {
        assert!(handle.wait().unwrap_err().task().unwrap().is_returned());
    }
    let still = closing.wait_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!(still.running.len(), 1, "{still}");
    open.send(()).unwrap();
    let report = closing.wait().unwrap();
    assert_eq!(running.wait().unwrap(), 7);
    assert_eq!((report.outcomes.completed, report.outcomes.returned), (1, 5));
    assert_eq!(pool.take_returned().len(), 5);
    assert_eq!(pool.take_returned().len(), 0, "they leave once");
    assert_eq!(ran.load(SeqCst), 0);
}

#[test]
fn a_report_tells_the_grace_that_there_was() {
    for (within, asked, had) in [(200, 5_000, 90), (200, 50, 50)] {
        let pool = Pool::new(1);
        let (within, asked) = (Duration::from_millis(within), Duration::from_millis(asked));
        let report = pool.shutdown(Shutdown::drain().within(within).grace(asked)).wait().unwrap();
        assert_eq!((report.deadline, report.grace), (within, Duration::from_millis(had)), "{report}");
    }
}

#[test]
fn an_abort_asks_and_then_abandons() {
    let pool = Pool::builder().workers(2..=2).build().unwrap();
    let (open, gate) = mpsc::channel::<()>();
    let obeys = pool
        .submit_fallible(|task| {
            task.sleep(SOON)?;
            Ok::<_, ebbtide::Cancelled>(())
        })
        .unwrap();
    let stubborn = pool.task("stubborn").submit(move |_| gate.recv().unwrap_or_default()).unwrap();
    while pool.stats().running < 2 {
        std::thread::yield_now();
    }
    let closing = pool.shutdown(Shutdown::abort().grace(Duration::from_millis(100)));
    assert!(obeys.wait().unwrap_err().task().unwrap().is_cancelled());
    assert_eq!(stubborn.wait().unwrap_err().task().unwrap().outcome(), Outcome::Abandoned);
    let report = closing.wait().unwrap();
    assert_eq!(report.mode, Some(Mode::Abort));
    assert_eq!(report.abandoned().count(), 1, "{report}");
    assert!(report.to_string().contains("stubborn"), "{report}");
    open.send(()).unwrap();
}

#[test]
fn a_restart_leaves_the_pool_usable() {
    let pool = Pool::builder().workers(2..=4).build().unwrap();
    for restart in [Restart::drain(), Restart::stop(), Restart::abort(), Restart::rolling()] {
        let before = pool.submit(|task| task.generation()).unwrap().wait().unwrap();
        let report = pool.restart(restart).wait().unwrap();
        assert!(report.failed.is_none(), "{report}");
        assert!(pool.stats().workers.alive >= 2, "the minimum is restored: {:?}", pool.stats());
        let after = pool.submit(|task| task.generation()).unwrap().wait().unwrap();
        assert_eq!(after, before + 1);
    }
    let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert!(report.workers.iter().all(|worker| worker.end == WorkerEnd::Joined), "{report}");
}

#[test]
fn a_full_queue_does_what_was_chosen() {
    for when_full in [WhenFull::Reject, WhenFull::CallerRuns, WhenFull::ShedOldest] {
        let pool = Pool::builder().workers(1..=1).queue(1).when_full(when_full).build().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let blocker = pool.submit(move |_| gate.recv().unwrap_or_default()).unwrap();
        while pool.stats().running < 1 {
            std::thread::yield_now();
        }
        let first = pool.submit(|_| std::thread::current().id()).unwrap();
        let second = pool.submit(|_| std::thread::current().id());
        match when_full {
            WhenFull::Reject => assert!(second.unwrap_err().is_full()),
            WhenFull::CallerRuns => assert_eq!(second.unwrap().wait().unwrap(), std::thread::current().id()),
            _ => {
                open.send(()).unwrap();
                assert!(second.unwrap().wait().is_ok());
                assert!(first.wait().unwrap_err().task().unwrap().is_cancelled());
                continue;
            }
        }
        open.send(()).unwrap();
        assert!(first.wait().is_ok() && blocker.wait().is_ok());
    }
}

#[test]
fn a_panic_ends_its_task_only() {
    let pool = Pool::builder().workers(1..=1).state(|worker| worker.id).build().unwrap();
    let first = pool.submit(|id, _| *id).unwrap().wait().unwrap();
    let error = pool.submit(|_, _| panic!("on purpose")).unwrap().wait().unwrap_err();
    assert_eq!(error.task().unwrap().panic_message(), Some("on purpose"));
    let second = pool.submit(|id, _| *id).unwrap().wait().unwrap();
    assert_ne!(first, second, "with state the worker is replaced");
}

#[test]
fn the_last_worker_may_not_wait_for_its_own_pool() {
    let pool = Pool::new(1);
    let inner = pool
        .submit(|task| {
            let child = task.submit(|_| 1).unwrap();
            matches!(child.wait(), Err(WaitError::WouldDeadlock))
        })
        .unwrap();
    assert!(inner.wait().unwrap());
    let pool = Pool::new(2);
    let inner = pool.submit(|task| task.submit(|_| 1).unwrap().wait().unwrap()).unwrap();
    assert_eq!(inner.wait().unwrap(), 1);
}

#[test]
fn a_timeout_asks_and_a_deadline_ends_what_waits() {
    let pool = Pool::builder().workers(1..=1).build().unwrap();
    let slow = pool
        .task("slow")
        .timeout(Duration::from_millis(30))
        .submit_fallible(|task| task.sleep(SOON))
        .unwrap();
    let late = pool.task("late").deadline(Duration::from_millis(1)).submit(|_| ()).unwrap();
    assert!(late.wait().unwrap_err().task().unwrap().is_timed_out());
    assert!(slow.wait().unwrap_err().task().unwrap().is_timed_out());
    assert_eq!(pool.shutdown(Shutdown::drain()).wait().unwrap().outcomes.timed_out, 2);
}

#[test]
fn handles_are_plain_futures() {
    let pool = Pool::new(1);
    let value = futures_lite(async {
        let handle = pool.submit_async(|_| 3).await.unwrap();
        handle.await.unwrap()
    });
    assert_eq!(value, 3);
}

fn futures_lite<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut poller = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut poller) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
