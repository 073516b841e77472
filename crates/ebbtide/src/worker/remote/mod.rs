//! Workers that are processes: started, spoken to, watched and ended by a thread of the pool each.
//!
//! To the pool such a worker is a worker like any other: its state happens to be a child process. What is different is in here: tasks are
//! sent and come back by frames ([`desk`]), several may be under way, and who does not obey is ended by force.

mod boot;
mod command;
mod death;
mod desk;
mod driver;
mod ear;
mod flights;
mod frames;
mod greeting;
mod isolation;
mod lent;
mod listener;
pub(crate) mod machine;
mod memory;
#[cfg(not(shuttle))]
mod memory_caps;
mod message;
mod outgoing;
mod plan;
mod post;
mod process;
mod reader;
mod snapshot;
mod spares;
mod tail;
mod worker_error;

pub use command::WorkerCommand;
pub(crate) use driver::serve;
pub use isolation::Processes;
pub(crate) use isolation::{Call, Chunk};
pub use memory::Memory;
#[cfg(not(shuttle))]
pub use memory_caps::{MemoryCaps, memory_caps};
pub(crate) use message::open;
pub use message::{Raw, Reply, Request};
pub(crate) use plan::{Plan, Snapshots, Wishes};
pub use process::WorkerProcess;
pub use worker_error::WorkerError;
