//! Executor cases ST: the states of a pool, and asking for them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each group uses its part of the helpers")]
mod common;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Gate, Ledger, over, value};
use ebbtide::{Event, Outcomes, Phase, Pool, Shutdown};

#[test]
fn st_01_a_fresh_pool_is_not_shut_down_and_then_it_is() {
    let pool = Pool::new(1);
    assert_eq!(pool.phase(), Phase::Running);
    let closing = pool.shutdown(Shutdown::drain());
    assert!(pool.phase() > Phase::Running);
    over(&closing);
    Ledger::new().close(&pool);
}

#[test]
fn st_02_terminated_is_false_until_the_last_task_has_ended() {
    let (pool, ledger, gate) = (Arc::new(Pool::new(1)), Ledger::new(), Gate::new());
    let (inside, pass) = (Arc::downgrade(&pool), gate.clone());
    let handle = ledger.keep(
        pool.submit(move |_| {
            let before = inside.upgrade().map(|pool| pool.phase());
            pass.pass();
            (before, inside.upgrade().map(|pool| pool.phase()))
        })
        .unwrap(),
    );
    gate.await_comers(1);
    assert_eq!(pool.phase(), Phase::Running);
    let closing = pool.shutdown(Shutdown::drain());
    assert_eq!(pool.phase(), Phase::Draining);
    assert!(!closing.is_over());
    gate.open();
    closing.wait_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(pool.phase(), Phase::Terminated);
    assert!(closing.is_over());
    assert_eq!(value(handle), (Some(Phase::Running), Some(Phase::Draining)));
    ledger.close(&pool);
}

#[test]
fn st_05_a_terminated_pool_says_so_everywhere() {
    let (pool, ledger) = (Pool::builder().workers(2..=4).build().unwrap(), Ledger::new());
    for n in 0..20 {
        assert_eq!(value(ledger.keep(pool.submit(move |_| n).unwrap())), n);
    }
    let closing = pool.shutdown(Shutdown::drain());
    over(&closing);
    let stats = pool.stats();
    assert_eq!(stats.phase, Phase::Terminated);
    assert_eq!((stats.queued, stats.running, stats.waiting_for_room, stats.untaken), (0, 0, 0, 0));
    assert_eq!((stats.workers.alive, stats.workers.idle, stats.workers.abandoned), (0, 0, 0));
    assert_eq!((stats.accepted, stats.outcomes.completed), (20, 20));
    assert!(stats.running_tasks.is_empty() && pool.waiting().is_empty());
    assert!(pool.take_returned().is_empty());
    closing.wait_timeout(Duration::ZERO).unwrap();
    ledger.close(&pool);
}

#[test]
fn st_07_a_pool_without_tasks_has_terminated_when_shutdown_returns() {
    for shutdown in [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()] {
        let pool = Pool::builder().workers(4..=8).build().unwrap();
        let closing = pool.shutdown(shutdown);
        assert!(closing.is_over());
        assert_eq!(pool.phase(), Phase::Terminated);
        assert_eq!(pool.stats().workers.started, 0);
        Ledger::new().close(&pool);
    }
}

/// Every order of three requests, the last task's end put before, between and after them; with and without a queue.
#[test]
fn st_09_phases_only_go_forward_in_every_order_of_events() {
    every_order(|told| {
        let terminated = told.iter().filter(|phase| **phase == Phase::Terminated).count();
        assert_eq!(terminated, 1, "{told:?}");
        let distinct: HashSet<_> = told.iter().collect();
        assert_eq!(distinct.len(), told.len(), "each phase at most once: {told:?}");
    });
}

/// The phases are entered in order (above), and told in that order, whichever threads entered them.
#[test]
fn phase_events_are_told_in_the_order_of_the_phases() {
    for _ in 0..20 {
        every_order(|told| {
            assert!(told.is_sorted(), "{told:?}");
            assert_eq!(told.last(), Some(&Phase::Terminated));
        });
    }
}

fn every_order(check: impl Fn(&[Phase])) {
    let [drain, stop, abort] = [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()];
    let orders = [
        [drain, stop, abort],
        [drain, abort, stop],
        [stop, drain, abort],
        [stop, abort, drain],
        [abort, drain, stop],
        [abort, stop, drain],
    ];
    for order in orders {
        for opened_at in 0..=order.len() {
            for queued in [0, 3] {
                check(&one_order(order, opened_at, queued));
            }
        }
    }
}

/// Holds what the pool itself says of its phases against their order; gives what its events told.
fn one_order(order: [Shutdown; 3], opened_at: usize, queued: usize) -> Vec<Phase> {
    let entered = Arc::new(Mutex::new(Vec::new()));
    let book = Arc::clone(&entered);
    let hook = move |event: &Event| {
        if let Event::PhaseChanged { phase, .. } = event {
            book.lock().unwrap().push(*phase);
        }
    };
    let pool = Pool::builder().workers(1..=1).on_event(hook).build().unwrap();
    let (ledger, gate) = (Ledger::new(), Gate::new());
    let pass = gate.clone();
    drop(ledger.keep(pool.submit(move |_| pass.pass()).unwrap()));
    gate.await_comers(1);
    for _ in 0..queued {
        drop(ledger.keep(pool.submit(|_| ()).unwrap()));
    }
    let mut seen = vec![pool.phase()];
    for (step, shutdown) in order.into_iter().enumerate() {
        if step == opened_at {
            gate.open();
        }
        drop(pool.shutdown(shutdown));
        seen.push(pool.phase());
    }
    gate.open();
    let report = ledger.close(&pool);
    seen.push(pool.phase());
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen[0], Phase::Running);
    assert_eq!(report.outcomes.completed + report.outcomes.returned, 1 + queued as u64, "{report}");
    entered.lock().unwrap().clone()
}

#[test]
fn st_11_a_new_pool_has_nothing_but_its_options() {
    let builder = Pool::builder().name("quiet").workers(3..=5).queue(7).deadline(Duration::from_secs(9));
    let pool = builder.build().unwrap();
    let stats = pool.stats();
    assert_eq!((&*stats.pool, pool.name()), ("quiet", "quiet"));
    assert_eq!((stats.phase, stats.generation, stats.paused), (Phase::Running, 1, false));
    assert_eq!((stats.workers.min, stats.workers.max), (3, 5));
    assert_eq!(
        (stats.workers.alive, stats.workers.idle, stats.workers.peak, stats.workers.started),
        (0, 0, 0, 0)
    );
    assert_eq!((stats.accepted, stats.queued, stats.running, stats.rejected), (0, 0, 0, 0));
    assert_eq!(stats.outcomes, Outcomes::default());
    assert_eq!((stats.broken, pool.deadline()), (None, Duration::from_secs(9)));
    assert!(pool.waiting().is_empty());
    Ledger::new().close(&pool);
}
