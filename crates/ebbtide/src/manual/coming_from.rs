//! Coming from Piscina, the JDK, Spring, rayon, tokio, gunicorn or Python: their names, ours, and what is different.
//!
//! Familiar names also lead here through the search of these pages: try `shutdownNow`, `maxtasksperchild` or `spawn_blocking`.
//!
//! Three things are different from nearly all of them:
//! - a task that was **rejected** was never accepted, and is given back; one that was accepted has exactly one [`Outcome`];
//! - cancelling **asks**: a body has to look, and the outcome says how it ended, not what was asked;
//! - a stop has a **deadline**, resolves every handle, hands back what it did not start and says what it did.
//!
//! # Piscina
//!
//! Its worker files run unmodified on processes: `Pool::processes(WorkerCommand::node("worker.js"))`, see [`processes`](super::processes).
//!
//! | there | here | different |
//! |---|---|---|
//! | `minThreads`, `maxThreads` | [`workers`](PoolBuilder::workers)`(min..=max)` | |
//! | `maxQueue` | [`queue`](PoolBuilder::queue), [`when_full`](PoolBuilder::when_full) | bounded by default; a full queue makes `submit` wait unless you choose otherwise |
//! | `idleTimeout` | [`idle_timeout`](PoolBuilder::idle_timeout) | 60 s by default |
//! | `concurrentTasksPerWorker` | [`concurrency`](crate::WorkerCommand::concurrency) | for asynchronous functions on processes; a thread runs one task at a time |
//! | `filename`, `name`, `workerData`, `execArgv` | [`node`](crate::WorkerCommand::node), [`export`](crate::WorkerCommand::export), [`data`](crate::WorkerCommand::data), [`arg`](crate::WorkerCommand::arg) | |
//! | `run(task)` | [`submit`](Pool#method.submit) | order is kept: with one producer and one worker, first in is first started |
//! | `run(task, { signal })` | [`cancelled_by`](Task::cancelled_by) | the body is asked; a thread is not ended under it, a process is, after the grace |
//! | `close()` | [`Shutdown::drain`], or [`Restart::drain`] to use the pool again | everything accepted is finished |
//! | `destroy()` | [`Shutdown::abort`], or [`Restart::abort`] | what waits is handed back, its handles resolve |
//! | `queueSize`, `completed` | [`Pool::stats`] | a snapshot in which the law holds |
//! | `waitTime`, `runTime`, `histogram` | [`Pool::timings`] | sampled by default |
//! | `resourceLimits` | [`Memory`](crate::Memory) on processes, [`Retirement::larger_than`] on threads | the whole process is measured, Buffers too; a thread's state reports a size |
//! | transferables, `isWorkerThread` | – | closures own what they move; a process says that it cannot take them |
//!
//! # The JDK
//!
//! | there | here | different |
//! |---|---|---|
//! | `newFixedThreadPool(n)` | `workers(n..=n)` | the queue is bounded |
//! | `ThreadPoolExecutor(core, max, keepAlive, queue)` | [`workers`](PoolBuilder::workers), [`idle_timeout`](PoolBuilder::idle_timeout), [`queue`](PoolBuilder::queue) | grows when tasks wait and nobody is idle, not only when the queue is full |
//! | `allowCoreThreadTimeOut(true)` | `workers(0..=n)` | |
//! | `submit`, `execute` | [`submit`](Pool#method.submit), [`execute`](Pool#method.execute) | a thrown error does not end the worker; it is an outcome |
//! | `Future.get(timeout)` | [`Handle::wait`], [`Handle::wait_timeout`] | resolves also when the pool ends |
//! | `Future.cancel(true)`, `Thread.interrupted()` | [`Handle::cancel`], [`Context::is_cancelled`](crate::Context::is_cancelled) | no interrupt of blocking calls |
//! | `invokeAll`, `invokeAny` | [`submit_many`](Pool#method.submit_many) and [`join_all`], [`first_success`](Pool#method.first_success) | |
//! | `ExecutorCompletionService` | [`Completions`] | |
//! | `shutdown()` | [`Shutdown::drain`] | children of running tasks are accepted; there is a deadline |
//! | `shutdownNow()` | [`Shutdown::abort`], [`Pool::take_returned`] | what is handed back has resolved handles |
//! | `awaitTermination` | [`Closing::wait_timeout`] | says who still runs |
//! | `isShutdown`, `isTerminated` | [`Pool::phase`] | |
//! | `AbortPolicy`, `CallerRunsPolicy`, `DiscardOldestPolicy` | [`WhenFull::Reject`], [`WhenFull::CallerRuns`], [`WhenFull::ShedOldest`] | waiting is the default |
//! | `DiscardPolicy` | – | a rejected task comes back; drop it |
//! | `beforeExecute`, `afterExecute` | [`decorate`](PoolBuilder::decorate) | |
//! | `ThreadFactory` | [`name`](PoolBuilder::name), [`stack_size`](PoolBuilder::stack_size), [`state`](PoolBuilder::state) | |
//! | `StructuredTaskScope` | [`Pool::scope`] | tasks may borrow |
//! | `ForkJoinPool`, parallel streams | – | use rayon |
//!
//! # Spring's `ThreadPoolTaskExecutor`
//!
//! | there | here | different |
//! |---|---|---|
//! | `corePoolSize`, `maxPoolSize`, `keepAliveSeconds` | [`workers`](PoolBuilder::workers), [`idle_timeout`](PoolBuilder::idle_timeout) | |
//! | `queueCapacity` | [`queue`](PoolBuilder::queue) | 1024, not unbounded |
//! | `waitForTasksToCompleteOnShutdown` | [`Shutdown::drain`] | |
//! | `awaitTerminationSeconds` | [`Shutdown::within`] | one deadline; near it a drain becomes an abort |
//! | `taskDecorator` | [`decorate`](PoolBuilder::decorate) | |
//! | `rejectedExecutionHandler` | [`when_full`](PoolBuilder::when_full) | |
//!
//! # rayon
//!
//! | there | here | different |
//! |---|---|---|
//! | `ThreadPoolBuilder::num_threads` | [`workers`](PoolBuilder::workers) | |
//! | `ThreadPool::spawn` | [`execute`](Pool#method.execute) | a panic is an outcome; the process goes on |
//! | `ThreadPool::install` | `submit(…)?.wait()` | the closure is `'static`; for borrows see [`Pool::scope`] |
//! | `scope` | [`Pool::scope`] | for a handful of larger tasks |
//! | `start_handler`, `exit_handler` | [`state`](PoolBuilder::state), [`on_retire`](PoolBuilder::on_retire) | |
//! | `join`, `par_iter` | – | stay with rayon: tasks here are whole pieces of work, not splits of a loop |
//! | dropping the pool | the same, or [`Pool::shutdown`] to know when it is over | |
//!
//! # tokio
//!
//! | there | here | different |
//! |---|---|---|
//! | `spawn_blocking(f).await` | `pool.submit_async(f).await?.await` | bounded; the pool can be shut down and says what it left |
//! | `JoinHandle` | [`Handle`] | also waits on a thread |
//! | `JoinHandle::abort` | [`Handle::cancel`] | a started body is asked and can look |
//! | `JoinSet` | [`Completions`] | |
//! | `CancellationToken`, `child_token` (tokio-util) | [`CancelToken`], [`CancelToken::child`] | |
//! | `max_blocking_threads`, `thread_keep_alive` | [`workers`](PoolBuilder::workers), [`idle_timeout`](PoolBuilder::idle_timeout) | |
//! | `Runtime::shutdown_timeout` | [`Shutdown::within`] | what did not end in time is named |
//!
//! ```
//! # fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #     let (mut future, waker) = (std::pin::pin!(future), std::task::Waker::noop());
//! #     let mut context = std::task::Context::from_waker(waker);
//! #     loop {
//! #         if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) { return value }
//! #         std::thread::yield_now();
//! #     }
//! # }
//! # let pool = ebbtide::Pool::new(2);
//! # block_on(async {
//! let digest = pool.submit_async(|_| (1..=10_u64).product::<u64>()).await?.await?; // on any runtime
//! assert_eq!(digest, 3_628_800);
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) }).unwrap();
//! ```
//!
//! # gunicorn
//!
//! | there | here | different |
//! |---|---|---|
//! | `workers`, `TTIN`, `TTOU` | [`workers`](PoolBuilder::workers), [`Pool::resize`] | |
//! | `max_requests` | [`Retirement::after_tasks`] | the replacement is warm first |
//! | `max_requests_jitter` | [`Retirement::jitter`] | in parts of one, not in requests |
//! | `timeout` | [`Task::timeout`] | per task, and the task is asked; a thread is not killed |
//! | `graceful_timeout` | [`Shutdown::within`], [`Shutdown::grace`] | |
//! | `HUP` | [`Restart::rolling`] | |
//! | `post_worker_init`, `worker_exit` | [`state`](PoolBuilder::state), [`on_retire`](PoolBuilder::on_retire) | |
//!
//! # Python
//!
//! | there | here | different |
//! |---|---|---|
//! | `ThreadPoolExecutor(max_workers=n)` | [`Pool::new`]`(n)` | the queue is bounded |
//! | `initializer` | [`state`](PoolBuilder::state) | what it builds is lent to each task |
//! | `submit`, `Future.result(timeout)` | [`submit`](Pool#method.submit), [`Handle::wait_timeout`] | |
//! | `map`, `as_completed` | [`submit_many`](Pool#method.submit_many) and [`join_all`], [`Completions`] | |
//! | `Future.cancel()` | [`Handle::cancel`] | also asks one that runs |
//! | `shutdown(wait=True)` | `shutdown(Shutdown::drain()).wait()` | with a deadline and a report |
//! | `shutdown(cancel_futures=True)` | [`Shutdown::stop`] | what waits comes back |
//! | `multiprocessing.Pool(maxtasksperchild=n)` | [`Retirement::after_tasks`] | threads, and warm replacements |
//! | `Pool.close`, `Pool.terminate`, `Pool.join` | [`Shutdown::drain`], [`Shutdown::abort`], [`Closing::wait`] | |

#[cfg(doc)]
use crate::{
    CancelToken, Closing, Completions, Handle, Outcome, Pool, PoolBuilder, Restart, Retirement, Shutdown,
    Task, WhenFull, join_all,
};
