//! The manual: pages to read, whose code compiles.
//!
//! - [`application`]: parts that start and stop in the right order, on a signal and by a deadline;
//! - [`stopping`]: how a pool ends, and what it can say about it;
//! - [`state`]: workers that know something, and how what they know is kept or renewed;
//! - [`processes`]: workers that can be killed and capped, in Rust, Node.js and Python;
//! - [`schedules`]: tasks by time: delays, rates, cron lines, single runs, and how they end;
//! - [`coming_from`]: the words of other pools, and what is different here.

pub mod application;
pub mod coming_from;
pub mod processes;
pub mod schedules;
pub mod state;
pub mod stopping;
