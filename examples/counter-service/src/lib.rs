//! A counter and a cache behind HTTP that lose nothing when they are stopped.
//!
//! - `POST /incr` answers 202 once a task that adds one to the counter is accepted. The counter is in Redis or in a SQLite file.
//! - `GET /count` gives the counter.
//! - `GET /cached` gives a table that a job loads from a database (SQLite or PostgreSQL) every 100 ms.
//!
//! [`assemble`](assemble::assemble) is the part to read: who uses what. Nowhere is an order of the stop written down.

pub mod assemble;
pub mod counter;
pub mod options;
pub mod router;
pub mod table;
