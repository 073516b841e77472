//! Piscina, tinypool and jest-worker: installed from npm into the target directory, at the versions of `peers/package.json`.

use std::{fs, path::PathBuf, process::Command};

use super::{Ready, put, tool, workshop};

const FILES: [(&str, &str); 9] = [
    ("package.json", include_str!("../../peers/package.json")),
    ("race.mjs", include_str!("../../peers/race.mjs")),
    ("empty.mjs", include_str!("../../peers/empty.mjs")),
    ("processes.mjs", include_str!("../../peers/processes.mjs")),
    ("cpu.mjs", include_str!("../../peers/cpu.mjs")),
    ("leak.mjs", include_str!("../../peers/leak.mjs")),
    ("busy.cjs", include_str!("../../peers/workers/busy.cjs")),
    ("spin.cjs", include_str!("../../peers/workers/spin.cjs")),
    ("leak.cjs", include_str!("../../peers/workers/leak.cjs")),
];

/// The race of threads.
pub(crate) fn prepare() -> Ready {
    command("race.mjs")
}

/// The race of processes.
pub(crate) fn race() -> Ready {
    command("processes.mjs")
}

fn command(program: &'static str) -> Ready {
    let dir = install()?;
    Ok(Box::new(move |name| {
        let mut command = Command::new("node");
        command.arg(dir.join(program)).arg(name);
        command
    }))
}

/// Installs the packages once, if there are a `node` and an `npm`.
fn install() -> Result<PathBuf, String> {
    let dir = workshop("node")?;
    tool(Command::new("node").arg("--version"))?;
    let manifest = fs::read_to_string(dir.join("package.json")).unwrap_or_default();
    // npm writes this one last.
    let installed = manifest == FILES[0].1 && dir.join("node_modules/.package-lock.json").exists();
    put(&dir, &FILES)?;
    if !installed {
        let options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"];
        if let Err(missing) = tool(Command::new("npm").args(options).current_dir(&dir)) {
            // Else the next run would take what is there for all of it.
            drop(fs::remove_file(dir.join("package.json")));
            return Err(missing);
        }
    }
    Ok(dir)
}
