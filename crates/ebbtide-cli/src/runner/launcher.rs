//! Who starts commands: a guardian, replaced when it was killed; and the look for the program before the first task.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ebbtide::process::{Child, CommandSpec, Guardian, SpawnError, StartError};
use rustix::fs::Access;

/// Starts commands. When its guardian is gone (and with it all its commands) it starts another one.
#[derive(Debug)]
pub(crate) struct Launcher {
    guardian: Mutex<Guardian>,
}

impl Launcher {
    pub(crate) fn new() -> Result<Launcher, StartError> {
        Ok(Launcher { guardian: Mutex::new(Guardian::start()?) })
    }

    /// Starts `argv` (not empty) with an empty standard input. `pipes` are made anew when a second try is needed.
    pub(crate) fn spawn(
        &self,
        argv: &[OsString],
        mut pipes: impl FnMut() -> std::io::Result<[OwnedFd; 2]>,
    ) -> Result<Child, SpawnError> {
        let mut spec = || {
            let [stdout, stderr] = pipes().map_err(|source| limit(argv, source))?;
            Ok(CommandSpec::new(&argv[0]).args(&argv[1..]).stdout(stdout).stderr(stderr))
        };
        let guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match guardian.spawn(spec()?) {
            Err(SpawnError::GuardianGone { program, reason }) => {
                let another = self.another(guardian.pid()).map_err(|error| SpawnError::GuardianGone {
                    program,
                    reason: format!("{reason}; {error}"),
                })?;
                another.spawn(spec()?)
            }
            other => other,
        }
    }

    fn another(&self, gone: u32) -> Result<Guardian, StartError> {
        let mut present = self.guardian.lock().unwrap_or_else(PoisonError::into_inner);
        if present.pid() == gone {
            *present = Guardian::start()?;
        }
        Ok(present.clone())
    }
}

fn limit(argv: &[OsString], source: std::io::Error) -> SpawnError {
    SpawnError::Limit { program: argv[0].clone(), source }
}

/// Looks for `program` as the guardian's `execvp` will: a path if it holds a `/`, else in `PATH`.
pub(crate) fn find_program(program: &OsStr) -> Result<PathBuf, String> {
    let runnable = |path: &Path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    let shown = program.display();
    if program.as_encoded_bytes().contains(&b'/') {
        let path = PathBuf::from(program);
        return match path.metadata() {
            Err(error) => Err(format!("{shown}: command not found: {error}")),
            Ok(_) if runnable(&path) => Ok(path),
            Ok(_) => Err(format!("{shown}: cannot be executed: is it a program with the x permission?")),
        };
    }
    if program.is_empty() {
        return Err("COMMAND is empty".to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| runnable(path))
        .ok_or_else(|| format!("{shown}: command not found in PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_exec_finds_them() {
        assert!(find_program(OsStr::new("sh")).is_ok());
        assert!(find_program(OsStr::new("/bin/sh")).is_ok());
        for (wrong, why) in [
            ("no-such-program-here", "not found in PATH"),
            ("/no/such/program", "not found"),
            ("/etc/passwd", "cannot be executed"),
            ("/tmp", "cannot be executed"),
            ("", "empty"),
        ] {
            let error = find_program(OsStr::new(wrong)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
