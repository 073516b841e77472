//! Building a pool: every option with its default, and every contradiction named.

use std::{any::TypeId, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    control::Control,
    core::{Config, Core, Decorator, Release},
    events::{Event, Hook, Hub},
    lend::{Held, TakeOver},
    pools::Pool,
    renew::{Renew, Renewal},
    retirement::{HasSize, Retirement},
    roster::{Roster, Settings},
};
use crate::{
    component::Source,
    error::BuildError,
    policy::{self, IdleTimeout, Timing, WhenFull},
    queue::Queue,
    task::{
        error::BoxError,
        gate::TaskInfo,
        header::Wrap,
        isolation::{Isolation, Stateless, Threads},
    },
    worker::{
        craft::{AfterPanic, Craft, Handover, WorkerInfo},
        reason::RetireReason,
    },
};

/// The least stack a worker's thread may be given.
const STACK_MIN: usize = 16 * 1024;

/// Builds a [`Pool`]. From `Pool::builder()`; ends with [`build`](Self::build).
///
/// Every option has a default; the table of them is in the [crate's documentation](crate#defaults).
#[must_use = "a builder builds nothing until `build`"]
pub struct PoolBuilder<I: Isolation> {
    pub(super) options: Options,
    pub(super) craft: Craft<I>,
}

pub(super) struct Options {
    pub(super) name: String,
    workers: RangeInclusive<usize>,
    queue: usize,
    reserve: Option<usize>,
    when_full: WhenFull,
    idle_timeout: IdleTimeout,
    deadline: Duration,
    pub(super) grace: Duration,
    warm: Warm,
    retirement: Retirement,
    renew: Renew,
    surge: usize,
    intensity: (u32, Duration),
    abandoned_cap: Option<usize>,
    pub(super) snapshot_box: Duration,
    timing: Timing,
    old_first: bool,
    decorator: Option<Decorator>,
    /// Lets go of what the pool holds until it has terminated.
    holds: Option<(TakeOver, Release)>,
    owned: Option<Held>,
    sources: Vec<Source>,
    hook: Option<Hook>,
    /// What its worker processes are, if that is what they are.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(super) remote: Option<super::processes::Remote>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warm {
    OnDemand,
    AtOnce,
    /// By whoever opens the pool; its clocks stand until then.
    Later,
}

impl PoolBuilder<Stateless> {
    pub(crate) fn new() -> Self {
        let options = Options {
            name: "pool".to_owned(),
            workers: 1..=crate::sync::cores(),
            queue: policy::QUEUE,
            reserve: None,
            when_full: WhenFull::default(),
            idle_timeout: IdleTimeout::After(policy::IDLE_TIMEOUT),
            deadline: policy::DEADLINE,
            grace: policy::GRACE,
            warm: Warm::OnDemand,
            retirement: Retirement::new(),
            renew: Renew::new(),
            surge: policy::SURGE,
            intensity: (policy::RESTART_INTENSITY, policy::RESTART_PERIOD),
            abandoned_cap: None,
            snapshot_box: policy::SNAPSHOT_BOX,
            timing: Timing::default(),
            old_first: false,
            decorator: None,
            holds: None,
            owned: None,
            sources: Vec::new(),
            hook: None,
            #[cfg(all(target_os = "linux", not(loom)))]
            remote: None,
        };
        Self { options, craft: Craft::stateless() }
    }

    /// Gives every worker a state, built on the worker by `build`; tasks get it as `&mut S`. It need not be `Send`.
    ///
    /// A panic in `build` counts as a failed start.
    #[doc(alias = "initializer")]
    #[doc(alias = "start_handler")]
    #[doc(alias = "post_worker_init")]
    pub fn state<S: 'static>(
        self,
        build: impl Fn(&WorkerInfo) -> S + Send + Sync + 'static,
    ) -> PoolBuilder<Threads<S>> {
        self.try_state(move |worker| Ok::<_, BoxError>(build(worker)))
    }

    /// The same where building may fail: the start is tried again after a pause, and past the restart intensity
    /// the pool is broken.
    pub fn try_state<S: 'static, E: Into<BoxError>>(
        self,
        build: impl Fn(&WorkerInfo) -> Result<S, E> + Send + Sync + 'static,
    ) -> PoolBuilder<Threads<S>> {
        let build = Box::new(move |worker: &WorkerInfo, _| build(worker).map_err(Into::into));
        let craft = Craft::new(build, AfterPanic::Replace);
        PoolBuilder { options: self.options, craft: Craft { stack_size: self.craft.stack_size, ..craft } }
    }
}

impl<S: 'static> PoolBuilder<Threads<S>> {
    /// Called on the worker with its state when it retires, with the reason, before the state is dropped.
    ///
    /// Not called for an abandoned thread. A panic in it is caught.
    #[doc(alias = "exit_handler")]
    #[doc(alias = "worker_exit")]
    pub fn on_retire(mut self, hook: impl Fn(&mut S, RetireReason) + Send + Sync + 'static) -> Self {
        self.craft.on_retire = Some(Box::new(hook));
        self
    }

    /// How large a state is, in bytes: the source for `Retirement::larger_than` and `Renew::when_larger_than`. Asked after
    /// every task, on the worker; it should be quick.
    pub fn size(mut self, size: impl Fn(&S) -> u64 + Send + Sync + 'static) -> Self {
        self.craft.measure = Some(Box::new(size));
        self
    }

    /// Hands what a worker has learnt on to its replacement: `save` is asked between two tasks of the old one, `restore`
    /// builds the new one's state from what it gave. The first workers, and those that replace one that panicked or did not answer within
    /// `snapshot_timeout`, are built by `state`.
    ///
    /// What the old worker learns between its snapshot and its end is lost, unless `old_first`.
    pub fn snapshot<K: Send + 'static>(
        mut self,
        save: impl Fn(&mut S) -> K + Send + Sync + 'static,
        restore: impl Fn(&WorkerInfo, K) -> Result<S, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let fresh = self.craft.build;
        self.craft.save = Some(Box::new(move |state| Box::new(save(state))));
        self.craft.build = Box::new(move |worker, snapshot| {
            match snapshot.and_then(|snapshot| snapshot.downcast::<K>().ok()) {
                Some(snapshot) => restore(worker, *snapshot),
                None => fresh(worker, None),
            }
        });
        self
    }

    /// How long a snapshot is waited for before the replacement is built without. Default: 2 s.
    pub fn snapshot_timeout(mut self, timeout: Duration) -> Self {
        self.options.snapshot_box = timeout;
        self
    }

    /// A worker ends before its replacement starts: for state that must be exclusive (a file lock, a licence). Capacity drops by
    /// one meanwhile. Default: the replacement is warm first.
    pub fn old_first(mut self) -> Self {
        self.options.old_first = true;
        self
    }
}

impl<I: Isolation> PoolBuilder<I> {
    /// The pool's name: in thread names, events and reports. Default: `pool`.
    #[doc(alias = "thread_name")]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// The least and the most workers. It grows when tasks wait and nobody is idle, and shrinks to the least after the idle
    /// timeout. Default: `1..=cores`.
    #[doc(alias = "corePoolSize")]
    #[doc(alias = "maximumPoolSize")]
    #[doc(alias = "maxThreads")]
    #[doc(alias = "num_threads")]
    #[doc(alias = "max_workers")]
    #[doc(alias = "max_blocking_threads")]
    pub fn workers(mut self, workers: RangeInclusive<usize>) -> Self {
        self.options.workers = workers;
        self
    }

    /// How many tasks may wait. Default: 1024.
    #[doc(alias = "maxQueue")]
    #[doc(alias = "queueCapacity")]
    pub fn queue(mut self, capacity: usize) -> Self {
        self.options.queue = capacity;
        self
    }

    /// How many tasks beyond the queue's size may wait if they were submitted by running tasks, which never wait for
    /// room. Default: as many as the queue.
    pub fn children_reserve(mut self, reserve: usize) -> Self {
        self.options.reserve = Some(reserve);
        self
    }

    /// What a submit into a full queue does. Default: [`WhenFull::Wait`].
    #[doc(alias = "RejectedExecutionHandler")]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.options.when_full = when_full;
        self
    }

    /// How long an idle worker above the least is kept. Default: 60 s.
    #[doc(alias = "idleTimeout")]
    #[doc(alias = "keepAliveTime")]
    #[doc(alias = "thread_keep_alive")]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = IdleTimeout::After(timeout);
        self
    }

    /// Idle workers are kept for ever.
    pub fn no_idle_timeout(mut self) -> Self {
        self.options.idle_timeout = IdleTimeout::Never;
        self
    }

    /// How long a shutdown or restart may take where it does not say so itself. Default: 30 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// How long a task that was asked to cancel is waited for before it is abandoned. Default: 5 s.
    #[doc(alias = "graceful_timeout")]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Starts the least workers in `build`, instead of with the first tasks.
    #[doc(alias = "prestartAllCoreThreads")]
    pub fn warm(mut self) -> Self {
        self.options.warm = Warm::AtOnce;
        self
    }

    /// When a worker has done enough. Default: never.
    pub fn retire(mut self, retirement: Retirement) -> Self {
        self.options.retirement = retirement;
        self
    }

    /// When the pool renews all of its workers. Default: never.
    pub fn renew(mut self, renew: Renew) -> Self {
        self.options.renew = renew;
        self
    }

    /// What becomes of a worker whose task panicked. Default: replaced with state, kept without.
    pub fn after_panic(mut self, after: AfterPanic) -> Self {
        self.craft.after_panic = after;
        self
    }

    /// How many replacements may be under way at a time. Default: 1.
    #[doc(alias = "maxSurge")]
    pub fn surge(mut self, surge: usize) -> Self {
        self.options.surge = surge;
        self
    }

    /// More than `failures` failed starts within `period`, and nobody left who serves, make the pool *broken*: what waits
    /// is returned with the cause, submits are rejected with it, `restart` repairs it. Default: 5 in 10 s.
    pub fn restart_intensity(mut self, failures: u32, period: Duration) -> Self {
        self.options.intensity = (failures, period);
        self
    }

    /// More abandoned threads than this that still run make the pool broken. Default: as many as there may be workers.
    pub fn abandoned_cap(mut self, cap: usize) -> Self {
        self.options.abandoned_cap = Some(cap);
        self
    }

    /// How many tasks are timed for `timings`. Default: one in 64.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.options.timing = timing;
        self
    }

    /// The stack of each worker's thread, in bytes; at least 16 KiB. Default: the platform's (2 MiB with std).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.craft.stack_size = Some(bytes);
        self
    }

    /// Puts something around every task: a span, thread-locals of the submitter. `decorate` is called on the submitting thread
    /// and gives a wrapper, which runs on the worker and must call what it is given once.
    ///
    /// For the runs of jobs that thread is, as a rule, the one timer thread of all pools: it must be quick and must not block. If it panics, the
    /// submit panics; a run of a job is missed, and the job goes on.
    ///
    /// Costs an allocation per task, also for `execute`.
    #[doc(alias = "TaskDecorator")]
    #[doc(alias = "beforeExecute")]
    #[doc(alias = "afterExecute")]
    pub fn decorate(mut self, decorate: impl Fn(&TaskInfo<'_>) -> Wrap + Send + Sync + 'static) -> Self {
        self.options.decorator = Some(Box::new(decorate));
        self
    }

    /// Called with every event, in order and one at a time, on a thread of the pool, of a caller, or on the one timer thread of all
    /// pools; must be quick, must not block, and must not wait for the pool. What is told meanwhile waits for it, and so does the report of a stop:
    /// one that hangs keeps whoever waits for that beyond its deadline. For a stream, which holds up nobody, see `Pool::events`.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.options.hook = Some(Box::new(hook));
        self
    }

    /// One more who is called with every event, after the user's own.
    pub(crate) fn also_on_event(&mut self, more: impl Fn(&Event) + Send + Sync + 'static) {
        let own = self.options.hook.take();
        self.options.hook = Some(Box::new(move |event| {
            own.iter().for_each(|own| own(event));
            more(event);
        }));
    }

    pub(crate) fn hold(&mut self, take_over: TakeOver, release: Release) {
        self.options.holds = Some((take_over, release));
    }

    pub(crate) fn own(&mut self, owned: Held) {
        self.options.owned = Some(owned);
    }

    /// Remembers what it uses, for the order in which an application stops.
    pub(crate) fn depend(&mut self, sources: Vec<Source>) {
        self.options.sources = sources;
    }

    /// Leaves the starting of the first workers and of the clocks to whoever opens the pool; says how many workers those are.
    pub(crate) fn start_later(&mut self) -> usize {
        let warm = std::mem::replace(&mut self.options.warm, Warm::Later);
        if warm == Warm::AtOnce { *self.options.workers.start() } else { 0 }
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.options.sources
    }

    /// Builds the pool, whatever its workers are.
    pub(crate) fn finish(self) -> Result<Pool<I>, BuildError> {
        let Self { mut options, mut craft } = self;
        options.check::<I>(&craft)?;
        let has_size = if craft.measure.is_some() { HasSize::Yes } else { HasSize::No };
        craft.limits = options.retirement.check(has_size)?;
        #[cfg(all(target_os = "linux", not(loom)))]
        if let Some(remote) = &options.remote {
            remote.settle(&mut craft, &options)?;
            let period = &mut options.intensity.1;
            *period = period.saturating_add(remote.slow_starts(options.intensity.0));
        }
        craft.handover = match (options.old_first, &craft.save) {
            (true, _) => Handover::OldFirst,
            (false, Some(_)) => Handover::NewFirstFromSnapshot,
            (false, None) => Handover::NewFirst,
        };
        let settings = Settings {
            surge: options.surge,
            intensity: options.intensity.0,
            period: options.intensity.1,
            backoff_min: policy::BACKOFF_MIN,
            backoff_max: policy::BACKOFF_MAX,
            handover: craft.handover,
            max_age: craft.limits.age,
            jitter: craft.limits.jitter,
            abandoned_cap: options.abandoned_cap,
        };
        let (min, max) = (*options.workers.start(), *options.workers.end());
        let reserve = options.reserve.unwrap_or(options.queue);
        let config = Config {
            name: Arc::from(options.name),
            deadline: options.deadline,
            grace: options.grace,
            idle_timeout: options.idle_timeout,
            snapshot_box: options.snapshot_box,
            decorator: options.decorator,
        };
        let release = options.holds.map(|(take_over, release)| {
            take_over(&config.name);
            release
        });
        let core = Core::new(
            config,
            craft,
            Queue::new(options.queue, reserve, options.when_full, options.timing),
            Control::new(Roster::new(settings, min, max)),
            Hub::new(options.hook),
            Renewal::new(options.renew),
        );
        *core.release.lock() = release;
        *core.owned.lock() = options.owned;
        core.renewal.arm(&*core);
        match options.warm {
            Warm::OnDemand => {}
            Warm::AtOnce => {
                core.warm(min);
            }
            Warm::Later => core.clocks.hold(),
        }
        Ok(Pool::from_core(core))
    }
}

macro_rules! build {
    ($([$($generics:tt)*] $isolation:ty;)*) => {$(
        impl<$($generics)*> PoolBuilder<$isolation> {
        /// Builds the pool.
        ///
        /// # Errors
        /// [`BuildError`] names the first option that is wrong or contradicts another. A program compiled with
        /// `panic = "abort"` is refused: there a panicking task would end the process.
            pub fn build(self) -> Result<Pool<$isolation>, BuildError> {
                self.finish()
            }
        }
    )*};
}

build! {
    [] Stateless;
    [S: 'static] Threads<S>;
}

impl Options {
    fn check<I: Isolation>(&self, craft: &Craft<I>) -> Result<(), BuildError> {
        let wrong = |option, problem: &str| Err(BuildError::new(option, problem));
        if cfg!(panic = "abort") {
            return wrong("panic", "compiled with panic = \"abort\": a panicking task would end the process");
        }
        if self.name.is_empty() || self.name.contains('\0') {
            return wrong("name", "must not be empty or contain a NUL byte: it names threads");
        }
        check_workers(*self.workers.start(), *self.workers.end())?;
        if self.queue == 0 {
            return wrong("queue", "a queue of 0 could never accept a task; say at least 1");
        }
        if self.when_full == WhenFull::CallerRuns && TypeId::of::<I>() != TypeId::of::<Stateless>() {
            return wrong("when_full", "caller runs needs a pool without state: the caller has none to lend");
        }
        if self.idle_timeout == IdleTimeout::After(Duration::ZERO) {
            return wrong("idle_timeout", "of zero would start and end workers without rest");
        }
        if self.deadline.is_zero() {
            return wrong(
                "deadline",
                "of zero would abandon everything; to end at once use abort with a short grace",
            );
        }
        if self.grace > self.deadline {
            return wrong("grace", "is longer than the deadline: no stop could keep it");
        }
        if self.surge == 0 {
            return wrong("surge", "of 0 would never replace anybody; say at least 1");
        }
        if self.intensity.1.is_zero() {
            return wrong("restart_intensity", "needs a period longer than zero");
        }
        if craft.stack_size.is_some_and(|bytes| bytes < STACK_MIN) {
            return wrong("stack_size", "is below 16 KiB: no task could run on it");
        }
        let has_size = craft.measure.is_some();
        if self.renew.total_size.is_some() && !has_size {
            return wrong("renew", "when_larger_than needs a source: give the builder `size(|state| …)`");
        }
        if self.renew.every.is_some_and(|every| every.is_zero()) || !(0.0..=1.0).contains(&self.renew.jitter)
        {
            return wrong("renew", "needs an interval longer than zero and a jitter between 0.0 and 1.0");
        }
        Ok(())
    }
}

pub(crate) fn check_workers(min: usize, max: usize) -> Result<(), BuildError> {
    if max == 0 {
        return Err(BuildError::new("workers", "a pool of at most 0 workers could never run a task"));
    }
    if min > max {
        return Err(BuildError::new("workers", format!("the least, {min}, is more than the most, {max}")));
    }
    Ok(())
}

impl<I: Isolation> std::fmt::Debug for PoolBuilder<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("name", &self.options.name)
            .field("workers", &self.options.workers)
            .field("queue", &self.options.queue)
            .finish_non_exhaustive()
    }
}
