//! The command line of `ebbtide`: durations, sizes, ranges, and everything else that a person may type. One argument per line.
#![no_main]

#[path = "../../crates/ebbtide-cli/src/args.rs"]
mod args;
#[path = "../../crates/ebbtide-cli/src/exit.rs"]
mod exit;
#[path = "../../crates/ebbtide-cli/src/worker_args.rs"]
mod worker_args;
#[path = "."]
mod workers {
    #[path = "../../crates/ebbtide-cli/src/workers/spec.rs"]
    mod spec;

    pub(crate) use spec::WorkerSpec;
}

use clap::Parser as _;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let line = ["ebbtide", "run"].into_iter().chain(text.split('\n'));
    if let Ok(cli) = args::Cli::try_parse_from(line)
        && let args::Command::Run(run) = cli.command
    {
        let workers = run.workers();
        assert!(workers.min >= 1 && workers.min <= workers.max);
        let grace = run.grace();
        #[cfg(feature = "canary")]
        assert!(workers.max < 5, "the canary");
        // What is accepted can be added to a clock.
        assert!(std::time::Instant::now().checked_add(grace).is_some());
    }
});
