//! The race starts, runs two contenders and writes what was promised; needs neither Java nor node.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test; it runs the race as its user does"
)]

use std::process::{Command, Output};

use serde_json::Value;

fn peers(args: &[&str]) -> Output {
    benches("peers", args)
}

fn benches(what: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_benches")).arg(what).args(args).output().unwrap()
}

#[test]
fn two_contenders_race_and_the_results_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let (json, plots) = (dir.path().join("race.json"), dir.path().join("plots"));
    let names = ["--contender", "ebbtide", "--contender", "crossbeam-channel"];
    let files = ["--json", json.to_str().unwrap(), "--plots", plots.to_str().unwrap()];
    let what = ["--only", "ping-pong", "--only", "stop-abort-100k", "--quick", "--rounds", "1"];
    let output = peers(&[&names[..], &files[..], &what[..]].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");

    let results: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let rows = results["rows"].as_array().unwrap();
    let raced = |scenario: &str, contender: &str| {
        rows.iter().find(|row| row["scenario"] == scenario && row["contender"] == contender)
    };
    for row in rows {
        let keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 6, "{keys:?}");
        let (least, median) = (row["min_ns"].as_f64().unwrap(), row["median_ns"].as_f64().unwrap());
        assert!(0.0 < least && least <= median && median <= row["max_ns"].as_f64().unwrap(), "{row}");
        assert_eq!(row["rounds"], 1, "{row}");
    }
    assert!(raced("ping-pong", "ebbtide").is_some() && raced("ping-pong", "crossbeam-channel").is_some());
    assert!(raced("stop-abort-100k", "ebbtide").is_some(), "{printed}");
    assert_eq!(raced("stop-abort-100k", "crossbeam-channel"), None, "a channel hands nothing back");
    assert_eq!(results["absent"][0]["contender"], "crossbeam-channel", "and that is said");
    assert!(printed.contains("hands unstarted tasks back") && printed.contains("Noise: "), "{printed}");
    assert!(std::fs::read_to_string(plots.join("ping-pong.svg")).unwrap().contains("<svg"));
}

/// What a job's lateness is measured against: both rows for whom it is asked of, and a word about who has no schedules.
#[test]
fn the_lateness_of_a_job_is_measured_where_there_are_schedules() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("late.json");
    let names = ["ebbtide", "tokio interval", "threadpool"].map(|name| ["--contender", name]).concat();
    let what = ["--only", "late-1ms-p50", "--quick", "--rounds", "1", "--json", json.to_str().unwrap()];
    let output = peers(&[&names[..], &what[..]].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    let results: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let median = |scenario: &str, contender: &str| {
        let rows = results["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["scenario"] == scenario && row["contender"] == contender);
        row.and_then(|row| row["median_ns"].as_f64())
    };
    for contender in ["ebbtide", "tokio interval"] {
        let (half, most) = (median("late-1ms-p50", contender), median("late-1ms-p99", contender));
        assert!(half.is_some_and(|half| 0.0 < half) && half <= most, "{contender}: {printed}");
    }
    assert_eq!(median("late-1ms-p50", "threadpool"), None, "it has no schedules");
    assert!(printed.contains("has no schedules"), "and that is said: {printed}");
}

/// Worker processes of this very program, beside xargs; both by `processes`, and by name among the `peers`.
#[test]
fn worker_processes_race_and_targets_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("race.json");
    let names = ["--contender", "ebbtide"];
    let what = ["--only", "process-rust", "--quick", "--rounds", "1", "--json", json.to_str().unwrap()];
    for command in ["processes", "peers"] {
        let output = benches(command, &[&names[..], &what[..]].concat());
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}");
        let results: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        assert_eq!(results["absent"].as_array().map(Vec::len), Some(0), "{printed}");
        let rows = results["rows"].as_array().unwrap();
        let scenarios: Vec<_> = rows.iter().map(|row| row["scenario"].as_str().unwrap()).collect();
        assert_eq!(scenarios, ["process-rust", "process-rust-cpu"]);
        assert!(rows.iter().all(|row| row["median_ns"].as_f64().unwrap() > 0.0), "{printed}");
        let targets = results["targets"].as_array().unwrap();
        assert!(targets.len() == 1 && targets.iter().all(|target| target["met"].is_boolean()), "{printed}");
        assert!(printed.contains("target: at most"), "{printed}");
    }
}

#[test]
#[ignore = "builds the command for release, which takes minutes: cargo test -p benches -- --ignored"]
fn what_is_no_pool_starts_commands_only() {
    let names = ["--contender", "xargs"];
    let output =
        benches("processes", &[&names[..], &["--only", "commands", "--quick", "--rounds", "1"]].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    let there = Command::new("xargs").arg("--version").output().is_ok();
    assert!(
        output.status.success() && printed.contains("xargs") && there != printed.contains("not on this"),
        "{printed}"
    );
}

#[test]
fn a_wrong_name_is_an_error_that_names_the_right_ones() {
    for (args, known) in [(["--only", "fires"], "fire-1to1"), (["--contender", "raion"], "rayon")] {
        let output = peers(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(known), "{said}");
    }
}
