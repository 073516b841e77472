//! Where a line comes from that a worker process wrote.

use std::fmt;

/// Where a line of a worker process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputSource {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// It was logged, at level debug.
    Debug,
    /// It was logged, at level info.
    Info,
    /// It was logged, at level warn.
    Warn,
    /// It was logged, at level error.
    Error,
}

impl fmt::Display for OutputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}
