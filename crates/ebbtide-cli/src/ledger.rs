//! The job log as whoever ends tasks uses it: a row that cannot be written stops the run and is not lost.

use std::sync::Arc;

use crate::joblog::{JobLog, Row};
use crate::messages;
use crate::stop::{Cause, Stopper};

/// An open log and the run it belongs to.
#[derive(Debug)]
pub(crate) struct Ledger {
    log: JobLog,
    stopper: Arc<Stopper>,
}

impl Ledger {
    pub(crate) fn new(log: JobLog, stopper: Arc<Stopper>) -> Ledger {
        Ledger { log, stopper }
    }

    /// Writes the row of a task that has ended.
    pub(crate) fn add(&self, row: &Row) {
        if let Err(error) = self.log.add(row) {
            // The row is not lost: it stands in our messages.
            messages::say(format_args!("{error}; its row was:\n{}", String::from_utf8_lossy(&row.to_line())));
            self.stopper.stop(Cause::JobLog);
        }
    }
}
