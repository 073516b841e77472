//! The contract of anything with a start and a stop.
//!
//! Hooks are called on threads of their own, one at a time per component (but `force`, `progress` and `report`, which may come while
//! `stop` runs), so a hook may block, and one that hangs is left behind without holding up more than what depends on it.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Duration,
};

use crate::{
    clock::Moment,
    report::{Mode, Report},
    sync::Mutex,
    task::{
        cancel::CancelToken,
        error::{BoxError, Cancelled},
        wait,
    },
};

/// Anything with a start and a stop that an application runs: `app.component(name, component)`.
///
/// Pools, schedules, ingress and resources are components too; none is special.
///
/// ```
/// use ebbtide::{BoxError, Component, Starting, Stopping};
///
/// struct Beacon;
///
/// impl Component for Beacon {
///     fn start(&self, starting: &Starting) -> Result<(), BoxError> {
///         println!("{} is lit", starting.name());
///         Ok(())
///     }
///
///     fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
///         println!("{:?} left to put it out", stopping.remaining());
///         Ok(())
///     }
/// }
/// ```
pub trait Component: Send + Sync + 'static {
    /// Starts it; returns when it serves. Everything it depends on has started.
    ///
    /// An error, a panic or the end of its time stops what has started before, in reverse. A start that succeeds after its time was up
    /// is stopped like the others; one that succeeds when the application is over is stopped at once, and forced. Look at
    /// [`Starting::is_cancelled`] in whatever takes long.
    ///
    /// # Errors
    /// Whatever keeps it from serving; the first one is the reason the application gives.
    fn start(&self, starting: &Starting) -> Result<(), BoxError>;

    /// The application was asked to stop: `stop` comes when the deregistration delay is over and all dependants have stopped. Until
    /// then go on serving. Must be quick. Default: nothing.
    fn told(&self) {}

    /// Stops it: takes nothing new, finishes what it promised, returns when that is done. Nobody who depends on it is left (but those who
    /// hung). When [`Stopping::remaining`] is used up it is told to [`force`](Self::force), and shortly after left behind.
    ///
    /// # Errors
    /// What went wrong; it counts as stopped all the same, and the rest goes on.
    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError>;

    /// Cancel and kill what is left, now: called once, from another thread, while `stop` runs or right before it. Default: nothing;
    /// [`Stopping::is_forced`] tells the same.
    fn force(&self) {}

    /// The application ends and this one's turn to start never came: let go of what was promised before. Called instead of `stop`. Must be
    /// quick. Default: nothing.
    fn not_started(&self) {}

    /// How far it is. A change of `done` shows that progress is made, which extends a supervisor's time-out. Asked while
    /// `stop` runs, so it must not wait for what `stop` holds: nobody else is stopped meanwhile. Default: none.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// What it has to say in the report; asked once, at the end. Default: nothing.
    fn report(&self) -> Option<Detail> {
        None
    }

    /// The least time a proper stop of it may need in the worst case, for the plan; none if nobody can know. Default: none.
    fn worst_stop(&self) -> Option<Duration> {
        None
    }
}

/// How far a component is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// A number that grows while progress is made.
    pub done: u64,
    /// The same for a person: `3 running, 12 waiting`.
    pub text: String,
}

/// What a component says in the application's report.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Detail {
    /// What a pool did.
    Pool(Box<Report>),
    /// Anything else, as data.
    Json(serde_json::Value),
}

/// What a start is given.
#[derive(Clone, Debug)]
pub struct Starting {
    pub(crate) name: Arc<str>,
    pub(crate) until: Moment,
    pub(crate) token: CancelToken,
    pub(crate) monitor: Monitor,
}

/// What a stop is given.
#[derive(Clone, Debug)]
pub struct Stopping {
    pub(crate) name: Arc<str>,
    pub(crate) mode: Mode,
    pub(crate) until: Moment,
    pub(crate) token: CancelToken,
    pub(crate) said: Arc<Said>,
}

/// A component's way to say that it has ended although nobody stopped it. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    tell: Arc<dyn Fn(Result<(), String>) + Send + Sync>,
}

/// What a stop last said, and how often.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<Progress>);

impl Default for Mutex<Progress> {
    fn default() -> Self {
        Self::new(Progress::default())
    }
}

impl Starting {
    /// The component's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the start may still take.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.since(Moment::now())
    }

    /// True once the start was called off: by a signal, by another component's failure, or because its time is up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The token of the same.
    #[must_use]
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Polls a future on this thread until it is ready, or until the start is called off; then the future is dropped.
    ///
    /// In an application that runs on tokio (feature `tokio`) its runtime is there: timers, sockets and `spawn` work.
    ///
    /// # Errors
    /// [`Cancelled`], when the start was called off.
    pub fn wait_for<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        wait_for(&self.token, future)
    }

    /// For later: says that the component has ended by itself.
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }
}

impl Stopping {
    /// The component's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was asked for: `Drain`, or `Abort` in a stop that is forced.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How long the stop may still take before it is forced.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.since(Moment::now())
    }

    /// True once it is told to cancel and kill.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The token of the same.
    #[must_use]
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Says what it is doing: seen in the status, in a supervisor's messages and in the report. Counts as progress.
    pub fn progress(&self, text: impl Into<String>) {
        let mut said = self.said.0.lock();
        said.done += 1;
        said.text = text.into();
    }

    /// Polls a future on this thread until it is ready, or until the stop is forced; then the future is dropped.
    ///
    /// # Errors
    /// [`Cancelled`], when the stop was forced.
    pub fn wait_for<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        wait_for(&self.token, future)
    }
}

impl Stopping {
    /// The same, but until its time is up: what closes a resource is not dropped because the stop is forced.
    pub(crate) fn wait_to_the_end<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        let mut future = pin!(future);
        let poll = |waker: &std::task::Waker| match future.as_mut().poll(&mut Poller::from_waker(waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        };
        wait::block_until(Some(self.until), poll).ok_or(Cancelled)
    }
}

impl Monitor {
    pub(crate) fn new(tell: impl Fn(Result<(), String>) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell) }
    }

    /// It has ended, well or with an error. Of a component that the application cannot be without (`significant`), and for every
    /// error, that begins an ordered stop. During a stop it says nothing new.
    pub fn ended(&self, how: Result<(), BoxError>) {
        (self.tell)(how.map_err(|error| error.to_string()));
    }
}

impl Said {
    pub(crate) fn look(&self) -> Progress {
        self.0.lock().clone()
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Monitor")
    }
}

/// The future first, so that one that is ready counts even if the token was cancelled.
pub(crate) fn wait_for<F: Future>(token: &CancelToken, future: F) -> Result<F::Output, Cancelled> {
    let mut future = pin!(future);
    let mut cancelled = pin!(token.cancelled());
    let poll = |waker: &std::task::Waker| {
        let mut poller = Poller::from_waker(waker);
        match (future.as_mut().poll(&mut poller), cancelled.as_mut().poll(&mut poller)) {
            (Poll::Ready(value), _) => Some(Ok(value)),
            (_, Poll::Ready(_)) => Some(Err(Cancelled)),
            _ => None,
        }
    };
    wait::block_until(None, poll).unwrap_or(Err(Cancelled))
}
