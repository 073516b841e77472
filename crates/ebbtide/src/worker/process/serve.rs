//! The guardian: one thread, one loop. Starts what it is asked to start, reaps, and when the supervisor is gone ends all.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use rustix::net::{SendFlags, send};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpgid, getpid, getppid, kill_process, kill_process_group, pidfd_open,
    set_child_subreaper, setsid, test_kill_process_group,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::deadline::Deadline;
use super::frame::{self, HELLO, Malformed, Record, Request, Spawn, Stage};
use super::inbox::{Completeness, Inbox};
use super::launch::Launcher;
use super::sweep::{self, Left};
use super::sys;

/// The name of the thread; the kernel takes 15 bytes.
const THREAD_NAME: &CStr = c"ebbtide-guard";
/// How long the end of a command is held back for stragglers of its group that do not die of SIGKILL.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// How often stragglers are looked for, besides at every end of a process.
const LOOK: Duration = Duration::from_millis(20);

/// Exit code: everything was ended, because the supervisor is gone.
pub(super) const ORDERLY: i32 = 0;
/// Exit code: everything was ended, for the reason given on the socket.
pub(super) const REFUSED: i32 = 70;
/// Exit code: nothing was ever started.
const NOT_BEGUN: i32 = 71;
/// Exit code: a bug. The kernel ends the commands, by their parent-death signal.
const PANICKED: i32 = 101;

/// Serves as guardian on descriptor 0 and ends the process.
#[expect(
    clippy::disallowed_methods,
    reason = "this process is the guardian: nothing is above it to return to"
)]
pub(super) fn serve() -> ! {
    sys::silence_signals();
    sys::close_inherited();
    // A panic must not unwind into the main of the program whose executable this is.
    std::process::exit(std::panic::catch_unwind(keep).unwrap_or(PANICKED))
}

fn keep() -> i32 {
    // Without a socket to say it on, the exit code is all there is.
    let Ok(mut guard) = Guard::begin() else { return NOT_BEGUN };
    let verdict = guard.run();
    guard.end(&verdict);
    if matches!(verdict, Verdict::SupervisorGone) { ORDERLY } else { REFUSED }
}

/// Why the guardian ends.
#[derive(Debug, thiserror::Error)]
enum Verdict {
    #[error("the supervisor is gone")]
    SupervisorGone,
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    #[error("system: {0}")]
    System(#[from] Errno),
}

struct Guard {
    socket: OwnedFd,
    /// Readable when a child has ended.
    ended: OwnedFd,
    /// Readable when the supervisor has; `None` where the system has no pidfds, then end of file on the socket has to do.
    supervisor: Option<OwnedFd>,
    inbox: Inbox,
    house: House,
}

/// The commands.
struct House {
    launcher: Launcher,
    /// By the supervisor's number.
    tasks: HashMap<u64, Pid>,
    /// By leader, which is not reaped yet: every pid here is that of our child and no other's.
    leaders: HashMap<Pid, Task>,
    /// Reaped, but something of their group is left.
    stragglers: Vec<Straggler>,
}

struct Task {
    number: u64,
    report: OwnedFd,
}

struct Straggler {
    group: Pid,
    report: OwnedFd,
    record: Record,
    until: Deadline,
}

impl Guard {
    fn begin() -> Result<Guard, Errno> {
        let socket = fcntl_dupfd_cloexec(sys::standard_input(), 3)?;
        let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        // What a command gets where nothing is given for it.
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        drop(null);
        // Out of the terminal's reach. It fails only where we lead a group already, and then we are out of it, too.
        let _ = setsid();
        let _ = rustix::thread::set_name(THREAD_NAME);
        set_child_subreaper(Some(getpid()))?;
        let supervisor = getppid().and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let guard = Guard {
            ended: sys::child_signals()?,
            supervisor,
            inbox: Inbox::default(),
            house: House {
                launcher: Launcher::new(),
                tasks: HashMap::new(),
                leaders: HashMap::new(),
                stragglers: Vec::new(),
            },
            socket,
        };
        send(&guard.socket, &HELLO, SendFlags::NOSIGNAL)?;
        Ok(guard)
    }

    fn run(&mut self) -> Verdict {
        loop {
            match self.turn() {
                Ok(()) => {}
                Err(verdict) => return verdict,
            }
        }
    }

    /// Waits for something to happen and handles it.
    fn turn(&mut self) -> Result<(), Verdict> {
        let pause = if self.house.stragglers.is_empty() { Deadline::NEVER } else { Deadline::after(LOOK) };
        let mut fds = vec![PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
        fds.extend(self.supervisor.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        pause.poll(&mut fds)?;
        let happened = |n: usize| fds.get(n).is_some_and(|fd| !fd.revents().is_empty());
        let (asked, ended, orphaned) = (happened(0), happened(1), happened(2));
        if orphaned {
            return Err(Verdict::SupervisorGone);
        }
        // Ends first: a signal that was asked for meanwhile must not go to who is no more.
        if ended {
            let _ = read(&self.ended, &mut [0u8; 128][..]);
            self.house.reap()?;
        }
        self.house.look_for_stragglers();
        if asked {
            self.receive()?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Verdict> {
        match self.inbox.receive(self.socket.as_fd()) {
            Ok(0) | Err(Errno::CONNRESET) => return Err(Verdict::SupervisorGone),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while let Some(range) = self.inbox.next_frame()? {
            match frame::decode(&self.inbox.bytes[range])? {
                Request::Signal { task, signal } => self.house.signal(task, signal),
                Request::Spawn(spawn) => {
                    let batch = self.inbox.batches.pop_front().ok_or(Malformed::Descriptors)?;
                    self.house.spawn(&spawn, batch.fds, batch.completeness)?;
                }
            }
        }
        Ok(())
    }

    /// Ends everything, then what escaped, and says why to whoever still listens.
    fn end(&mut self, verdict: &Verdict) {
        let _ = send(&self.socket, verdict.to_string().as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        for &leader in self.house.leaders.keys() {
            sweep::end_group(leader);
        }
        let house = &mut self.house;
        sweep::end_descendants(getpid(), || house.reap().unwrap_or(Left::None));
        self.house.look_for_stragglers();
    }
}

impl House {
    fn spawn(
        &mut self,
        spawn: &Spawn<'_>,
        fds: Vec<OwnedFd>,
        completeness: Completeness,
    ) -> Result<(), Malformed> {
        let mut fds = fds.into_iter();
        let report = fds.next();
        let stdio: Vec<_> = fds.collect();
        let report = match (report, completeness) {
            (Some(report), _) => report,
            // Even the pipe to say it with is lost. The supervisor sees it closed.
            (None, Completeness::Truncated) => return Ok(()),
            (None, Completeness::Whole) => return Err(Malformed::Descriptors),
        };
        if stdio.len() != spawn.stdio.count_ones() as usize + usize::from(spawn.cgroup) {
            if completeness == Completeness::Whole {
                return Err(Malformed::Descriptors);
            }
            tell(&report, Record::Failed { stage: Stage::Receive, errno: Errno::MFILE.raw_os_error() });
            return Ok(());
        }
        match self.launcher.launch(spawn, &stdio) {
            Ok(pid) => {
                tell(&report, Record::Started { pid: pid.as_raw_nonzero().get() });
                self.tasks.insert(spawn.task, pid);
                self.leaders.insert(pid, Task { number: spawn.task, report });
            }
            Err((stage, errno)) => tell(&report, Record::Failed { stage, errno: errno.raw_os_error() }),
        }
        Ok(())
    }

    /// To the whole group of a task that has not ended. Whether it may be signalled is seen by whether it ends.
    fn signal(&self, task: u64, signal: i32) {
        let Some(&leader) = self.tasks.get(&task) else { return };
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        if signal == Signal::KILL {
            sweep::end_family(leader);
            return;
        }
        let _ = kill_process_group(leader, signal);
        // It may have moved to another group.
        if getpgid(Some(leader)).is_ok_and(|group| group != leader) {
            let _ = kill_process(leader, signal);
        }
    }

    /// Reaps all who have ended; says whether children are left.
    fn reap(&mut self) -> Result<Left, Errno> {
        loop {
            let pid = match sys::ended_child() {
                Ok(Some(pid)) => pid,
                Ok(None) => return Ok(Left::Some),
                Err(Errno::CHILD) => return Ok(Left::None),
                Err(error) => return Err(error),
            };
            let Some(task) = self.leaders.remove(&pid) else {
                // An orphan that came to us, as its subreaper.
                sys::wait4(pid)?;
                continue;
            };
            self.tasks.remove(&task.number);
            // The leader is still a zombie: the group's number is its own.
            let _ = kill_process_group(pid, Signal::KILL);
            let record = Record::Ended(sys::wait4(pid)?);
            if test_kill_process_group(pid) == Err(Errno::SRCH) {
                tell(&task.report, record);
            } else {
                let until = Deadline::after(STRAGGLERS);
                self.stragglers.push(Straggler { group: pid, report: task.report, record, until });
            }
        }
    }

    /// Reports those whose group has gone meanwhile, or will not go.
    fn look_for_stragglers(&mut self) {
        self.stragglers.retain(|straggler| {
            let gone = test_kill_process_group(straggler.group) == Err(Errno::SRCH);
            let over = gone || straggler.until.passed();
            if over {
                tell(&straggler.report, straggler.record);
            }
            !over
        });
    }
}

/// The pipe takes two records and gets two, so this neither waits nor fails but when nobody holds the other end, and then
/// nobody wants to know.
fn tell(report: &OwnedFd, record: Record) {
    let _ = write(report, &record.encode());
}
