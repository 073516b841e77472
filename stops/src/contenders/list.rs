//! Who takes part.

use std::{error::Error, process::ExitCode};

use super::{axum_tokio, ours, task_tracker, tokio_graceful_shutdown};

/// A contender that is a part of this program and runs in a process of its own.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) main: fn() -> Result<ExitCode, Box<dyn Error>>,
}

pub(crate) const ALL: &[Entry] = &[
    Entry {
        name: "ebbtide",
        about: "an application of a resource, two pools, a schedule and an ingress",
        main: ours::main,
    },
    Entry { name: "axum", about: "axum's graceful shutdown, work in tokio::spawn", main: axum_tokio::main },
    Entry {
        name: "tokio-graceful-shutdown",
        about: "its subsystems, work in a TaskTracker",
        main: tokio_graceful_shutdown::main,
    },
    Entry {
        name: "task-tracker",
        about: "axum, tokio-util's TaskTracker and CancellationToken",
        main: task_tracker::main,
    },
];
