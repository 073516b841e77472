//! One round of every contender: all of them start, are loaded, stopped and counted, and what is known of them is seen again.
#![expect(clippy::disallowed_methods, reason = "a test; it runs the harness as its user does")]

use std::process::Command;

use serde_json::Value;

#[test]
fn everybody_is_stopped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("stops.json");
    let output = Command::new(env!("CARGO_BIN_EXE_stops"))
        .args(["--rounds", "2", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{said}");

    let results: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let contenders = results["contenders"].as_array().unwrap();
    let sum = |name: &str, field: &str| {
        let contender = contenders.iter().find(|contender| contender["name"] == name).unwrap();
        contender["rounds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|round| round[field].as_u64().unwrap())
            .sum::<u64>()
    };
    for contender in contenders {
        let name = contender["name"].as_str().unwrap();
        assert!(printed.contains(name), "{printed}");
        assert!(sum(name, "answered") > 0 && sum(name, "reads") > 0, "{name} served nobody:\n{printed}");
        // The books of clients and Redis agree: nothing was applied that was not sent.
        let (applied, lost) = (sum(name, "applied"), sum(name, "lost"));
        let (answered, unanswered) = (sum(name, "answered"), sum(name, "unanswered"));
        assert!(applied + lost >= answered && applied <= answered + unanswered, "{name}:\n{printed}");
    }
    for wrong in ["lost", "refused", "unanswered", "reads_lost", "other", "errors"] {
        assert_eq!(sum("ebbtide", wrong), 0, "{wrong}:\n{printed}");
    }
    // The comparison bites: work that nobody waits for is lost, and who closes at once refuses.
    assert!(sum("axum", "lost") > 0, "{printed}");
    assert_eq!(sum("task-tracker", "lost"), 0, "{printed}");
    assert!(sum("task-tracker", "refused") > 0, "{printed}");
}

#[test]
fn a_wrong_name_is_an_error_that_names_the_right_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_stops")).args(["--contender", "axiom"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("task-tracker"), "{said}");
}
