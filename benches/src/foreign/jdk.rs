//! The JDK's contenders: one Java file, compiled when it has changed.

use std::{fs, process::Command};

use super::{Ready, tool, workshop};

const SOURCE: &str = include_str!("../../peers/Race.java");

/// Compiles the source, if there is a `javac`.
pub(crate) fn prepare() -> Ready {
    let classes = workshop("jdk")?;
    let (source, class) = (classes.join("Race.java"), classes.join("Race.class"));
    let compiled = class.exists() && fs::read_to_string(&source).is_ok_and(|text| text == SOURCE);
    if !compiled {
        tool(Command::new("javac").arg("-version"))?;
        fs::write(&source, SOURCE).map_err(|error| format!("{}: {error}", source.display()))?;
        tool(Command::new("javac").arg("-d").arg(&classes).arg(&source))?;
    }
    tool(Command::new("java").arg("-version"))?;
    Ok(Box::new(move |name| {
        let mut command = Command::new("java");
        // A heap in which 3 million tasks do not make the collector the thing that is measured.
        command.arg("-Xmx2g").arg("-cp").arg(&classes).args(["Race", name]);
        command
    }))
}
