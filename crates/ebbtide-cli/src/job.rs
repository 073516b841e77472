//! A task of the run: its line, and what its end left for the printer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::args::Format;
use crate::joblog::Row;
use crate::runner::Capture;
use crate::workers::Tries;

/// One line and its place in the input.
#[derive(Debug)]
pub(crate) struct Job {
    /// The number of the line among those that are not empty, from 1; what the job log calls Seq.
    pub(crate) seq: u64,
    /// Its place among the tasks of this run, from 0: with --resume some lines are no tasks.
    pub(crate) order: u64,
    pub(crate) line: Vec<u8>,
    pub(crate) read: Instant,
    record: Mutex<Option<Record>>,
    tries: Mutex<Tries>,
}

/// What the body of a task leaves behind, whatever its outcome.
#[derive(Debug)]
pub(crate) struct Record {
    /// Commands that were started, or requests that a worker had.
    pub(crate) attempts: u32,
    /// From the line being read to the start.
    pub(crate) waited: Duration,
    /// All attempts together.
    pub(crate) ran: Duration,
    /// Of the last attempt.
    pub(crate) exit_code: Option<i32>,
    /// Of the last attempt.
    pub(crate) signal: Option<i32>,
    /// Of the last attempt; none when no command was started, or not all of it could be kept: a part of it would pass for the whole.
    pub(crate) outputs: Option<Outputs>,
    /// Why a command could not be started or its output not be kept.
    pub(crate) problem: Option<String>,
    /// Whether all of the last attempt's output was kept.
    pub(crate) output: Kept,
    /// Of a command: its row in the job log, to be written once its output is printed.
    pub(crate) row: Option<Row>,
    /// What is known of a task that was for a worker process; its result is what `outputs` has as standard output.
    pub(crate) reply: Option<Reply>,
}

/// What is known of a task of a worker process, beside its result.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The name of the worker that had it last.
    pub(crate) worker: Option<String>,
    pub(crate) error: Option<Problem>,
}

/// Why a task of a worker process has no result.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) stack: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.name.as_str(), self.message.as_str()) {
            (name, "") => f.write_str(name),
            (name, message) => write!(f, "{name}: {message}"),
        }
    }
}

/// Whether what was written is there to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Whole,
    /// The disk was full, say. The task is not done, whatever its exit code.
    Lost,
}

/// What a command wrote.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
}

impl Job {
    pub(crate) fn new(seq: u64, order: u64, line: Vec<u8>, read: Instant) -> Job {
        Job { seq, order, line, read, record: Mutex::new(None), tries: Mutex::default() }
    }

    /// Leaves the record for the printer.
    pub(crate) fn leave(&self, record: Record) {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    /// What is known of the attempts, where worker processes make them.
    pub(crate) fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the body left.
    pub(crate) fn take(&self) -> Option<Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Outputs {
    /// Why not all of it could be kept.
    pub(crate) fn lost(&self) -> Option<&std::io::Error> {
        self.stdout.lost().or(self.stderr.lost())
    }
}

impl Record {
    /// Before anything was started.
    pub(crate) fn empty() -> Record {
        Record {
            attempts: 0,
            waited: Duration::ZERO,
            ran: Duration::ZERO,
            exit_code: None,
            signal: None,
            outputs: None,
            problem: None,
            output: Kept::Whole,
            row: None,
            reply: None,
        }
    }

    /// Whether there is something to print.
    pub(crate) fn prints(&self, format: Format) -> bool {
        let written = |outputs: &Outputs| outputs.stdout.total() + outputs.stderr.total();
        format == Format::Json || self.outputs.as_ref().map_or(0, written) > 0
    }

    /// How many of its outputs are files.
    pub(crate) fn spooled(&self) -> usize {
        let Some(outputs) = &self.outputs else { return 0 };
        usize::from(outputs.stdout.is_spooled()) + usize::from(outputs.stderr.is_spooled())
    }
}
