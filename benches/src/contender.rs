//! What a pool must be able to do to take part, and what it may say it does not offer.
//!
//! Everything is generic over the closure, never boxed on the way: a pool that boxes pays for it, one that does not does not.

use std::{any::Any, fmt, time::Duration};

/// What a round asks a pool to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Exactly so many worker threads.
    pub(crate) workers: usize,
    pub(crate) queue: Room,
}

/// How many tasks may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Room {
    /// No submit of the round may wait: at least so many, or without bound where the peer knows none.
    Plenty(usize),
    /// So many and no more; a submit beyond blocks until there is room.
    Bounded(usize),
}

/// A contender cannot take part in a scenario, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotOffered(pub(crate) &'static str);

/// A pool in the race. The defaults are those of a pool that does not offer it.
pub(crate) trait Contender: Send + Sync + Sized + 'static {
    fn start(setup: Setup) -> Result<Self, NotOffered>;

    /// Whether a task can be submitted without keeping something of it.
    fn detaches() -> Result<(), NotOffered> {
        Ok(())
    }

    /// Fire and forget.
    fn execute<F: FnOnce() + Send + 'static>(&self, task: F);

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> impl Wait<T>;

    /// Many at once, in the pool's own way where it has one, else one by one.
    fn submit_many<T: Send + 'static, F: FnOnce() -> T + Send + 'static, I: Iterator<Item = F>>(
        &self,
        tasks: I,
    ) -> Vec<impl Wait<T>> {
        tasks.map(|task| self.submit(task)).collect()
    }

    /// Runs something again and again until the pool is gone: first after one period, then on a grid that does not drift, once for each of its
    /// points even if late.
    fn every(&self, _period: Duration, _run: impl FnMut() + Send + 'static) -> Result<(), NotOffered> {
        Err(NotOffered("has no schedules"))
    }

    /// Finishes everything accepted and returns when the workers are done.
    fn drain(self) -> Result<(), NotOffered> {
        Err(NotOffered("has no call that finishes what was accepted and waits for the end"))
    }

    /// Gives the unstarted tasks back and returns when the workers are done; gives how many came back, and them. `release` ends the
    /// running tasks, and must be called after the queue was closed.
    fn abort(&self, _release: impl FnOnce()) -> Result<(usize, Box<dyn Any>), NotOffered> {
        Err(NotOffered("has no call that hands unstarted tasks back"))
    }
}

/// Waiting on a thread for the value of a task.
pub(crate) trait Wait<T> {
    fn wait(self) -> T;
}

/// The handle of a pool that has none: the closure sends its value through a `oneshot` channel (one allocation, the quickest there is).
pub(crate) type Reply<T> = oneshot::Receiver<T>;

/// Wraps a task so that it replies.
pub(crate) fn replying<T: Send + 'static>(
    task: impl FnOnce() -> T + Send + 'static,
) -> (impl FnOnce() + Send + 'static, Reply<T>) {
    let (sender, receiver) = oneshot::channel();
    let task = move || {
        // Nobody waits for a detached task.
        drop(sender.send(task()));
    };
    (task, receiver)
}

impl<T> Wait<T> for Reply<T> {
    fn wait(self) -> T {
        self.recv().expect("the task replies before it ends")
    }
}

impl Setup {
    /// For pools without a bounded queue.
    pub(crate) fn unbounded(self) -> Result<usize, NotOffered> {
        match self.queue {
            Room::Plenty(_) => Ok(self.workers),
            Room::Bounded(_) => Err(NotOffered("its queue has no bound at which a submit waits")),
        }
    }
}

impl fmt::Display for NotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
