//! Worker pools that stop right.

mod worker;

#[cfg(not(target_os = "linux"))]
pub use worker::init;
#[cfg(target_os = "linux")]
pub use worker::process::{self, init};
