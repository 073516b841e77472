//! The examples run and end well, and are read in one go.
#![expect(clippy::disallowed_methods, reason = "an example is run as its user would run it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Builds them (`cargo test --test examples` alone does not) and says where they are: beside this test's own folder.
fn built() -> PathBuf {
    let me = std::env::current_exe().expect("a test has a file");
    let profile = me.parent().and_then(Path::parent).expect("TARGET/PROFILE/deps");
    let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile's name");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--examples", "--profile", if name == "debug" { "dev" } else { name }]);
    cargo.arg("--target-dir").arg(profile.parent().expect("TARGET")).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().expect("cargo").success(), "the examples build");
    profile.join("examples")
}

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = folder.read_dir().expect("examples").map(|entry| entry.expect("readable").path());
    let mut names: Vec<_> =
        files.map(|file| file.file_stem().expect("a name").to_str().expect("UTF-8").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_example_ends_well() {
    let folder = built();
    for name in names() {
        let run = Command::new(folder.join(&name)).stdin(Stdio::null()).output().expect("it starts");
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{name}: {}\n{out}\n{err}", run.status);
        assert!(!out.is_empty(), "{name} says nothing");
    }
}

#[test]
fn they_are_numbered_and_short() {
    let names = names();
    assert!(names.len() >= 7, "{names:?}");
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:02}_")), "{name} should be number {number}");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
        let lines = std::fs::read_to_string(file).expect("readable").lines().count();
        assert!(lines <= 60, "{name} has {lines} lines: an example is read in one go");
    }
}
