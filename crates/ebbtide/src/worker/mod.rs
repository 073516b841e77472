//! Workers: who runs a task, by isolation.

#[cfg(target_os = "linux")]
pub mod process;

/// To be called in the first line of `main`. There is no guardian on this system yet, so it does nothing.
#[cfg(not(target_os = "linux"))]
pub fn init() {}
