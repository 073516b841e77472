//! Rules for what is not Rust: manifests, and the papers whose claims tests must hold.

use crate::source::Source;

/// The papers that may name tests as `path/file.rs::test_name`, each of which must exist.
pub(crate) const CLAIMING: [&str; 4] = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "VERIFICATION.md"];

/// Crates of this workspace that others of it depend on.
const OURS: [&str; 2] = ["counter-service", "ebbtide"];

/// A crate that does not take the workspace's lints is held to none. One that is a workspace of its own cannot.
pub(crate) fn lints(manifest: &Source) -> Vec<String> {
    if manifest.text.lines().any(|line| line.trim() == "[workspace]") {
        return Vec::new();
    }
    let mut lines = manifest.text.lines().skip_while(|line| line.trim() != "[lints]").skip(1);
    if lines.next().is_some_and(|line| line.replace(' ', "") == "workspace=true") {
        return Vec::new();
    }
    vec![format!("{}:1: no `[lints] workspace = true`", manifest.path)]
}

/// Every dependency of a manifest has its reason in `DESIGN.md`, where it is named in backticks.
pub(crate) fn reasons(manifest: &Source, design: &Source) -> Vec<String> {
    let named: Vec<String> = quoted(&design.text).into_iter().map(|(_, word)| word).collect();
    let mut in_dependencies = false;
    let mut findings = Vec::new();
    for (line, number) in manifest.text.lines().zip(1..) {
        if line.starts_with('[') {
            in_dependencies = line.trim_end().ends_with("dependencies]");
        } else if let (true, Some(name)) = (in_dependencies, line.split(['=', '.', ' ']).next())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && !OURS.contains(&name)
            && !named.iter().any(|word| word == name)
        {
            findings.push(format!("{}:{number}: `{name}` has no reason in {}", manifest.path, design.path));
        }
    }
    findings
}

/// Every `file.rs::test` in backticks is a test function of that file.
pub(crate) fn claims(paper: &Source, files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, word) in quoted(&paper.text) {
        let Some((path, test)) = word.split_once(".rs::") else { continue };
        let path = format!("{path}.rs");
        let file = files.iter().find(|file| file.path == path || file.path.ends_with(&format!("/{path}")));
        let held = file.is_some_and(|file| is_test(&file.text, test));
        if !held {
            findings.push(format!("{}:{line}: there is no test `{word}`", paper.path));
        }
    }
    findings
}

/// Every path in backticks or in a link that looks like a file of ours is one.
pub(crate) fn named_files(paper: &Source, files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, word) in quoted(&paper.text).into_iter().chain(linked(&paper.text)) {
        let ours = ["crates/", "e2e/", "benches/", "examples/"].iter().any(|start| word.starts_with(start));
        let extension = word.ends_with(".rs") || word.ends_with(".md") || word.ends_with(".toml");
        let exists = files.iter().any(|file| file.path == word);
        if ours && extension && !exists {
            findings.push(format!("{}:{line}: there is no file `{word}`", paper.path));
        }
    }
    findings
}

/// A function of that name right under a `#[test]`, or a row of the list of a harness of its own (`("name", function)`, on one line or on several).
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let function = format!("fn {name}()");
    let place = lines.iter().position(|line| line.trim_start_matches("pub ").starts_with(&function));
    let row = format!("\"{name}\",");
    let listed = text.contains(&format!("({row}")) || lines.contains(&row.as_str());
    listed
        || place.is_some_and(|place| {
            let above = lines[..place]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#[") || line.starts_with("//"));
            above.clone().any(|line| line.starts_with("#[test]"))
        })
}

fn quoted(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().zip(1..);
    let pairs = lines.flat_map(|(line, number)| {
        line.split('`').skip(1).step_by(2).map(move |word| (number, word.to_owned()))
    });
    pairs.collect()
}

fn linked(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().zip(1..);
    let targets = lines.flat_map(|(line, number)| {
        let ends = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        ends.map(move |target| (number, target.to_owned()))
    });
    targets.collect()
}
