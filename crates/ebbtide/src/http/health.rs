//! The health port: readiness, liveness and progress, on a thread of its own that outlives the application's parts.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{Method, Request, Response, StatusCode, header};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};
use tower_service::Service;

use super::{
    body::RequestBody,
    builder::{Limits, StartIngressError},
    phase::Caps,
    serving::Ingress,
};
use crate::sync::{self, JoinHandle, Mutex};

/// Probes are answered in no time; so long may one that came last take.
const CLOSE: Duration = Duration::from_millis(200);

/// Answers probes:
///
/// | path | answer |
/// |---|---|
/// | `/livez` | 200 for as long as the process has this port: stopping is no reason to be killed |
/// | `/readyz` | 200 when ready; else 503 and what is under way |
/// | `/progress` | 200 and what is under way, as text |
///
/// On a thread and a runtime of its own, so that handlers that block the application's runtime do not make it deaf, and started first and
/// [closed](Self::close) last. HTTP/1 and HTTP/2. It does not look into the application: what it says is what it was told through
/// [`HealthState`].
pub struct Health {
    address: SocketAddr,
    state: HealthState,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a [`Health`] says. Clones share it.
#[derive(Clone)]
pub struct HealthState {
    shared: Arc<Mutex<Said>>,
}

struct Said {
    ready: Readiness,
    progress: Progress,
}

#[derive(Clone)]
enum Progress {
    Text(Arc<str>),
    Asked(Arc<dyn Fn() -> String + Send + Sync>),
}

#[derive(Clone)]
enum Readiness {
    Ready,
    NotReady,
    Asked(Arc<dyn Fn() -> bool + Send + Sync>),
}

#[derive(Clone)]
struct Probes {
    state: HealthState,
}

impl HealthState {
    fn new() -> Self {
        let said = Said { ready: Readiness::NotReady, progress: Progress::Text("starting".into()) };
        Self { shared: Arc::new(Mutex::new(said)) }
    }

    /// From now on `/readyz` says 200.
    pub fn ready(&self) {
        let mut said = self.shared.lock();
        said.ready = Readiness::Ready;
        said.progress = Progress::Text("ready".into());
    }

    /// From now on `/readyz` says 503 and why.
    pub fn not_ready(&self, why: impl Into<Arc<str>>) {
        let mut said = self.shared.lock();
        said.ready = Readiness::NotReady;
        said.progress = Progress::Text(why.into());
    }

    /// From now on `/readyz` asks. Runs on the health port's thread: it must not block.
    pub fn ready_when(&self, ask: impl Fn() -> bool + Send + Sync + 'static) {
        self.shared.lock().ready = Readiness::Asked(Arc::new(ask));
    }

    /// What is under way, as `/progress` and a readiness of 503 say it.
    pub fn progress(&self, text: impl Into<Arc<str>>) {
        self.shared.lock().progress = Progress::Text(text.into());
    }

    /// The same, asked for by each probe. Runs on the health port's thread: it must not block.
    pub fn progress_with(&self, ask: impl Fn() -> String + Send + Sync + 'static) {
        self.shared.lock().progress = Progress::Asked(Arc::new(ask));
    }

    /// What `/readyz` says.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        // Asked without the lock: it is the user's code.
        let ready = self.shared.lock().ready.clone();
        match ready {
            Readiness::Ready => true,
            Readiness::NotReady => false,
            Readiness::Asked(ask) => ask(),
        }
    }

    fn text(&self) -> String {
        // Asked without the lock: it is the user's code.
        let progress = self.shared.lock().progress.clone();
        match progress {
            Progress::Text(text) => text.to_string(),
            Progress::Asked(ask) => ask(),
        }
    }
}

impl Health {
    /// Answers on the listener from now on. Not ready until [`HealthState::ready`].
    ///
    /// # Errors
    /// The listener cannot be used, or no thread can be started.
    pub fn start(listener: TcpListener) -> Result<Self, StartIngressError> {
        let wrong = |error| StartIngressError::new("the health port cannot be started".into(), error);
        let address = listener.local_addr().map_err(wrong)?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(wrong)?;
        let state = HealthState::new();
        let limits = Limits { connections: 256, head_timeout: Duration::from_secs(10), ..Limits::default() };
        let ingress =
            Ingress::builder("health").limits(limits).closes_quickly().runtime(runtime.handle().clone());
        let ingress = ingress.start(listener, Probes { state: state.clone() })?;
        let (end, ended) = oneshot::channel();
        let serve = move || serve(&runtime, &ingress, ended);
        let thread = sync::spawn("health".into(), None, serve).map_err(wrong)?;
        Ok(Self { address, state, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it says, to be changed.
    #[must_use]
    pub fn state(&self) -> HealthState {
        self.state.clone()
    }

    /// Closes the port, after everything else; takes a fraction of a second at most.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.end.take());
        // Its panic, if there was one, has been told by the panic hook.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(runtime: &Runtime, ingress: &Ingress, ended: oneshot::Receiver<()>) {
    runtime.block_on(async {
        // The sender is dropped, never sent on.
        let _ = ended.await;
        ingress.stop(Caps::within(CLOSE)).await;
    });
}

impl Drop for Health {
    fn drop(&mut self) {
        self.end();
    }
}

impl Service<Request<RequestBody>> for Probes {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, "alive".to_owned()),
            (&Method::GET | &Method::HEAD, "/progress") => (StatusCode::OK, self.state.text()),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                let ready = self.state.is_ready();
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, self.state.text())
            }
            (&Method::GET | &Method::HEAD, _) => {
                (StatusCode::NOT_FOUND, "there are /livez, /readyz and /progress".to_owned())
            }
            _ => (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD".to_owned()),
        };
        let mut answer = Response::new(text + "\n");
        *answer.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, plain);
        answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        ready(Ok(answer))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("address", &self.address)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthState").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}
