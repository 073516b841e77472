//! Declaring an application: its components and their edges, each with its limits.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    environment,
    order::{Item, Order},
    parts::{BrokenAlarm, Closed, JobPart, PoolPart, ResourcePart},
    plan::{UnderUsers, reserve},
    run::{App, Running, StopHandle},
    status::Status,
};
use crate::{
    component::{Component, Declared, ResourceId, Source},
    error::{AppError, BuildError},
    policy,
    pool::{Pool, PoolBuilder},
    report::{AppReport, ComponentKind, Mode},
    schedule::Job,
    sync::Mutex,
    task::{error::BoxError, isolation::Isolation, panics},
};

/// Declares an application. From [`App::builder`]; ends with [`run`](Self::run) or [`build`](Self::build).
#[must_use = "an application does nothing until `run`"]
pub struct AppBuilder {
    pub(crate) options: Options,
    declared: Mutex<Declarations>,
    /// The first name of a part that is not there.
    unknown: Mutex<Option<Arc<str>>>,
    handle: StopHandle,
    status: Status,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) name: Arc<str>,
    pub(crate) deadline: Duration,
    pub(crate) deregistration_delay: Duration,
    /// What was asked for; `deregistration_delay` may be less after `build`.
    pub(crate) own_delay: Duration,
    /// What was asked for; `deadline` may be less after `build`.
    pub(crate) own_deadline: Duration,
    /// What the environment grants.
    pub(crate) granted: Option<Duration>,
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
    pub(crate) under_users: UnderUsers,
    /// How it is stopped in an orderly stop.
    pub(crate) mode: Mode,
    pub(crate) significant: Significant,
}

/// Components that wait to be run. Dropped before, each is told that it will never start: whoever waits for what a pool was given hears of it.
#[derive(Default)]
pub(crate) struct Declarations(Vec<Declaration>);

/// What a component depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Named(Arc<str>),
    Resource(Source),
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
            own_delay: policy::DEREGISTRATION_DELAY,
            own_deadline: policy::DEADLINE,
            granted: None,
            embedded: Embedded::No,
        };
        Self {
            options,
            declared: Mutex::new(Declarations::default()),
            unknown: Mutex::new(None),
            handle: StopHandle::new(),
            status: Status::new(),
        }
    }

    /// What a whole stop may take. Default: 30 s. `EBBTIDE_STOP_TIMEOUT` in the environment may shorten it, never lengthen.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self.options.own_deadline = deadline;
        self
    }

    /// How long everything is served on after the request to stop, so that load balancers learn of it; part of the deadline, skipped for
    /// Ctrl-C on a terminal. Default: 0; behind a load balancer say 5 s.
    pub fn deregistration_delay(mut self, delay: Duration) -> Self {
        self.options.deregistration_delay = delay;
        self.options.own_delay = delay;
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
    /// If the application is dropped before it runs, they are handed back.
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
        let needs = builder.sources().iter().cloned().map(Need::Resource).collect();
        let alarm = BrokenAlarm::new();
        let heard = alarm.clone();
        builder.also_on_event(move |event| heard.hear(event));
        let pool = Arc::new(builder.finish()?);
        let own = Some(pool.deadline()).filter(|deadline| *deadline != policy::DEADLINE);
        let part = PoolPart::new(Arc::clone(&pool), warm, alarm);
        self.declare(name, ComponentKind::Pool, Arc::new(part), needs, None);
        if let Some(own) = own {
            self.part(name).stop_within(own);
        }
        Ok(pool)
    }

    /// Declares a schedule: its clock stands until everything else has started, and stops before anything else does. Its runs are tasks of its
    /// pool.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ebbtide::{App, Pool};
    ///
    /// let app = App::builder("cache").embedded();
    /// let pool = app.pool("refresh", Pool::builder().workers(1..=1))?;
    /// app.schedule("every-hour", pool.every(Duration::from_secs(3_600)).delay().start(|_| ())?);
    /// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn schedule(&self, name: &str, job: Job) -> Part<'_> {
        self.add(name, ComponentKind::Schedule, Arc::new(JobPart::new(job)))
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
    /// [`AppError`] names the first thing that is wrong: two components of one name, a name that is not there, a circle, a deadline that leaves
    /// no time, an `EBBTIDE_STOP_TIMEOUT` that is no duration.
    pub fn build(self) -> Result<App, AppError> {
        self.build_in(environment::stop_timeout())
    }

    /// Builds and runs it: starts in order, serves, stops in reverse. What is wrong with it is the reason in the report.
    pub fn run(self) -> Running {
        let (handle, name) = (self.handle.clone(), Arc::clone(&self.options.name));
        match self.build() {
            Ok(app) => app.run(),
            Err(error) => Running::refused(handle, AppReport::refused(&name, error.to_string())),
        }
    }

    fn build_in(self, granted: Result<Option<Duration>, AppError>) -> Result<App, AppError> {
        let Self { mut options, declared, unknown, handle, status } = self;
        let parts = std::mem::take(&mut *declared.lock());
        let order = Self::order(&parts.0, &mut options, unknown.lock().take(), granted)?;
        let mut app = App::new(options, parts, order, Vec::new(), handle, status);
        app.warnings = app.plan().warnings;
        Ok(app)
    }

    fn order(
        parts: &[Declaration],
        options: &mut Options,
        unknown: Option<Arc<str>>,
        granted: Result<Option<Duration>, AppError>,
    ) -> Result<Order, AppError> {
        if let Some(name) = unknown {
            let known = parts.iter().map(|part| Arc::clone(&part.name)).collect();
            return Err(AppError::Unknown { name, by: Arc::clone(&options.name), known });
        }
        let items = parts.iter().map(|part| part.item(parts)).collect::<Result<Vec<_>, _>>()?;
        let order = Order::of(&items)?;
        options.granted = granted?;
        options.deadline = options.granted.map_or(options.deadline, |granted| granted.min(options.deadline));
        options.check()?;
        options.fit_delay();
        Ok(order)
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
            under_users: UnderUsers::KeepOpen,
            mode: Mode::Drain,
            significant: Significant::No,
        };
        self.declared.lock().0.push(declaration);
    }
}

impl Options {
    fn check(&self) -> Result<(), AppError> {
        let wrong = |option, problem: String| Err(AppError::Option { option, problem });
        if self.deadline.is_zero() {
            return wrong(
                "deadline",
                "of zero would leave everything behind; say how long a stop may take".into(),
            );
        }
        // Against its own deadline: what the surroundings grant is no fault of the program.
        let usable = self.own_deadline - reserve(self.own_deadline);
        if self.deregistration_delay >= usable {
            let (delay, deadline) = (self.deregistration_delay, self.own_deadline);
            let problem = format!(
                "of {delay:?} leaves nothing of the deadline of {deadline:?} (a tenth of it is reserve); shorten it or raise the deadline"
            );
            return wrong("deregistration_delay", problem);
        }
        Ok(())
    }

    /// Where less is granted than the deadline, a delay that would leave nothing of it is cut: half of what can be used is for the work.
    fn fit_delay(&mut self) {
        let usable = self.deadline - reserve(self.deadline);
        if self.deregistration_delay >= usable {
            self.deregistration_delay = usable / 2;
        }
    }
}

impl Declarations {
    /// From here on it is somebody else's to tell them.
    pub(crate) fn take(mut self) -> Vec<Declaration> {
        std::mem::take(&mut self.0)
    }
}

impl std::ops::Deref for Declarations {
    type Target = [Declaration];

    fn deref(&self) -> &[Declaration] {
        &self.0
    }
}

impl Drop for Declarations {
    fn drop(&mut self) {
        for part in &self.0 {
            let _ = panics::quietly(|| part.component.not_started());
        }
    }
}

impl Declaration {
    /// What its stop may take, if that is known.
    pub(crate) fn worst_stop(&self) -> Option<Duration> {
        self.stop_within.or_else(|| self.component.worst_stop())
    }

    /// As the order sees it: by names.
    fn item(&self, all: &[Self]) -> Result<Item, AppError> {
        let name = |need: &Need| match need {
            Need::Named(name) => Ok(Arc::clone(name)),
            Need::Resource(source) => {
                let found = all.iter().find(|other| other.resource == Some(source.id));
                found.map(|other| Arc::clone(&other.name)).ok_or_else(|| AppError::Unknown {
                    name: Arc::clone(&source.name),
                    by: Arc::clone(&self.name),
                    known: all.iter().map(|other| Arc::clone(&other.name)).collect(),
                })
            }
        };
        let needs = self.needs.iter().map(name).collect::<Result<_, _>>()?;
        Ok(Item { name: Arc::clone(&self.name), kind: self.kind, needs })
    }
}

impl Part<'_> {
    /// It starts after this one and stops before it. For pools the edge comes from what they use; this is for components of one's own.
    pub fn depends_on(self, name: &str) -> Self {
        self.change(|one| one.needs.push(Need::Named(name.into())))
    }

    /// It uses this resource: the edge in the order.
    pub fn using<R>(self, resource: &Declared<R>) -> Self {
        self.change(|one| one.needs.push(Need::Resource(resource.source())))
    }

    /// What its start may take. Default: 30 s.
    pub fn start_within(self, limit: Duration) -> Self {
        self.change(|one| one.start_within = limit)
    }

    /// What its stop may take at most. Default: what the deadline leaves it.
    pub fn stop_within(self, limit: Duration) -> Self {
        self.change(|one| one.stop_within = Some(limit))
    }

    /// The application cannot be without it: when it ends, well or not, that is an ordered stop. A pool ends in this sense when it is broken.
    /// An error of any other component is an ordered stop also without this.
    pub fn significant(self) -> Self {
        self.change(|one| one.significant = Significant::Yes)
    }

    /// How a pool is stopped in an orderly stop. Default: `Drain`; with `Stop` what waits is handed back.
    pub fn mode(self, mode: Mode) -> Self {
        self.change(|one| one.mode = mode)
    }

    /// The resource is closed even when one who uses it was left behind. Default: it is kept open, and the report says who held it. A lease
    /// that is out keeps it open in any case.
    pub fn close_under_users(self) -> Self {
        self.change(|one| one.under_users = UnderUsers::Close)
    }

    fn change(self, change: impl FnOnce(&mut Declaration)) -> Self {
        match self.app.declared.lock().0.iter_mut().find(|one| one.name == self.name) {
            Some(one) => change(one),
            None => drop(self.app.unknown.lock().get_or_insert_with(|| Arc::clone(&self.name))),
        }
        self
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.declared.lock().0.iter().map(|one| Arc::clone(&one.name)).collect();
        f.debug_struct("AppBuilder").field("options", &self.options).field("components", &names).finish()
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn granted(granted: Duration) -> App {
        let app = App::builder("granted").embedded().deadline(20 * SECOND).deregistration_delay(5 * SECOND);
        app.build_in(Ok(Some(granted))).expect("what is granted is no fault of the program")
    }

    #[test]
    fn a_delay_that_would_use_up_what_is_granted_is_cut_with_a_warning() {
        for seconds in [5, 2] {
            let plan = granted(seconds * SECOND).plan();
            assert_eq!(plan.delay, seconds * SECOND * 9 / 20, "half of what the reserve leaves");
            let wanted = format!(
                "EBBTIDE_STOP_TIMEOUT grants {seconds}s, which a deregistration delay of 5s would use up"
            );
            assert!(plan.warnings[0].starts_with(&wanted), "{:?}", plan.warnings);
            assert_eq!(granted(seconds * SECOND).warnings, plan.warnings);
        }
        let plan = granted(10 * SECOND).plan();
        assert_eq!((plan.delay, plan.warnings.len()), (5 * SECOND, 0), "{:?}", plan.warnings);
    }
}
