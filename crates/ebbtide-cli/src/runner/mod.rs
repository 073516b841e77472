//! One task: its command started through the guardian, its outputs captured, asked and ended when it has to.

mod attempt;
mod capture;
mod launcher;

pub(crate) use attempt::{Asks, Attempt, Verdict, attempt};
pub(crate) use capture::{Budget, Capture, Keep, spool_place};
pub(crate) use launcher::{Launcher, find_program};
