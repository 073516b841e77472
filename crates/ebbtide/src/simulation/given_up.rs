//! One scene for one rare fault: a process ends just when a deadline gives it up with its task.
//!
//! Seed 8463 of the whole simulation met it. Here every worker runs a task that does not obey, and the deadline comes at once: each is killed and given up in one
//! go, and the first of them may be gone before the last was.

use std::{sync::Arc, time::Duration};

use super::{
    child::{self, Deed},
    director::World,
    processes::Stage,
    town::Town,
};
use crate::{
    pool::{Pool, Shutdown},
    sync,
    worker::remote::{WorkerCommand, machine::simulated as machine},
};

pub(super) fn run(world: World) {
    let World { mut dice, verbose, .. } = world;
    let town = Town::new(dice.fork(), false, verbose);
    // Nothing else is to happen.
    town.faults.store(false, std::sync::atomic::Ordering::SeqCst);
    let starts = Arc::clone(&town);
    machine::begin(Arc::new(move |pid| child::start(&starts, pid)), 4096, false);
    let workers = 1 + dice.below(3);
    let pool = Pool::processes(WorkerCommand::program(child::LINE[0]).arg(child::LINE[1]))
        .workers(workers..=workers)
        .build()
        .expect("the options are right");
    let stage = Stage { pool, town };
    for _ in 0..workers {
        let hour = Deed::Stubborn(Duration::from_secs(3600));
        let leaf = stage.town.leaf([hour; 2], false, false);
        let handle = stage.pool.submit(leaf.number).expect("it is open and has room");
        stage.town.accept(leaf, handle);
    }
    while stage.pool.stats().running_tasks.is_empty() {
        sync::park_timeout(Duration::from_millis(10));
    }
    // Others may begin meanwhile, or are sent behind one that has.
    sync::park_timeout(dice.span());
    let closing = stage.shutdown(Shutdown::abort().within(Duration::from_micros(1)).grace(Duration::ZERO));
    let report = closing.wait().expect("this is no worker of it");
    assert!(report.law_holds() && report.running == 0, "{report}");
    stage.settle();
    assert_eq!(machine::end(), 0, "processes are alive");
}
