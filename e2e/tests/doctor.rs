//! `ebbtide doctor`: says what this machine can enforce, to a person and to a program, and ends with what that means.

use std::path::Path;

use e2e::run::{Ebbtide, Ended, command};
use serde_json::Value;

fn doctor(args: &[&str]) -> Ended {
    Ebbtide::bare(["doctor"].iter().chain(args)).feed("")
}

fn finding<'f>(report: &'f Value, what: &str) -> &'f Value {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{what}: {report}"))
}

fn report(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).expect("an object")
}

#[test]
fn a_machine_that_runs_these_tests_is_ready() {
    let ended = doctor(&["--output", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = report(&ended);
    assert_eq!((&report["format"], &report["ready"]), (&"ebbtide-doctor".into(), &true.into()));
    for what in ["guardian", "open files", "spool", "node", "python3", "pidfd", "no_new_privs", "RLIMIT_DATA"]
    {
        assert_eq!(finding(&report, what)["ok"], true, "{what}: {report}");
    }
    let said = command("node").arg("--version").output().expect("node").stdout;
    let version = String::from_utf8(said).expect("text");
    let found = finding(&report, "node")["found"].as_str().expect("text");
    assert!(found.starts_with(version.trim()), "{found}");
    for finding in report["findings"].as_array().expect("findings") {
        assert_eq!(
            finding["ok"] == true,
            finding["remedy"].is_null(),
            "a remedy where one is needed: {finding}"
        );
        assert!(finding["means"].as_str().is_some_and(|text| text.len() > 20), "{finding}");
    }
}

#[test]
fn the_text_has_a_line_for_each_and_ends_with_the_sum() {
    let ended = doctor(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let guardian = ended.text().lines().find(|line| line.contains("guardian")).expect("a line");
    assert!(guardian.starts_with("yes"), "{guardian}");
    assert!(ended.text().lines().last().is_some_and(|line| line.starts_with("Ready")), "{}", ended.text());
}

fn with_path(folder: &Path) -> Value {
    let ended = Ebbtide::bare(["doctor", "--output", "json"]).with(|command| {
        command.env("PATH", folder);
    });
    let ended = ended.feed("");
    assert_eq!(ended.code, Some(0), "commands can be run without interpreters: {}", ended.stderr);
    report(&ended)
}

#[test]
fn an_interpreter_that_is_missing_too_old_or_broken_is_told_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let missing = with_path(folder.path());
    assert_eq!(finding(&missing, "node")["ok"], false);
    assert!(
        finding(&missing, "python3")["remedy"].as_str().expect("a remedy").contains("install Python"),
        "{missing}"
    );
    let fake = |name: &str, script: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("may be executed");
    };
    fake("node", "echo v16.20.1");
    fake("python3", "echo oh no; exit 3");
    let old = with_path(folder.path());
    assert_eq!(finding(&old, "node")["ok"], false);
    let found = finding(&old, "node")["found"].as_str().expect("text");
    assert!(found.contains("16.20.1") && found.contains("too old: 18.0"), "{found}");
    assert!(
        finding(&old, "python3")["found"].as_str().expect("text").contains("failed (exit code 3)"),
        "{old}"
    );
}

#[test]
fn what_is_needed_and_missing_makes_the_exit_code_1() {
    let ended = Ebbtide::bare(["doctor", "--output", "json"]).with(|command| {
        command.env("TMPDIR", "/nonexistent");
    });
    let ended = ended.feed("");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report = report(&ended);
    assert_eq!(
        (&report["ready"], &finding(&report, "spool")["ok"]),
        (&false.into(), &false.into()),
        "{report}"
    );
    assert!(
        finding(&report, "spool")["remedy"].as_str().is_some_and(|text| text.contains("TMPDIR")),
        "{report}"
    );
}
