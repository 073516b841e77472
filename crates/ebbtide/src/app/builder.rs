//! Declaring an application: its components and their edges, each with its limits.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    parts::{Closed, PoolPart, ResourcePart},
    run::{App, Running, StopHandle},
    status::Status,
};
use crate::{
    component::{Component, Declared, ResourceId},
    error::{AppError, BuildError},
    policy,
    pool::{Pool, PoolBuilder},
    report::ComponentKind,
    sync::Mutex,
    task::{error::BoxError, isolation::Isolation},
};

/// Declares an application. From [`App::builder`]; ends with [`run`](Self::run) or [`build`](Self::build).
#[must_use = "an application does nothing until `run`"]
pub struct AppBuilder {
    pub(crate) options: Options,
    declared: Mutex<Vec<Declaration>>,
    handle: StopHandle,
    status: Status,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) name: Arc<str>,
    pub(crate) deadline: Duration,
    pub(crate) deregistration_delay: Duration,
    pub(crate) embedded: Embedded,
}

/// Whether the process belongs to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Embedded {
    No,
    Yes,
}

/// One component with its limits and needs.
pub(crate) struct Declaration {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ComponentKind,
    pub(crate) component: Arc<dyn Component>,
    pub(crate) needs: Vec<Need>,
    /// Which resource it is, if it is one.
    pub(crate) resource: Option<ResourceId>,
    pub(crate) start_within: Duration,
    pub(crate) stop_within: Option<Duration>,
    pub(crate) significant: Significant,
}

/// What a component depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Named(Arc<str>),
    Resource(ResourceId),
}

/// Whether the application can be without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Significant {
    No,
    Yes,
}

/// One declared component, to give it limits: from [`AppBuilder::component`] or [`AppBuilder::part`].
pub struct Part<'a> {
    app: &'a AppBuilder,
    name: Arc<str>,
}

impl AppBuilder {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let options = Options {
            name,
            deadline: policy::DEADLINE,
            deregistration_delay: policy::DEREGISTRATION_DELAY,
            embedded: Embedded::No,
        };
        Self { options, declared: Mutex::new(Vec::new()), handle: StopHandle::new(), status: Status::new() }
    }

    /// What a whole stop may take. Default: 30 s. `EBBTIDE_STOP_TIMEOUT` in the environment may shorten it, never lengthen.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// How long everything is served on after the request to stop, so that load balancers learn of it; part of the deadline, skipped for
    /// Ctrl-C on a terminal. Default: 0; behind a load balancer say 5 s.
    pub fn deregistration_delay(mut self, delay: Duration) -> Self {
        self.options.deregistration_delay = delay;
        self
    }

    /// The process is not the application's own: no signals, no watchdog that ends the process, no messages to a supervisor. For tests, and
    /// for an application inside another program.
    pub fn embedded(mut self) -> Self {
        self.options.embedded = Embedded::Yes;
        self
    }

    /// Declares a resource: opened before whoever uses it starts, closed when nobody does any more.
    pub fn resource<R: Send + Sync + 'static, E: Into<BoxError>, C: Closed>(
        &self,
        name: &str,
        open: impl FnOnce() -> Result<R, E> + Send + 'static,
        close: impl FnOnce(R) -> C + Send + 'static,
    ) -> Declared<R> {
        let declared = Declared::new(name);
        let part = ResourcePart::new(declared.clone(), open, close);
        let id = Some(declared.id());
        self.declare(name, ComponentKind::Resource, Arc::new(part), Vec::new(), id);
        declared
    }

    /// The same with futures; they are polled on threads of their own, so no runtime is needed.
    pub fn resource_async<R: Send + Sync + 'static, E: Into<BoxError>, C: Closed, O, D>(
        &self,
        name: &str,
        open: impl FnOnce() -> O + Send + 'static,
        close: impl FnOnce(R) -> D + Send + 'static,
    ) -> Declared<R>
    where
        O: Future<Output = Result<R, E>>,
        D: Future<Output = C>,
    {
        let declared = Declared::new(name);
        let part = ResourcePart::asynchronous(declared.clone(), open, close);
        let id = Some(declared.id());
        self.declare(name, ComponentKind::Resource, Arc::new(part), Vec::new(), id);
        declared
    }

    /// Declares a pool; it depends on what its builder `using`. It takes tasks at once and begins to run them when it is started.
    ///
    /// # Errors
    /// [`BuildError`] of the pool's builder.
    pub fn pool<I: Isolation>(
        &self,
        name: &str,
        builder: PoolBuilder<I>,
    ) -> Result<Arc<Pool<I>>, BuildError> {
        let mut builder = builder.name(name);
        let warm = builder.start_later();
        let needs = builder.sources().iter().copied().map(Need::Resource).collect();
        let pool = Arc::new(builder.build()?);
        let part = PoolPart::new(Arc::clone(&pool), warm);
        self.declare(name, ComponentKind::Pool, Arc::new(part), needs, None);
        Ok(pool)
    }

    /// Declares a component of the user's own.
    pub fn component(&self, name: &str, component: impl Component) -> Part<'_> {
        self.add(name, ComponentKind::Component, Arc::new(component))
    }

    /// Declares something that brings work in from outside: it starts after everything that does not depend on it, and stops before.
    pub fn ingress(&self, name: &str, ingress: impl Component) -> Part<'_> {
        self.add(name, ComponentKind::Ingress, Arc::new(ingress))
    }

    /// A component that was declared, to give it limits. That there is one of this name is checked by `build`.
    pub fn part(&self, name: &str) -> Part<'_> {
        Part { app: self, name: name.into() }
    }

    /// Stops the application from anywhere, once it runs.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// Looks at the application from anywhere.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Checks that it can be put together.
    ///
    /// # Errors
    /// [`AppError`] names the first thing that is wrong.
    pub fn build(self) -> Result<App, AppError> {
        let Self { options, declared, handle, status } = self;
        let declared = std::mem::take(&mut *declared.lock());
        Ok(App::new(options, declared, handle, status))
    }

    /// Builds and runs it: starts in order, serves, stops in reverse. What is wrong with it is in the report.
    pub fn run(self) -> Running {
        self.build().expect("checked").run()
    }

    pub(crate) fn add(&self, name: &str, kind: ComponentKind, component: Arc<dyn Component>) -> Part<'_> {
        self.declare(name, kind, component, Vec::new(), None);
        self.part(name)
    }

    fn declare(
        &self,
        name: &str,
        kind: ComponentKind,
        component: Arc<dyn Component>,
        needs: Vec<Need>,
        resource: Option<ResourceId>,
    ) {
        let declaration = Declaration {
            name: name.into(),
            kind,
            component,
            needs,
            resource,
            start_within: policy::START_TIMEOUT,
            stop_within: None,
            significant: Significant::No,
        };
        self.declared.lock().push(declaration);
    }
}

impl Part<'_> {
    /// It starts after this one and stops before it. For pools the edge comes from what they use; this is for components of one's own.
    pub fn depends_on(self, name: &str) -> Self {
        self.change(|one| one.needs.push(Need::Named(name.into())))
    }

    /// It uses this resource: the edge in the order.
    pub fn using<R>(self, resource: &Declared<R>) -> Self {
        self.change(|one| one.needs.push(Need::Resource(resource.id())))
    }

    /// What its start may take. Default: 30 s.
    pub fn start_within(self, limit: Duration) -> Self {
        self.change(|one| one.start_within = limit)
    }

    /// What its stop may take at most. Default: what the deadline leaves it.
    pub fn stop_within(self, limit: Duration) -> Self {
        self.change(|one| one.stop_within = Some(limit))
    }

    /// The application cannot be without it: when it ends, well or not, that is an ordered stop.
    pub fn significant(self) -> Self {
        self.change(|one| one.significant = Significant::Yes)
    }

    fn change(self, change: impl FnOnce(&mut Declaration)) -> Self {
        let mut declared = self.app.declared.lock();
        if let Some(one) = declared.iter_mut().find(|one| one.name == self.name) {
            change(one);
        }
        drop(declared);
        self
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.declared.lock().iter().map(|one| Arc::clone(&one.name)).collect();
        f.debug_struct("AppBuilder").field("options", &self.options).field("components", &names).finish()
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}
