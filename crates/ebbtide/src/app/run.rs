//! An application that was put together: running it, waiting for it, stopping it from anywhere.

use std::{
    fmt,
    future::Future,
    io::{self, Write as _},
    pin::Pin,
    process::{ExitCode, Termination},
    sync::Arc,
    task::{Context as Poller, Poll, Waker},
};

use super::{
    builder::{AppBuilder, Declarations, Options},
    conduct::Conductor,
    hooks::Message,
    order::Order,
    runtime::Runtime,
    status::Status,
};
use crate::{
    report::{AppReport, StopReason},
    sync::{self, Mutex, mpsc},
    task::{
        handle::next_key,
        panics,
        wait::{self, Wakers},
    },
};

/// An application that was put together and checked: ready to [`run`](Self::run).
///
/// ```
/// use ebbtide::{App, Pool};
///
/// let app = App::builder("counter").embedded();
/// let numbers = app.resource("numbers", || std::io::Result::Ok(vec![1, 2, 3]), |numbers| drop(numbers));
/// let pool = app.pool("sums", Pool::builder().using(&numbers))?;
/// let sum = pool.submit(|numbers, _| numbers.iter().sum::<i32>())?;
///
/// let status = app.status();
/// let running = app.run();
/// assert_eq!(sum.wait()?, 6);
/// // A task may run before everything has started, and a stop before that is exit code 14.
/// while !status.is_ready() {
///     std::thread::yield_now();
/// }
/// running.stop_handle().stop();
/// let report = running.wait();
/// assert_eq!(report.exit_code, 0);
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct App {
    pub(super) options: Options,
    pub(super) parts: Declarations,
    pub(super) order: Order,
    pub(super) warnings: Vec<String>,
    handle: StopHandle,
    status: Status,
}

/// An application that runs. A plain future; a thread can [`wait`](Self::wait) on it. Dropping it changes nothing.
#[must_use = "only waiting tells when it is over"]
pub struct Running {
    shared: Arc<Shared>,
    handle: StopHandle,
    key: usize,
}

/// Stops an application from anywhere; any number of times is one stop. Cheap to clone.
#[derive(Clone)]
pub struct StopHandle {
    sender: mpsc::Sender<Message>,
    receiver: Arc<Mutex<Option<mpsc::Receiver<Message>>>>,
}

struct Shared {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    report: Option<AppReport>,
    wakers: Wakers,
}

impl App {
    /// Declares an application part by part.
    pub fn builder(name: impl Into<Arc<str>>) -> AppBuilder {
        AppBuilder::new(name.into())
    }

    pub(super) fn new(
        options: Options,
        parts: Declarations,
        order: Order,
        warnings: Vec<String>,
        handle: StopHandle,
        status: Status,
    ) -> Self {
        Self { options, parts, order, warnings, handle, status }
    }

    /// Stops it from anywhere.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// Starts it, serves, and stops it when it is time: at a signal, at a call, or when a component that it cannot be without ends.
    ///
    /// Unless it is [`embedded`](AppBuilder::embedded) the process is its own: SIGTERM, SIGINT and SIGHUP are its to handle from here on, and
    /// a watchdog ends the process shortly after the deadline of the stop, whatever hangs. If something was left behind, or cut off because
    /// the stop was forced, the watchdog stays, and the process ends by then even if `main` does not return: a runtime waits for its blocking threads
    /// when it is dropped.
    pub fn run(self) -> Running {
        let running = Running::new(self.handle.clone());
        let shared = Arc::clone(&running.shared);
        let Self { options, parts, order, warnings, handle, status } = self;
        let receiver = handle.receiver.lock().take();
        let receiver = receiver.expect("an application runs once: it is consumed by it");
        let (name, fallback) = (Arc::clone(&options.name), (Arc::clone(&options.name), Arc::clone(&shared)));
        let runtime = Runtime::here();
        let body = move || {
            let sender = handle.sender.clone();
            let conductor =
                Conductor::new(options, parts.take(), order, warnings, status, runtime, (sender, receiver));
            // A panic there is a fault of ours; who waits must hear of it all the same.
            let report = panics::quietly(|| conductor.conduct());
            let lost = || AppReport::refused(&name, "its own thread panicked; please report it".to_owned());
            shared.resolve(report.unwrap_or_else(lost));
        };
        if let Err(error) = sync::spawn("application".to_owned(), None, body) {
            let (name, shared) = fallback;
            shared.resolve(AppReport::refused(&name, format!("no thread could be started: {error}")));
        }
        running
    }
}

impl StopHandle {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver: Arc::new(Mutex::new(Some(receiver))) }
    }

    /// Asks for an ordered stop. A second call changes nothing.
    pub fn stop(&self) {
        let _ = self.sender.send(Message::Stop(StopReason::Asked));
    }

    /// Cancel and kill now, still in order. Begins the stop if nobody has.
    pub fn force(&self) {
        let _ = self.sender.send(Message::Force);
    }
}

impl Running {
    fn new(handle: StopHandle) -> Self {
        Self { shared: Arc::new(Shared { inner: Mutex::new(Inner::default()) }), handle, key: next_key() }
    }

    /// One that never ran: the report says what is wrong with it.
    pub(super) fn refused(handle: StopHandle, report: AppReport) -> Self {
        let running = Self::new(handle);
        running.shared.resolve(report);
        running
    }

    /// Stops it from anywhere.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// True once it has stopped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.inner.lock().report.is_some()
    }

    /// Blocks until it has stopped, and gives the report.
    #[must_use]
    pub fn wait(self) -> AppReport {
        let report = wait::block_until(None, |waker| self.shared.poll(self.key, waker));
        report.expect("it waits without a limit")
    }
}

impl Shared {
    fn resolve(&self, report: AppReport) {
        let wakers = {
            let mut inner = self.inner.lock();
            inner.report = Some(report);
            inner.wakers.take()
        };
        wait::wake_all(wakers);
    }

    fn poll(&self, key: usize, waker: &Waker) -> Option<AppReport> {
        let _replaced;
        let mut inner = self.inner.lock();
        if inner.report.is_none() {
            _replaced = inner.wakers.register(key, waker);
        }
        inner.report.clone()
    }
}

impl Future for Running {
    type Output = AppReport;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<AppReport> {
        self.shared.poll(self.key, poller.waker()).map_or(Poll::Pending, Poll::Ready)
    }
}

impl AppReport {
    /// The exit code, for a `main` that returns one.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.exit_code)
    }
}

/// What `main` may return: the report goes to the standard error unless it is clean, and its exit code is the process's.
impl Termination for AppReport {
    fn report(self) -> ExitCode {
        if !self.is_clean() {
            let _ = io::stderr().write_all(self.to_string().as_bytes());
        }
        self.code()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.options.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopHandle")
    }
}
