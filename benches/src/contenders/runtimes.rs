//! Pools that belong to a runtime: rayon, tokio (three ways), blocking, affinitypool.
//!
//! Where a handle is a future the submitting thread waits for it with `futures_lite::future::block_on`.

use std::{future::Future, time::Duration};

use tokio::{runtime::Runtime, task::JoinHandle, time::Instant};

use crate::contender::{Contender, NotOffered, Reply, Setup, Wait, replying};

/// `rayon`, a pool of its own, `spawn`. No handles: tasks reply through a `oneshot` channel.
pub(crate) struct Rayon(pub(crate) rayon::ThreadPool);

/// `tokio`, `spawn_blocking` with as many blocking threads as there are workers.
pub(crate) struct SpawnBlocking(Runtime);

/// `tokio`, `spawn` of a future without an await on the multi-thread runtime.
pub(crate) struct Spawn(Runtime);

/// `tokio`, `interval` in a task of its own on a runtime like that of `spawn`, with its timers.
pub(crate) struct Interval(Spawn);

/// `blocking`: one pool per process, sized by `BLOCKING_MAX_THREADS`, which the race sets for the contender's process.
pub(crate) struct Blocking;

/// `affinitypool`: sharded queues. Its only way in gives a future, and dropping that cancels the task.
pub(crate) struct Affinity(affinitypool::Threadpool);

/// A future, waited for by the thread that holds it.
struct Waited<F>(F);

impl Contender for Rayon {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(setup.unbounded()?).build();
        Ok(Self(pool.expect("threads can be started")))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.spawn(task);
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
        let (task, reply) = replying(task);
        self.0.spawn(task);
        reply
    }
}

impl Contender for SpawnBlocking {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let workers = setup.unbounded()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(workers)
            .build();
        Ok(Self(runtime.expect("threads can be started")))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        drop(self.0.spawn_blocking(task));
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> JoinHandle<T> {
        self.0.spawn_blocking(task)
    }
}

impl Contender for Spawn {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let workers = setup.unbounded()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build();
        Ok(Self(runtime.expect("threads can be started")))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        drop(self.0.spawn(async move { task() }));
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> JoinHandle<T> {
        self.0.spawn(async move { task() })
    }
}

impl Contender for Interval {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let workers = setup.unbounded()?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_time().build();
        Ok(Self(Spawn(runtime.expect("threads can be started"))))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.execute(task);
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> JoinHandle<T> {
        self.0.submit(task)
    }

    fn every(&self, period: Duration, mut run: impl FnMut() + Send + 'static) -> Result<(), NotOffered> {
        // Its default for ticks that were missed is a burst.
        let first = Instant::now() + period;
        drop(self.0.0.spawn(async move {
            let mut interval = tokio::time::interval_at(first, period);
            loop {
                interval.tick().await;
                run();
            }
        }));
        Ok(())
    }
}

impl<T> Wait<T> for JoinHandle<T> {
    fn wait(self) -> T {
        futures_lite::future::block_on(self).expect("no task of the race fails")
    }
}

impl Contender for Blocking {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let workers = setup.unbounded()?.to_string();
        let sized = std::env::var("BLOCKING_MAX_THREADS").is_ok_and(|threads| threads == workers);
        if sized { Ok(Self) } else { Err(NotOffered("its one pool has another size in this process")) }
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        blocking::unblock(task).detach();
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> blocking::Task<T> {
        blocking::unblock(task)
    }
}

impl<T> Wait<T> for blocking::Task<T> {
    fn wait(self) -> T {
        futures_lite::future::block_on(self)
    }
}

impl Contender for Affinity {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        Ok(Self(affinitypool::Threadpool::new(setup.unbounded()?)))
    }

    fn detaches() -> Result<(), NotOffered> {
        Err(NotOffered("dropping its future cancels the task: nothing can be fired and forgotten"))
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.submit(task).wait();
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> impl Wait<T> {
        Waited(self.0.spawn(task))
    }
}

impl<F: Future> Wait<F::Output> for Waited<F> {
    fn wait(self) -> F::Output {
        futures_lite::future::block_on(self.0)
    }
}
