//! The report of a run: one JSON object, in a file that is known to be writable before the first task starts.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::output::Bytes;

/// The field `format` of a run's report.
pub(crate) const FORMAT: &str = "ebbtide-run-report";
/// Its field `version`: grows when a field is renamed, goes away or changes its meaning.
pub(crate) const VERSION: u32 = 1;

/// What `--report` writes.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport<'a> {
    /// Always [`FORMAT`].
    pub(crate) format: &'static str,
    /// Always [`VERSION`].
    pub(crate) version: u32,
    /// `drain` at the natural end of the input, else how the stop ended: `stop` or `abort`.
    pub(crate) mode: &'a str,
    /// The first signal, e.g. `SIGTERM`.
    pub(crate) signal: Option<&'static str>,
    pub(crate) duration_ms: u64,
    /// The stop alone: the pool's shutdown, from whose request the times of `workers` and `timeline` count.
    pub(crate) stop_ms: f64,
    pub(crate) deadline_ms: f64,
    pub(crate) grace_ms: f64,
    pub(crate) accepted: u64,
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) outcomes: ebbtide::Outcomes,
    /// Those of them during the stop.
    pub(crate) during: ebbtide::Outcomes,
    pub(crate) rejected: u64,
    /// Lines that an earlier run had done.
    pub(crate) skipped: u64,
    pub(crate) unread: bool,
    /// The lines that were accepted and never started.
    pub(crate) returned: Vec<Bytes>,
    /// Lines that were read and then refused, because the stop came in between.
    pub(crate) refused: Vec<Bytes>,
    pub(crate) workers: &'a [ebbtide::WorkerReport],
    pub(crate) timeline: &'a [ebbtide::TimelineEntry],
    /// The task that held a stop up, and what it cost.
    pub(crate) slowest: Option<&'a ebbtide::LongRun>,
    pub(crate) exit_code: u8,
}

/// The file of `--report`.
#[derive(Debug)]
pub(crate) struct ReportFile {
    path: PathBuf,
    file: File,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report {}: {cause}", path.display())]
pub(crate) struct ReportError {
    path: PathBuf,
    cause: io::Error,
}

impl ReportFile {
    /// Creates the file and writes a blank to it, which JSON allows: a full disk shows before any work is done.
    pub(crate) fn create(path: &Path) -> Result<ReportFile, ReportError> {
        let failed = |cause| ReportError { path: path.to_owned(), cause };
        let mut file = File::create(path).map_err(failed)?;
        file.write_all(b" ").map_err(failed)?;
        Ok(ReportFile { path: path.to_owned(), file })
    }

    /// Writes the report, instead of the blank where that is possible.
    pub(crate) fn write(mut self, report: &RunReport<'_>) -> Result<(), ReportError> {
        self.put(report).map_err(|cause| ReportError { path: self.path, cause })
    }

    fn put(&mut self, report: &RunReport<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(report)?;
        text.push(b'\n');
        if self.file.metadata()?.is_file() {
            self.file.rewind()?;
        }
        self.file.write_all(&text)
    }
}
