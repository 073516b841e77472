//! The two scenarios as real programs: a counter in Redis and a cache of a PostgreSQL table, SIGTERM under load.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod faults;
mod round;
mod rounds;
mod scenes;
