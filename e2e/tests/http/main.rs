//! The HTTP ingress on real sockets: every kind of client there is when it stops, and what becomes of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod crowd;
mod endings;
mod faults;
mod health;
mod peer;
mod service;
