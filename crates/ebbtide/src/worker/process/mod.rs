//! Processes that stop right: commands started, contained and ended through a resident **guardian**.
//!
//! The guardian is this very executable, started once more as a small single-threaded process of its own session. It
//! starts commands on request, in a process group each, reports how they ended, and outlives none of them:
//!
//! | what happens | what the guardian's commands do |
//! |---|---|
//! | a command ends | what it left in its process group is killed before [`Child::wait`] returns |
//! | the last [`Guardian`] and [`Child`] handle is dropped, or this process exits, crashes or gets SIGKILL | all groups are killed, then every other descendant, also those that made a session of their own |
//! | the guardian itself gets SIGKILL | every command gets SIGKILL from the kernel, the rest of its session from us; each child reports [`Ended::Lost`] |
//! | Ctrl-C on the terminal | nothing: they are not in the terminal's session; this process decides |
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ebbtide::process::{CommandSpec, Guardian};
//!
//! ebbtide::init(); // the first line of main
//! let guardian = Guardian::start()?;
//! let child = guardian.spawn(CommandSpec::new("true"))?;
//! assert!(child.wait().success());
//! # Ok(()) }
//! ```
//!
//! What is **not** held: a command that changes its user (`sudo`) can be neither killed by us nor by the kernel on our
//! behalf, unless we are root. When the guardian alone gets SIGKILL, a descendant that left its session survives; when
//! guardian and supervisor get it at the same instant, so does whatever a command had started. A program on a file system that
//! hangs holds up the guardian while it is being started. Linux only, for now.

mod child;
mod deadline;
mod error;
mod first;
mod frame;
mod guardian;
mod inbox;
mod init;
mod launch;
mod serve;
mod signal;
mod spec;
mod sweep;
mod sys;

pub use child::{Child, Ended, Exit, Usage};
pub use error::{SpawnError, StartError};
pub use guardian::Guardian;
pub use init::init;
pub use signal::Signal;
pub use spec::CommandSpec;

#[cfg(not(loom))]
pub use super::remote::{Memory, Processes, Raw, Reply, Request, WorkerCommand, WorkerError, WorkerProcess};
#[cfg(not(any(shuttle, loom)))]
pub use super::remote::{MemoryCaps, memory_caps};
