//! Where tasks wait: lanes of priorities behind one short lock, who is idle, and who waits for room.
//!
//! A worker takes short tasks several at a time onto a tray of its own, where they are still queued for everybody else; see `tray`.
//! Knows tasks, and workers only by number and thread. What must happen after the lock is released (wake somebody, tell
//! the pool that nobody is idle) is handed back as an [`Effect`].

mod inner;
mod lane;
mod line;
#[cfg(all(test, loom))]
mod loom_models;
mod room;
mod terms;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod tray;

pub(crate) use lane::LaneIntake;
pub(crate) use room::Queue;
pub(crate) use terms::{Accepted, Arrival, Effect, Intake, NotTaken, Overflow, Paused, Take};
pub(crate) use tray::Tray;
