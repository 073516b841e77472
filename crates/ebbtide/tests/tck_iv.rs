//! Executor cases IV: several tasks at once. All of them is `submit_many` with `join_all`, any of them `first_success`, as they
//! complete `Completions`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use common::{Broke, Count, Gate, LONG, Ledger, Me, now, some_time, until};
use ebbtide::{
    BoxError, CancelReason, CancelToken, Completions, FirstError, Handle, Outcome, Pool, RejectReason,
    Shutdown, Stateless, join_all,
};

type Try = Box<dyn FnOnce(&Me<'_>) -> Result<u32, BoxError> + Send>;

fn gives(number: u32) -> Try {
    Box::new(move |_| Ok(number))
}

fn fails(number: u32) -> Try {
    Box::new(move |_| Err(Broke(number).into()))
}

/// Sleeps so long that only a cancel can end it.
fn sleeps() -> Try {
    Box::new(|task| {
        task.sleep(24 * 60 * LONG)?;
        Ok(0)
    })
}

fn later(task: Try) -> Try {
    Box::new(|me| {
        me.sleep(Duration::from_millis(50))?;
        task(me)
    })
}

/// The first success of these on two workers; then the pool's end, which nobody may hold up.
fn first(tasks: Vec<Try>, timeout: Option<Duration>) -> (Result<u32, FirstError>, ebbtide::Outcomes) {
    let (pool, ledger, count) = (Pool::new(2), Ledger::new(), tasks.len() as u64);
    let result = pool.first_success(tasks, timeout);
    ledger.executed(count);
    let outcomes = ledger.close(&pool).outcomes;
    (result, outcomes)
}

#[test]
fn iv_01_any_of_none_is_an_error() {
    assert!(matches!(first(Vec::new(), None).0, Err(FirstError::Empty)));
}

#[test]
fn iv_02_any_of_failures_gives_the_last_cause() {
    let (result, outcomes) = first(vec![fails(1), fails(2), later(fails(3))], None);
    let Err(FirstError::AllFailed(last)) = result else { panic!("{result:?}") };
    assert_eq!(last.downcast_ref::<Broke>(), Some(&Broke(3)));
    assert_eq!(outcomes.failed, 3);
}

#[test]
fn iv_03_any_of_two_is_one_of_them() {
    let (result, _) = first(vec![gives(1), gives(2)], None);
    assert!(matches!(result, Ok(1 | 2)), "{result:?}");
}

#[test]
fn iv_04_the_loser_that_sleeps_is_cancelled() {
    let (result, outcomes) = first(vec![sleeps(), later(gives(5))], None);
    assert_eq!(result.unwrap(), 5);
    assert_eq!((outcomes.completed, outcomes.cancelled), (1, 1));
}

#[test]
fn iv_05_any_of_failures_waits_for_the_last() {
    let (result, outcomes) = first(vec![later(fails(1)), fails(2)], None);
    let Err(FirstError::AllFailed(last)) = result else { panic!("{result:?}") };
    assert_eq!(last.downcast_ref::<Broke>(), Some(&Broke(1)), "the later one");
    assert_eq!(outcomes.failed, 2);
}

#[test]
fn iv_06_a_failure_does_not_hide_a_success() {
    for tasks in [vec![gives(6), fails(1)], vec![fails(1), later(gives(6))], vec![later(gives(6)), fails(1)]]
    {
        assert_eq!(first(tasks, None).0.unwrap(), 6);
    }
}

#[test]
fn iv_07_any_in_time_or_all_are_cancelled() {
    let began = now();
    let (result, outcomes) = first(vec![sleeps(), sleeps()], Some(Duration::from_millis(100)));
    assert!(matches!(result, Err(FirstError::TimedOut)), "{result:?}");
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(outcomes.cancelled, 2);
}

/// The drain after it asks nobody to cancel: that it ends shows that the losers were asked before the winner came back.
#[test]
fn iv_09_losers_are_asked_before_the_winner_is_given() {
    for count in 1..=6 {
        for winner in 0..count {
            let (pool, ledger, started) = (Pool::new(3), Ledger::new(), Count::new());
            let task = |n: usize| -> Try {
                let (started, body) = (started.clone(), if n == winner { gives(1) } else { sleeps() });
                Box::new(move |me| {
                    started.up();
                    body(me)
                })
            };
            if winner >= 3 {
                continue; // three sleepers before it would hold all three workers
            }
            assert_eq!(pool.first_success((0..count).map(task), None).unwrap(), 1);
            let began = started.get();
            ledger.executed(count as u64);
            let outcomes = ledger.close(&pool).outcomes;
            assert_eq!((outcomes.completed, outcomes.cancelled), (1, count as u64 - 1));
            assert!((1..=count as u64).contains(&began), "{began} of {count} started");
        }
    }
}

/// One worker and a queue of one: the first holds the worker, the second the queue, and the third waits for room.
#[test]
fn iv_07_nobody_waits_for_room_beyond_the_time() {
    for paused in [false, true] {
        let pool = Pool::builder().workers(1..=1).queue(1).build().unwrap();
        if paused {
            pool.pause();
        }
        let result = pool.first_success((0..5).map(|_| sleeps()), Some(Duration::from_millis(100)));
        assert!(matches!(result, Err(FirstError::TimedOut)), "{result:?}");
        let report = common::over(&pool.shutdown(Shutdown::drain()));
        assert_eq!(report.outcomes.cancelled, report.accepted, "{report}");
    }
}

#[test]
fn iv_09_a_success_ends_the_wait_for_room() {
    let pool = Pool::builder().workers(1..=1).queue(1).build().unwrap();
    let tasks = [gives(1)].into_iter().chain((0..5).map(|_| sleeps()));
    assert_eq!(pool.first_success(tasks, None).unwrap(), 1);
    let report = common::over(&pool.shutdown(Shutdown::drain()));
    assert_eq!((report.outcomes.completed, report.outcomes.cancelled), (1, report.accepted - 1), "{report}");
}

#[test]
fn iv_10_all_of_none_is_an_empty_list() {
    let pool = Pool::new(1);
    let handles: Vec<Handle<u32>> = pool.submit_many(Vec::<fn(&Me<'_>) -> u32>::new()).unwrap();
    assert!(handles.is_empty());
    assert!(join_all(handles, None).unwrap().is_empty());
    assert!(join_all(Vec::<Handle<u32>>::new(), Some(Duration::ZERO)).unwrap().is_empty());
    assert_eq!(Ledger::new().close(&pool).accepted, 0);
}

#[test]
fn iv_11_all_of_failures_have_each_its_own_cause() {
    let (pool, ledger) = (Pool::new(2), Ledger::new());
    let submit = |n| ledger.keep(pool.submit_fallible(fails(n)).unwrap());
    let results = join_all((0..10).map(submit), None).unwrap();
    let causes: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().unwrap_err().downcast_ref::<Broke>().unwrap().0)
        .collect();
    assert_eq!(causes, (0..10).collect::<Vec<_>>());
    assert_eq!(ledger.close(&pool).outcomes.failed, 10);
}

#[test]
fn iv_12_results_come_in_the_order_of_submission() {
    let (pool, ledger, ends) = (Pool::new(4), Ledger::new(), Arc::new(Mutex::new(Vec::new())));
    let gates: Vec<_> = (0..4).map(|_| Gate::new()).collect();
    let task = |n: usize| {
        let (own, before, ends) =
            (gates[n].clone(), n.checked_sub(1).map(|n| gates[n].clone()), Arc::clone(&ends));
        move |_: &Me<'_>| {
            own.pass();
            ends.lock().unwrap().push(n);
            if let Some(before) = before {
                before.open();
            }
            n
        }
    };
    let handles = pool.submit_many((0..4).map(task)).unwrap();
    let handles: Vec<_> = handles.into_iter().map(|handle| ledger.keep(handle)).collect();
    gates[3].open();
    let results: Vec<_> = join_all(handles, None).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(results, [0, 1, 2, 3]);
    assert_eq!(*ends.lock().unwrap(), [3, 2, 1, 0], "they ended the other way round");
    ledger.close(&pool);
}

#[test]
fn iv_14_all_in_time_or_the_late_are_cancelled() {
    let (pool, ledger) = (Pool::new(3), Ledger::new());
    let tasks = [gives(1), sleeps(), gives(3)];
    let handles: Vec<_> =
        tasks.into_iter().map(|task| ledger.keep(pool.submit_fallible(task).unwrap())).collect();
    handles[2].watch().wait(Some(LONG)).unwrap();
    handles[0].watch().wait(Some(LONG)).unwrap();
    let mut results = join_all(handles, Some(Duration::from_millis(200))).unwrap();
    assert_eq!(results.remove(2).unwrap(), 3);
    let late = results.remove(1).unwrap_err();
    assert_eq!(late.outcome(), Outcome::Cancelled);
    assert!(late.to_string().contains("the time for all of them passed"), "{late}");
    assert_eq!(results.remove(0).unwrap(), 1);
    ledger.close(&pool);
}

#[test]
fn iv_15_nothing_is_taken_together_after_a_shutdown() {
    let (pool, ran) = (Pool::new(2), Count::new());
    common::over(&pool.shutdown(Shutdown::drain()));
    let task = || {
        let ran = ran.clone();
        move |_: &Me<'_>| Ok::<_, Broke>(ran.up())
    };
    let all = pool.submit_many([task(), task()]).unwrap_err();
    assert_eq!((all.reason, all.accepted.len(), all.rejected.len()), (RejectReason::Terminated, 0, 2));
    for timeout in [None, Some(LONG)] {
        let any = pool.first_success([task(), task()], timeout).unwrap_err();
        assert!(matches!(any, FirstError::Rejected(RejectReason::Terminated)), "{any}");
    }
    assert_eq!(ran.get(), 0);
    Ledger::new().close(&pool);
}

/// A thread cannot be interrupted in Rust; who may be told to stop submits under a token, before or while it waits.
#[test]
fn iv_16_a_token_ends_all_that_was_submitted_under_it_and_whoever_waits() {
    let (pool, ledger, begun, ran) = (Pool::new(2), Ledger::new(), Gate::new(), Count::new());
    begun.open();
    let token = CancelToken::new();
    let sleeper = || {
        let begun = begun.clone();
        move |task: &Me<'_>| {
            begun.pass();
            task.sleep(LONG)
        }
    };
    let submit = |_| ledger.keep(pool.task("s").cancelled_by(&token).submit_fallible(sleeper()).unwrap());
    let handles: Vec<Handle<()>> = (0..4).map(submit).collect();
    thread::scope(|threads| {
        let waiter = threads.spawn(|| join_all(handles, None).unwrap());
        begun.await_comers(2);
        token.cancel_with("the caller goes");
        for result in waiter.join().unwrap() {
            let reason = result.unwrap_err().cancel_reason().cloned();
            assert_eq!(reason, Some(CancelReason::Parent(Some("the caller goes".into()))));
        }
    });
    let count = ran.clone();
    let late = ledger.keep(pool.task("late").cancelled_by(&token).submit(move |_| count.up()).unwrap());
    assert_eq!(begun.comers(), 2, "those that waited never ran");
    let cancelled_before = common::failure(late);
    assert_eq!((cancelled_before.outcome(), ran.get()), (Outcome::Cancelled, 0), "it never runs");
    ledger.close(&pool);
}

#[test]
fn iv_19_completions_give_what_ended_and_wait_at_least_so_long() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let completions = Completions::new();
    let pass = gate.clone();
    let task = move |_: &Me<'_>| {
        pass.pass();
        4
    };
    let handle = ledger.keep(pool.submit(task).unwrap());
    let (id, watch) = (handle.id(), handle.watch());
    completions.push(handle);
    assert!(completions.poll_next().is_none());
    let began = now();
    assert!(completions.take_timeout(Duration::from_millis(12)).is_none());
    assert!(began.elapsed() >= Duration::from_millis(12));
    assert_eq!(completions.len(), 1);
    gate.open();
    let finished = completions.take().unwrap();
    assert_eq!((finished.id, finished.result.unwrap()), (id, 4));
    assert_eq!(watch.outcome(), Some(Outcome::Completed), "it is done when it is given");
    completions.push(ledger.keep(pool.submit(|_| 5).unwrap()));
    until("it has ended", || pool.outcomes().completed == 2);
    until("it can be polled", || {
        completions.poll_next().is_some_and(|next| next.result.is_ok_and(|n| n == 5))
    });
    assert!(completions.is_empty());
    ledger.close(&pool);
}

#[test]
fn iv_20_completions_of_a_task_that_runs_are_empty() {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let completions = Completions::new();
    let pass = gate.clone();
    completions.push(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    assert!(completions.poll_next().is_none());
    assert!(completions.take_timeout(Duration::ZERO).is_none());
    let began = now();
    assert!(completions.take_timeout(Duration::from_millis(12)).is_none());
    assert!(began.elapsed() >= Duration::from_millis(12));
    gate.open();
    assert!(completions.take_timeout(LONG).unwrap().result.is_ok());
    ledger.close(&pool);
}

#[test]
fn iv_22_the_first_answer_wins_or_all_are_used() {
    let (pool, ledger) = (Pool::new(4), Ledger::new());
    let submit = |task: Try| ledger.keep(pool.submit_fallible(task).unwrap());
    let all = Completions::new();
    (0..10).for_each(|n| all.push(submit(gives(n))));
    all.close();
    let answers = std::iter::from_fn(|| all.take()).map(|answer| answer.result.unwrap());
    assert_eq!(answers.sum::<u32>(), 45);
    let any = Completions::new();
    [sleeps(), later(gives(1)), sleeps()].into_iter().for_each(|task| any.push(submit(task)));
    any.close();
    assert_eq!(any.take().unwrap().result.unwrap(), 1);
    any.cancel_all();
    let losers: Vec<_> = std::iter::from_fn(|| any.take()).collect();
    assert_eq!(losers.len(), 2);
    assert!(losers.iter().all(|loser| loser.result.as_ref().is_err_and(|error| error.is_cancelled())));
    ledger.close(&pool);
}

#[test]
fn iv_23_a_producer_and_a_consumer_agree() {
    const TASKS: u64 = 10_000;
    let pool: Pool<Stateless> = Pool::builder().workers(2..=2).queue(64).build().unwrap();
    let (ledger, completions, done) = (Ledger::new(), Completions::new(), AtomicBool::new(false));
    thread::scope(|threads| {
        let producers: Vec<_> = (0..2_u64)
            .map(|part| {
                let (completions, pool, ledger) = (completions.clone(), &pool, &ledger);
                threads.spawn(move || {
                    for n in (part..TASKS).step_by(2) {
                        completions.push(ledger.keep(pool.submit(move |_| n).unwrap()));
                    }
                })
            })
            .collect();
        let consumer = threads.spawn(|| {
            let (mut count, mut sum) = (0, 0);
            while let Some(finished) = completions.take() {
                count += 1;
                sum += finished.result.unwrap();
            }
            done.store(true, SeqCst);
            (count, sum)
        });
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        some_time();
        assert!(!done.load(SeqCst), "it is not over before it is closed");
        completions.close();
        assert_eq!(consumer.join().unwrap(), (TASKS, TASKS * (TASKS - 1) / 2));
    });
    assert_eq!(ledger.close(&pool).outcomes.completed, TASKS);
}
