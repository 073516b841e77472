//! Rules of the house that no linter can express, held by an ordinary test: a laptop and CI run the same.
//!
//! What is held, and why, is said in `CONTRIBUTING.md` under "The house rules". Each rule is a function in `rules` or `papers` that is given
//! a file and gives its findings; `bites` feeds each of them bad input, so that a rule that went blind is seen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bites;
mod papers;
mod rules;
mod source;

use source::{Source, workspace};

/// Runs one rule over files and fails with everything it found.
fn hold(files: &[Source], rule: impl Fn(&Source) -> Vec<String>) {
    assert!(!files.is_empty(), "the rule was given no file to look at");
    let findings: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "{} finding(s):\n{}", findings.len(), findings.join("\n"));
}

fn rust() -> Vec<Source> {
    workspace().into_iter().filter(Source::is_rust).collect()
}

fn library() -> Vec<Source> {
    rust().into_iter().filter(|file| file.path.starts_with(rules::LIBRARY)).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    hold(&rust(), rules::header);
}

#[test]
fn files_are_short() {
    hold(&rust(), rules::file_length);
}

#[test]
fn functions_are_short() {
    hold(&rust(), rules::function_length);
}

#[test]
fn rooms_know_only_what_is_below_them() {
    hold(&library(), rules::layering);
}

#[test]
fn decisions_are_pure() {
    hold(&library(), rules::decision);
}

#[test]
fn unsafe_stays_where_it_is_argued() {
    hold(&rust(), rules::unsafe_code);
}

#[test]
fn rooms_have_a_door_that_only_opens() {
    hold(&library(), rules::door);
    let folders = rules::folders_without_door(&library());
    assert!(folders.is_empty(), "without a `mod.rs` (or a file of their name): {folders:?}");
}

#[test]
fn nothing_is_left_over() {
    hold(&workspace(), rules::left_over);
}

#[test]
fn no_path_of_one_machine() {
    hold(&workspace(), rules::machine_path);
}

fn manifests() -> Vec<Source> {
    workspace().into_iter().filter(|file| file.path.ends_with("/Cargo.toml")).collect()
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    hold(&manifests(), papers::lints);
}

#[test]
fn every_dependency_has_its_reason() {
    let design = workspace().into_iter().find(|file| file.path == "DESIGN.md").unwrap();
    hold(&manifests(), |manifest| papers::reasons(manifest, &design));
}

#[test]
fn tests_that_papers_name_exist() {
    let (files, papers) = (rust(), workspace());
    let papers: Vec<_> = papers.into_iter().filter(|file| papers::CLAIMING.contains(&&*file.path)).collect();
    assert_eq!(papers.len(), papers::CLAIMING.len(), "a paper of {:?} is missing", papers::CLAIMING);
    hold(&papers, |paper| papers::claims(paper, &files));
}

#[test]
fn files_that_papers_name_exist() {
    let files = workspace();
    let papers: Vec<_> = files.iter().filter(|file| file.path.ends_with(".md")).cloned().collect();
    hold(&papers, |paper| papers::named_files(paper, &files));
}
