//! The binary `ebbtide`: the only place that reads arguments, prints and ends the process.

#[cfg(not(target_os = "linux"))]
compile_error!("the command line needs the guardian, which runs on Linux only, for now");

mod args;
mod bell;
mod body;
mod clock;
mod crew;
mod doctor;
mod exit;
mod feed;
mod files;
mod input;
mod job;
mod joblog;
mod ledger;
mod messages;
mod output;
mod pages;
mod plan;
mod prepare;
mod progress;
mod report;
mod resume;
mod run;
mod runner;
mod show;
mod signals;
mod stop;
mod template;
mod window;
mod work;
mod worker_args;
mod workers;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    ebbtide::init();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to the standard output, a complaint to the standard error; a closed one is no reason to panic.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    ExitCode::from(match cli.command {
        args::Command::Run(args) => run::run(&args),
        args::Command::Doctor(args) => doctor::doctor(&args),
        args::Command::Report(args) => show::show(&args),
        args::Command::Completions { shell } => pages::completions(shell),
        args::Command::Man { page } => pages::man(page),
    })
}
