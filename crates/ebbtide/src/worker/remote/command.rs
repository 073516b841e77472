//! What a worker process is: the program, what it is to load, and what it is given.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::FileType;
use serde::Serialize;

use crate::error::BuildError;

/// What to start as a worker process. From `node`, `python`, `program` or `current_exe`; given to
/// [`Pool::processes`](crate::Pool#method.processes).
///
/// Its environment is not ours: only `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`, `LC_*`, `TZ`, `TMPDIR`, `PYTHONPATH`, `NODE_PATH` and what is
/// named here are passed on. It gets
/// no descriptors but its own, no terminal, an umask of 077, and cannot gain privileges (`no_new_privs`) where a guardian starts it.
#[derive(Clone, Debug)]
#[must_use = "a command starts nothing by itself"]
pub struct WorkerCommand {
    pub(super) kind: Kind,
    pub(super) args: Vec<OsString>,
    pub(super) export: Option<String>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) pass: Vec<OsString>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) data: Option<Result<String, Arc<str>>>,
    pub(super) interpreter: Option<OsString>,
    pub(super) concurrency: u32,
    pub(super) nice: i32,
}

/// Which language, and what it is to load.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Node(PathBuf),
    Python(String),
    Program(OsString),
    CurrentExe(String),
}

/// Linux takes 32 pages for a variable, its name and its end among them.
fn data_most() -> usize {
    32 * rustix::param::page_size() - "EBBTIDE_DATA=\0".len()
}

/// Whether a pool started this process as that worker, and it does not serve: who serves has taken the socket away from there.
fn is_this_worker(name: &str) -> bool {
    let stdin = rustix::fs::fstat(rustix::stdio::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    std::env::var_os("EBBTIDE_PROTO").is_some()
        && std::env::var_os("EBBTIDE_TARGET").is_some_and(|target| target == name)
        && stdin == Ok(FileType::Socket)
}

fn is_name(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_encoded_bytes().iter().any(|byte| matches!(byte, b'=' | 0))
}

impl WorkerCommand {
    /// A file for Node.js (18 or newer, `node` in the `PATH`): its `module.exports` or `export default` is a function, or an object with
    /// named ones; an unmodified Piscina worker file is one. A relative path is seen from the working directory.
    pub fn node(file: impl Into<PathBuf>) -> Self {
        Self::of(Kind::Node(file.into()))
    }

    /// A Python function (3.9 or newer, `python3` in the `PATH`) as `module:function` or `path/to/file.py:function`.
    pub fn python(function: impl Into<String>) -> Self {
        Self::of(Kind::Python(function.into()))
    }

    /// A program that speaks the worker protocol, with `ebbtide-worker` in Rust for example. It is looked for in the `PATH` unless it has a `/`.
    pub fn program(path: impl Into<OsString>) -> Self {
        Self::of(Kind::Program(path.into()))
    }

    /// This very executable, once more: its `main` must look with `ebbtide_worker::is_worker()` whether it was started as a worker, and is told
    /// `name` there. Where it forgets to, and builds the same pool again, that is a build error in the worker: else each worker would start the next.
    pub fn current_exe(name: impl Into<String>) -> Self {
        Self::of(Kind::CurrentExe(name.into()))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            args: Vec::new(),
            export: None,
            env: Vec::new(),
            pass: Vec::new(),
            cwd: None,
            data: None,
            interpreter: None,
            concurrency: 1,
            nice: 0,
        }
    }

    /// One more argument: for the program, or for the interpreter before what it is to load (`--max-old-space-size=256`).
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Which export, or function of the module, is called where a task names none. Default: the default one, or the one named
    /// after the `:`.
    pub fn export(mut self, name: impl Into<String>) -> Self {
        self.export = Some(name.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Passes one of our own environment variables on, if it is set when a worker starts.
    pub fn pass_env(mut self, name: impl Into<OsString>) -> Self {
        self.pass.push(name.into());
        self
    }

    /// The directory it runs in. Default: ours.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// What every worker is given at its start, as `workerData` or `worker_data`. What cannot be written as JSON is a build error, and so is what
    /// is longer than Linux lets an environment variable be (128 KiB, where a page has 4).
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = Some(serde_json::to_string(data).map_err(|error| error.to_string().into()));
        self
    }

    /// The interpreter, instead of `node` or `python3`.
    pub fn interpreter(mut self, program: impl Into<OsString>) -> Self {
        self.interpreter = Some(program.into());
        self
    }

    /// How many tasks one worker runs at a time, if its functions are asynchronous. Default: 1.
    pub fn concurrency(mut self, tasks: u32) -> Self {
        self.concurrency = tasks;
        self
    }

    /// How nice it is to others: 0 to 19. Default: 0. Needs a guardian (`ebbtide::init()`).
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }

    /// Everything about it that can be known to be wrong without starting it.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let wrong = |option, problem: String| Err(BuildError::new(option, problem));
        match &self.data {
            Some(Err(error)) => return wrong("data", format!("cannot be written as JSON: {error}")),
            Some(Ok(data)) if data.len() > data_most() => {
                let (is, most) = (data.len(), data_most());
                return wrong(
                    "data",
                    format!("of {is} bytes, and {most} is the most: give the path of a file that has it"),
                );
            }
            _ => {}
        }
        if let Some(name) =
            self.env.iter().map(|(name, _)| name).chain(&self.pass).find(|name| !is_name(name))
        {
            return wrong("env", format!("{name:?} is no name for an environment variable"));
        }
        if !(1..=1024).contains(&self.concurrency) {
            return wrong("concurrency", format!("of {}: say 1 to 1024", self.concurrency));
        }
        if !(0..=19).contains(&self.nice) {
            return wrong("nice", format!("of {}: say 0 to 19", self.nice));
        }
        match &self.kind {
            Kind::Node(file) => self.check_file("node", file),
            Kind::Python(function) => match function.rsplit_once(':') {
                Some((module, name)) if !module.is_empty() && !name.is_empty() => {
                    if module.ends_with(".py") || module.contains('/') {
                        return self.check_file("python", Path::new(module));
                    }
                    Ok(())
                }
                _ => wrong("python", format!("\"{function}\" is not of the form module:function")),
            },
            Kind::Program(program) if program.is_empty() => {
                wrong("program", "needs a name or a path".to_owned())
            }
            Kind::CurrentExe(name) if is_this_worker(name) => {
                let remedy =
                    "let main look with ebbtide_worker::is_worker(), and serve, before it builds a pool";
                wrong(
                    "current_exe",
                    format!("this process was itself started as the worker \"{name}\": {remedy}"),
                )
            }
            Kind::Program(_) | Kind::CurrentExe(_) => Ok(()),
        }
    }

    fn check_file(&self, option: &'static str, file: &Path) -> Result<(), BuildError> {
        let path = self.cwd.as_deref().unwrap_or(Path::new("")).join(file);
        if path.is_file() {
            return Ok(());
        }
        let here = std::env::current_dir().map(|cwd| cwd.display().to_string()).unwrap_or_default();
        let what = if path.exists() { "is not a file" } else { "does not exist" };
        let problem = format!("{} {what} (seen from {here})", path.display());
        Err(BuildError::new(option, problem))
    }

    /// What it is called in messages.
    pub(super) fn shown(&self) -> String {
        match &self.kind {
            Kind::Node(file) => format!("node:{}", file.display()),
            Kind::Python(function) => format!("python:{function}"),
            Kind::Program(program) => program.display().to_string(),
            Kind::CurrentExe(name) => format!("this executable as {name}"),
        }
    }
}
