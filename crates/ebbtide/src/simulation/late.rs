//! One scene for one rare fault: a worker has taken a task and not begun it when, at the deadline, everybody is given up.
//!
//! Seed 72319 of the whole simulation met it once in seventy thousand. Here nothing else happens, on a slow machine, so that one run in some
//! thousands does.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use super::director::{Machine, World};
use crate::{
    pool::{Pool, Shutdown},
    sync::{self, atomic::AtomicBool},
    task::outcome::Outcome,
};

pub(super) fn run(world: World) {
    let World { mut dice, machine, .. } = world;
    if machine == Machine::Quick {
        // There time stands while a worker goes from the one to the other.
        return;
    }
    let pool = Pool::builder().workers(1..=1).queue(4).build().expect("the options are right");
    let open = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..1 + dice.below(3))
        .map(|_| {
            let open = Arc::clone(&open);
            let body = move || {
                while !open.load(SeqCst) {
                    sync::park_timeout(Duration::from_secs(1));
                }
            };
            pool.submit(move |_| body()).expect("it is open and has room")
        })
        .collect();
    let shutdown = Shutdown::abort().within(Duration::from_micros(1)).grace(Duration::ZERO);
    // Without a time-out: where nobody but this one waits for the clock, it may jump to that while the pool has its next turn before it.
    let report = pool.shutdown(shutdown).wait().expect("this is no worker of it");
    assert!(report.law_holds() && report.running == 0, "over, and somebody runs: {report}");
    for handle in handles {
        let ended = handle.wait().map_err(|error| error.task().map(|error| error.outcome()));
        assert!(matches!(ended, Err(Some(Outcome::Abandoned | Outcome::Returned))), "{ended:?}: {report}");
    }
    open.store(true, SeqCst);
    drop(pool.take_returned());
    // Whoever was abandoned looks once a second, and needs the clock for that.
    while Arc::strong_count(&open) > 1 {
        sync::park_timeout(Duration::from_secs(1));
    }
}
