//! Workers that are processes: what they give, what they cost, and how they are written.
//!
//! A thread can be asked to stop, and abandoned. A process can be ended. So foreign code, code that leaks, and code that may hang or crash belongs
//! into processes; everything else about the pool stays as it is: the same queue, the same nine outcomes, the same stops, restarts and reports.
//!
//! # A pool
//!
//! ```no_run
//! use std::time::Duration;
//! use ebbtide::{ByteSize, Memory, Pool, Retirement, Shutdown, WorkerCommand};
//!
//! # #[derive(serde::Serialize)] struct Resize { file: String, width: u32 }
//! # #[derive(serde::Deserialize)] struct Resized { bytes: u64 }
//! fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     ebbtide::init(); // the first line of main: lets this executable be its own guardian
//!     let pool = Pool::processes(WorkerCommand::node("resize.js"))
//!         .workers(1..=4)
//!         .memory(Memory::retire_at(ByteSize::mib(400)).kill_at(ByteSize::mib(512)))
//!         .retire(Retirement::new().after_tasks(10_000))
//!         .build::<Resize, Resized>()?;
//!     let task = pool.task("cat.jpg").timeout(Duration::from_secs(10));
//!     let small = task.submit(Resize { file: "cat.jpg".into(), width: 200 })?.wait()?;
//!     println!("{} bytes", small.bytes);
//!     pool.shutdown(Shutdown::drain()).wait()?;
//!     Ok(())
//! }
//! ```
//! Requests and replies are whatever serde knows, as JSON; [`Raw`](crate::process::Raw) is bytes with a content type. A task names another function of its worker
//! with [`function`](crate::Task#method.function). Schedules take requests, too: `pool.every(d).start(|| request)`.
//!
//! # Workers
//!
//! | in | is | given as |
//! |---|---|---|
//! | Node.js 18 or newer | a file whose `module.exports` or `export default` is a function, or an object with named ones; sync or async. An unmodified Piscina worker file is one | [`node("file.js")`](crate::WorkerCommand::node) |
//! | Python 3.9 or newer | a function of a module, sync or async: `fn(body)` or `fn(body, task)` | [`python("module:function")`](crate::WorkerCommand::python) |
//! | Rust | a program whose `main` calls `ebbtide_worker::serve` | [`program("./resize")`](crate::WorkerCommand::program), or this very executable: [`current_exe("resize")`](crate::WorkerCommand::current_exe) |
//! | anything else | a program that speaks the protocol, which is one page (`docs/PROTOCOL.md`) | [`program`](crate::WorkerCommand::program) |
//!
//! In Node.js and Python a function is given its task as well, `(data, task)`, if it requires a second parameter. One with a default is its own: it is called with one
//! argument, as by Piscina or `multiprocessing`. Who takes fewer asks with `currentTask()` or `current_task()`.
//!
//! Nothing need be installed beside Node.js or Python themselves: the worker's side of the protocol comes with this crate. What a worker prints is kept (the last
//! 64 KiB) and told as [`WorkerOutput`](crate::Event::WorkerOutput) while somebody listens; it cannot disturb the protocol.
//!
//! # How a task ends here
//!
//! | the task's worker … | outcome |
//! |---|---|
//! | … raised an error | `Failed`, with a [`WorkerError`](crate::process::WorkerError) |
//! | … was asked to cancel and said that it obeyed | `Cancelled` or `TimedOut` |
//! | … did not obey within the grace, and was ended by force | `Killed` |
//! | … passed its hard limit on memory, and was ended | `Killed` |
//! | … died under it: an exit, a signal, a crash | `Crashed`, with how and its last words |
//! | … died before it had begun it, or was called back | none: it goes to another worker |
//!
//! A task is begun at most once, unless it was declared [`idempotent`](crate::Task#method.idempotent): then it is tried once more after a crash, alone in a fresh process, and nobody
//! else is harmed if it kills that as well.
//!
//! Cancelling asks the worker (`task.signal` in Node.js, `task.cancelled` in Python), then sends SIGTERM to its process group at half of the grace, then SIGKILL. Code that does
//! not look, a busy loop or a native call, is ended all the same; what ran beside it on the same worker is `Crashed`.
//!
//! # State that outlives its worker
//!
//! With [`snapshots`](crate::PoolBuilder#method.snapshots) a worker that is replaced is asked for its state, and the replacement is built from it; with
//! [`state_dir`](crate::PoolBuilder#method.state_dir) the last one is also kept in a file. In Node.js a worker file exports `snapshot()` and `restore(value)`; in Python a module defines
//! them. What the old worker learns after its snapshot is lost, and after a crash there is none but the last that was kept.
//!
//! # What is not held
//!
//! - Between two looks, 100 ms apart during a task, a worker may use more than its hard limit; only a control group holds it exactly. `ebbtide doctor` says whether this
//!   machine has one to give. The memory of what a worker itself starts is not counted.
//! - Without [`init`](crate::init) there is no guardian: workers then end with their socket, when this process does, and their process group is killed when they are; what left
//!   that group stays. With it, see [`process`](crate::process).
//! - It is a containment of stops and leaks, not a sandbox: a worker can do whatever its user may.
//! - Message ports, transfer lists and shared buffers cannot leave a process, and say so.
