//! An error as a worker process told it.

use std::fmt;

/// The error a task raised in its worker process. Inside a `Failed` [`TaskError`](crate::TaskError): `error.failure()` can be
/// downcast to it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct WorkerError {
    /// Its class, as its language calls it.
    pub name: String,
    /// What it says; at most 8 KiB.
    pub message: String,
    /// Where it was raised, as its language writes it; at most 16 KiB, may be empty.
    pub stack: String,
    /// It says of itself that another attempt may succeed.
    pub retryable: bool,
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.message.as_str()) {
            ("", "") => f.write_str("an error without a name"),
            (name, "") => f.write_str(name),
            ("", message) => f.write_str(message),
            (name, message) => write!(f, "{name}: {message}"),
        }
    }
}

impl std::error::Error for WorkerError {}
