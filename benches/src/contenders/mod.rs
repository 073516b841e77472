//! Who takes part: one file per group, and the list of all.

mod hand;
mod list;
mod ours;
mod pools;
mod runtimes;

pub(crate) use list::{ALL, Entry, Home, OURS, SINGLY, is_ours, run};
pub(crate) use runtimes::Rayon;
