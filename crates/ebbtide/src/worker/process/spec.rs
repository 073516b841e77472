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
    pub(super) bounds: Bounds,
    /// Its `cgroup.procs`, open for writing: the command joins it before its program begins.
    pub(super) cgroup: Option<OwnedFd>,
}

/// What a command is bound to from its first instruction. Default: nothing but what we are bound to ourselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) umask: Option<u32>,
    pub(super) nice: i32,
    /// `RLIMIT_DATA`, in bytes.
    pub(super) data: Option<u64>,
    pub(super) privileges: Privileges,
}

/// Whether a command may gain privileges it was not started with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Privileges {
    #[default]
    MayGain,
    NoNew,
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
            bounds: Bounds::default(),
            cgroup: None,
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

    /// The mask of permissions that files it creates do not get. Default: ours.
    pub fn umask(mut self, mask: u32) -> CommandSpec {
        self.bounds.umask = Some(mask & 0o777);
        self
    }

    /// How nice it is to others, on top of how nice we are: 0 to 19. Default: 0.
    pub fn nice(mut self, nice: i32) -> CommandSpec {
        self.bounds.nice = nice.clamp(0, 19);
        self
    }

    /// The most private memory it may have, in bytes (`RLIMIT_DATA`): its allocations fail beyond. Not for programs that reserve much more
    /// than they use. Default: what we may.
    pub fn data_limit(mut self, bytes: u64) -> CommandSpec {
        self.bounds.data = Some(bytes);
        self
    }

    /// It cannot gain privileges it was not started with: set-user-id programs run as their caller. Default: it can.
    pub fn no_new_privileges(mut self) -> CommandSpec {
        self.bounds.privileges = Privileges::NoNew;
        self
    }

    /// The control group it joins before its program begins: its `cgroup.procs` (v2) or `tasks` (v1), open for writing. Default: ours.
    pub fn cgroup(mut self, procs: impl Into<OwnedFd>) -> CommandSpec {
        self.cgroup = Some(procs.into());
        self
    }

    /// The program, as given.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }
}
