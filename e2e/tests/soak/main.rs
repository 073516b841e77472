//! A soak of the real thing: pools of threads and of worker processes in Rust, Node.js and Python, in bad weather, all at once.
//!
//! Each kind of workers is a [`Population`](population::Population) and has a process of its own. Every task is in books of our own, which
//! must be the pools'; and at the end nothing is left behind: no process, thread, descriptor, or memory.
//!
//! 60 s, and 200 000 tasks in all. `EBBTIDE_SOAK=600` (seconds) for longer, `EBBTIDE_LONG=1` for an hour with 10 million, which also holds the
//! slope of the memory; `EBBTIDE_SEED` gives the dice. Has a `main` of its own for the reasons that `workers` has.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../workers/alone.rs"]
#[expect(dead_code, reason = "shared with `workers`, which uses all of it")]
mod alone;
mod books;
#[path = "../../../crates/ebbtide/tests/support/dice.rs"]
mod dice;
#[path = "../workers/kinds.rs"]
#[expect(dead_code, reason = "shared with `workers`, which uses all of it")]
mod kinds;
mod measure;
mod notes;
mod population;
mod processes;
#[path = "../workers/rust.rs"]
mod rust;
mod term;
mod threads;
#[path = "../workers/tools.rs"]
#[expect(dead_code, reason = "shared with `workers`, which uses all of it")]
mod tools;
mod victims;
mod weather;

use std::process::ExitCode;

use alone::{G, Holds, Test};
use libtest_mimic::{Arguments, Trial};
use peak_alloc::PeakAlloc;
use term::Term;

/// Counts what is in use: what the process holds beyond that is its allocator's business, and grows and shrinks by chance.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const TESTS: &[Test] = alone::tests! {
    ("threads_in_any_weather", G, threads_in_any_weather),
    ("rust_in_any_weather", G, rust_in_any_weather),
    ("node_in_any_weather", G, node_in_any_weather),
    ("python_in_any_weather", G, python_in_any_weather),
};

fn threads_in_any_weather() {
    weather::soak(threads::OfThreads, Term::of("threads_in_any_weather", 150_000));
}

fn rust_in_any_weather() {
    weather::soak(processes::of(kinds::rust()), Term::of("rust_in_any_weather", 40_000));
}

fn node_in_any_weather() {
    weather::soak(processes::of(kinds::node()), Term::of("node_in_any_weather", 5_000));
}

fn python_in_any_weather() {
    weather::soak(processes::of(kinds::python()), Term::of("python_in_any_weather", 5_000));
}

fn main() -> ExitCode {
    if ebbtide_worker::is_worker().is_some() {
        rust::serve();
    }
    ebbtide::init();
    if let Some((_, name)) = alone::asked() {
        term::cap();
        let found = TESTS.iter().find(|(known, ..)| *known == name);
        alone::run(found.unwrap().2);
        return ExitCode::SUCCESS;
    }
    let trials = TESTS.iter().map(|(name, ..)| Trial::test(*name, || show(name))).collect();
    let mut arguments = Arguments::from_args();
    // All of them at once: they are each other's bad weather, too.
    arguments.test_threads.get_or_insert(TESTS.len());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs one, and shows its figures.
#[expect(clippy::print_stderr, reason = "what came of it is said")]
fn show(name: &str) -> Result<(), libtest_mimic::Failed> {
    let said = alone::start(name, Holds::Guarded, Term::of(name, 0).hangs())?;
    eprint!("{said}");
    Ok(())
}
