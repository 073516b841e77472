//! Executor cases RJ: full queues, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use common::{Broke, Count, Gate, Ledger, Me, block_on, failure, over, until, value};
use ebbtide::{
    CancelReason, FirstError, Handle, Outcome, Phase, Pool, RejectReason, Shutdown, Stateless, WhenFull,
};

/// A pool of one worker and a queue of one, both taken.
struct Saturated {
    pool: Pool<Stateless>,
    ledger: Ledger,
    gate: Gate,
    waiting: Handle<&'static str>,
}

fn saturated(when_full: WhenFull) -> Saturated {
    let pool = Pool::builder().workers(1..=1).queue(1).when_full(when_full).build().unwrap();
    let (ledger, gate) = (Ledger::new(), Gate::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    let waiting = ledger.keep(pool.submit(|_| "waited").unwrap());
    Saturated { pool, ledger, gate, waiting }
}

/// Betters: the default waits for room; who does not want to wait says so and gets a typed error with the task in it.
#[test]
fn rj_01_by_default_a_submit_waits_and_a_try_is_refused_with_a_typed_error() {
    assert_eq!(WhenFull::default(), WhenFull::Wait);
    let full = saturated(WhenFull::default());
    let (ran, count) = (Count::new(), Count::new());
    let again = ran.clone();
    let error = full.pool.try_submit(move |_| again.up()).unwrap_err();
    assert!(error.is_full());
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    assert!(boxed.to_string().contains("full"), "{boxed}");
    let (pool, ledger) = (&full.pool, &full.ledger);
    thread::scope(|threads| {
        let waiter = threads.spawn(|| {
            let inner = count.clone();
            value(ledger.keep(pool.submit(move |_| inner.up()).unwrap()))
        });
        until("it waits for room", || pool.stats().waiting_for_room == 1);
        assert_eq!(count.get(), 0);
        full.gate.open();
        assert_eq!(waiter.join().unwrap(), 1);
    });
    assert_eq!(value(full.waiting), "waited");
    assert_eq!(ran.get(), 0, "a refused task never runs");
    full.ledger.close(&full.pool);
}

/// Tries every way in and gives how many tasks were refused, all with this reason.
fn try_every_way(pool: &Pool<Stateless>, reason: &RejectReason, ran: &Count) -> u64 {
    let task = || {
        let ran = ran.clone();
        move |_: &Me<'_>| ran.up()
    };
    let unit = || {
        let ran = ran.clone();
        move |_: &Me<'_>| {
            ran.up();
        }
    };
    let may_fail = || {
        let ran = ran.clone();
        move |_: &Me<'_>| Ok::<_, Broke>(ran.up())
    };
    assert_eq!(pool.submit(task()).unwrap_err().reason(), reason);
    assert_eq!(pool.try_submit(task()).unwrap_err().reason(), reason);
    assert_eq!(pool.submit_fallible(may_fail()).unwrap_err().reason(), reason);
    assert_eq!(pool.execute(unit()).unwrap_err().reason(), reason);
    assert_eq!(pool.try_execute(unit()).unwrap_err().reason(), reason);
    assert_eq!(block_on(pool.submit_async(task())).unwrap_err().reason(), reason);
    assert_eq!(pool.submitter().submit(task()).unwrap_err().reason(), reason);
    assert_eq!(pool.task("named").submit(task()).unwrap_err().reason(), reason);
    assert_eq!(pool.submit_many([task(), task()]).unwrap_err().rejected.len(), 2);
    let first = pool.first_success([may_fail()], None).unwrap_err();
    assert!(matches!(&first, FirstError::Rejected(given) if given == reason), "{first}");
    pool.scope(|scope| assert_eq!(scope.submit(task()).unwrap_err().reason(), reason));
    11
}

#[test]
fn rj_02_a_saturated_or_closed_pool_refuses_every_way_in_and_counts_nothing_else() {
    let full = saturated(WhenFull::Reject);
    let (ran, before) = (Count::new(), full.pool.stats());
    let refused = try_every_way(&full.pool, &RejectReason::Full, &ran);
    let after = full.pool.stats();
    assert_eq!(
        (after.accepted, after.queued, after.outcomes),
        (before.accepted, before.queued, before.outcomes)
    );
    assert_eq!(after.rejected, before.rejected + refused);
    let closing = full.pool.shutdown(Shutdown::drain());
    try_every_way(&full.pool, &RejectReason::ShuttingDown, &ran);
    full.gate.open();
    over(&closing);
    try_every_way(&full.pool, &RejectReason::Terminated, &ran);
    assert_eq!(ran.get(), 0);
    assert_eq!(value(full.waiting), "waited");
    assert_eq!(full.ledger.close(&full.pool).accepted, 2);
}

/// Betters: nothing is discarded silently; who wants to discard drops the error, and with it the task.
#[test]
fn rj_04_a_refusal_that_is_ignored_is_a_discarded_task() {
    struct Falls(Count);
    impl Drop for Falls {
        fn drop(&mut self) {
            self.0.up();
        }
    }
    let full = saturated(WhenFull::Reject);
    let (ran, dropped, before) = (Count::new(), Count::new(), full.pool.stats());
    for _ in 0..3 {
        let (ran, falls) = (ran.clone(), Falls(dropped.clone()));
        drop(full.pool.execute(move |_| {
            ran.up();
            drop(falls);
        }));
    }
    assert_eq!((ran.get(), dropped.get()), (0, 3), "nothing is left behind");
    assert_eq!(full.pool.stats().accepted, before.accepted);
    full.gate.open();
    full.ledger.close(&full.pool);
    assert_eq!(ran.get(), 0);
}

#[test]
fn rj_05_the_handle_of_a_shed_task_resolves() {
    let full = saturated(WhenFull::ShedOldest);
    let newcomer = full.ledger.keep(full.pool.submit(|_| "new").unwrap());
    let error = failure(full.waiting);
    assert_eq!(error.cancel_reason(), Some(&CancelReason::Shed), "{error}");
    full.gate.open();
    assert_eq!(value(newcomer), "new");
    full.ledger.close(&full.pool);
}

/// Betters: refused with an error, not dropped in silence; and what waits is not shed for it.
#[test]
fn rj_07_a_closing_pool_sheds_nobody_for_a_newcomer() {
    let full = saturated(WhenFull::ShedOldest);
    let closing = full.pool.shutdown(Shutdown::drain());
    let ran = Count::new();
    let again = ran.clone();
    let error = full.pool.submit(move |_| again.up()).unwrap_err();
    assert_eq!(error.reason(), &RejectReason::ShuttingDown);
    drop(error.into_task());
    full.gate.open();
    over(&closing);
    assert_eq!((value(full.waiting), ran.get()), ("waited", 0));
    full.ledger.close(&full.pool);
}

#[test]
fn rj_08_each_policy_does_what_it_says_and_no_more() {
    for policy in [WhenFull::Reject, WhenFull::CallerRuns, WhenFull::ShedOldest] {
        let Saturated { pool, ledger, gate, waiting } = saturated(policy);
        let result = pool.submit(|_| thread::current().id());
        let stats = pool.stats();
        common::assert_law(&stats);
        match policy {
            WhenFull::Reject => {
                assert!(result.unwrap_err().is_full());
                assert_eq!((stats.accepted, stats.queued, stats.rejected), (2, 1, 1));
            }
            WhenFull::CallerRuns => {
                let handle = ledger.keep(result.unwrap());
                assert_eq!(handle.outcome(), Some(Outcome::Completed), "it has run when submit returns");
                assert_eq!(value(handle), thread::current().id());
                assert_eq!((stats.accepted, stats.queued, stats.caller_runs), (3, 1, 1));
            }
            _ => {
                let handle = ledger.keep(result.unwrap());
                assert_eq!(handle.outcome(), None);
                assert_eq!((stats.accepted, stats.queued, stats.outcomes.cancelled), (3, 1, 1));
            }
        }
        let shed = policy == WhenFull::ShedOldest;
        assert_eq!(waiting.outcome(), shed.then_some(Outcome::Cancelled));
        gate.open();
        ledger.close(&pool);
    }
}

#[test]
fn rj_10_caller_runs_refuses_while_and_after_closing() {
    let full = saturated(WhenFull::CallerRuns);
    let ran = Count::new();
    let closing = full.pool.shutdown(Shutdown::drain());
    assert_eq!(full.pool.phase(), Phase::Draining);
    try_every_way(&full.pool, &RejectReason::ShuttingDown, &ran);
    full.gate.open();
    over(&closing);
    try_every_way(&full.pool, &RejectReason::Terminated, &ran);
    assert_eq!((ran.get(), full.pool.stats().caller_runs), (0, 0));
    full.ledger.close(&full.pool);
}

/// The policy has no getter; what a submit does is what was set. "None" cannot be said.
#[test]
fn rj_12_the_policy_can_be_changed_and_a_wrong_one_is_an_error() {
    let Saturated { pool, ledger, gate, waiting } = saturated(WhenFull::Reject);
    assert!(pool.submit(|_| ()).unwrap_err().is_full());
    pool.set_when_full(WhenFull::CallerRuns).unwrap();
    assert_eq!(value(ledger.keep(pool.submit(|_| thread::current().id()).unwrap())), thread::current().id());
    pool.set_when_full(WhenFull::ShedOldest).unwrap();
    drop(ledger.keep(pool.submit(|_| ()).unwrap()));
    assert_eq!(failure(waiting).cancel_reason(), Some(&CancelReason::Shed));
    gate.open();
    ledger.close(&pool);
    let stateful = Pool::builder().workers(1..=1).when_full(WhenFull::Reject).state(|_| 0).build().unwrap();
    let error = stateful.set_when_full(WhenFull::CallerRuns).unwrap_err();
    assert_eq!(error.option(), "when_full");
    let error = Pool::builder().when_full(WhenFull::CallerRuns).state(|_| 0).build().unwrap_err();
    assert_eq!(error.option(), "when_full");
}

/// Submitters that wait for room while the pool is told to stop: each gets its task back, or its task has an outcome.
#[test]
fn rj_14_those_who_wait_for_room_in_a_closing_pool_are_refused() {
    for mode in [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()] {
        let Saturated { pool, ledger, gate, waiting } = saturated(WhenFull::Wait);
        let ran = Arc::new(AtomicBool::new(false));
        thread::scope(|threads| {
            let (ran, pool) = (&ran, &pool);
            let submit = || {
                let ran = Arc::clone(ran);
                let refused = pool.submit(move |_| ran.store(true, SeqCst)).unwrap_err();
                let reason = refused.reason().clone();
                drop(refused.into_task());
                reason
            };
            let waiters: Vec<_> = (0..4).map(|_| threads.spawn(submit)).collect();
            until("four wait for room", || pool.stats().waiting_for_room == 4);
            drop(pool.shutdown(mode));
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), RejectReason::ShuttingDown);
            }
        });
        gate.open();
        ledger.close(&pool);
        assert!(!ran.load(SeqCst));
        assert!(waiting.is_finished());
    }
}
