//! An HTTP ingress and a health port as components of an application.

use std::{net::TcpListener, time::Duration};

use tokio::runtime::Handle;

use super::{
    builder::IngressBuilder,
    health::{Health, HealthState},
    phase::Caps,
    report::IngressReport,
    serving::Ingress,
};
use crate::{
    component::{Component, Detail, Progress, Starting, Stopping},
    sync::Mutex,
    task::error::BoxError,
};

/// After the time for the stop is used up: how long what is cut takes to go.
const CUT: Duration = Duration::from_millis(600);

type Open = Box<dyn FnOnce(IngressBuilder) -> Result<Ingress, BoxError> + Send>;

/// Serves from its start to its stop. What it serves is made at the start, when everything it depends on is there.
pub(crate) struct HttpPart {
    /// Until it is started.
    open: Mutex<Option<Open>>,
    builder: Mutex<Option<IngressBuilder>>,
    serving: Mutex<Option<Ingress>>,
    report: Mutex<Option<IngressReport>>,
}

type Opening = Box<dyn FnOnce() -> Result<Health, BoxError> + Send>;

/// Answers from its start to its stop.
pub(crate) struct HealthPart {
    open: Mutex<Option<Opening>>,
    health: Mutex<Option<Health>>,
}

impl HealthPart {
    /// `say` is given the state when the port is there.
    pub(crate) fn new(listener: TcpListener, say: impl FnOnce(HealthState) + Send + 'static) -> Self {
        let open = move || {
            let health = Health::start(listener)?;
            say(health.state());
            Ok(health)
        };
        Self { open: Mutex::new(Some(Box::new(open))), health: Mutex::new(None) }
    }
}

impl Component for HealthPart {
    fn start(&self, _: &Starting) -> Result<(), BoxError> {
        let open = self.open.lock().take().ok_or("it was started before")?;
        let health = open()?;
        *self.health.lock() = Some(health);
        Ok(())
    }

    fn stop(&self, _: &Stopping) -> Result<(), BoxError> {
        let health = self.health.lock().take();
        health.into_iter().for_each(Health::close);
        Ok(())
    }
}

impl HttpPart {
    /// `open` is called when it is time to start. The runtime is the one in which this is called, if the builder was not given one.
    pub(crate) fn new(
        builder: IngressBuilder,
        open: impl FnOnce(IngressBuilder) -> Result<Ingress, BoxError> + Send + 'static,
    ) -> Self {
        let builder = match Handle::try_current() {
            Ok(here) => builder.runtime_or(here),
            Err(_) => builder,
        };
        Self {
            open: Mutex::new(Some(Box::new(open))),
            builder: Mutex::new(Some(builder)),
            serving: Mutex::new(None),
            report: Mutex::new(None),
        }
    }
}

impl Component for HttpPart {
    fn start(&self, _: &Starting) -> Result<(), BoxError> {
        let (open, builder) = (self.open.lock().take(), self.builder.lock().take());
        let (Some(open), Some(builder)) = (open, builder) else { return Err("it was started before".into()) };
        let ingress = open(builder)?;
        *self.serving.lock() = Some(ingress);
        Ok(())
    }

    fn told(&self) {
        if let Some(ingress) = &*self.serving.lock() {
            ingress.leave();
        }
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        let remaining = stopping.remaining();
        let stop = self.serving.lock().as_ref().map(|ingress| ingress.stop(Caps::within(remaining)));
        let Some(mut stop) = stop else { return Ok(()) };
        let report = stop.wait_timeout(remaining + CUT);
        let report = report.ok_or("its tokio runtime does not come to stopping it: something blocks it")?;
        // That it was forced is known already.
        let failed = report.failed.clone().filter(|_| !stopping.is_forced());
        *self.report.lock() = Some(report);
        failed.map_or(Ok(()), |why| Err(why.into()))
    }

    fn force(&self) {
        if let Some(ingress) = &*self.serving.lock() {
            drop(ingress.force());
        }
    }

    fn progress(&self) -> Option<Progress> {
        let stats = self.serving.lock().as_ref()?.stats();
        let text = format!("{} requests on {} connections", stats.open, stats.connections);
        Some(Progress { done: stats.requests - stats.open + stats.accepted - stats.connections, text })
    }

    fn report(&self) -> Option<Detail> {
        let report = self.report.lock().clone()?;
        serde_json::to_value(report).ok().map(Detail::Json)
    }
}

impl std::fmt::Debug for HttpPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpPart").field("serving", &self.serving).finish_non_exhaustive()
    }
}
