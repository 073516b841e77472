//! CONFORMANCE.md is complete and true: every id once, every named test there.

use std::{collections::BTreeMap, fs, path::Path};

/// One row of the executors' table.
struct Row {
    id: String,
    test: String,
    shown: String,
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows under a heading, up to the next of its level.
fn rows(papers: &str, heading: &str) -> Vec<Row> {
    let lines = papers.lines().skip_while(|line| *line != heading).skip(1);
    let cells = lines.take_while(|line| !line.starts_with("## ")).filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.splitn(3, " | ").collect();
        let [id, test, shown] = cells.try_into().ok()?;
        Some(Row { id: id.to_owned(), test: test.trim_matches('`').to_owned(), shown: shown.to_owned() })
    });
    cells.filter(|row| row.id != "id").collect()
}

/// True if the file has the function, marked as a test and not ignored.
fn is_a_test(file: &str, function: &str) -> bool {
    let text = read(&format!("crates/ebbtide/tests/{file}"));
    let lines: Vec<_> = text.lines().collect();
    let place = lines.iter().position(|line| line.starts_with(&format!("fn {function}(")));
    place.is_some_and(|place| {
        let attributes = lines[..place].iter().rev().take_while(|line| line.starts_with("#["));
        let attributes: Vec<_> = attributes.collect();
        attributes.iter().any(|line| **line == "#[test]")
            && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    })
}

fn check_tests(rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Row { id, test, shown } in rows {
        let number = id.to_lowercase().replace('-', "_");
        match test.split_once("::") {
            Some((file, function)) if function.starts_with(&format!("{number}_")) => {
                if !is_a_test(file, function) {
                    wrong.push(format!("{id}: {file} has no test {function}"));
                }
            }
            _ => wrong.push(format!("{id}: `{test}` is not file::test with the id in its name")),
        }
        if shown.trim().is_empty() {
            wrong.push(format!("{id}: what is shown is not said"));
        }
    }
    wrong
}

#[test]
fn every_executor_case_is_in_the_table_once_and_its_test_exists() {
    let papers = read("CONFORMANCE.md");
    let rows = rows(&papers, "## Executors");
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *times.entry(&row.id).or_default() += 1;
    }
    let ids = read("conformance/executors.txt");
    let mut wrong = check_tests(&rows);
    for id in ids.lines() {
        match times.remove(id) {
            Some(1) => {}
            times => wrong.push(format!("{id} is in the table {} times", times.unwrap_or(0))),
        }
    }
    wrong.extend(times.keys().map(|id| format!("{id} is in the table and not in the list")));
    assert!(ids.lines().count() > 150 && rows.len() > 150, "the list or the table was not read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_worker_case_in_the_table_has_its_test() {
    let rows = rows(&read("CONFORMANCE.md"), "## Worker pools, the thread half");
    assert!(rows.len() >= 13, "{} rows", rows.len());
    assert!(check_tests(&rows).is_empty(), "{:#?}", check_tests(&rows));
}

#[test]
fn a_wrong_row_is_seen() {
    let row = |test: &str, shown: &str| Row { id: "ST-01".into(), test: test.into(), shown: shown.into() };
    let good = "tck_st.rs::st_01_a_fresh_pool_is_not_shut_down_and_then_it_is";
    assert!(check_tests(&[row(good, "x")]).is_empty());
    let bad = [
        row("–", "later"),
        row("tck_st.rs::st_01_no_such_test", "x"),
        row("tck_sd.rs::sd_02_every_queued_task_runs_in_a_drain", "x"),
        row("nothing", "x"),
        row(good, " "),
    ];
    assert_eq!(check_tests(&bad).len(), bad.len());
}
