//! Schedules: jobs that submit tasks into a pool by time.
//!
//! [`timetable`] decides when; [`series`] is its hands, on the alarms that everybody shares; [`firing`] takes a run through the pool
//! without a thread that waits. The pool knows of it only that there are clocks, to be stopped first.

mod body;
mod face;
mod firing;
mod job;
mod one_shot;
mod plan;
#[cfg(all(target_os = "linux", not(loom)))]
mod requests;
mod scale;
mod series;
mod start;
mod timetable;

pub use face::{Later, Schedule};
pub use job::{Job, JobState, JobStats, LastRun, RunNowError};
pub use one_shot::OneShot;
pub use plan::ScheduleError;
pub use timetable::MissedTicks;
