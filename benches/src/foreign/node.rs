//! Piscina and tinypool: installed from npm into the target directory, at the versions of `peers/package.json`.

use std::{fs, process::Command};

use super::{Ready, tool, workshop};

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../peers/package.json")),
    ("race.mjs", include_str!("../../peers/race.mjs")),
    ("empty.mjs", include_str!("../../peers/empty.mjs")),
];

/// Installs the packages once, if there are a `node` and an `npm`.
pub(crate) fn prepare() -> Ready {
    let dir = workshop("node")?;
    tool(Command::new("node").arg("--version"))?;
    let manifest = fs::read_to_string(dir.join("package.json")).unwrap_or_default();
    // npm writes this one last.
    let installed = manifest == FILES[0].1 && dir.join("node_modules/.package-lock.json").exists();
    for (name, text) in FILES {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if !installed {
        let options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"];
        tool(Command::new("npm").args(options).current_dir(&dir))?;
    }
    Ok(Box::new(move |name| {
        let mut command = Command::new("node");
        command.arg(dir.join("race.mjs")).arg(name);
        command
    }))
}
