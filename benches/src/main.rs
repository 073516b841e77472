//! The race against the peers: `cargo run --release -p benches -- peers` for threads, `-- processes` for worker processes, and `-- leak` for
//! leaking workers beside Piscina's.
//!
//! Every contender runs in a process of its own (one that hangs or dies costs its own result only), in interleaved rounds: a lap each, then the
//! next lap. `contenders` says who they are, `scenario` what is run, `course` how, `race` in which order.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints what it measured")]
#![expect(
    clippy::disallowed_methods,
    reason = "measures wall time; threads and processes are the peers' own"
)]
#![expect(refining_impl_trait, reason = "contenders name their handles, scenarios need not know them")]

mod args;
mod child;
mod contender;
mod contenders;
mod count;
mod course;
mod foreign;
mod hogs;
mod lap;
mod leak;
mod noise;
mod plots;
mod processes;
mod race;
mod results;
mod runner;
mod scenario;
mod stats;
mod table;

use std::{error::Error, process::ExitCode};

use clap::Parser as _;

use crate::{
    args::{Cli, Peers, What},
    contenders::OURS,
    lap::Group,
    race::Race,
};

fn main() -> ExitCode {
    // It may have been started as a guardian, or as a worker.
    ebbtide::init();
    if ebbtide_worker::is_worker().is_some_and(|name| name == processes::WORKER) {
        processes::rust_worker();
    }
    let done = match Cli::parse().what {
        What::Contender { name } => thread_contender(&name),
        What::ProcessContender { name } => {
            child::serve(processes::contender(&name)).map_err(Into::into).map(|()| ExitCode::SUCCESS)
        }
        What::Peers(peers) if peers.list => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        What::Leak(args) => leak::run(&args),
        What::LeakLoad { seconds } => leak::load(seconds).map(|()| ExitCode::SUCCESS),
        What::Peers(peers) => race(&peers, Group::Threads),
        What::Processes(peers) if peers.list => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        What::Processes(peers) => race(&peers, Group::Processes),
    };
    done.unwrap_or_else(|error| {
        eprintln!("benches: {error}");
        ExitCode::FAILURE
    })
}

fn thread_contender(name: &str) -> Result<ExitCode, Box<dyn Error>> {
    child::limit_memory()?;
    child::serve(|lap| contenders::run(name, lap).map_err(|why| why.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Fails when ours hung, died or did it wrong; being slow is no failure.
fn race(peers: &Peers, group: Group) -> Result<ExitCode, Box<dyn Error>> {
    if cfg!(debug_assertions) {
        eprintln!(
            "benches: built without optimisation, these figures mean nothing; use `cargo run --release`"
        );
    }
    let results = Race::new(peers, group)?.run();
    println!("{}", table::Text(&results));
    if let Some(path) = &peers.json {
        let written = std::fs::write(path, results.to_json()? + "\n");
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(directory) = &peers.plots {
        plots::draw(&results, directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let failed = results.absent.iter().any(|absent| absent.failed && absent.contender == OURS);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn list() {
    for scenario in scenario::ALL.into_iter().chain(processes::SCENARIOS) {
        println!("{}: {}", scenario.rows.join(", "), scenario.about);
    }
    println!();
    for entry in contenders::ALL.into_iter().chain(processes::CONTENDERS) {
        println!("{}: {}", entry.name, entry.about);
    }
}
