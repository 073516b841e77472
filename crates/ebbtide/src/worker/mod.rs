//! Workers: who runs a task, by isolation, and what builds and lays down their state.

pub(crate) mod craft;
pub(crate) mod reason;
pub(crate) mod thread;

#[cfg(target_os = "linux")]
pub mod process;

/// To be called in the first line of `main`. There is no guardian on this system yet, so it does nothing.
#[cfg(not(target_os = "linux"))]
pub fn init() {}
