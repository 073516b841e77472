//! The table of shutdown scenarios in CONFORMANCE.md is complete and true: every id once, every named test there.

use std::{collections::BTreeMap, fs, path::Path};

const WAITS: [&str; 1] = ["waits for a durable queue"];
const DOCTESTS: &str = "crates/ebbtide/src/manual/application.rs";

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).ok()
}

fn rows(papers: &str) -> Vec<[String; 3]> {
    let lines = papers.lines().skip_while(|line| *line != "## Shutdown scenarios").skip(1);
    let lines = lines.take_while(|line| !line.starts_with("## "));
    let cells = lines.filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.splitn(3, " | ").collect();
        let cells: [&str; 3] = cells.try_into().ok()?;
        Some(cells.map(|cell| cell.trim_matches('`').to_owned()))
    });
    cells.filter(|[id, ..]| id != "id").collect()
}

/// What is wrong with a row.
fn wrong([id, test, shown]: &[String; 3]) -> Option<String> {
    if test == "–" {
        let why = WAITS.iter().any(|waits| shown.starts_with(waits));
        return (!why).then(|| format!("{id}: no test, and not said what it waits for"));
    }
    if test == DOCTESTS {
        let text = read(DOCTESTS).unwrap_or_default();
        let missing = ["E0382", "E0521", "E0599"]
            .into_iter()
            .find(|code| !text.contains(&format!("compile_fail,{code}")));
        return missing.map(|code| format!("{id}: no program that must not compile for {code}"));
    }
    let number = id.to_lowercase().replace('-', "_");
    let Some((file, function)) = test.split_once("::") else {
        return Some(format!("{id}: `{test}` is not file::test"));
    };
    if !function.starts_with(&format!("{number}_")) {
        return Some(format!("{id}: its test does not have the id in its name"));
    }
    let text = read(file).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let place = lines.iter().position(|line| line.contains(&format!("fn {function}(")));
    let is_test = place.is_some_and(|place| {
        let attributes: Vec<_> =
            lines[..place].iter().rev().take_while(|line| line.starts_with("#[")).collect();
        let marked =
            attributes.iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        marked && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    });
    if !is_test {
        return Some(format!("{id}: there is no test `{test}`"));
    }
    shown.trim().is_empty().then(|| format!("{id}: what is shown is not said"))
}

#[test]
fn every_shutdown_scenario_is_in_the_table_once_and_its_test_exists() {
    let rows = rows(&read("CONFORMANCE.md").expect("the table"));
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for [id, ..] in &rows {
        *times.entry(id).or_default() += 1;
    }
    let mut faults: Vec<_> = rows.iter().filter_map(wrong).collect();
    let ids = read("conformance/shutdown.txt").expect("the list");
    for id in ids.lines() {
        match times.remove(id) {
            Some(1) => {}
            times => faults.push(format!("{id} is in the table {} times", times.unwrap_or(0))),
        }
    }
    faults.extend(times.keys().map(|id| format!("{id} is in the table and not in the list")));
    assert!(ids.lines().count() == 34 && rows.len() == 34, "the list or the table was not read");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_wrong_row_is_seen() {
    let row = |id: &str, test: &str, shown: &str| [id, test, shown].map(str::to_owned);
    let good = "crates/ebbtide/tests/app/stop.rs::l_22_a_resource_that_fails_to_close_is_in_the_report_and_the_others_are_closed";
    assert_eq!(wrong(&row("L-22", good, "x")), None);
    let bad = [
        row("L-22", "–", "later"),
        row("L-23", good, "x"),
        row("L-22", "crates/ebbtide/tests/app/stop.rs::l_22_no_such_test", "x"),
        row("L-22", "nothing", "x"),
        row("L-22", good, " "),
    ];
    assert_eq!(bad.iter().filter_map(wrong).count(), bad.len());
}
