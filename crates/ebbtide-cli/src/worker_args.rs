//! What can be typed about worker processes: options of `ebbtide run` that need `--worker`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use ebbtide::ByteSize;

use crate::args::positive_duration;
use crate::workers::WorkerSpec;

/// Worker processes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Worker processes")]
pub(crate) struct WorkerArgs {
    /// Give each line, a JSON value, to a function in a warm worker process
    ///
    /// node:FILE[#EXPORT] is a function that a file exports, also an unmodified Piscina worker file; python:MODULE:FUNCTION a Python function
    /// (MODULE may be a path to a .py file); program:PATH a program that speaks the worker protocol. What stands behind the options are arguments
    /// of the program, or of node or python3.
    #[arg(
        long,
        value_name = "WORKER",
        value_parser = OsStringValueParser::new().try_map(|text| WorkerSpec::parse(&text))
    )]
    pub(crate) worker: Option<WorkerSpec>,

    /// A worker that uses more memory than this is replaced after its task [default: no limit]
    ///
    /// The replacement is ready first. Sizes: 400MiB, 1.5GB; a number without a unit is bytes. A limit that workers are above before they have
    /// done anything is told and not kept.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "worker")]
    pub(crate) memory_soft: Option<ByteSize>,

    /// A worker that uses more memory than this is killed, and its task ends killed [default: no limit]
    ///
    /// Held by the kernel where this machine lets us, else looked at every 100 ms: `ebbtide doctor` says which.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "worker")]
    pub(crate) memory_hard: Option<ByteSize>,

    /// A worker is replaced after so many tasks (up to a tenth fewer, so that not all go together) [default: never]
    ///
    /// It goes on until its replacement is ready, so this is no bound: under load it runs some more, of short tasks a thousand.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "worker")]
    pub(crate) max_tasks: Option<u64>,

    /// A worker is replaced when it is so old (up to a tenth younger) [default: never]
    #[arg(long, value_name = "D", value_parser = positive_duration, requires = "worker")]
    pub(crate) max_age: Option<Duration>,

    /// How many short tasks may be at a worker ahead of the one it runs; they are called back at a stop. As many lines are read ahead
    /// for each worker, unless --queue says otherwise
    #[arg(long, value_name = "N", value_parser = few, default_value = "16", requires = "worker")]
    pub(crate) credits: usize,

    /// How many tasks a worker runs at a time, if its function is asynchronous
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), default_value_t = 1, requires = "worker")]
    pub(crate) concurrency: u32,

    /// How long a worker may take until it is ready
    #[arg(long, value_name = "D", value_parser = positive_duration, default_value = "30s", requires = "worker")]
    pub(crate) start_timeout: Duration,

    /// Keep what workers have learnt in a file of DIR: each gets the last snapshot, also that of an earlier run
    ///
    /// For workers that give one (the SDKs say how). Each WORKER, as it is typed, has a folder of its own in DIR. That DIR can be written is
    /// looked at before anything starts; a state that cannot be kept after all ends the run with 74.
    #[arg(long, value_name = "DIR", requires = "worker")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Pass an environment variable of ours on to the workers, or set one; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable, requires = "worker")]
    pub(crate) env: Vec<String>,
}

/// `400MiB`, `1.5 GB`; a bare number is bytes.
pub(crate) fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() == 0 => Err("must be more than zero".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(format!("{error}; write 400MiB or 1.5GB")),
    }
}

fn few(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("write 1 to 1024".to_owned()),
    }
}

fn variable(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        Some("") | None => Err("write NAME or NAME=VALUE".to_owned()),
        Some(_) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_are_bytes() {
        assert_eq!(size("400MiB"), Ok(ByteSize::mib(400)));
        assert_eq!(size("1.5 GB"), Ok(ByteSize::mb(1_500)));
        assert_eq!(size("1048576"), Ok(ByteSize::mib(1)));
        for wrong in ["", "0", "much", "-1MiB", "12 parsecs"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
