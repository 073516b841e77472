//! What a contender's refresh job did, written down outside of it: a line is there as soon as it is written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

/// The file of a contender's runs, one line each: `begin`, `end`, `failed REASON`, `increment REASON`.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(Arc<File>);

impl Ledger {
    /// Opens it for appending.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(OpenOptions::new().append(true).create(true).open(path)?)))
    }

    /// A run begins.
    pub(crate) fn begin(&self) {
        self.line("begin");
    }

    /// A run has ended, and what it loaded is served.
    pub(crate) fn end(&self) {
        self.line("end");
    }

    /// A run failed.
    pub(crate) fn failed(&self, why: &str) {
        self.line(&format!("failed {why}"));
    }

    /// An increment failed.
    pub(crate) fn increment_failed(&self, why: &str) {
        self.line(&format!("increment {why}"));
    }

    fn line(&self, text: &str) {
        // One call, one line: appends of several threads do not mix. A full disk shows as a run that was cut.
        let _ = (&*self.0).write_all(format!("{}\n", text.replace('\n', " ")).as_bytes());
    }
}
