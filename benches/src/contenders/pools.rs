//! Thread pools for closures: threadpool, rusty_pool, workerpool, executors.

use std::time::Duration;

use executors::{Executor, crossbeam_channel_pool, crossbeam_workstealing_pool as stealing, parker};
use workerpool::thunk::{Thunk, ThunkWorker};

use crate::contender::{Contender, NotOffered, Reply, Setup, Wait, replying};

/// `threadpool`: a `std::sync::mpsc` channel behind a mutex. No handles: tasks reply through a `oneshot` channel.
pub(crate) struct ThreadPool(threadpool::ThreadPool);

/// `rusty_pool`: a crossbeam channel, core and maximum size the same. Handles of its own.
pub(crate) struct RustyPool(rusty_pool::ThreadPool);

/// `workerpool`: workers with state, here those that run thunks. No handles: tasks reply through a `oneshot` channel.
pub(crate) struct WorkerPool(workerpool::Pool<ThunkWorker<()>>);

/// `executors`, the pool on a crossbeam channel. No handles for closures: tasks reply through a `oneshot` channel.
pub(crate) struct Channel(crossbeam_channel_pool::ThreadPool);

/// `executors`, the work-stealing pool, with the parker it recommends for the number of threads. No handles for closures: tasks reply
/// through a `oneshot` channel.
pub(crate) enum Stealing {
    UpTo32(stealing::ThreadPool<parker::StaticParker<parker::SmallThreadData>>),
    More(stealing::ThreadPool<parker::StaticParker<parker::DynamicThreadData>>),
}

const GAVE_UP: NotOffered = NotOffered("WRONG: its shutdown gave up waiting");

impl Contender for ThreadPool {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        Ok(Self(threadpool::ThreadPool::new(setup.unbounded()?)))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.execute(task);
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
        let (task, reply) = replying(task);
        self.0.execute(task);
        reply
    }

    /// `join` waits for the tasks; the threads end some time after.
    fn drain(self) -> Result<(), NotOffered> {
        self.0.join();
        Ok(())
    }
}

impl Contender for RustyPool {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let workers = setup.unbounded()?;
        let pool = rusty_pool::ThreadPool::new(workers, workers, Duration::from_secs(60));
        pool.start_core_threads();
        Ok(Self(pool))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.execute(task);
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        task: F,
    ) -> rusty_pool::JoinHandle<T> {
        self.0.evaluate(task)
    }

    fn drain(self) -> Result<(), NotOffered> {
        self.0.shutdown_join();
        Ok(())
    }
}

impl<T: Send> Wait<T> for rusty_pool::JoinHandle<T> {
    fn wait(self) -> T {
        self.await_complete()
    }
}

impl Contender for WorkerPool {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        Ok(Self(workerpool::Pool::new(setup.unbounded()?)))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.execute(Thunk::of(task));
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
        let (task, reply) = replying(task);
        self.0.execute(Thunk::of(task));
        reply
    }

    /// `join` waits for the tasks; the threads end some time after.
    fn drain(self) -> Result<(), NotOffered> {
        self.0.join();
        Ok(())
    }
}

impl Contender for Channel {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        Ok(Self(crossbeam_channel_pool::ThreadPool::new(setup.unbounded()?)))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.execute(task);
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
        let (task, reply) = replying(task);
        self.0.execute(task);
        reply
    }

    /// Gives up after its own timeout, which is then said.
    fn drain(self) -> Result<(), NotOffered> {
        self.0.shutdown_borrowed().map_err(|_| GAVE_UP)
    }
}

/// Its threads end only when told to.
impl Drop for Channel {
    fn drop(&mut self) {
        // An error says that it was told already.
        drop(self.0.shutdown_borrowed());
    }
}

impl Contender for Stealing {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        Ok(match setup.unbounded()? {
            workers @ ..=32 => Self::UpTo32(stealing::small_pool(workers)),
            workers => Self::More(stealing::dyn_pool(workers)),
        })
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        match self {
            Self::UpTo32(pool) => pool.execute(task),
            Self::More(pool) => pool.execute(task),
        }
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
        let (task, reply) = replying(task);
        self.execute(task);
        reply
    }

    fn drain(self) -> Result<(), NotOffered> {
        Err(NotOffered("its shutdown overtakes what waits: queued tasks are left unrun"))
    }
}

impl Stealing {
    fn shutdown(&self) -> Result<(), String> {
        match self {
            Self::UpTo32(pool) => pool.shutdown_borrowed(),
            Self::More(pool) => pool.shutdown_borrowed(),
        }
    }
}

/// Dropped without a shutdown, its workers panic.
impl Drop for Stealing {
    fn drop(&mut self) {
        // An error says that it was told already.
        drop(self.shutdown());
    }
}
