//! Stopping: who asked for it, how far it has gone, and the bells that wake who must know.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ebbtide::{Pool, Shutdown, Stateless};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::args::Halt;
use crate::bell::Bell;
use crate::clock::{self, timespec};
use crate::exit;
use crate::output::Patience;
use crate::window::Window;

/// What the pool gets on top of the command's own grace: a killed command is reaped and logged within it, so that the
/// pool never has to abandon the thread that waits for it.
const MARGIN: Duration = Duration::from_secs(2);

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
    /// The pool refused a task although nobody had stopped it.
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
    pool: Arc<Pool<Stateless>>,
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
        pool: Arc<Pool<Stateless>>,
        window: Arc<Window>,
        deadline: Duration,
        grace: Duration,
    ) -> std::io::Result<Stopper> {
        let patience = Patience { force: Arc::new(Bell::new()?), until: OnceLock::new() };
        Ok(Stopper {
            pool,
            window,
            deadline,
            grace,
            stopped: Bell::new()?,
            patience: Arc::new(patience),
            state: Mutex::default(),
            killed: AtomicU64::new(0),
        })
    }

    /// What the pool is given to end a task that was asked: longer than the command's own way from SIGTERM to SIGKILL.
    pub(crate) fn pool_grace(grace: Duration) -> Duration {
        grace + MARGIN
    }

    /// A deadline that leaves the pool that grace (it takes at most half of what is not reserve). The command's own deadline
    /// is kept by [`Stopper::watch`], for the pool counts what it abandons, and we what we kill.
    pub(crate) fn pool_deadline(grace: Duration) -> Duration {
        Stopper::pool_grace(grace) * 3
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
            let within = self.deadline + Stopper::pool_deadline(self.grace);
            let mode = Shutdown::stop().within(within).grace(Stopper::pool_grace(self.grace));
            drop(self.pool.shutdown(mode));
        }
    }

    /// No more input; what runs is asked to end, and killed after the grace.
    pub(crate) fn abort(&self, cause: Cause) {
        if self.advance(Stage::Aborting, cause) {
            let within = Stopper::pool_deadline(self.grace);
            drop(self.pool.shutdown(Shutdown::abort().within(within).grace(Stopper::pool_grace(self.grace))));
        }
    }

    /// What runs is killed now.
    pub(crate) fn force(&self, cause: Cause) {
        if self.advance(Stage::Forced, cause) {
            self.patience.force.ring();
            drop(self.pool.shutdown(Shutdown::abort().within(3 * MARGIN).grace(MARGIN)));
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
