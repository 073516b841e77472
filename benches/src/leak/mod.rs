//! Leaking workers under load, ours and Piscina's beside them, each under the same cap: `cargo run --release -p benches -- leak`.
//!
//! The worker file is the same (`peers/workers/leak.cjs`): it leaks Buffers, which no limit of a V8 heap sees, and keeps a cache that is worth handing
//! on. Every so often a task takes more than any limit allows: it, and it alone, may be lost.

mod cap;
mod load;
mod picture;
mod side;
mod tell;

use std::{error::Error, fs, process::ExitCode, time::Duration};

use crate::{args::Leak, foreign};

pub(crate) use load::load;
use side::Side;

const SHORT: Duration = Duration::from_secs(20);
/// What each side may use, all its processes together.
const CAP: u64 = 1 << 30;

/// What is asked of both.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// Tasks per second.
    rate: u64,
    /// What each leaks, in MiB.
    leak: u64,
    /// One in so many is a hog ...
    hog_every: u64,
    /// ... and takes so many MiB.
    hog: u64,
}

const LOAD: Load = Load { rate: 40, leak: 3, hog_every: 400, hog: 600 };

/// Runs both sides, one after the other: two cores are not enough to be fair at once.
///
/// # Errors
/// Ours cannot be run, or a file cannot be written.
pub(crate) fn run(args: &Leak) -> Result<ExitCode, Box<dyn Error>> {
    let length = args.minutes.map_or(SHORT, |minutes| Duration::from_secs(60 * minutes));
    // It writes the worker file, too.
    let piscina = foreign::node_pools();
    let ours = side::run(Side::Ours, length)?;
    let theirs = match piscina {
        Ok(_) => Some(side::run(Side::Piscina, length)?),
        Err(missing) => {
            println!("piscina: not on this machine: {missing}");
            None
        }
    };
    let sides: Vec<_> = [Some(ours), theirs].into_iter().flatten().collect();
    println!("{}", tell::Text { sides: &sides, length });
    let directory = match &args.plots {
        Some(directory) => directory.clone(),
        None => foreign::workshop("plots")?,
    };
    fs::create_dir_all(&directory)?;
    let plot = directory.join("leak.svg");
    picture::draw(&sides, length, &plot)?;
    println!("memory over time: {}", plot.display());
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&sides)? + "\n")?;
    }
    let kept = sides.first().is_some_and(|ours| tell::promises(ours).iter().all(|(_, kept)| *kept));
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
