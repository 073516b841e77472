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
    /// Smaller laps and fewer rounds: under two minutes on a quiet machine.
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
