//! Workers that are ready before they are needed: a worker that was killed is replaced in the time it takes to notice.

use std::sync::Arc;

use super::{boot, death::Verdict, plan::Plan, process::WorkerProcess};
use crate::{
    sync::{self, Mutex},
    task::{id::WorkerId, seat::Seat},
    worker::craft::WorkerInfo,
};

/// The stack of the thread that starts spares.
const STACK: usize = 256 << 10;

pub(super) struct Spares(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    ready: Vec<WorkerProcess>,
    /// Somebody is filling it.
    filling: bool,
    /// The one that is being started.
    starting: Option<Arc<Seat>>,
    closed: bool,
}

impl Default for Spares {
    fn default() -> Self {
        Self(Mutex::new(Shelf::default()))
    }
}

impl Spares {
    /// One that is still alive.
    pub(super) fn take(&self) -> Option<WorkerProcess> {
        let mut shelf = self.0.lock();
        while let Some(spare) = shelf.ready.pop() {
            if spare.wire.kin.wait(std::time::Duration::ZERO).is_none() {
                return Some(spare);
            }
        }
        None
    }

    /// Sees that there are as many as are wanted, on a thread of its own. One that cannot be started is tried again when the next worker is.
    pub(super) fn refill(&self, plan: &Arc<Plan>) {
        {
            let mut shelf = self.0.lock();
            if shelf.closed || shelf.filling || shelf.ready.len() >= plan.wishes.spares {
                return;
            }
            shelf.filling = true;
        }
        let weak = Arc::downgrade(plan);
        let started = sync::spawn("ebbtide-spares".to_owned(), Some(STACK), move || {
            while let Some(plan) = weak.upgrade() {
                if !plan.spares.add_one(&plan) {
                    return;
                }
            }
        });
        if started.is_err() {
            self.0.lock().filling = false;
        }
    }

    /// False once there are enough, or no more to be had.
    fn add_one(&self, plan: &Arc<Plan>) -> bool {
        let seat = Arc::new(Seat::new(WorkerId(0), "spare".into(), 0, 0));
        {
            let mut shelf = self.0.lock();
            if shelf.closed {
                shelf.filling = false;
                return false;
            }
            shelf.starting = Some(Arc::clone(&seat));
        }
        let spare = boot::start(plan, &WorkerInfo::of(&seat), None);
        let mut shelf = self.0.lock();
        shelf.starting = None;
        match spare {
            Ok(spare) if !shelf.closed => {
                shelf.ready.push(spare);
                shelf.filling = shelf.ready.len() < plan.wishes.spares;
            }
            Ok(spare) => {
                shelf.filling = false;
                end(&spare);
            }
            Err(_) => shelf.filling = false,
        }
        shelf.filling
    }

    pub(super) fn close(&self) {
        let (ready, starting) = {
            let mut shelf = self.0.lock();
            shelf.closed = true;
            (std::mem::take(&mut shelf.ready), shelf.starting.take())
        };
        // Whoever starts it sees the one, or has set the other by now.
        if let Some(seat) = starting {
            seat.abort();
            if let Some(post) = seat.post() {
                let _ = post.end(None, None);
            }
        }
        ready.iter().for_each(end);
    }
}

/// It has no tasks and no state: there is nothing to wait for.
fn end(spare: &WorkerProcess) {
    spare.wire.kill(Verdict::Leaving);
    let _ = spare.wire.kin.wait(std::time::Duration::from_secs(1));
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.close();
    }
}
