//! The connection to the pool: its socket, what came and waits, and the thread that listens while a task runs long.

mod inbox;
mod joint;
mod socket;
mod watch;

pub(crate) use inbox::{Next, Terms, Waiting, now};
pub(crate) use joint::{Link, complain, end};
pub(crate) use watch::start as start_watching;
