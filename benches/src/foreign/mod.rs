//! Peers that are not Rust: what must be installed, compiled or fetched before they can run, and what is missing.

mod jdk;
mod node;

use std::{path::PathBuf, process::Command};

/// Builds the command of a contender by its name, or says what is missing.
pub(crate) type Ready = Result<Box<dyn Fn(&str) -> Command>, String>;

pub(crate) use jdk::prepare as jdk;
pub(crate) use node::prepare as node;

/// Where what is made for the race is kept: in the target directory, beside the profile this program was built in.
fn workshop(name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let target = program.ancestors().nth(2).ok_or("this program is in no target directory")?;
    let workshop = target.join("race").join(name);
    std::fs::create_dir_all(&workshop).map_err(|error| format!("{}: {error}", workshop.display()))?;
    Ok(workshop)
}

/// Runs a tool to its end and gives what it printed.
fn tool(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{name}` does not run here: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`{name}` failed: {}", said.lines().last().unwrap_or("it said nothing")))
}
