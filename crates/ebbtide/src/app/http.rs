//! HTTP in an application: its ingress, and the health port that outlives it.

use std::net::TcpListener;

use hyper::{Request, Response, body::Body};
use tower_service::Service;

use super::{
    builder::{AppBuilder, Part},
    status::AppState,
};
use crate::{
    http::{HealthPart, HealthState, HttpPart, IngressBuilder, RequestBody},
    report::ComponentKind,
    task::error::BoxError,
};

impl AppBuilder {
    /// Declares an HTTP ingress: it starts after everything that does not depend on it, serves what `service` then makes, and stops
    /// before all that. It runs on the tokio runtime in which this is called, or on the builder's.
    ///
    /// ```no_run
    /// # async fn run<R>(router: fn(std::sync::Arc<ebbtide::Pool<ebbtide::Stateless>>) -> R) -> Result<(), Box<dyn std::error::Error>> where
    /// #     R: tower_service::Service<hyper::Request<ebbtide::http::RequestBody>, Response = hyper::Response<String>> + Clone + Send + 'static,
    /// #     R::Error: Into<ebbtide::BoxError>, R::Future: Send {
    /// use ebbtide::{App, Pool, http::{Ingress, bind}};
    ///
    /// let app = App::builder("thumbnails");
    /// app.health(bind("127.0.0.1:9000")?);
    /// let pool = app.pool("drawing", Pool::builder().workers(1..=4))?;
    /// app.http(Ingress::builder("api"), bind("127.0.0.1:8080")?, move || router(pool));
    /// let report = app.run().await;
    /// # Ok(()) }
    /// ```
    pub fn http<S, B>(
        &self,
        ingress: IngressBuilder,
        listener: TcpListener,
        service: impl FnOnce() -> S + Send + 'static,
    ) -> Part<'_>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let name = ingress.name();
        let part = HttpPart::new(ingress, move |ingress| Ok(ingress.start(listener, service())?));
        self.add(&name, ComponentKind::Ingress, std::sync::Arc::new(part))
    }

    /// Declares the health port: `/livez`, `/readyz` and `/progress` say what the application does. It starts before all others and
    /// outlives them. Readiness is 503 from the request to stop on, at once.
    pub fn health(&self, listener: TcpListener) -> Part<'_> {
        let (ready, status) = (self.status(), self.status());
        let say = move |state: HealthState| {
            state.ready_when(move || ready.is_ready());
            state.progress_with(move || match status.state() {
                AppState::Starting => "starting".to_owned(),
                AppState::Ready => "ready".to_owned(),
                AppState::Stopping => [vec!["stopping".to_owned()], status.progress()].concat().join("\n"),
                AppState::Ended => "ended".to_owned(),
            });
        };
        let part = HealthPart::new(listener, say);
        self.add("health", ComponentKind::Probe, std::sync::Arc::new(part))
    }
}
