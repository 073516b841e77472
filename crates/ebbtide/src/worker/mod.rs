//! Workers: who runs a task, by isolation, and what builds and lays down their state.

pub(crate) mod craft;
pub(crate) mod output;
pub(crate) mod reason;
pub(crate) mod thread;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod remote;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::init;
