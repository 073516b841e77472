//! Stopping: who asked for it, how far it has gone, and the bells that wake who must know.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ebbtide::Shutdown;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::args::Halt;
use crate::bell::Bell;
use crate::clock::{self, timespec};
use crate::crew::{Crew, pool_deadline, pool_grace};
use crate::exit;
use crate::output::Patience;
use crate::window::Window;

/// What a forced end may take: the kernel needs a moment for what was killed.
const FORCED: Duration = Duration::from_secs(6);

/// Why the run was stopped before the end of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// By this signal.
    Signal(i32),
    /// The deadline of a stop came near.
    Deadline,
    /// A task failed, and --halt says what that does.
    Halt,
    /// The standard output was closed, or an output could not be kept.
    Output,
    /// The job log could not be written.
    JobLog,
    /// The input could not be read on.
    Input,
    /// The job log belongs to other work.
    OtherWork,
    /// The pool refused a task although nobody had stopped it, or none of its workers can be started.
    Pool,
}

/// How far a stop has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Stage {
    #[default]
    Running,
    /// What runs may finish.
    Stopping,
    /// What runs was asked to end.
    Aborting,
    /// What runs was killed.
    Forced,
}

/// Everything anybody needs to stop the run.
#[derive(Debug)]
pub(crate) struct Stopper {
    crew: Crew,
    window: Arc<Window>,
    deadline: Duration,
    grace: Duration,
    /// Rung when no more input may be read.
    stopped: Bell,
    patience: Arc<Patience>,
    state: Mutex<State>,
    killed: AtomicU64,
}

/// How far it has gone, and why it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) stage: Stage,
    /// The first cause.
    pub(crate) cause: Option<Cause>,
    /// The first signal.
    pub(crate) signal: Option<i32>,
    /// Whether the deadline made what runs be asked to end.
    pub(crate) deadline: Deadline,
    /// The first exit code that a cause demands whatever the outcomes are.
    pub(crate) trouble: Option<u8>,
}

/// What the deadline of a stop has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Deadline {
    #[default]
    Kept,
    Missed,
}

impl Cause {
    /// The exit code it demands.
    fn trouble(self) -> Option<u8> {
        match self {
            Cause::Signal(_) | Cause::Deadline | Cause::Halt => None,
            Cause::Output | Cause::JobLog | Cause::Input => Some(exit::IO),
            Cause::OtherWork => Some(exit::USAGE),
            Cause::Pool => Some(exit::START),
        }
    }
}

impl Stopper {
    pub(crate) fn new(
        crew: Crew,
        window: Arc<Window>,
        deadline: Duration,
        grace: Duration,
    ) -> std::io::Result<Stopper> {
        let patience = Patience { force: Arc::new(Bell::new()?), until: OnceLock::new() };
        Ok(Stopper {
            crew,
            window,
            deadline,
            grace,
            stopped: Bell::new()?,
            patience: Arc::new(patience),
            state: Mutex::default(),
            killed: AtomicU64::new(0),
        })
    }

    /// Keeps the deadline, on a thread of its own: a tenth of it is reserve, the grace comes before that, and when what is left
    /// has passed after a stop, what still runs is asked to end.
    pub(crate) fn watch(self: &Arc<Self>) -> std::io::Result<()> {
        let stopper = Arc::clone(self);
        let watch = move || {
            stopper.sleep(stopper.stopped(), None);
            let patience = (stopper.deadline * 9 / 10).saturating_sub(stopper.grace);
            stopper.sleep(stopper.forced(), Some(clock::now() + patience));
            stopper.abort(Cause::Deadline);
        };
        std::thread::Builder::new().name("deadline".to_owned()).spawn(watch).map(drop)
    }

    /// Until `bell` was rung or `until` has passed.
    fn sleep(&self, bell: BorrowedFd<'_>, until: Option<Instant>) {
        loop {
            let patience = until.map(|until| timespec(clock::until(until)));
            let mut fds = [PollFd::from_borrowed_fd(bell, PollFlags::IN)];
            match rustix::event::poll(&mut fds, patience.as_ref()) {
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// No more input; what runs finishes within the deadline. Again: nothing new.
    pub(crate) fn stop(&self, cause: Cause) {
        if self.advance(Stage::Stopping, cause) {
            // Later than our own deadline: it is for the case that we fail.
            let margin = self.crew.margin();
            let within = self.deadline + pool_deadline(self.grace, margin);
            let mode = Shutdown::stop().within(within).grace(pool_grace(self.grace, margin));
            drop(self.crew.shutdown(mode));
        }
    }

    /// No more input; what runs is asked to end, and killed after the grace.
    pub(crate) fn abort(&self, cause: Cause) {
        if self.advance(Stage::Aborting, cause) {
            let margin = self.crew.margin();
            let within = pool_deadline(self.grace, margin);
            let mode = Shutdown::abort().within(within).grace(pool_grace(self.grace, margin));
            drop(self.crew.shutdown(mode));
        }
    }

    /// What runs is killed now.
    pub(crate) fn force(&self, cause: Cause) {
        if self.advance(Stage::Forced, cause) {
            self.patience.force.ring();
            drop(self.crew.shutdown(Shutdown::abort().within(FORCED).grace(self.crew.margin())));
        }
    }

    /// A task failed: does what --halt says.
    pub(crate) fn halt(&self, halt: Halt) {
        match halt {
            Halt::Never => {}
            Halt::Soon => self.stop(Cause::Halt),
            Halt::Now => self.abort(Cause::Halt),
        }
    }

    /// Readable once no more input may be read.
    pub(crate) fn stopped(&self) -> BorrowedFd<'_> {
        self.stopped.as_fd()
    }

    /// Readable once what runs must be killed.
    pub(crate) fn forced(&self) -> BorrowedFd<'_> {
        self.patience.force.as_fd()
    }

    pub(crate) fn patience(&self) -> &Arc<Patience> {
        &self.patience
    }

    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest a stop may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What a command or a task has to end once it was asked.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// A command had to be killed because of a stop.
    pub(crate) fn count_killed(&self) {
        self.killed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn killed(&self) -> u64 {
        self.killed.load(Ordering::Relaxed)
    }

    /// Whether this is a step further; then everybody who must know is woken.
    fn advance(&self, stage: Stage, cause: Cause) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Cause::Signal(signal), None) = (cause, state.signal) {
            state.signal = Some(signal);
        }
        state.trouble = state.trouble.or(cause.trouble());
        if state.stage >= stage {
            return false;
        }
        state.stage = stage;
        if cause == Cause::Deadline {
            state.deadline = Deadline::Missed;
        }
        state.cause.get_or_insert(cause);
        drop(state);
        // Only the first stop sets it; an escalation does not make us more patient.
        let _ = self.patience.until.set(clock::now() + self.deadline);
        self.stopped.ring();
        self.window.shut();
        true
    }
}
