//! Which lines are still to be done: the numbering of tasks, and what an earlier run's log says about them.

use std::path::Path;

use crate::bell::Bell;
use crate::input::{InputError, Lines, Next, Separator};
use crate::joblog::{Done, Past, ReadError};
use crate::template::{Template, quoted};

/// Numbers the lines and skips what is done.
#[derive(Debug)]
pub(crate) struct Resume {
    past: Past,
    done: Done,
    last: u64,
    skipped: u64,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Task number so-and-so, to be run.
    ToDo(u64),
    /// The log says that it is done.
    Done,
}

/// Why the log and the input do not go together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MismatchError {
    #[error("the job log {0}")]
    Log(#[from] ReadError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("no event descriptor: {0}")]
    Bell(#[from] std::io::Error),
}

impl Resume {
    pub(crate) fn new(past: Past, done: Done) -> Resume {
        Resume { past, done, last: 0, skipped: 0 }
    }

    /// Numbers the next line.
    pub(crate) fn next(&mut self, template: &Template, line: &[u8]) -> Result<Line, ReadError> {
        self.last += 1;
        if self.past.is_empty() {
            return Ok(Line::ToDo(self.last));
        }
        if self.past.is_done(self.last, &quoted(&template.fill(line)), self.done)? {
            self.skipped += 1;
            return Ok(Line::Done);
        }
        Ok(Line::ToDo(self.last))
    }

    /// The input has ended: a log that goes on is about other input.
    pub(crate) fn end(&self) -> Result<(), ReadError> {
        self.past.ends_with(self.last)
    }

    /// How many lines were done before.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Goes once through an input that can be read twice, so that a log of other work is refused before the first
    /// task, not at the first line that differs.
    pub(crate) fn check(
        &mut self,
        input: &Path,
        separator: Separator,
        template: &Template,
    ) -> Result<(), MismatchError> {
        if self.past.is_empty() || !input.is_file() {
            return Ok(());
        }
        let mut lines = Lines::open(Some(input), separator)?;
        let never = Bell::new()?;
        while let Next::Line(line) = lines.next(std::os::fd::AsFd::as_fd(&never))? {
            self.next(template, &line)?;
        }
        self.end()?;
        (self.last, self.skipped) = (0, 0);
        Ok(())
    }
}
