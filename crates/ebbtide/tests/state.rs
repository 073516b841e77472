//! What workers own: states that are handed on, laid down, measured and renewed, and what happens when they misbehave.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ebbtide::{
    Event, Outcome, Pool, Renew, Restart, RetireReason, Retirement, Shutdown, Timing, drop_panics,
    locate_panics,
};

#[path = "support/patience.rs"]
mod patience;

use patience::until;

#[test]
fn a_replacement_begins_with_what_the_old_worker_had_learnt() {
    let pool = Pool::builder()
        .workers(1..=1)
        .state(|_| Vec::<u32>::new())
        .snapshot(|learnt: &mut Vec<u32>| learnt.clone(), |_, learnt| Ok(learnt))
        .build()
        .unwrap();
    for n in 1..=3 {
        pool.submit(move |learnt, _| learnt.push(n)).unwrap().wait().unwrap();
    }
    let before = pool.submit(|_, task| task.worker()).unwrap().wait().unwrap();
    assert!(pool.restart(Restart::rolling()).wait().unwrap().failed.is_none());
    let (worker, learnt) =
        pool.submit(|learnt, task| (task.worker(), learnt.clone())).unwrap().wait().unwrap();
    assert_ne!(worker, before);
    assert_eq!(learnt, [1, 2, 3]);
}

#[test]
fn nothing_is_handed_on_after_a_panic() {
    let pool = Pool::builder()
        .workers(1..=1)
        .state(|_| 0_u32)
        .snapshot(|count: &mut u32| *count, |_, count| Ok(count))
        .build()
        .unwrap();
    pool.submit(|count, _| *count = 7).unwrap().wait().unwrap();
    assert!(pool.submit(|_, _| panic!("on purpose")).unwrap().wait().is_err());
    assert_eq!(pool.submit(|count, _| *count).unwrap().wait().unwrap(), 0);
}

#[test]
fn with_old_first_there_is_never_a_second_state() {
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    struct Exclusive(Arc<AtomicUsize>, u32);
    impl Drop for Exclusive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let enter = {
        let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
        move |count| {
            most.fetch_max(alive.fetch_add(1, SeqCst) + 1, SeqCst);
            Exclusive(Arc::clone(&alive), count)
        }
    };
    let again = enter.clone();
    let pool = Pool::builder()
        .workers(1..=1)
        .state(move |_| enter(0))
        .snapshot(|state: &mut Exclusive| state.1, move |_, count| Ok(again(count)))
        .old_first()
        .build()
        .unwrap();
    for round in 1..=5 {
        pool.submit(|state, _| state.1 += 1).unwrap().wait().unwrap();
        assert!(pool.restart(Restart::rolling()).wait().unwrap().failed.is_none());
        assert_eq!(
            pool.submit(|state, _| state.1).unwrap().wait().unwrap(),
            round,
            "its last word is handed on"
        );
    }
    assert_eq!(most.load(SeqCst), 1);
}

#[test]
fn the_retire_hook_gets_the_state_and_the_reason_on_the_worker() {
    let laid_down = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&laid_down);
    let pool = Pool::builder()
        .workers(1..=1)
        .state(|worker| worker.name.to_string())
        .on_retire(move |name: &mut String, why| {
            let thread = std::thread::current().name().map(str::to_owned);
            assert_eq!(thread.as_deref(), Some(name.as_str()), "on its own thread");
            hook.lock().unwrap().push(why);
        })
        .retire(Retirement::new().after_tasks(2).jitter(0.0))
        .build()
        .unwrap();
    for _ in 0..2 {
        pool.submit(|_, _| ()).unwrap().wait().unwrap();
    }
    until("the worker is retired", || laid_down.lock().unwrap().len() == 1);
    pool.restart(Restart::rolling()).wait().unwrap();
    pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert_eq!(
        *laid_down.lock().unwrap(),
        [RetireReason::Tasks, RetireReason::Rolling, RetireReason::Stopped]
    );
}

#[test]
fn a_state_that_grows_too_large_is_replaced() {
    let pool = Pool::builder()
        .workers(1..=1)
        .state(|_| Vec::<u8>::new())
        .size(|state: &Vec<u8>| state.len() as u64)
        .retire(Retirement::new().larger_than(1_000))
        .build()
        .unwrap();
    let first = pool.submit(|state, task| (state.resize(1_001, 0), task.worker())).unwrap().wait().unwrap().1;
    until("it is replaced", || pool.submit(|_, task| task.worker()).unwrap().wait().unwrap() != first);
    assert_eq!(pool.submit(|state, _| state.len()).unwrap().wait().unwrap(), 0);
}

#[test]
fn a_limit_below_what_a_state_has_from_the_start_is_given_up_loudly() {
    let pool = Pool::builder()
        .workers(1..=1)
        .state(|_| vec![0_u8; 100])
        .size(|state: &Vec<u8>| state.len() as u64)
        .retire(Retirement::new().larger_than(10))
        .build()
        .unwrap();
    let mut events = pool.events();
    for _ in 0..20 {
        pool.submit(|_, _| ()).unwrap().wait().unwrap();
    }
    assert_eq!(pool.stats().workers.started, 1, "{:?}", pool.stats().retired);
    let told = std::iter::from_fn(|| events.try_next())
        .filter(|event| matches!(event, Event::LimitIgnored { why } if why.contains("Raise the limit")));
    assert_eq!(told.count(), 1);
    // One that shrinks and grows is retired as any other.
    let first = pool.submit(|state, task| (state.clear(), task.worker())).unwrap().wait().unwrap().1;
    pool.submit(|state, _| state.resize(11, 0)).unwrap().wait().unwrap();
    until("it is replaced", || pool.submit(|_, task| task.worker()).unwrap().wait().unwrap() != first);
}

#[test]
fn failures_in_a_row_retire_and_a_success_between_them_does_not() {
    let retired = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&retired);
    let pool = Pool::builder()
        .workers(1..=1)
        .retire(Retirement::new().after_failures(3))
        .on_event(move |event| {
            if let Event::WorkerRetiring { reason: RetireReason::Failures, .. } = event {
                hook.fetch_add(1, SeqCst);
            }
        })
        .build()
        .unwrap();
    let run = |fails: bool| {
        let body = move |_: &ebbtide::Context<'_, ebbtide::Stateless>| if fails { Err("no") } else { Ok(()) };
        let _ = pool.submit_fallible(body).unwrap().wait();
    };
    [true, true, false, true, true].into_iter().for_each(run);
    assert_eq!(retired.load(SeqCst), 0);
    run(true);
    until("three in a row", || retired.load(SeqCst) == 1);
}

#[test]
fn a_pool_renews_itself_by_time_by_size_and_because_an_event_asks() {
    let generation = |pool: &Pool<_>| pool.stats().generation;
    let by_time =
        Pool::builder().workers(1..=1).renew(Renew::new().every(Duration::from_millis(20))).build().unwrap();
    until("by time", || generation(&by_time) > 2);

    let by_event = Pool::builder()
        .workers(1..=1)
        .renew(Renew::new().when(|event| matches!(event, Event::TaskEnded { outcome: Outcome::Failed, .. })))
        .build()
        .unwrap();
    assert!(by_event.submit_fallible(|_| Err::<(), _>("no")).unwrap().wait().is_err());
    until("by event", || generation(&by_event) == 2);

    let by_size = Pool::builder()
        .workers(2..=2)
        .warm()
        .state(|_| 0_u64)
        .size(|state| *state)
        .renew(Renew::new().when_larger_than(100))
        .build()
        .unwrap();
    by_size.submit(|state, _| *state = 101).unwrap().wait().unwrap();
    until("by size", || by_size.stats().generation == 2);
}

#[cfg(feature = "cron")]
#[test]
fn a_pool_renews_itself_on_a_cron_line() {
    let every_second = Renew::new().cron("* * * * * *", "Europe/Berlin").unwrap();
    let pool = Pool::builder().workers(1..=1).renew(every_second).build().unwrap();
    until("by cron", || pool.stats().generation > 1);
    assert_eq!(Renew::new().cron("never", "UTC").unwrap_err().option(), "renew");
}

#[test]
fn what_building_costs_is_known() {
    let pool = Pool::builder()
        .workers(1..=1)
        .state(|_| {
            // Blocks for as long as it says: nobody sends.
            let (_open, gate) = std::sync::mpsc::channel::<()>();
            let _ = gate.recv_timeout(Duration::from_millis(20));
            vec![1_u8; 16 << 20]
        })
        .build()
        .unwrap();
    pool.submit(|state, _| state.len()).unwrap().wait().unwrap();
    let workers = pool.stats().workers;
    assert!(workers.build >= Duration::from_millis(20), "{workers:?}");
    assert!(!cfg!(target_os = "linux") || workers.build_memory >= 8 << 20, "{workers:?}");
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in a destructor, on purpose");
        }
    }
}

#[test]
fn panics_in_destructors_are_caught_and_counted() {
    let pool = Pool::builder().workers(1..=1).state(|_| PanicsWhenDropped).build().unwrap();
    let before = drop_panics();
    // The result of a task whose handle is gone, and a body that is dropped unrun, each on a thread of the pool's or here.
    drop(pool.submit(|_, _| PanicsWhenDropped).unwrap());
    until("the result is dropped", || drop_panics() > before);
    pool.pause();
    let captured = PanicsWhenDropped;
    let waiting = pool.submit(move |_, _| drop(captured)).unwrap();
    assert!(waiting.cancel());
    assert_eq!(waiting.outcome(), Some(Outcome::Cancelled));
    let report = pool.shutdown(Shutdown::drain()).wait().unwrap();
    assert!(report.law_holds(), "{report}");
    assert!(drop_panics() >= before + 3, "result, capture and state: {}", drop_panics() - before);
}

#[test]
fn a_panic_is_located_where_that_was_asked_for() {
    locate_panics();
    let pool = Pool::new(1);
    let error = pool.submit(|_| panic!("here")).unwrap().wait().unwrap_err();
    let place = error.task().unwrap().panic_location().unwrap().to_owned();
    assert!(place.contains("state.rs"), "{place}");
}

#[test]
fn every_task_is_timed_where_that_was_asked_for_and_none_where_not() {
    let timed = |timing| {
        let pool = Pool::builder().workers(1..=1).timing(timing).build().unwrap();
        let handles =
            pool.submit_many((0..128).map(|_| |_: &ebbtide::Context<'_, ebbtide::Stateless>| ())).unwrap();
        ebbtide::join_all(handles, None).unwrap();
        pool.restart(Restart::drain()).wait().unwrap();
        let timings = pool.timings();
        pool.reset_timings();
        assert_eq!(pool.timings().runs.samples, 0);
        (timings.waits.samples, timings.runs.samples)
    };
    assert_eq!(timed(Timing::Every), (128, 128));
    assert_eq!(timed(Timing::Sampled), (2, 2));
    assert_eq!(timed(Timing::Off), (0, 0));
}
