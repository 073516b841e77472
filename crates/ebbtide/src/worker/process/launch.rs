//! From a request to a process: environment, program paths, descriptors.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::stat;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getpid, getrlimit, setrlimit};

use super::frame::{Spawn, Stage};
use super::spec::EnvBase;
use super::sys::{self, Image, Stack};

/// Where programs are looked for when there is no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What every launch needs, kept between them.
#[derive(Debug)]
pub(super) struct Launcher {
    stack: Stack,
    /// `NAME=value`, as the guardian was given them.
    env: Vec<CString>,
    /// What the guardian was given, where it raised its own.
    nofile: Option<Rlimit>,
    own: Pid,
}

impl Launcher {
    /// Raises the descriptor limit as far as allowed: the guardian holds one per living command. Commands get the old one.
    pub(super) fn new() -> Launcher {
        let given = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: given.maximum, maximum: given.maximum };
        let nofile =
            (given.current != given.maximum && setrlimit(Resource::Nofile, raised).is_ok()).then_some(given);
        let env = std::env::vars_os()
            .filter_map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                CString::new(name.into_vec()).ok()
            })
            .collect();
        Launcher { stack: Stack::new(), env, nofile, own: getpid() }
    }

    /// Starts the command; `fds` are those its `stdio` bits announce, in order.
    pub(super) fn launch(&mut self, spawn: &Spawn<'_>, fds: &[OwnedFd]) -> Result<Pid, (Stage, Errno)> {
        let base = if spawn.base == EnvBase::Empty { &[][..] } else { &self.env[..] };
        let env = environment(base, &spawn.env);
        let paths = program_paths(spawn.args[0], &env);
        let paths: Vec<&CStr> = paths.iter().map(AsRef::as_ref).collect();
        let mut fds = fds.iter().map(AsFd::as_fd);
        let stdio = [0, 1, 2].map(|n| if spawn.stdio & 1 << n != 0 { fds.next() } else { None });
        let cgroup = if spawn.cgroup { fds.next() } else { None };
        let image = Image {
            paths: &paths,
            args: &spawn.args,
            env: &env,
            cwd: spawn.cwd,
            stdio,
            bounds: spawn.bounds,
            cgroup,
            nofile: self.nofile,
            parent: self.own,
        };
        sys::launch(&image, &mut self.stack).map_err(|failure| {
            // A directory of PATH that may not be searched gives the same error as a file that may not be run; only a file counts.
            let searched = !spawn.args[0].to_bytes().contains(&b'/');
            let unseen = searched
                && failure == (Stage::Exec, Errno::ACCESS)
                && paths.iter().all(|path| stat(*path).is_err());
            if unseen { (Stage::Exec, Errno::NOENT) } else { failure }
        })
    }
}

/// The environment after the changes; the last change of a name counts.
fn environment<'a>(base: &'a [CString], changes: &[&'a CStr]) -> Vec<&'a CStr> {
    if changes.is_empty() {
        return base.iter().map(CString::as_c_str).collect();
    }
    let last: HashMap<&[u8], &'a CStr> = changes.iter().map(|change| (name(change), *change)).collect();
    let kept = base.iter().map(CString::as_c_str).filter(|entry| !last.contains_key(name(entry)));
    let set = last.values().copied().filter(|change| change.to_bytes().contains(&b'='));
    kept.chain(set).collect()
}

fn name(entry: &CStr) -> &[u8] {
    let bytes = entry.to_bytes();
    // A `=` in first place belongs to the name (shells leave such entries).
    let end = bytes.iter().skip(1).position(|&byte| byte == b'=').map_or(bytes.len(), |at| at + 1);
    &bytes[..end]
}

/// The files to try, as `execvp` would. An empty entry of `PATH` is the working directory.
fn program_paths(program: &CStr, env: &[&CStr]) -> Vec<CString> {
    let bytes = program.to_bytes();
    if bytes.contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(|&byte| byte == b':')
        .filter_map(|directory| {
            let mut file = Vec::with_capacity(directory.len() + bytes.len() + 2);
            file.extend_from_slice(directory);
            if !directory.is_empty() {
                file.push(b'/');
            }
            file.extend_from_slice(bytes);
            CString::new(file).ok()
        })
        .collect()
}
