//! One scene for one rare fault: a worker has taken a task and not begun it when, at the deadline, everybody is given up.
//!
//! Seed 72319 of the whole simulation met it, once in seventy thousand. Here nothing else happens, on a slow machine, so that a second is enough.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::director::{Machine, World};
use crate::{
    pool::{Pool, Shutdown},
    sync::{self, Thread},
    task::outcome::Outcome,
};

/// Bodies end when it is opened, whatever they are asked; until then it is who waits there.
#[derive(Clone)]
struct Door(Arc<Mutex<Option<Vec<Thread>>>>);

impl Door {
    fn wait(&self) {
        while self.closed() {
            sync::park();
        }
    }

    fn closed(&self) -> bool {
        let mut waiting = self.0.lock().expect("not poisoned");
        waiting.iter_mut().for_each(|waiting| waiting.push(sync::current()));
        waiting.is_some()
    }

    fn open(&self) {
        let waiting = self.0.lock().expect("not poisoned").take();
        waiting.iter().flatten().for_each(Thread::unpark);
    }
}

pub(super) fn run(world: World) {
    let World { mut dice, machine, .. } = world;
    if machine == Machine::Quick {
        // There time stands while a worker goes from the one to the other.
        return;
    }
    let pool = Pool::builder().workers(1..=1).queue(4).build().expect("the options are right");
    let door = Door(Arc::new(Mutex::new(Some(Vec::new()))));
    let handles: Vec<_> = (0..1 + dice.below(3))
        .map(|_| {
            let door = door.clone();
            pool.submit(move |_| door.wait()).expect("it is open and has room")
        })
        .collect();
    let shutdown = Shutdown::abort().within(Duration::from_micros(1)).grace(Duration::ZERO);
    // No limit: on a slow machine an hour may go by while somebody is just about to do it. Whoever waits for ever is a deadlock, and seen.
    let report = pool.shutdown(shutdown).wait().expect("not on a worker");
    assert!(report.law_holds() && report.running == 0, "over, and somebody runs: {report}");
    for handle in handles {
        let ended = handle.wait().map_err(|error| error.task().map(|error| error.outcome()));
        assert!(matches!(ended, Err(Some(Outcome::Abandoned | Outcome::Returned))), "{ended:?}: {report}");
    }
    door.open();
}
