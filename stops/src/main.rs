//! Who stops right? The same service, written with ebbtide and with its peers, gets SIGTERM under load: `cargo run --release -p stops`.
//!
//! `service` is what all of them do, `contenders` how each of them ends, `harness` starts them, loads them, stops them and counts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints what it counted")]
#![expect(
    clippy::disallowed_methods,
    reason = "measures wall time from outside; processes are the contenders'"
)]

mod args;
mod contenders;
mod harness;
mod service;

use std::{error::Error, process::ExitCode};

use clap::Parser as _;

use crate::{
    args::{Cli, What},
    harness::Results,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.what {
        Some(What::Serve { name }) => serve(name),
        None => compare(&cli),
    };
    done.unwrap_or_else(|error| {
        eprintln!("stops: {error}");
        ExitCode::FAILURE
    })
}

/// Is a contender.
fn serve(name: &str) -> Result<ExitCode, Box<dyn Error>> {
    let entry = contenders::ALL.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| format!("there is no contender `{name}`"))?;
    (entry.main)()
}

/// Fails when a round could not be counted, or ours broke its promise.
fn compare(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let results: Results = harness::run(cli)?;
    println!("{results}");
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&results)? + "\n";
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let broken = results.broken_promises();
    for line in &broken {
        eprintln!("stops: {line}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
