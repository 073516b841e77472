//! End-to-end tests of the whole product: real processes, real signals.

pub mod browser;
pub mod run;
