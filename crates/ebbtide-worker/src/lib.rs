//! What a worker process of an ebbtide pool links: [`serve`], and the frames it speaks.
//!
//! A worker is a program of its own. The pool starts it, sends it tasks and ends it; a crash, a leak or a busy loop in it cannot hurt
//! anybody else, and it can always be killed. The simplest one:
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use ebbtide_worker::{Task, serve};
//!
//! fn main() {
//!     serve(|n: u64, _task: &Task| Ok::<_, Infallible>(n + 1))
//! }
//! ```
//!
//! With a state that is built once and can be handed to the worker's successor, and with several functions:
//!
//! ```no_run
//! use ebbtide_worker::{Startup, Task, Worker};
//!
//! fn main() {
//!     Worker::new()
//!         .state(|start: &Startup| match start.restored() {
//!             Some(bytes) => Ok(u64::from_le_bytes(bytes.try_into()?)),
//!             None => Ok::<_, Box<dyn std::error::Error + Send + Sync>>(0),
//!         })
//!         .snapshot(|count| count.to_le_bytes().to_vec())
//!         .handle("add", |count, by: u64, task: &Task| {
//!             task.check()?;
//!             *count += by;
//!             Ok::<_, ebbtide_worker::Cancelled>(*count)
//!         })
//!         .serve()
//! }
//! ```
//!
//! # What it promises
//!
//! - The pool knows of a task that it has started before the function runs, and of its end before the next one runs: after a death nobody
//!   else is to blame.
//! - One task at a time, in the order in which they came. A thread of its own answers the pool while a task runs long: it can be asked
//!   whether it lives, a running task can be asked to end, and what has not started can be taken back.
//! - A function that panics is an error of its task, with the name `panic`; the worker goes on **with the state as the panic left it**.
//!   With `panic = "abort"` the process dies and the pool starts another.
//! - When the pool is gone, so is the worker: its process ends at once, whatever it is doing.
//!
//! # What it does not do
//!
//! Nothing of the supervisor is in this crate: who starts, limits and replaces workers is the crate `ebbtide`. There is no asynchronous
//! runtime: a worker that wants one builds it as its state. It cannot make a function that never looks end: that takes the pool's kill.
#![forbid(unsafe_code)]

pub mod frame;

#[cfg(unix)]
mod cancel;
#[cfg(unix)]
mod failure;
#[cfg(unix)]
mod function;
#[cfg(unix)]
mod link;
#[cfg(unix)]
mod panic;
#[cfg(unix)]
mod reply;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod startup;
#[cfg(unix)]
mod task;
#[cfg(unix)]
mod worker;

#[cfg(unix)]
pub use cancel::Cancelled;
#[cfg(unix)]
pub use failure::Failure;
#[cfg(unix)]
pub use reply::Reply;
#[cfg(unix)]
pub use startup::{Startup, is_worker};
#[cfg(unix)]
pub use task::{Level, Task};
#[cfg(unix)]
pub use worker::{Worker, serve};
