//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Stops the same service, written with ebbtide and with its peers, by SIGTERM under load, and counts what became of it.
#[derive(Debug, Parser)]
#[command(name = "stops")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) what: Option<What>,
    /// How often each contender is started, loaded and stopped.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rounds: u32,
    /// Only these contenders, by their names in the table (may be given several times; default: all).
    #[arg(long, value_name = "NAME")]
    pub(crate) contender: Vec<String>,
    /// One more contender: a program that takes PORT, REDIS_URL, DATABASE, LEDGER, WORKERS, WORK_MS, DELAY_MS and DEADLINE_MS (and REPORT, where to write a report) from its
    /// environment, prints READY when it serves, and stops at SIGTERM.
    #[arg(long, value_name = "NAME=PATH", value_parser = program)]
    pub(crate) program: Vec<(String, PathBuf)>,
    /// Has the contenders that write a report of their stop write it into this directory, as NAME-ROUND.json.
    #[arg(long, value_name = "DIR")]
    pub(crate) reports: Option<PathBuf>,
    /// Writes every round as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Is one contender, for the harness.
    #[command(hide = true)]
    Serve { name: String },
}

fn program(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=PATH")?;
    if name.is_empty() || path.is_empty() {
        return Err("write NAME=PATH".to_owned());
    }
    Ok((name.to_owned(), path.into()))
}
