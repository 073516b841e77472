//! Workers: who runs a task, by isolation.

#[cfg(target_os = "linux")]
pub mod process;
