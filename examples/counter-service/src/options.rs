//! What can be chosen on the command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// A counter and a cache behind HTTP that lose nothing when they are stopped.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Options {
    /// Where requests are served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Where /livez, /readyz and /progress are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub health: String,
    /// Where the counter lives: redis://HOST:PORT/DB or sqlite:FILE
    #[arg(long, value_name = "URL", default_value = "sqlite:counter.db")]
    pub store: String,
    /// What the cache is loaded from: postgres://USER@HOST:PORT/NAME or sqlite:FILE
    #[arg(long, value_name = "URL", default_value = "sqlite:items.db")]
    pub database: String,
    /// The two columns of text that the cache is loaded with
    #[arg(long, value_name = "SQL", default_value = "SELECT name, value FROM items")]
    pub query: String,
    /// How long after one load the next begins
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = humantime::parse_duration)]
    pub refresh: Duration,
    /// How many increments at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub workers: usize,
    /// How many increments may wait; then clients do
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub queue: usize,
    /// What an increment takes besides the store, to see a queue at work
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = humantime::parse_duration)]
    pub work: Duration,
    /// What a whole stop may take
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = humantime::parse_duration)]
    pub deadline: Duration,
    /// How long everything is served on after the request to stop; 5s behind a load balancer
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// Write the report of the stop there, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Show in which order and how long it would stop, and start nothing
    #[arg(long)]
    pub plan: bool,
}
