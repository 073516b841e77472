//! Running an application: the hands.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    process::ExitCode,
    sync::{Arc, mpsc},
    task::{Context as Poller, Poll, Waker},
    time::Duration,
};

use super::{
    builder::{AppBuilder, Declaration, Options},
    status::{AppState, Status},
};
use crate::{
    clock::Moment,
    component::{Detail, Monitor, Said, Starting, StillHeld, Stopping},
    report::{AppReport, ComponentEnd, ComponentReport, Mode, Span, StopReason},
    sync::{self, Mutex},
    task::{
        cancel::CancelToken,
        wait::{self, Wakers},
    },
};

/// An application that was put together and checked: ready to [`run`](Self::run).
pub struct App {
    options: Options,
    parts: Vec<Declaration>,
    handle: StopHandle,
    status: Status,
}

/// An application that runs. A plain future; a thread can [`wait`](Self::wait) on it. Dropping it changes nothing.
#[must_use = "only waiting tells when it is over"]
pub struct Running {
    shared: Arc<Shared>,
    handle: StopHandle,
}

/// Stops an application from anywhere; any number of times is one stop. Cheap to clone.
#[derive(Clone)]
pub struct StopHandle {
    sender: mpsc::Sender<Message>,
    receiver: Arc<Mutex<Option<mpsc::Receiver<Message>>>>,
}

#[derive(Clone, Debug)]
enum Message {
    Stop(StopReason),
    Force,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    report: Option<AppReport>,
    wakers: Wakers,
}

impl Default for Mutex<Inner> {
    fn default() -> Self {
        Self::new(Inner::default())
    }
}

impl App {
    /// Declares an application part by part.
    pub fn builder(name: impl Into<Arc<str>>) -> AppBuilder {
        AppBuilder::new(name.into())
    }

    pub(crate) fn new(options: Options, parts: Vec<Declaration>, handle: StopHandle, status: Status) -> Self {
        Self { options, parts, handle, status }
    }

    /// Stops it from anywhere.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// Starts it, serves, and stops it when it is time.
    pub fn run(self) -> Running {
        let shared = Arc::<Shared>::default();
        let (mine, handle) = (Arc::clone(&shared), self.handle.clone());
        let body = move || {
            let report = self.conduct();
            let wakers = {
                let mut inner = mine.inner.lock();
                inner.report = Some(report);
                inner.wakers.take()
            };
            wait::wake_all(wakers);
        };
        sync::spawn("app".to_owned(), None, body).map(drop).unwrap_or_default();
        Running { shared, handle }
    }

    fn conduct(self) -> AppReport {
        let Self { options, parts, handle, status } = self;
        let receiver = handle.receiver.lock().take();
        let mut reports = Vec::new();
        for part in &parts {
            let starting = Starting {
                name: Arc::clone(&part.name),
                until: Moment::now().plus(part.start_within),
                token: CancelToken::new(),
                monitor: Monitor::new(|_| {}),
            };
            let end = match part.component.start(&starting) {
                Ok(()) => ComponentEnd::Stopped,
                Err(_) => ComponentEnd::StartFailed,
            };
            reports.push(opened(part, end));
        }
        status.enter(AppState::Ready);
        let message = receiver.and_then(|receiver| receiver.recv().ok());
        status.enter(AppState::Stopping);
        for (part, report) in parts.iter().zip(&mut reports).rev() {
            let stopping = Stopping {
                name: Arc::clone(&part.name),
                mode: Mode::Drain,
                until: Moment::now().plus(options.deadline),
                token: CancelToken::new(),
                said: Arc::<Said>::default(),
            };
            if let Err(error) = part.component.stop(&stopping) {
                report.error = Some(error.to_string());
                report.end = ComponentEnd::StopFailed;
                if let Some(still) = error.downcast_ref::<StillHeld>() {
                    report.held_by = still.holders().to_vec();
                }
            }
            match part.component.report() {
                Some(Detail::Pool(pool)) => report.pool = Some(*pool),
                Some(Detail::Json(value)) => report.detail = Some(value),
                None => {}
            }
        }
        status.enter(AppState::Ended);
        AppReport {
            app: options.name,
            reason: match message {
                Some(Message::Stop(reason)) => reason,
                _ => StopReason::Asked,
            },
            exit_code: 0,
            ready: None,
            uptime: Duration::ZERO,
            duration: Duration::ZERO,
            deadline: options.deadline,
            reserve: Duration::ZERO,
            delay: Duration::ZERO,
            forced: None,
            signals: Vec::new(),
            components: reports,
            timeline: Vec::new(),
            critical: Vec::new(),
            critical_path: None,
            warnings: Vec::new(),
        }
    }
}

impl StopHandle {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver: Arc::new(Mutex::new(Some(receiver))) }
    }

    /// Asks for an ordered stop.
    pub fn stop(&self) {
        drop(self.sender.send(Message::Stop(StopReason::Asked)));
    }

    /// Cancel and kill now, still in order.
    pub fn force(&self) {
        drop(self.sender.send(Message::Force));
    }
}

impl Running {
    /// Stops it from anywhere.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// Blocks until it has stopped, and gives the report.
    #[must_use]
    pub fn wait(self) -> AppReport {
        let report = wait::block_until(None, |waker| self.shared.poll(waker));
        report.expect("it waits without a limit")
    }
}

impl Shared {
    fn poll(&self, waker: &Waker) -> Option<AppReport> {
        let _replaced;
        let mut inner = self.inner.lock();
        if inner.report.is_none() {
            _replaced = inner.wakers.register(0, waker);
        }
        inner.report.clone()
    }
}

impl Future for Running {
    type Output = AppReport;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<AppReport> {
        self.shared.poll(poller.waker()).map_or(Poll::Pending, Poll::Ready)
    }
}

impl AppReport {
    /// What `main` returns.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.options.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopHandle")
    }
}

fn opened(part: &Declaration, end: ComponentEnd) -> ComponentReport {
    ComponentReport {
        name: Arc::clone(&part.name),
        kind: part.kind,
        depends_on: Vec::new(),
        end,
        error: None,
        start: Some(Span::new(Duration::ZERO, None)),
        stop: None,
        budget: None,
        forced: None,
        waited_for: None,
        held_by: Vec::new(),
        progress: None,
        pool: None,
        detail: None,
    }
}
