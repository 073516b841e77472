//! The contender that is not Rust: one Java file, compiled for each comparison where there is a JDK.

use std::{path::Path, process::Command};

use super::round::Program;

const SOURCE: &str = include_str!("../../peers/Seed.java");

/// Compiles it into `folder`, or says why there is none.
pub(super) fn prepare(folder: &Path) -> Result<Program, String> {
    let source = folder.join("Seed.java");
    std::fs::write(&source, SOURCE).map_err(|error| format!("{}: {error}", source.display()))?;
    let output = Command::new("javac").arg("-d").arg(folder).arg(&source).output();
    let output = output.map_err(|error| format!("javac does not run here ({error})"))?;
    if !output.status.success() {
        return Err(format!("javac failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(Program {
        name: NAME.to_owned(),
        about: "a ThreadPoolExecutor and a scheduled one, each part closed by a shutdown hook of its own; the JVM exits with 143 at SIGTERM"
            .to_owned(),
        path: "java".into(),
        // Its server waits for acknowledgements otherwise, 40 ms an answer.
        args: vec!["-Dsun.net.httpserver.nodelay=true".to_owned(), "-cp".to_owned(), folder.display().to_string(), "Seed".to_owned()],
    })
}

/// Its name in the table.
pub(super) const NAME: &str = "jdk";
