//! The guardian, with real processes: what it starts, what it reports, and that it outlives none of them.
//!
//! Has a `main` of its own, because a guardian is this executable started once more and `init` has to come first. The same
//! executable plays the supervisor that is killed: see `scenario`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod endings;
mod limits;
mod scenario;
mod tools;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    ebbtide::init();
    if let Some(code) = scenario::play() {
        return code;
    }
    let trials = [commands::TESTS, endings::TESTS, limits::TESTS]
        .concat()
        .into_iter()
        .map(|(name, test): (&str, fn())| {
            Trial::test(name, move || {
                test();
                Ok::<(), Failed>(())
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
