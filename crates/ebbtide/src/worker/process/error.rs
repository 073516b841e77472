//! What can go wrong when a guardian or a command is started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

/// Why a [`Guardian`](crate::process::Guardian) could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// [`ebbtide::init`](crate::init) was not called, so this executable cannot serve as its own guardian.
    #[error("no guardian: ebbtide::init() was not called; make it the first line of main")]
    NotInitialised,
    /// The system refused a descriptor or a process.
    #[error("no guardian: {0}")]
    System(#[from] io::Error),
    /// It was started but did not report for duty.
    #[error("no guardian: it {0}")]
    NotReady(String),
}

/// Why a command was not started. Nothing of it ran (but see [`SpawnError::Lost`]), and no process is left of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// No such program: not in `PATH`, or not at that path. (Linux says the same when the interpreter named by a
    /// script's first line does not exist.)
    #[error("{}: command not found", program.display())]
    NotFound {
        /// As asked for.
        program: OsString,
    },
    /// The file is there, but may not be executed (permissions, a directory, a `noexec` mount).
    #[error("{}: permission denied: is it executable?", program.display())]
    NotExecutable {
        /// As asked for.
        program: OsString,
    },
    /// The file is there and executable, but no program: a script without a `#!` line, or for another machine. It is not
    /// handed to a shell.
    #[error("{}: not a program this machine can run: a script needs a #! line", program.display())]
    NotAProgram {
        /// As asked for.
        program: OsString,
    },
    /// The working directory cannot be entered.
    #[error("{}: cannot enter {}: {source}", program.display(), directory.display())]
    BadDirectory {
        /// As asked for.
        program: OsString,
        /// As asked for.
        directory: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Arguments and environment are longer than the system takes (usually 128 KiB each, 2 MiB together).
    #[error("{}: the arguments and the environment are longer than the system takes", program.display())]
    TooLong {
        /// As asked for.
        program: OsString,
    },
    /// Cannot be written as an argument list: a NUL byte, or an environment name that is empty or has a `=`.
    #[error("{}: {what}", program.display())]
    Invalid {
        /// As asked for.
        program: OsString,
        /// What is wrong, and where.
        what: String,
    },
    /// The machine has no room now: processes, descriptors or memory. A later try may succeed.
    #[error("{}: cannot start now: {source}", program.display())]
    Limit {
        /// As asked for.
        program: OsString,
        /// The system's reason.
        source: io::Error,
    },
    /// The guardian is no more, and all its commands with it. This one was not asked for in time. Start a new one.
    #[error("{}: the guardian is gone: {reason}", program.display())]
    GuardianGone {
        /// As asked for.
        program: OsString,
        /// Why, as far as known.
        reason: String,
    },
    /// The guardian got SIGKILL when it was just starting the command. Whether some of it ran is not known; nothing of it
    /// runs now. To start it again may be to run it twice.
    #[error("{}: its guardian ended while it was started: {reason}", program.display())]
    Lost {
        /// As asked for.
        program: OsString,
        /// Why, as far as known.
        reason: String,
    },
    /// Anything else the system refused.
    #[error("{}: cannot start: {source}", program.display())]
    System {
        /// As asked for.
        program: OsString,
        /// The system's reason.
        source: io::Error,
    },
}

impl SpawnError {
    /// The program that was to be started, as asked for.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        match self {
            SpawnError::NotFound { program }
            | SpawnError::NotExecutable { program }
            | SpawnError::NotAProgram { program }
            | SpawnError::BadDirectory { program, .. }
            | SpawnError::TooLong { program }
            | SpawnError::Invalid { program, .. }
            | SpawnError::Limit { program, .. }
            | SpawnError::GuardianGone { program, .. }
            | SpawnError::Lost { program, .. }
            | SpawnError::System { program, .. } => program,
        }
    }

    /// A guardian that was asked may have begun.
    pub(super) fn after_asking(self) -> SpawnError {
        match self {
            SpawnError::GuardianGone { program, reason } => SpawnError::Lost { program, reason },
            other => other,
        }
    }
}
