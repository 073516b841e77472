//! Executor cases SS: scopes, whose tasks borrow and never outlive them. Leaving a scope is its join; that a handle or a borrow cannot
//! leave is the compiler's to say (the scope's documentation holds an example that must not compile).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use common::{Broke, Count, Gate, LONG, Ledger, Me, fall, now, over};
use ebbtide::{
    CancelReason, Completions, Outcome, Pool, RejectReason, Scope, ScopedHandle, Shutdown, Stateless,
    WaitError,
};

const SHORT: Duration = Duration::from_millis(40);

/// Closes a pool that had `tasks` tasks, none of whose handles left their scope.
fn close(pool: &Pool<Stateless>, tasks: u64) -> ebbtide::Outcomes {
    let ledger = Ledger::new();
    ledger.executed(tasks);
    ledger.close(pool).outcomes
}

/// A scoped task that only a cancel can end; counts when it was.
fn sleeper<'scope>(
    scope: &'scope Scope<'scope, '_, Stateless>,
    begun: &'scope Gate,
    asked: &'scope Count,
) -> ScopedHandle<'scope, ()> {
    let task = |task: &Me<'_>| {
        begun.pass();
        let slept = task.sleep(LONG);
        asked.up();
        slept
    };
    scope.submit_fallible(task).unwrap()
}

fn open_gate() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

#[test]
fn ss_01_an_empty_scope_returns() {
    let pool = Pool::new(1);
    assert_eq!(pool.scope(|_| 3), 3);
    assert_eq!(close(&pool, 0).total(), 0);
}

#[test]
fn ss_02_leaving_a_scope_waits_for_its_tasks() {
    let (pool, mut numbers, ran) = (Pool::new(2), vec![1, 2, 3, 4], Count::new());
    let sum = pool.scope(|scope| {
        for number in &mut numbers {
            let count = &ran;
            drop(scope.submit(move |task| {
                task.sleep(Duration::from_millis(20)).unwrap();
                *number *= 10;
                count.up()
            }));
        }
        scope.submit(|_| 7).unwrap().wait().unwrap()
    });
    assert_eq!((sum, ran.get()), (7, 4));
    assert_eq!(numbers, [10, 20, 30, 40]);
    close(&pool, 5);
}

#[test]
fn ss_04_a_scope_can_have_a_time() {
    let (pool, asked) = (Pool::new(2), Count::new());
    let in_time = pool.scope(|scope| {
        scope.cancel_after(24 * 60 * LONG);
        scope.submit(|_| 1).unwrap().wait()
    });
    assert_eq!(in_time.unwrap(), 1);
    for timeout in [SHORT, Duration::ZERO] {
        let (began, begun) = (now(), open_gate());
        let late = pool.scope(|scope| {
            scope.cancel_after(timeout);
            sleeper(scope, &begun, &asked).wait()
        });
        assert!(began.elapsed() >= timeout);
        let error = late.unwrap_err();
        assert!(error.to_string().contains("deadline"), "{error}");
        assert!(matches!(error.task().unwrap().outcome(), Outcome::Cancelled | Outcome::TimedOut));
    }
    close(&pool, 3);
}

#[test]
fn ss_05_cancel_and_time_are_seen_by_all_that_run_in_the_scope() {
    let (pool, asked) = (Pool::new(3), Count::new());
    for by_time in [false, true] {
        let begun = open_gate();
        pool.scope(|scope| {
            let handles: Vec<_> = (0..3).map(|_| sleeper(scope, &begun, &asked)).collect();
            begun.await_comers(3);
            if by_time {
                scope.cancel_after(SHORT)
            } else {
                scope.cancel()
            }
            for handle in handles {
                assert!(handle.wait().is_err());
            }
        });
    }
    assert_eq!(asked.get(), 6);
    close(&pool, 6);
}

/// Betters: any thread that the borrow checker lets see the scope may fork into it, and the scope waits for that too.
#[test]
fn ss_07_forks_from_other_threads_are_waited_for() {
    let (pool, ran) = (Pool::new(2), Count::new());
    pool.scope(|scope| {
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..5 {
                        drop(scope.submit(|_| ran.up()).unwrap());
                    }
                });
            }
        });
    });
    assert_eq!(ran.get(), 20);
    close(&pool, 20);
}

/// Without a join: leaving waits; leaving by a panic cancels first, and waits all the same.
#[test]
fn ss_08_a_scope_that_is_left_without_waiting_leaves_nobody_behind() {
    let (pool, ran, asked, begun) = (Pool::new(2), Count::new(), Count::new(), open_gate());
    pool.scope(|scope| {
        drop(scope.submit(|_| ran.up()).unwrap());
        drop(scope.submit(|_| ran.up()).unwrap());
    });
    assert_eq!(ran.get(), 2);
    let left = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            drop((sleeper(scope, &begun, &asked), sleeper(scope, &begun, &asked)));
            begun.await_comers(2);
            drop(scope.submit(|_| ran.up()).unwrap());
            fall("the owner falls")
        })
    }));
    assert_eq!(left.unwrap_err().downcast_ref::<&str>(), Some(&"the owner falls"));
    assert_eq!(asked.get(), 2, "both were asked, and had ended when the scope was left");
    let outcomes = close(&pool, 5);
    assert_eq!(outcomes.completed + outcomes.cancelled, 5);
    assert!(outcomes.cancelled >= 2);
}

/// A fork after the end of a scope does not compile. After a join of one task it is as good as before; on a pool that has ended
/// it is refused.
#[test]
fn ss_09_a_fork_that_comes_too_late_is_refused() {
    let (pool, ran) = (Pool::new(1), Count::new());
    pool.scope(|scope| {
        assert_eq!(scope.submit(|_| 1).unwrap().wait().unwrap(), 1);
        assert_eq!(scope.submit(|_| 2).unwrap().wait().unwrap(), 2);
        over(&pool.shutdown(Shutdown::drain()));
        let refused = scope.submit(|_| ran.up()).unwrap_err();
        assert_eq!(refused.reason(), &RejectReason::Terminated);
    });
    assert_eq!(ran.get(), 0);
    close(&pool, 2);
}

/// A second join of a task does not compile (waiting consumes the handle); a pool can be scoped any number of times, also nested.
#[test]
fn ss_10_scopes_follow_and_nest() {
    let (pool, ran) = (Pool::new(2), Count::new());
    for _ in 0..2 {
        pool.scope(|outer| {
            drop(outer.submit(|_| ran.up()).unwrap());
            pool.scope(|inner| drop(inner.submit(|_| ran.up()).unwrap()));
        });
    }
    assert_eq!(ran.get(), 4);
    close(&pool, 4);
    let alone = Pool::new(1);
    let inside = alone.scope(|scope| {
        let pool = &alone;
        let task = move |_: &Me<'_>| {
            pool.scope(|inner| inner.submit(|_| 1).map(drop).map_err(|error| error.reason().clone()))
        };
        scope.submit(task).unwrap().wait().unwrap()
    });
    assert_eq!(inside, Err(RejectReason::WouldDeadlock), "the last worker may not wait for itself");
    close(&alone, 1);
}

#[test]
fn ss_12_all_or_nothing_the_first_or_as_many_as_are_wanted() {
    let (pool, begun, asked) = (Pool::new(3), open_gate(), Count::new());
    let all: Result<Vec<u32>, WaitError> = pool.scope(|scope| {
        let handles: Vec<_> = (0..3).map(|n| scope.submit(move |_| n).unwrap()).collect();
        handles.into_iter().map(ScopedHandle::wait).collect()
    });
    assert_eq!(all.unwrap(), [0, 1, 2]);
    let broken = pool.scope(|scope| {
        let others = [sleeper(scope, &begun, &asked), sleeper(scope, &begun, &asked)];
        let failed = scope.submit_fallible(|_| Err::<(), _>(Broke(1))).unwrap().wait();
        scope.cancel();
        let cancelled = others.into_iter().map(|other| other.wait().unwrap_err());
        let reasons: Vec<_> = cancelled.map(|error| error.task().unwrap().cancel_reason().cloned()).collect();
        assert_eq!(reasons, [Some(CancelReason::Parent(None)), Some(CancelReason::Parent(None))]);
        failed
    });
    assert!(broken.unwrap_err().task().unwrap().is_failed(), "a failure cancels the rest");
    let (come, end) = (begun.clone(), asked.clone());
    let any = pool.first_success(
        (0..3).map(|n| {
            let (come, end) = (come.clone(), end.clone());
            move |task: &Me<'_>| {
                come.pass();
                if n == 1 {
                    return Ok(n);
                }
                let slept = task.sleep(LONG);
                end.up();
                slept.map(|()| n)
            }
        }),
        None,
    );
    assert_eq!(any.unwrap(), 1);
    let until = Completions::new();
    (0..9_u32).for_each(|n| until.push(pool.submit(move |_| n).unwrap()));
    until.close();
    let mut seen = 0;
    while seen < 4 && until.take().is_some() {
        seen += 1;
    }
    until.cancel_all();
    while until.take().is_some() {}
    assert_eq!(seen, 4);
    close(&pool, 3 + 3 + 3 + 9);
}

/// The picture of the tree is for the dashboard; the pool says who runs what, scoped tasks among them.
#[test]
fn ss_13_scoped_tasks_that_run_are_listed() {
    let (pool, gate) = (Pool::new(2), Gate::new());
    pool.scope(|scope| {
        let task = || {
            |task: &Me<'_>| {
                task.progress("half way");
                gate.pass();
            }
        };
        let handles = [scope.submit(task()).unwrap(), scope.submit(task()).unwrap()];
        gate.await_comers(2);
        let mut running: Vec<_> = pool.stats().running_tasks.iter().map(|running| running.task).collect();
        running.sort();
        assert_eq!(running, handles.each_ref().map(ScopedHandle::id));
        assert!(pool.stats().running_tasks.iter().all(|task| task.progress.as_deref() == Some("half way")));
        gate.open();
    });
    close(&pool, 2);
}
