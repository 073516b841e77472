//! Who starts commands: guardians, replaced when they were killed; and the look for the program before the first task.

use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use ebbtide::process::{Child, CommandSpec, Guardian, SpawnError, StartError};
use rustix::fs::Access;

/// Each is a process of 4 MiB. Two keep two cores busy with the shortest commands; what more would give on more cores was not measured.
const GUARDIANS_MOST: usize = 4;

/// Starts commands. A guardian starts one at a time and waits until its program runs, so there are several. One that is gone (and with it all
/// its commands) is replaced.
#[derive(Debug)]
pub(crate) struct Launcher {
    guardians: Vec<Mutex<Guardian>>,
    /// Whose turn it is to be asked first.
    turn: AtomicUsize,
}

impl Launcher {
    /// One for so many commands at the same time.
    pub(crate) fn new(commands: usize) -> Result<Launcher, StartError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let count = commands.min(cores).clamp(1, GUARDIANS_MOST);
        let guardians = (0..count).map(|_| Guardian::start().map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Launcher { guardians, turn: AtomicUsize::new(0) })
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
        let mut guardian = self.free();
        match guardian.spawn(spec()?) {
            Err(SpawnError::GuardianGone { program, reason }) => {
                *guardian = Guardian::start().map_err(|error| SpawnError::GuardianGone {
                    program,
                    reason: format!("{reason}; {error}"),
                })?;
                guardian.spawn(spec()?)
            }
            other => other,
        }
    }

    /// The next one that starts nothing just now; if none is, the next one.
    fn free(&self) -> MutexGuard<'_, Guardian> {
        let count = self.guardians.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        let free = (first..first + count).find_map(|at| match self.guardians[at % count].try_lock() {
            Ok(guardian) => Some(guardian),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.guardians[first].lock().unwrap_or_else(PoisonError::into_inner))
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
