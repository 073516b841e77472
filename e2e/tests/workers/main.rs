//! Pools of worker processes against every line of the list of worker cases, in Rust, Node.js and Python.
//!
//! Has a `main` of its own: this executable is also the Rust worker (`rust`), the guardian (`ebbtide::init`), each single test in a process of
//! its own (`alone`), and the supervisors that are killed (`scenario`). It needs `node` and `python3` and fails without them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alone;
mod cancels;
mod deaths;
mod kinds;
mod restarts;
mod rig;
mod rust;
mod sizes;
mod tools;

use std::process::ExitCode;

use alone::{Holds, Test};
use libtest_mimic::Arguments;

const TESTS: &[&[Test]] = &[cancels::TESTS, deaths::TESTS, restarts::TESTS, sizes::TESTS];

fn main() -> ExitCode {
    if ebbtide_worker::is_worker().is_some() {
        rust::serve();
    }
    let asked = alone::asked();
    if asked.as_ref().is_none_or(|(way, _)| *way == Holds::Guarded) {
        ebbtide::init();
    }
    let tests = TESTS.concat();
    if let Some((_, name)) = asked {
        let found = tests.into_iter().find(|(known, ..)| *known == name);
        alone::run(found.unwrap().2);
        return ExitCode::SUCCESS;
    }
    let trials = tests.into_iter().flat_map(alone::trials).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
