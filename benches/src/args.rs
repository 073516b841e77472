//! The command line of the race.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "benches", about = "Measures ebbtide against its peers")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// The race: every contender in every scenario, in interleaved rounds.
    Peers(Peers),
    /// The race of worker processes, likewise; `peers --only process-…` runs parts of it, too.
    Processes(Peers),
    /// Leaking workers under load, beside Piscina's under the same cap: memory over time, what was lost, what was handed on.
    Leak(Leak),
    /// One contender of the race of processes, as below.
    #[command(hide = true)]
    ProcessContender { name: String },
    /// The side of the leak that is ours, in a process that can be capped.
    #[command(hide = true)]
    LeakLoad { seconds: u64 },
    /// One contender, for the race: laps on standard input, values on standard output.
    #[command(hide = true)]
    Contender { name: String },
}

#[derive(Args, Debug)]
pub(crate) struct Peers {
    /// Only this scenario, or those whose names begin so (may be given several times; default: all).
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) only: Vec<String>,
    /// Only these contenders, by their names in the results (may be given several times; default: all).
    #[arg(long, value_name = "NAME")]
    pub(crate) contender: Vec<String>,
    /// Smaller laps and fewer rounds: under two minutes on a quiet machine, processes under three.
    #[arg(long)]
    pub(crate) quick: bool,
    /// How many rounds [default: 11, with --quick up to 5 as time allows].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Writes the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws one SVG per scenario into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,
    /// Says which scenarios and contenders there are, and measures nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Leak {
    /// How long, in minutes [default: 20 seconds].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub(crate) minutes: Option<u64>,
    /// Writes what was seen as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws memory over time into this directory, as `leak.svg` [default: beside this program].
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,
}
