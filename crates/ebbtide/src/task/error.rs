//! What a task's owner gets when there is no value: one error type, and the errors a body may return to
//! say how it ended.

use std::{any::Any, error::Error, fmt, sync::Arc, sync::Mutex};

use super::outcome::{CancelReason, Outcome, ReturnReason};

/// Any error a body may return.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// A task's own error for "I was asked to cancel and obeyed". Returned by [`Context::check`](crate::Context::check).
///
/// A body that returns it after a cancel was requested, or an error of its own with this as a [source](Error::source), ends `Cancelled` (or
/// `TimedOut`); a `transparent` one shows no source of its own and does not. Without a request it is an ordinary failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// A body's way to say that what it ran did not obey and was ended by force: the outcome is `Killed`.
///
/// For bodies that drive something killable, a command or a remote job. The pool does not check it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("killed: {reason}")]
pub struct Killed {
    reason: Arc<str>,
    request: Option<CancelReason>,
}

impl Killed {
    /// Says why force was needed.
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), request: None }
    }

    /// Why force was needed.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The request it did not obey, where its pool ended it for that: `None` if it was for its memory, and for what a body says itself.
    #[must_use]
    pub const fn request(&self) -> Option<&CancelReason> {
        self.request.as_ref()
    }

    pub(crate) fn disobedient(request: Option<CancelReason>, patience: &str) -> Self {
        let shown = request.as_ref().map(|request| format!(" ({request})")).unwrap_or_default();
        Self { reason: format!("it did not obey within {patience}{shown}").into(), request }
    }
}

/// A body's way to say that what it ran died under it: the outcome is `Crashed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, thiserror::Error)]
#[error("crashed: {}", how(self))]
pub struct Crashed {
    /// Its exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// More, in words, where it is known: of a worker process its last words.
    pub detail: Option<Arc<str>>,
}

/// What a body of ours returns that was withdrawn before it began: the outcome is `Returned`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("withdrawn before it began")]
pub(crate) struct Withdrawn;

fn how(crashed: &Crashed) -> String {
    match (&crashed.detail, crashed.exit_code, crashed.signal) {
        (Some(detail), _, _) => format!("its worker {detail}"),
        (None, _, Some(signal)) => format!("ended by signal {signal}"),
        (None, Some(code), None) => format!("exit code {code}"),
        (None, None, None) => "how is not known".to_owned(),
    }
}

/// How a task ended when there is no value to give. [`outcome`](Self::outcome) is never `Completed`.
pub struct TaskError {
    /// Boxed: a task that ends well should not carry the room for an error.
    kind: Box<Kind>,
}

enum Kind {
    Failed(BoxError),
    Panicked { message: String, location: Option<String>, payload: Mutex<Option<Box<dyn Any + Send>>> },
    Cancelled(CancelReason),
    Killed(Killed),
    Crashed(Crashed),
    Abandoned(Option<CancelReason>),
    Returned(ReturnReason),
}

impl TaskError {
    fn of(kind: Kind) -> Self {
        Self { kind: Box::new(kind) }
    }

    /// Sorts what a body returned: the errors that *are* an outcome, and failures.
    pub(crate) fn from_body(error: BoxError, asked: Option<CancelReason>) -> Self {
        let error = match asked {
            Some(reason) if is_cancelled(&*error) => return Self::cancelled(reason),
            _ => error,
        };
        let error = match error.downcast::<Withdrawn>() {
            Ok(_) => return Self::returned(ReturnReason::NotDue),
            Err(other) => other,
        };
        let error = match error.downcast::<Killed>() {
            Ok(killed) => return Self::of(Kind::Killed(*killed)),
            Err(other) => other,
        };
        match error.downcast::<Crashed>() {
            Ok(crashed) => Self::of(Kind::Crashed(*crashed)),
            Err(other) => Self::of(Kind::Failed(other)),
        }
    }

    pub(crate) fn panicked(payload: Box<dyn Any + Send>, location: Option<String>) -> Self {
        let message = panic_message(&*payload);
        Self::of(Kind::Panicked { message, location, payload: Mutex::new(Some(payload)) })
    }

    pub(crate) fn failed(error: BoxError) -> Self {
        Self::of(Kind::Failed(error))
    }

    pub(crate) fn killed(killed: Killed) -> Self {
        Self::of(Kind::Killed(killed))
    }

    pub(crate) fn crashed(crashed: Crashed) -> Self {
        Self::of(Kind::Crashed(crashed))
    }

    pub(crate) fn cancelled(reason: CancelReason) -> Self {
        Self::of(Kind::Cancelled(reason))
    }

    pub(crate) fn abandoned(reason: Option<CancelReason>) -> Self {
        Self::of(Kind::Abandoned(reason))
    }

    pub(crate) fn returned(reason: ReturnReason) -> Self {
        Self::of(Kind::Returned(reason))
    }

    /// For whoever asks a second time for a result that can be had once.
    pub(crate) fn taken() -> Self {
        Self::of(Kind::Failed("the task's result was taken before".into()))
    }

    /// How the task ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &*self.kind {
            Kind::Failed(_) => Outcome::Failed,
            Kind::Panicked { .. } => Outcome::Panicked,
            Kind::Cancelled(reason) => reason.outcome(),
            Kind::Killed(_) => Outcome::Killed,
            Kind::Crashed(_) => Outcome::Crashed,
            Kind::Abandoned(_) => Outcome::Abandoned,
            Kind::Returned(_) => Outcome::Returned,
        }
    }

    /// The error the body returned, if it `Failed`.
    #[must_use]
    pub fn failure(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &*self.kind {
            Kind::Failed(error) => Some(&**error),
            _ => None,
        }
    }

    /// The error the body returned, by value.
    ///
    /// # Errors
    /// The task error itself, when the task did not fail.
    pub fn into_failure(self) -> Result<BoxError, Self> {
        match *self.kind {
            Kind::Failed(error) => Ok(error),
            kind => Err(Self::of(kind)),
        }
    }

    /// The error the body returned, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.failure().and_then(|error| error.downcast_ref())
    }

    /// Why it was asked to cancel: of the cancelled, timed out and abandoned.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<&CancelReason> {
        match &*self.kind {
            Kind::Cancelled(reason) => Some(reason),
            Kind::Abandoned(reason) => reason.as_ref(),
            _ => None,
        }
    }

    /// Why it was handed back, if it was.
    #[must_use]
    pub fn return_reason(&self) -> Option<&ReturnReason> {
        match &*self.kind {
            Kind::Returned(reason) => Some(reason),
            _ => None,
        }
    }

    /// What the panic said, if the body panicked.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        match &*self.kind {
            Kind::Panicked { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Where the panic began (`file:line:column`), where [`ebbtide::locate_panics`](crate::locate_panics) was called.
    #[must_use]
    pub fn panic_location(&self) -> Option<&str> {
        match &*self.kind {
            Kind::Panicked { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// Takes the panic's payload, once, for `std::panic::resume_unwind`.
    #[must_use]
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        match &*self.kind {
            Kind::Panicked { payload, .. } => {
                payload.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
            }
            _ => None,
        }
    }

    /// True if the body returned an error it declared as such.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.outcome() == Outcome::Failed
    }

    /// True if the body panicked.
    #[must_use]
    pub fn is_panicked(&self) -> bool {
        self.outcome() == Outcome::Panicked
    }

    /// True if it was cancelled: before it started, or by obeying.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.outcome() == Outcome::Cancelled
    }

    /// True if its own timeout or deadline ended it.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        self.outcome() == Outcome::TimedOut
    }

    /// True if it never started and was handed back.
    #[must_use]
    pub fn is_returned(&self) -> bool {
        self.outcome() == Outcome::Returned
    }

    /// True if it ignored a request to cancel past its grace; its body may still run.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.outcome() == Outcome::Abandoned
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            Kind::Failed(error) => write!(f, "the task failed: {error}"),
            Kind::Panicked { message, location: None, .. } => write!(f, "the task panicked: {message}"),
            Kind::Panicked { message, location: Some(place), .. } => {
                write!(f, "the task panicked at {place}: {message}")
            }
            Kind::Cancelled(reason) if reason.outcome() == Outcome::TimedOut => {
                write!(f, "the task timed out: {reason}")
            }
            Kind::Cancelled(reason) => write!(f, "the task was cancelled: {reason}"),
            Kind::Killed(killed) => write!(f, "the task was {killed}"),
            Kind::Crashed(crashed) => write!(f, "the task {crashed}"),
            Kind::Abandoned(_) => {
                f.write_str("the task was abandoned: it ignored a request to cancel past its grace")
            }
            Kind::Returned(reason) => write!(f, "the task was returned unstarted: {reason}"),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({}: {self})", self.outcome())
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.kind {
            Kind::Failed(error) => Some(&**error),
            Kind::Killed(killed) => Some(killed),
            Kind::Crashed(crashed) => Some(crashed),
            _ => None,
        }
    }
}

/// True for [`Cancelled`], also as the source of a body's own error; so many steps down at the most, for a chain may be a circle.
fn is_cancelled(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (**error).source())
        .take(16)
        .any(|error| error.is::<Cancelled>())
}

/// The text of a panic's payload, as the standard hook prints it.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
