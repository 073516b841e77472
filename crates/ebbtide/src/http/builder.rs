//! The options of an ingress, and its start.

use std::{
    error::Error,
    fmt, io,
    net::{TcpListener, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use hyper::{Response, body::Body};
use tokio::runtime::Handle;
use tower_service::Service;

use super::{accept, backlog::Traffic, body::RequestBody, serving::Ingress};
use crate::{policy, task::error::BoxError};

/// An ingress that is being set up. See [`Ingress::builder`].
#[derive(Debug)]
#[must_use]
pub struct IngressBuilder {
    name: Arc<str>,
    limits: Limits,
    runtime: Option<Handle>,
    /// Whether somebody may be connecting when it stops; looked at if it is not said.
    traffic: Option<Traffic>,
}

/// What clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; more wait in the backlog. Default 10 000. Descriptors are limited too (`ulimit -n`): what they do not suffice for
    /// waits as well.
    pub connections: usize,
    /// For the head of a request; also how long a connection may be idle between two. Default 30 s.
    pub head_timeout: Duration,
    /// Size of a request's head. Default 64 KiB, at least 8 KiB on HTTP/1.
    pub head_bytes: u32,
    /// Requests at the same time on one HTTP/2 connection. Default 200.
    pub streams_per_connection: u32,
}

/// An ingress could not be started. Says what, where, and what can be done.
#[derive(Debug)]
pub struct StartIngressError {
    what: String,
    source: Option<io::Error>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: policy::INGRESS_CONNECTIONS,
            head_timeout: policy::INGRESS_HEAD_TIMEOUT,
            head_bytes: 64 * 1024,
            streams_per_connection: 200,
        }
    }
}

/// Binds a listener, with an error that names the address and what to do.
///
/// # Errors
/// The address is not one, is in use, or may not be bound.
pub fn bind(address: impl ToSocketAddrs + fmt::Display) -> Result<TcpListener, StartIngressError> {
    TcpListener::bind(&address).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "another program listens there (see `ss -ltnp`); choose another port",
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another port",
            io::ErrorKind::InvalidInput => "give an address and a port, for example 127.0.0.1:8080",
            _ => "choose another address or port",
        };
        StartIngressError { what: format!("cannot listen on {address}: {hint}"), source: Some(error) }
    })
}

impl IngressBuilder {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { name, limits: Limits::default(), runtime: None, traffic: None }
    }

    /// What clients may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The tokio runtime it runs on. Default: the one in which [`start`](Self::start) is called.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Whoever connects in its last moment may be reset: it is worth less than a quick stop.
    pub(crate) fn closes_quickly(mut self) -> Self {
        self.traffic = Some(Traffic::None);
        self
    }

    pub(crate) fn runtime_or(mut self, here: Handle) -> Self {
        self.runtime.get_or_insert(here);
        self
    }

    /// Serves `service` (an axum `Router`, or any tower service) on the listener from now on. Each request finds a
    /// [`StopNotice`](super::StopNotice) and its [`Peer`](super::Peer) in its extensions.
    ///
    /// A panicking handler costs its request, which is answered with 500; a service whose future fails does, too.
    ///
    /// # Errors
    /// There is no tokio runtime here, or the listener cannot be used.
    pub fn start<S, B>(self, listener: TcpListener, service: S) -> Result<Ingress, StartIngressError>
    where
        S: Service<hyper::Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let Some(runtime) = self.runtime.or_else(|| Handle::try_current().ok()) else {
            let what = format!(
                "{}: no tokio runtime here; call `start` inside of one, or give its handle with `runtime`",
                self.name
            );
            return Err(StartIngressError { what, source: None });
        };
        let unusable = |error| StartIngressError {
            what: format!("{}: the listener cannot be used", self.name),
            source: Some(error),
        };
        let address = listener.local_addr().map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
        let (ingress, core) = Ingress::new(Arc::clone(&self.name), address, runtime.clone());
        let accepting = runtime.spawn(accept::accept(listener, core, service, (self.limits, self.traffic)));
        ingress.accepts(accepting);
        Ok(ingress)
    }
}

impl fmt::Display for StartIngressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        Ok(())
    }
}

impl Error for StartIngressError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl StartIngressError {
    pub(crate) fn new(what: String, source: io::Error) -> Self {
        Self { what, source: Some(source) }
    }
}
