//! End-to-end tests of the whole product: real processes, real signals, real servers.

pub mod browser;
pub mod clients;
pub mod run;
pub mod servers;
pub mod service;
