//! The sweeps, in their short and long forms.

use super::{
    app,
    director::{say, seeds, sweep},
    given_up, late, pool, processes,
};

#[test]
fn pools_keep_their_promises_in_every_weather() {
    let test = "simulation::tests::pools_keep_their_promises_in_every_weather";
    say("pools", seeds(5_000, 1_000_000), test, pool::run);
}

#[test]
fn applications_stop_in_order_in_every_weather() {
    let test = "simulation::tests::applications_stop_in_order_in_every_weather";
    say("applications", seeds(5_000, 1_000_000), test, app::run);
}

#[test]
fn worker_processes_leave_nothing_behind_in_any_weather() {
    let test = "simulation::tests::worker_processes_leave_nothing_behind_in_any_weather";
    say("processes", seeds(5_000, 1_000_000), test, processes::run);
}

#[test]
fn a_task_that_was_taken_and_not_begun_at_the_deadline_has_an_end() {
    let test = "simulation::tests::a_task_that_was_taken_and_not_begun_at_the_deadline_has_an_end";
    say("late", seeds(30_000, 1_000_000), test, late::run);
}

#[test]
fn a_process_that_ends_while_it_is_given_up_is_counted_once() {
    let test = "simulation::tests::a_process_that_ends_while_it_is_given_up_is_counted_once";
    say("given up", seeds(5_000, 1_000_000), test, given_up::run);
}

/// Else a seed could not be replayed.
#[test]
fn a_seed_decides_everything() {
    for seed in 0..40 {
        let once = sweep("", seed..seed + 1, pool::run).trace;
        let again = sweep("", seed..seed + 1, pool::run).trace;
        assert_eq!(once, again, "pool, seed {seed}");
        let once = sweep("", seed..seed + 1, app::run).trace;
        let again = sweep("", seed..seed + 1, app::run).trace;
        assert_eq!(once, again, "application, seed {seed}");
        let once = sweep("", seed..seed + 1, processes::run).trace;
        let again = sweep("", seed..seed + 1, processes::run).trace;
        assert_eq!(once, again, "processes, seed {seed}");
    }
}
