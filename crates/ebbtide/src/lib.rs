//! Worker pools that stop right.

mod worker;

#[cfg(target_os = "linux")]
pub use worker::process::{self, init};
