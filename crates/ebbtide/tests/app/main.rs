//! The application inside one process: what starts and stops when, and what the report says. Real signals are in `e2e`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start threads, sleep and look at the clock as users do"
)]

mod order;
mod pools;
mod refused;
mod start;
mod steps;
mod stop;
#[cfg(feature = "tokio")]
mod tasks;
