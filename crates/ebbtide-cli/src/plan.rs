//! `--dry-run`: what would be run, as a stream, with nothing started and nothing written but the output.

use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};

use crate::args::{Format, RunArgs};
use crate::bell::Bell;
use crate::input::{Lines, Next};
use crate::output::{OutputError, Patience, Sink, plan_line};
use crate::resume::{Line, MismatchError, Resume};
use crate::template::{Template, quoted};

/// Enough to make writing cheap.
const BLOCK: usize = 64 * 1024;

/// Why a plan ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Mismatch(#[from] MismatchError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Prints the command of every line that would be run.
pub(crate) fn print(
    args: &RunArgs,
    template: &Template,
    mut lines: Lines,
    mut resume: Resume,
) -> Result<(), PlanError> {
    let never = Arc::new(Bell::new().map_err(MismatchError::Bell)?);
    let patience = Arc::new(Patience { force: Arc::clone(&never), until: OnceLock::new() });
    let out = Sink::stdout(&patience);
    let mut block = Vec::with_capacity(BLOCK);
    while let Next::Line(line) = lines.next(never.as_fd()).map_err(MismatchError::Input)? {
        let Line::ToDo(seq) = resume.next(template, &line).map_err(MismatchError::Log)? else { continue };
        let argv = template.fill(&line);
        match args.output {
            Format::Text => {
                block.extend_from_slice(&quoted(&argv));
                block.push(b'\n');
            }
            Format::Json => block.extend_from_slice(&plan_line(seq, &line, &argv)?),
        }
        if block.len() >= BLOCK {
            out.write(&block)?;
            block.clear();
        }
    }
    out.write(&block)?;
    Ok(resume.end().map_err(MismatchError::Log)?)
}
