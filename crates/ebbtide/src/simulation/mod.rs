//! The whole library on invented time: one thread of the machine's, one seed, every fault we can think of.
//!
//! Nothing in it is a copy: pools, workers, schedules, the application and its conductor are the ones that are shipped, on shuttle's threads and
//! on the clock of [`crate::clock::simulated`], which stands while anybody can run and jumps to the next alarm when nobody can. What happens in
//! a run follows from its seed alone.

mod app;
mod bodies;
mod child;
mod director;
mod given_up;
mod late;
mod ledger;
mod pool;
mod processes;
mod promises;
mod tests;
mod town;
