//! Where tasks wait: lanes of priorities behind one short lock, who is idle, and who waits for room.
//!
//! Knows tasks, and workers only by number and thread. What must happen after the lock is released (wake somebody, tell
//! the pool that nobody is idle) is handed back as an [`Effect`].

mod lane;
mod line;
mod room;

pub(crate) use lane::LaneIntake;
pub(crate) use room::{Accepted, Arrival, Effect, Intake, Overflow, Paused, Queue, Take};
