//! The supervisor's side: the handle through which commands are started, and the thread that notices when the guardian is gone.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Command, Stdio};
#[cfg(not(shuttle))]
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, read};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags,
    SocketType, recv, send, sendmsg, shutdown, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::child::{Child, read_record};
use super::deadline::Deadline;
use super::error::{SpawnError, StartError};
use super::frame::{self, FDS, HELLO, Record, Refused, Stage};
use super::init;
use super::serve;
use super::signal::{self, Signal};
use super::spec::CommandSpec;
use super::sweep;

/// How long a guardian may take to report for duty; it needs a millisecond.
const READY: Duration = Duration::from_secs(10);
/// A signal to our whole group can hit a guardian in its first millisecond, before it has left the group.
const STARTS: usize = 3;
/// How long the end of a guardian is waited for: longer than its own patience with processes that do not go.
const GONE: Duration = Duration::from_secs(7);
/// Of the reason a guardian gives for its end.
const LONGEST_REASON: usize = 4096;

/// A handle to a resident guardian process; cheap to clone, usable from any thread.
///
/// When the last clone and the last [`Child`] are dropped the guardian ends every command it still has and itself; the drop
/// waits for that, a few milliseconds as a rule and seven seconds at most.
#[derive(Clone)]
pub struct Guardian {
    link: Arc<Link>,
}

/// The line to a guardian.
pub(super) struct Link {
    pid: u32,
    socket: OwnedFd,
    /// Held while a frame is written.
    writing: Mutex<()>,
    next_task: AtomicU64,
    end: Arc<End>,
}

/// The guardian's end, once it has come and what was left of its commands is ended too.
#[derive(Default)]
struct End {
    reason: Mutex<Option<String>>,
    changed: Condvar,
}

impl Guardian {
    /// Starts a guardian: this executable once more, through `/proc/self/exe`. Takes about a millisecond.
    ///
    /// It keeps the working directory and the environment this process has now, for the commands to inherit. It ends with this
    /// process: one that forks afterwards and lets its child go on (a daemon) has to start the guardian there.
    ///
    /// # Errors
    /// [`init`](crate::init) was not called; or the system has no room; or the new process did not report within 10 s.
    pub fn start() -> Result<Guardian, StartError> {
        if !init::called() {
            return Err(StartError::NotInitialised);
        }
        let mut tries = STARTS;
        loop {
            tries -= 1;
            match start_once() {
                Err(StartError::NotReady(_)) if tries > 0 => {}
                result => return result,
            }
        }
    }

    /// The one that all who do not bring their own share, while any of them holds it; `None` where this program cannot have one.
    #[cfg(not(shuttle))]
    pub(crate) fn shared() -> Result<Option<Guardian>, StartError> {
        static SHARED: Mutex<Weak<Link>> = Mutex::new(Weak::new());
        if !init::called() {
            return Ok(None);
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let there = shared.upgrade().map(|link| Guardian { link }).filter(Guardian::is_there);
        if there.is_some() {
            return Ok(there);
        }
        let new = Guardian::start()?;
        *shared = Arc::downgrade(&new.link);
        Ok(Some(new))
    }

    /// False once it has ended.
    #[cfg(not(shuttle))]
    pub(crate) fn is_there(&self) -> bool {
        self.link.end.reason.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The guardian's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.link.pid
    }

    /// Starts a command and returns when its program runs, or says why it does not. The descriptors in `spec` are closed here
    /// in either case.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing was started then.
    pub fn spawn(&self, spec: CommandSpec) -> Result<Child, SpawnError> {
        let task = self.link.next_task.fetch_add(1, Ordering::Relaxed);
        let frame = frame::encode_spawn(task, &spec).map_err(|refused| {
            let program = spec.program.clone();
            match refused {
                Refused::TooLong => SpawnError::TooLong { program },
                Refused::Invalid(what) => SpawnError::Invalid { program, what },
            }
        })?;
        let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
        let (report, end) = pipe.map_err(|errno| no_room(&spec, errno))?;
        let fds: Vec<BorrowedFd<'_>> = [end.as_fd()]
            .into_iter()
            .chain(spec.stdio.iter().chain([&spec.cgroup]).flatten().map(AsFd::as_fd))
            .collect();
        self.link.send(&frame, &fds).map_err(|errno| self.link.explain(&spec, errno))?;
        drop(end);
        // Ours of a pipe has to go, or its reader never sees the end.
        let CommandSpec { program, cwd, .. } = spec;
        let spec = CommandSpec { cwd, ..CommandSpec::new(program) };
        let answer = loop {
            match read_record(&report) {
                // Whatever poll says: only the record tells whether there is a process to answer for.
                Err(Errno::AGAIN) => _ = Deadline::NEVER.poll(&mut [PollFd::new(&report, PollFlags::IN)]),
                answer => break answer,
            }
        };
        match answer {
            Ok(Some(Record::Started { pid })) => Ok(Child::new(pid, task, report, Arc::clone(&self.link))),
            Ok(Some(Record::Failed { stage, errno })) => {
                Err(failed(spec, stage, Errno::from_raw_os_error(errno)))
            }
            Ok(Some(Record::Ended(_)) | None) => Err(self.link.explain(&spec, Errno::MFILE).after_asking()),
            Err(errno) => Err(self.link.explain(&spec, errno).after_asking()),
        }
    }
}

impl fmt::Debug for Guardian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guardian").field("pid", &self.link.pid).finish_non_exhaustive()
    }
}

impl Link {
    /// Asks the guardian to signal a task.
    pub(super) fn signal(&self, task: u64, signal: Signal) -> io::Result<()> {
        self.send(&frame::encode_signal(task, signal.as_raw()), &[]).map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => {
                let reason = self.wait_gone();
                io::Error::new(io::ErrorKind::BrokenPipe, format!("the guardian is gone: {reason}"))
            }
            errno => errno.into(),
        })
    }

    /// Waits until the guardian and its session are gone, and says why.
    pub(super) fn wait_gone(&self) -> String {
        self.end.wait()
    }

    fn send(&self, frame: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL);
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sent = loop {
            match sendmsg(&self.socket, &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        while sent < frame.len() {
            match send(&self.socket, &frame[sent..], SendFlags::NOSIGNAL) {
                Ok(more) => sent += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a failure is the guardian's end or a want of room.
    fn explain(&self, spec: &CommandSpec, errno: Errno) -> SpawnError {
        // A process that ends closes its lowest descriptors first, and the socket is the lowest: it is seen closed by now.
        let mut fds = [PollFd::new(&self.socket, PollFlags::empty())];
        let _ = Deadline::after(Duration::ZERO).poll(&mut fds);
        if fds[0].revents().is_empty() {
            return no_room(spec, errno);
        }
        SpawnError::GuardianGone { program: spec.program.clone(), reason: self.wait_gone() }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The watching thread has the socket, too: closing ours would not be seen.
        let _ = shutdown(&self.socket, Shutdown::Write);
        self.end.wait();
    }
}

impl End {
    fn wait(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(reason, GONE, |reason| reason.is_none());
        let (reason, _) = waited.unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or_else(|| "it does not end".to_owned())
    }

    fn set(&self, why: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.changed.notify_all();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the guardian sets its session itself; this starts the guardian"
)]
fn start_once() -> Result<Guardian, StartError> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| StartError::System(errno.into()))?;
    let watched = ours.try_clone()?;
    let mut process = Command::new("/proc/self/exe")
        .arg0(init::NAME)
        .arg(init::MARK)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Err(why) = wait_ready(&ours) {
        let _ = process.kill();
        let how = process.wait().map(describe).unwrap_or_default();
        return Err(StartError::NotReady(format!("{why}; it {how}")));
    }
    let end = Arc::new(End::default());
    let link = Link {
        pid: process.id(),
        socket: ours,
        writing: Mutex::new(()),
        next_task: AtomicU64::new(0),
        end: Arc::clone(&end),
    };
    // Should this thread not start, the link's drop would wait for it in vain.
    let thread = std::thread::Builder::new().name("ebbtide-watch".to_owned()).stack_size(256 << 10);
    match thread.spawn(move || end.set(watch(&watched, process))) {
        Ok(_) => Ok(Guardian { link: Arc::new(link) }),
        Err(error) => {
            link.end.set(error.to_string());
            Err(error.into())
        }
    }
}

fn wait_ready(socket: &OwnedFd) -> Result<(), String> {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    if !Deadline::after(READY).poll(&mut fds).map_err(|errno| errno.to_string())? {
        return Err(format!("did not report within {} s", READY.as_secs()));
    }
    let mut hello = [0; HELLO.len()];
    match read(socket, &mut hello[..]) {
        Ok(_) if hello == HELLO => Ok(()),
        Ok(0) | Err(_) => Err("ended before it was ready".to_owned()),
        Ok(_) => Err("is of another version".to_owned()),
    }
}

/// Waits for the end of the guardian, ends what it could not, reaps it, and says why it ended. The process is waited for and not the socket: whoever
/// waits to read from that is woken each time the guardian has read a request.
fn watch(socket: &OwnedFd, mut process: process::Child) -> String {
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw)
        && !ended_orderly(pid)
    {
        sweep::end_session(pid);
    }
    let reason = last_words(socket);
    let how = process.wait().map(describe).unwrap_or_else(|_| "ended".to_owned());
    if reason.is_empty() { format!("it {how}") } else { String::from_utf8_lossy(&reason).into_owned() }
}

/// What the guardian wrote before it ended.
fn last_words(socket: &OwnedFd) -> Vec<u8> {
    let (mut reason, mut chunk) = (Vec::new(), [0; 512]);
    loop {
        match recv(socket, &mut chunk[..], RecvFlags::DONTWAIT) {
            Ok((n @ 1.., _)) => reason.extend_from_slice(&chunk[..n.min(LONGEST_REASON - reason.len())]),
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return reason,
        }
    }
}

/// Waits for the end of the guardian without reaping it: until its session is empty, its pid must not name another one. Where this
/// process ignores SIGCHLD the kernel reaps it all the same. The number stays taken while the session has members even so; and that
/// it be empty, and given to a new session between two looks, takes a whole round of pids in milliseconds.
fn ended_orderly(pid: Pid) -> bool {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Err(Errno::INTR) => {}
            Ok(Some(status)) => {
                return matches!(status.exit_status(), Some(serve::ORDERLY | serve::REFUSED));
            }
            Ok(None) | Err(_) => return false,
        }
    }
}

fn describe(status: process::ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(number)) => format!("was ended by {}", signal::name_of(number)),
        (None, None) => "ended".to_owned(),
    }
}

fn failed(spec: CommandSpec, stage: Stage, errno: Errno) -> SpawnError {
    let CommandSpec { program, cwd, .. } = spec;
    let source = io::Error::from(errno);
    match (stage, errno) {
        (Stage::Directory, _) => {
            SpawnError::BadDirectory { program, directory: cwd.unwrap_or_default(), source }
        }
        (Stage::Receive, _) | (_, Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
            SpawnError::Limit { program, source }
        }
        (Stage::Exec, Errno::NOENT) => SpawnError::NotFound { program },
        (Stage::Exec, Errno::ACCESS) => SpawnError::NotExecutable { program },
        (Stage::Exec, Errno::NOEXEC) => SpawnError::NotAProgram { program },
        (Stage::Exec, Errno::TOOBIG) => SpawnError::TooLong { program },
        (Stage::Exec | Stage::Prepare | Stage::Fork, _) => SpawnError::System { program, source },
    }
}

fn no_room(spec: &CommandSpec, errno: Errno) -> SpawnError {
    SpawnError::Limit { program: spec.program.clone(), source: errno.into() }
}
