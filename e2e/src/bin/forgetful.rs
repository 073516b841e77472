//! A program whose main does not look whether it was started as a worker. It gives up by itself: where nobody stops it, each worker starts the next.

use std::io::{self, Write as _};

use ebbtide::{Pool, WorkerCommand};

/// How many were started, one by the other.
const DEPTH: &str = "EBBTIDE_E2E_DEPTH";

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let depth: u32 = std::env::var(DEPTH).map_or(Ok(0), |depth| depth.parse())?;
    if depth > 2 {
        return Err("a worker of a worker of a worker".into());
    }
    ebbtide::init();
    let command = WorkerCommand::current_exe("adder").env(DEPTH, (depth + 1).to_string());
    let pool =
        Pool::processes(command).workers(1..=1).restart_intensity(0, std::time::Duration::from_secs(60));
    let sum = pool.build::<u64, u64>()?.submit(1)?.wait();
    writeln!(io::stdout(), "{}", sum.map_or_else(|error| error.to_string(), |sum| sum.to_string()))?;
    Ok(())
}
