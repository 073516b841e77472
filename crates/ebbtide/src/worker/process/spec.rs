//! What to start: program, arguments, directory, environment, and the three standard descriptors.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A command to be started by [`Guardian::spawn`](crate::process::Guardian::spawn). The arguments reach the program as
/// they are: there is no shell, ever.
///
/// Defaults: no arguments; the guardian's working directory and environment, that is, those this process had when the
/// guardian was started; standard input, output and error are the null device. No other descriptor is passed on, every
/// signal has its default action and none is blocked, the umask is untouched.
#[derive(Debug)]
#[must_use = "a specification starts nothing by itself"]
pub struct CommandSpec {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) base: EnvBase,
    pub(super) env: Vec<(OsString, Option<OsString>)>,
    /// Input, output, error; `None` = the null device.
    pub(super) stdio: [Option<OwnedFd>; 3],
}

/// What the environment is before `env` and `env_remove` change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnvBase {
    Inherited,
    Empty,
}

impl CommandSpec {
    /// The program: a path if it has a `/`, otherwise looked for in the `PATH` of the command's environment.
    pub fn new(program: impl Into<OsString>) -> CommandSpec {
        CommandSpec {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            base: EnvBase::Inherited,
            env: Vec::new(),
            stdio: [None, None, None],
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> CommandSpec {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> CommandSpec {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The directory to run in. A relative program path is seen from there.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> CommandSpec {
        self.cwd = Some(directory.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> CommandSpec {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> CommandSpec {
        self.env.push((name.into(), None));
        self
    }

    /// Starts from an empty environment; forgets what was set before.
    pub fn env_clear(mut self) -> CommandSpec {
        self.base = EnvBase::Empty;
        self.env.clear();
        self
    }

    /// What the command reads. Default: the null device.
    pub fn stdin(mut self, fd: impl Into<OwnedFd>) -> CommandSpec {
        self.stdio[0] = Some(fd.into());
        self
    }

    /// Where its output goes. Default: the null device.
    pub fn stdout(mut self, fd: impl Into<OwnedFd>) -> CommandSpec {
        self.stdio[1] = Some(fd.into());
        self
    }

    /// Where its errors go. Default: the null device.
    pub fn stderr(mut self, fd: impl Into<OwnedFd>) -> CommandSpec {
        self.stdio[2] = Some(fd.into());
        self
    }

    /// The program, as given.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }
}
