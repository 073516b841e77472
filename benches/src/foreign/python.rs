//! Python's pools: loky and pebble installed from PyPI into the target directory, at the versions of `peers/requirements.txt`.

use std::{fs, process::Command};

use super::{Ready, put, tool, workshop};

const FILES: [(&str, &str); 3] = [
    ("processes.py", include_str!("../../peers/processes.py")),
    ("echo.py", include_str!("../../peers/workers/echo.py")),
    ("busy.py", include_str!("../../peers/workers/busy.py")),
];
const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");

/// Installs the packages once, if there are a `python3` and a `pip`. Without them there are still the pools of the standard library.
pub(crate) fn prepare() -> Ready {
    let dir = workshop("python")?;
    tool(Command::new("python3").arg("--version"))?;
    put(&dir, &FILES)?;
    let (site, done) = (dir.join("site"), dir.join("requirements.txt"));
    let installed = fs::read_to_string(&done).is_ok_and(|text| text == REQUIREMENTS);
    let missing = if installed {
        None
    } else {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
        // The file is written when it is true.
        match tool(pip.arg(&site).args(REQUIREMENTS.lines())) {
            Ok(_) => fs::write(&done, REQUIREMENTS).err().map(|error| format!("{}: {error}", done.display())),
            Err(missing) => Some(missing),
        }
    };
    if let Some(missing) = &missing {
        // Importing them will say so again, in the results.
        eprintln!("benches: {missing}");
    }
    Ok(Box::new(move |name| {
        let mut command = Command::new("python3");
        command.arg(dir.join("processes.py")).arg(name).env("PYTHONPATH", &site);
        command
    }))
}
