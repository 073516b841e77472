//! Peers that are not Rust: what must be installed, compiled or fetched before they can run, and what is missing.

mod commands;
mod jdk;
mod node;
mod python;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the command of a contender by its name, or says what is missing.
pub(crate) type Ready = Result<Box<dyn Fn(&str) -> Command>, String>;

pub(crate) use commands::{prepare as commands, program as ebbtide};
pub(crate) use jdk::prepare as jdk;
pub(crate) use node::{prepare as node, race as node_pools};
pub(crate) use python::prepare as python;

/// Where what is made for the race is kept: in the target directory, beside the profile this program was built in.
pub(crate) fn workshop(name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let target = program.ancestors().nth(2).ok_or("this program is in no target directory")?;
    let workshop = target.join("race").join(name);
    std::fs::create_dir_all(&workshop).map_err(|error| format!("{}: {error}", workshop.display()))?;
    Ok(workshop)
}

/// Writes files that are not there as they should be: others may be reading them.
fn put(dir: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    for (name, text) in files {
        let path = dir.join(name);
        if !fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Runs a tool to its end and gives what it printed.
pub(crate) fn tool(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{name}` does not run here: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`{name}` failed: {}", said.lines().last().unwrap_or("it said nothing")))
}
