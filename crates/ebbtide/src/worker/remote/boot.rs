//! Starting a worker process: the socket, the program, and what it has to say before it may have work.

use std::{
    ffi::{OsStr, OsString},
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};
#[cfg(not(shuttle))]
use std::{
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use ebbtide_worker::frame::{FrameType, VERSION, meta};
#[cfg(not(shuttle))]
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
    pipe::{PipeFlags, pipe_with},
};

#[cfg(not(shuttle))]
use super::machine::{Direct, Kin, Pipe, Socket};
use super::{
    command::{Kind, WorkerCommand},
    death::Verdict,
    ear::{Ear, Early, Heard, Line},
    frames,
    greeting::greet,
    outgoing::{Left, Outgoing, Patience},
    plan::Plan,
    process::{Wire, WorkerProcess},
};
#[cfg(not(shuttle))]
use crate::worker::process::{CommandSpec, SpawnError};
use crate::{
    clock::Moment,
    task::{
        id::TaskId,
        outcome::CancelReason,
        post::{Force, Post},
    },
    worker::craft::WorkerInfo,
};

const NODE: &str = include_str!("../../../sdk/node/worker.js");
const NODE_BOOTSTRAP: &str = include_str!("../../../sdk/node/bootstrap.js");
const PYTHON: &str = include_str!("../../../sdk/python/ebbtide_worker.py");
const PYTHON_BOOTSTRAP: &str = include_str!("../../../sdk/python/bootstrap.py");

/// Of our own environment these are passed on.
const PASSED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "NODE_PATH"];
/// What is asked of the socket's buffers; the kernel may give less.
#[cfg(not(shuttle))]
const BUFFER: usize = 1 << 20;
/// How long a process is waited for that has closed its socket.
const AFTER_END: Duration = Duration::from_secs(1);

/// What is to be started, in the form that both ways of starting want.
pub(super) struct Start {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    /// Source code that the program reads from the socket before anything else.
    source: Option<&'static str>,
}

/// Starts a worker and waits until it is ready, or says in words why it is not.
pub(super) fn start(
    plan: &Arc<Plan>,
    worker: &WorkerInfo,
    seed: Option<Vec<u8>>,
) -> Result<WorkerProcess, String> {
    let nonce = nonce();
    let what = prepare(&plan.wishes.command, worker, &nonce, plan.wishes.most, seed.is_some());
    let (wire, mut ear) = spawn(plan, &what)?;
    let out = Outgoing::new();
    let mut first = Vec::new();
    if let Some(source) = what.source {
        first.extend_from_slice(&u32::try_from(source.len()).unwrap_or(0).to_le_bytes());
        first.extend_from_slice(source.as_bytes());
    }
    if let Some(state) = &seed
        && !frames::restore(&mut first, state)
    {
        return Err(format!("the state to restore has {} bytes, more than a frame takes", state.len()));
    }
    out.append(&mut first, None);
    let begun = Arc::new(Begun::default());
    *begun.wire.lock() = Some(Arc::downgrade(&wire));
    let post: Arc<dyn Post> = Arc::clone(&begun) as _;
    worker.seat.set_post(Arc::downgrade(&post));
    if worker.seat.is_aborted() {
        wire.kill(Verdict::Aborted);
    }
    let mut early = Early::default();
    let credits = hear_out(plan, &wire, &mut ear, &out, &nonce, &mut |source, line| early.add(source, line))?;
    ear.early = early;
    wire.credits.store(credits, Ordering::Relaxed);
    let size = wire.look().unwrap_or(0);
    if let Some(most) = plan.wishes.memory.hard.filter(|&most| size > most) {
        return Err(format!(
            "memory: it uses {} before it has done anything, more than kill_at({}): raise the limit",
            bytesize::ByteSize::b(size).display().iec(),
            bytesize::ByteSize::b(most).display().iec()
        ));
    }
    Ok(WorkerProcess { wire, ear, plan: Arc::clone(plan) })
}

fn prepare(command: &WorkerCommand, worker: &WorkerInfo, nonce: &str, most: u32, restores: bool) -> Start {
    let (mut args, mut env) = (command.args.clone(), environment(command));
    let mut set = |name: &str, value: &dyn ToString| env.push((name.into(), value.to_string().into()));
    set("EBBTIDE_PROTO", &VERSION);
    set("EBBTIDE_NONCE", &nonce);
    set("EBBTIDE_WORKER", &worker.id.0);
    set("EBBTIDE_WORKER_NAME", &worker.name);
    set("EBBTIDE_GENERATION", &worker.generation);
    set("EBBTIDE_MAX_FRAME", &most);
    set("EBBTIDE_CONCURRENCY", &command.concurrency);
    if restores {
        set("EBBTIDE_RESTORE", &1);
    }
    if let Some(Ok(data)) = &command.data {
        set("EBBTIDE_DATA", data);
    }
    if let Some(export) = &command.export {
        set("EBBTIDE_EXPORT", export);
    }
    let interpreter = |default: &str| command.interpreter.clone().unwrap_or_else(|| default.into());
    let (program, source) = match &command.kind {
        Kind::Node(file) => {
            env.push(("EBBTIDE_TARGET".into(), file.into()));
            args.extend(["-e".into(), NODE_BOOTSTRAP.trim().into()]);
            (interpreter("node"), Some(NODE))
        }
        Kind::Python(function) => {
            env.push(("EBBTIDE_TARGET".into(), function.into()));
            args.extend(["-c".into(), PYTHON_BOOTSTRAP.trim().into()]);
            (interpreter("python3"), Some(PYTHON))
        }
        Kind::Program(program) => (program.clone(), None),
        Kind::CurrentExe(name) => {
            env.push(("EBBTIDE_TARGET".into(), name.into()));
            ("/proc/self/exe".into(), None)
        }
    };
    Start { program, args, env, source }
}

fn environment(command: &WorkerCommand) -> Vec<(OsString, OsString)> {
    let passed = |name: &OsStr| {
        PASSED.iter().any(|passed| name == *passed)
            || name.to_str().is_some_and(|name| name.starts_with("LC_"))
            || command.pass.iter().any(|passed| name == passed)
    };
    let ours = std::env::vars_os().filter(|(name, _)| passed(name));
    ours.chain(command.env.iter().cloned()).collect()
}

#[cfg(shuttle)]
use super::machine::start as spawn;

#[cfg(not(shuttle))]
fn spawn(plan: &Plan, what: &Start) -> Result<(Arc<Wire>, Ear), String> {
    let no_room = |error: rustix::io::Errno| format!("no worker process: {}", std::io::Error::from(error));
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(no_room)?;
    for end in [&ours, &theirs] {
        // More than the kernel allows is cut to that.
        let _ = sockopt::set_socket_send_buffer_size(end, BUFFER);
    }
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(no_room);
    let ((stdout, out), (stderr, err)) = (pipe()?, pipe()?);
    for end in [&stdout, &stderr] {
        rustix::io::ioctl_fionbio(end, true).map_err(no_room)?;
    }
    let most = plan.wishes.most;
    let cap = plan.wishes.memory.hard.and_then(|hard| plan.host.caps.make(hard));
    let kin = match plan.host.guardian()? {
        Some(guardian) => {
            let spec =
                what.env.iter().fold(CommandSpec::new(&what.program).env_clear(), |spec, (name, value)| {
                    spec.env(name, value)
                });
            let mut spec =
                spec.args(&what.args).stdin(theirs).stdout(out).stderr(err).umask(0o077).no_new_privileges();
            spec = spec.nice(plan.wishes.command.nice);
            if let Some(cwd) = &plan.wishes.command.cwd {
                spec = spec.cwd(cwd);
            }
            if let Some(door) = cap.as_ref().and_then(super::machine::Cap::door) {
                spec = spec.cgroup(door);
            }
            if let Some(bytes) = plan.host.data_limit(&plan.wishes) {
                spec = spec.data_limit(bytes);
            }
            Kin::Guarded(guardian.spawn(spec).map_err(|error| explain(&plan.wishes.command, &error))?)
        }
        None => Kin::Direct(spawn_directly(plan, what, theirs, out, err)?),
    };
    Ok((
        Arc::new(Wire::new(kin, Socket::new(ours), most, cap)),
        Ear::new(most, Pipe::new(stdout), Pipe::new(stderr)),
    ))
}

#[cfg(not(shuttle))]
#[expect(
    clippy::disallowed_methods,
    reason = "without a guardian; it sets its group, and nothing runs between fork and exec"
)]
fn spawn_directly(
    plan: &Plan,
    what: &Start,
    stdin: OwnedFd,
    out: OwnedFd,
    err: OwnedFd,
) -> Result<Direct, String> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&what.program);
    command.args(&what.args).env_clear().envs(what.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(out)).stderr(Stdio::from(err)).process_group(0);
    if let Some(cwd) = &plan.wishes.command.cwd {
        command.current_dir(cwd);
    }
    let shown = what.program.display();
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => remedy(&plan.wishes.command, &format!("{shown}: command not found")),
        _ => format!("{shown}: cannot start: {error}"),
    })?;
    Direct::new(child).map_err(|error| format!("{shown}: cannot be watched: {error}"))
}

#[cfg(not(shuttle))]
fn explain(command: &WorkerCommand, error: &SpawnError) -> String {
    match error {
        SpawnError::NotFound { .. } => remedy(command, &error.to_string()),
        _ => error.to_string(),
    }
}

/// What to do about a program that is not there.
#[cfg(not(shuttle))]
fn remedy(command: &WorkerCommand, error: &str) -> String {
    let what = match command.kind {
        Kind::Node(_) => "install Node.js 18 or newer, or say where it is with `interpreter`",
        Kind::Python(_) => "install Python 3.9 or newer, or say where it is with `interpreter`",
        Kind::Program(_) | Kind::CurrentExe(_) => "give its path, or put it into the PATH",
    };
    format!("{error}: {what}")
}

/// Listens until the worker is ready. Gives how many tasks it wants to have.
fn hear_out(
    plan: &Plan,
    wire: &Wire,
    ear: &mut Ear,
    out: &Outgoing,
    nonce: &str,
    line: Line<'_>,
) -> Result<usize, String> {
    let until = Moment::now().plus(plan.wishes.start_timeout);
    let mut hello = None;
    loop {
        let left = until.since(Moment::now());
        if left.is_zero() {
            wire.kill(Verdict::Leaving);
            let what = if hello.is_some() { "READY" } else { "HELLO" };
            let within = plan.wishes.start_timeout;
            return Err(with_words(
                wire,
                ear,
                format!("did not say {what} within {within:?} (start_timeout)"),
            ));
        }
        // While it does not read what it is to begin with, it is looked at more often than it speaks.
        let patience = match out.flush(&wire.socket, Patience::DoNotWait) {
            Left::Something => left.min(Duration::from_millis(2)),
            Left::Nothing | Left::Gone => left,
        };
        match ear.listen(wire, Some(patience), Some(&mut *line)) {
            Heard::Nothing => continue,
            Heard::End => return Err(ended(plan, wire, ear)),
            Heard::Frames => {}
        }
        loop {
            let frame = match ear.decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(malformed) => return Err(broke(wire, ear, &malformed.to_string())),
            };
            match (frame.kind, &hello) {
                (FrameType::Hello, None) => match greet(frame.meta, nonce) {
                    Ok(credits) => hello = Some(credits),
                    Err(why) => return Err(broke(wire, ear, &why)),
                },
                (FrameType::Ready, Some(credits)) => return Ok(*credits),
                (FrameType::Error, _) => {
                    let error = meta::ErrorMeta::read(frame.meta).unwrap_or_default();
                    let why = format!("{}: {}", error.name, error.message);
                    wire.kill(Verdict::Leaving);
                    return Err(with_words(wire, ear, format!("{}: {why}", plan.wishes.command.shown())));
                }
                (FrameType::Log | FrameType::Progress | FrameType::Pong, _) => {}
                (other, _) => {
                    let when = if hello.is_some() { "READY" } else { "HELLO" };
                    return Err(broke(wire, ear, &format!("a {} before {when}", other.name())));
                }
            }
        }
    }
}

fn broke(wire: &Wire, ear: &mut Ear, what: &str) -> String {
    wire.kill(Verdict::Protocol(what.into()));
    with_words(wire, ear, format!("broke the protocol with {what}"))
}

fn ended(plan: &Plan, wire: &Wire, ear: &mut Ear) -> String {
    let exit = wire.kin.wait(AFTER_END);
    if exit.is_none() {
        wire.kill(Verdict::Leaving);
    }
    let oom = wire.cap.as_ref().is_some_and(super::machine::Cap::has_killed);
    let how = match (wire.verdict(), exit) {
        // Which of its processes the kernel chose makes no difference.
        _ if oom => "was ended".to_owned(),
        (Some(Verdict::Aborted), _) => "was ended, for the pool was aborted".to_owned(),
        (_, Some(exit)) => exit.to_string(),
        (_, None) => "closed its socket".to_owned(),
    };
    let memory = if oom { "; it met its memory cap: raise kill_at" } else { "" };
    with_words(wire, ear, format!("{} {how} before it was ready{memory}", plan.wishes.command.shown()))
}

fn with_words(wire: &Wire, ear: &mut Ear, what: String) -> String {
    let _ = wire.kin.wait(AFTER_END);
    ear.read_outputs(wire, None);
    let words = wire.tail.last_words();
    if words.is_empty() { what } else { format!("{what}; its last words: {words}") }
}

/// Sixteen bytes of chance, which only whoever was started by us can know.
fn nonce() -> String {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            // Interrupted.
            Err(_) => continue,
        }
    }
    format!("{:032x}", u128::from_le_bytes(bytes))
}

/// A worker that is not ready yet: it has no tasks, and whoever wants its end gets it at once.
#[derive(Default)]
struct Begun {
    wire: crate::sync::Mutex<Option<Weak<Wire>>>,
}

impl Default for crate::sync::Mutex<Option<Weak<Wire>>> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Begun {
    fn end_it(&self) {
        let wire = self.wire.lock().as_ref().and_then(Weak::upgrade);
        if let Some(wire) = wire {
            wire.kill(Verdict::Aborted);
        }
    }
}

impl Post for Begun {
    fn ask(&self, _: TaskId, _: &CancelReason, _: Duration) {}

    fn ask_all(&self, _: Duration) {
        self.end_it();
    }

    fn recall(&self) {}

    fn end(&self, _: Option<TaskId>, _: Option<CancelReason>) -> Force {
        self.end_it();
        Force::Applied
    }

    fn give_up(&self, _: &dyn Fn()) {
        self.end_it();
    }

    fn nudge(&self) {}
}
