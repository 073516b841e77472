//! What starts a command per line: `ebbtide run`, built from this repository; `xargs` and GNU parallel are there or not.

use std::{path::PathBuf, process::Command};

use super::tool;

/// Builds the command line beside this program.
pub(crate) fn prepare() -> Result<PathBuf, String> {
    let program = program()?;
    let target = program.ancestors().nth(2).ok_or("this program is in no target directory")?;
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--release", "--package", "ebbtide-cli", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).arg("--target-dir").arg(target);
    tool(&mut build)?;
    Ok(program)
}

/// Where it is then.
pub(crate) fn program() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let target = this.ancestors().nth(2).ok_or("this program is in no target directory")?;
    Ok(target.join("release/ebbtide"))
}
