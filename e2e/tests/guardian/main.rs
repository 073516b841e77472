//! The guardian, with real processes: what it starts, what it reports, and that it outlives none of them.
//!
//! Has a `main` of its own, because a guardian is this executable started once more and `init` has to come first.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    ebbtide::init();
    let tests: Vec<(&str, fn())> = commands::TESTS.to_vec();
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                test();
                Ok::<(), Failed>(())
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
