//! The process half of the table of worker cases in CONFORMANCE.md is complete and true: every id once, every named test there and run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Tests by the functions that they are.
pub(crate) fn complete(functions: &[&str]) -> Result<(), String> {
    let papers = read("CONFORMANCE.md");
    let lines = papers.lines().skip_while(|line| *line != "## Worker pools, the process half").skip(1);
    let rows: Vec<Vec<&str>> = lines
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| Some(line.strip_prefix("| ")?.strip_suffix(" |")?.splitn(3, " | ").collect()))
        .filter(|row: &Vec<&str>| row.len() == 3 && row[0] != "id")
        .collect();
    let ids = read("conformance/workers.txt");
    let faults = faults(&rows, &ids, functions);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn faults(rows: &[Vec<&str>], ids: &str, functions: &[&str]) -> Vec<String> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for row in rows {
        *times.entry(row[0]).or_default() += 1;
        let number = row[0].to_lowercase().replace('-', "_");
        let Some((file, function)) = row[1].trim_matches('`').split_once("::") else {
            faults.push(format!("{}: `{}` is not file::test", row[0], row[1]));
            continue;
        };
        if !function.starts_with(&format!("{number}_")) {
            faults.push(format!("{}: {function} does not have the id in its name", row[0]));
        }
        if !read(file).contains(&format!("fn {function}()")) {
            faults.push(format!("{}: {file} has no {function}", row[0]));
        }
        if !functions.contains(&function) {
            faults.push(format!("{}: {function} is not run", row[0]));
        }
    }
    for id in ids.lines() {
        if times.remove(id) != Some(1) {
            faults.push(format!("{id} is not in the table once"));
        }
    }
    faults.extend(times.keys().map(|id| format!("{id} is in the table and not in the list")));
    if ids.lines().count() != 30 {
        faults.push("the list does not have thirty ids".to_owned());
    }
    faults
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap_or_default()
}

/// A table that is wrong is seen.
pub(crate) fn bites() -> Result<(), String> {
    let file = "e2e/tests/workers/deaths.rs::p_01_one_of_ten_kills_its_worker_and_nine_complete";
    let known = ["p_01_one_of_ten_kills_its_worker_and_nine_complete"];
    let good = faults(&[vec!["P-01", file, "x"]], "P-01\n", &known);
    let bad = [
        faults(&[vec!["P-01", "nothing", "x"]], "P-01\n", &known),
        faults(&[vec!["P-02", file, "x"]], "P-02\n", &known),
        faults(&[vec!["P-01", file, "x"]], "P-01\n", &[]),
        faults(&[], "P-01\n", &known),
    ];
    let seen = good.len() == 1 && bad.iter().all(|faults| faults.len() >= 2);
    if seen { Ok(()) } else { Err(format!("{good:?} {bad:?}")) }
}
