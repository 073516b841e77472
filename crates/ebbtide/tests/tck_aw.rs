//! Executor cases AW: waiting for the end. There is nothing to wait with before a shutdown or restart was asked for: both
//! give the handle that waits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{sync::Arc, thread, time::Duration};

use common::{Gate, LONG, Ledger, Me, over, value};
use ebbtide::{Event, Phase, Pool, Shutdown, WaitError};

/// A pool whose only worker waits at a gate, and its ledger.
fn blocked() -> (Pool<ebbtide::Stateless>, Ledger, Gate) {
    let (pool, ledger, gate) = (Pool::new(1), Ledger::new(), Gate::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    (pool, ledger, gate)
}

#[test]
fn aw_01_no_time_to_wait_says_at_once_who_still_runs() {
    let (pool, ledger, gate) = blocked();
    let closing = pool.shutdown(Shutdown::drain());
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(1)] {
        let still = closing.wait_timeout(timeout).unwrap_err();
        assert_eq!((still.waited, still.running.len()), (timeout, 1), "{still}");
        assert!(!still.would_deadlock);
    }
    thread::scope(|threads| {
        let waiter = threads.spawn(|| closing.wait_timeout(Duration::MAX).is_ok());
        gate.open();
        assert!(waiter.join().unwrap(), "the longest time there is does not overflow");
    });
    ledger.close(&pool);
}

#[test]
fn aw_03_after_a_shutdown_the_wait_ends_well() {
    let (pool, ledger) = (Pool::new(2), Ledger::new());
    value(ledger.keep(pool.submit(|_| ()).unwrap()));
    let closing = pool.shutdown(Shutdown::drain());
    assert!(closing.wait_timeout(Duration::from_secs(10)).is_ok());
    assert!(common::block_on(closing.clone()).law_holds(), "a closing is a plain future too");
    ledger.close(&pool);
}

/// Who does not want to end a pool can wait for its end with its events.
#[test]
fn aw_04_a_pool_that_was_not_shut_down_does_not_end() {
    let (pool, ledger) = (Pool::new(1), Ledger::new());
    value(ledger.keep(pool.submit(|_| ()).unwrap()));
    let mut events = pool.events();
    let ended = |event: &Event| matches!(event, Event::PhaseChanged { phase: Phase::Terminated, .. });
    assert_eq!(events.next_timeout(Duration::from_millis(100)).filter(ended), None);
    assert_eq!(pool.phase(), Phase::Running);
    over(&pool.shutdown(Shutdown::drain()));
    let told: Vec<_> = events.collect();
    assert_eq!(told.iter().filter(|event| ended(event)).count(), 1, "the stream says so, and ends: {told:?}");
    ledger.close(&pool);
}

#[test]
fn aw_05_the_wait_ends_when_the_last_task_does() {
    let (pool, ledger, gate) = blocked();
    let closing = pool.shutdown(Shutdown::drain());
    assert!(closing.wait_timeout(Duration::from_millis(100)).is_err());
    gate.open();
    assert!(closing.wait_timeout(Duration::from_secs(10)).is_ok());
    ledger.close(&pool);
}

#[test]
fn aw_06_a_terminated_pool_needs_no_time() {
    let (pool, ledger, gate) = blocked();
    gate.open();
    let closing = pool.shutdown(Shutdown::stop());
    over(&closing);
    assert!(closing.wait_timeout(Duration::ZERO).is_ok());
    assert!(pool.shutdown(Shutdown::abort()).wait_timeout(Duration::ZERO).is_ok());
    ledger.close(&pool);
}

#[test]
fn aw_08_a_task_that_waits_for_its_own_pool_is_told_so_at_once() {
    let (pool, ledger) = (Arc::new(Pool::new(1)), Ledger::new());
    let own = Arc::downgrade(&pool);
    let handle = ledger.keep(
        pool.submit(move |task: &Me<'_>| {
            let child = task.submit(|_| ()).unwrap();
            let handle_says = matches!(child.wait(), Err(WaitError::WouldDeadlock));
            let closing = own.upgrade().unwrap().shutdown(Shutdown::drain());
            (handle_says, closing.wait_timeout(LONG).is_err_and(|still| still.would_deadlock))
        })
        .unwrap(),
    );
    assert_eq!(value(handle), (true, true));
    ledger.executed(1);
    ledger.close(&pool);
}
