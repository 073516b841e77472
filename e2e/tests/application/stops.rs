//! What a signal does to an application, and by when it is over.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::driver::{Program, command, nap, start};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// On top of what is promised, for a machine that does other things as well.
const BUSY: Duration = Duration::from_secs(3);

#[test]
fn l_46_with_nothing_to_do_a_signal_ends_the_process_at_once() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut program = start("idle");
        program.until("ready").term();
        let (ended, time) = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.said("close redis") && ended.report()["reason"]["signal"] == "SIGTERM");
        took.push(time);
    }
    took.sort_unstable();
    println!("from the signal to the end of the process: {took:?}");
    assert!(took[0] < 50 * MILLI, "{took:?}");
}

#[test]
fn l_04_a_run_under_way_ends_and_the_resource_is_closed_after_it() {
    let mut program = start("slow-run");
    program.until("begun").until("ready").term();
    let (ended, _) = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<_> = ended.lines.iter().filter(|line| !line.starts_with("ready")).collect();
    assert_eq!(lines, ["open redis", "begun", "ended", "close redis", "over 0"]);
    assert!(ended.gap("refresh", "redis") >= 0.0);
    assert_eq!(ended.component("redis")["waited_for"], "refresh");
}

#[test]
fn l_10_a_hung_task_does_not_hold_the_process_and_nothing_is_closed_under_it() {
    let mut program = start("hung-thread");
    program.until("begun").until("ready").term();
    let (ended, took) = program.end();
    println!("a hung task, deadline 2 s: {took:?} from the signal to the end of the process");
    assert!(took < 2 * SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(15), "{}", ended.stderr);
    assert!(!ended.said("close redis"), "it was closed under a live user");
    let redis = ended.component("redis");
    assert_eq!((&redis["end"], &redis["held_by"][0]), (&"kept_open".into(), &"increments-1".into()));
    let worker = &ended.component("increments")["pool"]["workers"][0];
    assert_eq!((&worker["end"], &worker["ran"]["name"]), (&"abandoned".into(), &"for-ever".into()));
}

#[test]
fn l_11_a_command_that_ignores_us_is_killed_and_only_that_task() {
    let mut program = start("hung-command");
    program.until("begun").until("ready").term();
    let (ended, took) = program.end();
    println!("a hung command, deadline 4 s: {took:?}");
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let outcomes = &ended.component("commands")["pool"]["outcomes"];
    assert_eq!((&outcomes["killed"], &outcomes["completed"]), (&1.into(), &1.into()));
    assert!(ended.said("close redis"));
}

#[test]
fn l_11_a_worker_process_in_a_busy_loop_is_killed_and_only_its_task() {
    let mut program = start("hung-process");
    program.until("quick Some(7)").until("begun").until("ready").term();
    let (ended, took) = program.end();
    println!("a worker process in a busy loop, deadline 4 s: {took:?}");
    assert!(took < 4 * SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let pool = &ended.component("scripts")["pool"];
    let outcomes = &pool["outcomes"];
    let counted =
        ["completed", "cancelled", "killed", "crashed", "abandoned"].map(|name| outcomes[name].as_u64());
    assert_eq!(counted, [Some(1), Some(1), Some(1), Some(0), Some(0)], "{pool}");
    let workers = pool["workers"].as_array().expect("workers");
    let ran = |worker: &&Value| worker["ran"]["name"] == "spin" && worker["id"] == pool["slowest"]["worker"];
    assert_eq!((workers.iter().filter(ran).count(), &pool["slowest"]["name"]), (1, &"spin".into()), "{pool}");
    assert!(ended.said("close redis") && ended.gap("scripts", "redis") >= 0.0);
}

#[test]
fn bx_12_pools_that_hang_share_one_deadline_and_name_whom_they_left() {
    let mut program = start("hung-pools");
    program.until("begun first").until("begun second").until("ready").term();
    let (ended, took) = program.end();
    println!("two hung pools one after the other, deadline 3 s: {took:?}");
    assert!(took < 3 * SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(15), "{}", ended.stderr);
    for name in ["first", "second"] {
        let worker = &ended.component(name)["pool"]["workers"][0];
        let wanted = format!("{name}-for-ever");
        assert_eq!((&worker["end"], &worker["ran"]["name"]), (&"abandoned".into(), &wanted.into()));
    }
    assert!(!ended.said("close redis"), "it was closed under a live user");
}

#[test]
fn l_13_a_blocking_call_in_an_async_task_does_not_hold_the_process() {
    let mut program = start("blocking-async");
    program.until("begun").until("ready").term();
    let (ended, took) = program.end();
    println!("a blocking call in an async task, deadline 2 s: {took:?}");
    assert!(took < 2 * SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(15), "{}", ended.stderr);
    assert_eq!(ended.component("consumers")["end"], "hung");
    assert_eq!(ended.component("redis")["end"], "kept_open");
    assert!(ended.stderr.contains("consumers hung in its stop"), "{}", ended.stderr);
}

#[test]
fn a_blocking_thread_whose_task_was_dropped_does_not_hold_the_process() {
    let mut program = start("blocking-thread");
    program.until("begun").until("ready").term();
    let (ended, took) = program.end();
    println!("a hung blocking thread, deadline 2 s: {took:?}");
    assert!(took < 2 * SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(11), "{}", ended.stderr);
    assert_eq!(ended.component("consumers")["end"], "stopped");
    assert!(!ended.said("over 11"), "`main` came to its end: this does not show what it should");
}

#[test]
fn l_14_a_signal_during_the_start_calls_it_off_and_stops_what_has_started() {
    let mut program = start("connecting");
    program.until("connecting").term();
    let (ended, took) = program.end();
    println!("a start that hangs, deadline 4 s: {took:?}");
    assert!(took < 4 * SECOND + BUSY, "{took:?}");
    // Documented: it never served, so it did not start.
    assert_eq!(ended.code, Some(14), "{}", ended.stderr);
    assert_eq!(ended.component("redis")["end"], "start_hung");
    assert!(!ended.said("ready") && !ended.said("close what was never open"));
    // The one that hangs may use what it depends on.
    assert_eq!(ended.component("base")["end"], "kept_open");
}

#[test]
fn l_18_a_second_signal_forces_and_still_closes_in_order() {
    let mut program = start("minute");
    program.until("begun").until("ready").term();
    nap(500 * MILLI);
    assert!(program.is_there());
    program.term();
    let (ended, took) = program.end();
    println!("forced: {took:?} from the second signal to the end of the process");
    assert!(took < SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(16), "{}", ended.stderr);
    assert!(ended.said("close redis") && ended.gap("increments", "redis") >= 0.0);
    assert_eq!(ended.component("increments")["pool"]["outcomes"]["cancelled"], 1);
    assert_eq!(ended.report()["signals"].as_array().map(Vec::len), Some(2));
}

#[test]
fn l_19_two_signals_at_once_are_one_graceful_stop() {
    let mut program = start("half-a-second");
    program.until("begun").until("ready").term().term();
    let (ended, _) = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.report()["forced_ms"].is_null());
    assert_eq!(ended.report()["signals"].as_array().map(Vec::len), Some(1));
}

#[test]
fn l_21_a_third_signal_ends_the_process_although_everything_is_stuck() {
    let mut program = start("deadlocked");
    program.until("ready").term();
    nap(300 * MILLI);
    program.term();
    nap(300 * MILLI);
    assert!(program.is_there(), "the third is needed");
    program.term();
    let (ended, took) = program.end();
    println!("a third signal: {took:?} to the end of the process");
    assert!(took < 100 * MILLI + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(16), "{}", ended.stderr);
    assert!(ended.stderr.contains("redis is stopping"), "{}", ended.stderr);
}

#[test]
fn l_28_what_the_surroundings_grant_is_kept_and_warned_about() {
    let mut command = command("minute");
    command.env("EBBTIDE_STOP_TIMEOUT", "2s");
    let mut program = Program::start(command);
    program.until("begun").until("ready").term();
    let (ended, took) = program.end();
    println!("2 s granted, 30 s wanted: {took:?}");
    assert!(took < 2 * SECOND + BUSY, "{took:?}");
    assert_eq!(ended.code, Some(11), "the deadline passed and a task was cancelled: {}", ended.stderr);
    assert!(ended.stderr.contains("EBBTIDE_STOP_TIMEOUT grants 2s"), "{}", ended.stderr);
    assert_eq!(ended.report()["deadline_ms"], 2_000.0);
    assert!(ended.said("close redis"));
}

#[test]
fn l_45_a_stop_that_was_suspended_goes_on_and_says_so() {
    let mut program = start("five-seconds");
    program.until("begun").until("ready").term();
    nap(300 * MILLI);
    program.signal(Signal::STOP);
    nap(4 * SECOND);
    program.signal(Signal::CONT);
    let (ended, _) = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let timeline = ended.report()["timeline"].as_array().expect("entries");
    let stood = timeline.iter().find(|entry| entry["what"] == "stood").expect("it was seen");
    assert!(stood["for_ms"].as_f64().is_some_and(|millis| millis > 2_000.0), "{stood}");
}

#[test]
fn a_bad_stop_timeout_is_refused() {
    let mut command = command("idle");
    command.env("EBBTIDE_STOP_TIMEOUT", "soon");
    let (ended, _) = Program::start(command).end();
    assert_eq!(ended.code, Some(78));
    assert!(!ended.said("open redis"));
    assert!(
        ended.report()["reason"]["problem"]
            .as_str()
            .is_some_and(|said| said.starts_with("EBBTIDE_STOP_TIMEOUT: \"soon\" is no duration")),
        "{:?}",
        ended.report()
    );
}
