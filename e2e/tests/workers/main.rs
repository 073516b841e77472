//! Pools of worker processes against every line of the list of worker cases, in Rust, Node.js and Python.
//!
//! Has a `main` of its own: this executable is also the Rust worker (`rust`), the guardian (`ebbtide::init`), each single test in a process of
//! its own (`alone`), and the supervisors that are killed (`scenario`). It needs `node` and `python3` and fails without them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alone;
mod bodies;
mod cancels;
mod deaths;
mod extras;
mod faces;
mod kinds;
mod memory;
mod odds;
mod orphans;
mod output;
mod protocol;
mod renewals;
mod restarts;
mod rig;
mod rust;
mod scenario;
mod schedules;
mod sizes;
mod starts;
mod stops;
mod table;
mod tools;

use std::process::ExitCode;

use alone::{Holds, Test};
use libtest_mimic::{Arguments, Trial};

const TESTS: &[&[Test]] = &[
    bodies::TESTS,
    cancels::TESTS,
    deaths::TESTS,
    extras::TESTS,
    faces::TESTS,
    memory::TESTS,
    odds::TESTS,
    orphans::TESTS,
    output::TESTS,
    protocol::TESTS,
    renewals::TESTS,
    restarts::TESTS,
    schedules::TESTS,
    sizes::TESTS,
    starts::TESTS,
    stops::TESTS,
];

fn main() -> ExitCode {
    if ebbtide_worker::is_worker().is_some() {
        rust::serve();
    }
    let (asked, scenario) = (alone::asked(), scenario::asked());
    let way = asked.as_ref().map(|(way, _)| *way).or(scenario.as_ref().map(|(way, ..)| *way));
    if way != Some(Holds::Direct) {
        ebbtide::init();
    }
    if let Some((_, name, kind)) = scenario {
        return scenario::play(&name, &kind);
    }
    let tests = TESTS.concat();
    if let Some((_, name)) = asked {
        let found = tests.into_iter().find(|(known, ..)| *known == name);
        alone::run(found.unwrap().2);
        return ExitCode::SUCCESS;
    }
    let names: Vec<&str> = tests.iter().map(|(name, ..)| *name).collect();
    let table = move || table::complete(&names).map_err(Into::into);
    let mut trials = vec![
        Trial::test("the_table_of_worker_cases_is_complete", table),
        Trial::test("a_wrong_table_is_seen", || table::bites().map_err(Into::into)),
    ];
    trials.extend(tests.into_iter().flat_map(alone::trials));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
