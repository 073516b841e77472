//! What callers ask of a pool: shut down, restart, pause, resume, resize, warm up.

use std::{sync::Arc, time::Duration};

use super::{
    closing::{Closing, Shared, Witness},
    control::{Control, Crew, Procedural, Todo, What},
    core::Core,
    draft::Draft,
    drive::ask,
    events::Event,
    phase::{Passage, Phase, fitting},
    roster::Action,
    stats::{Stats, WorkerStats},
};
use crate::{
    clock::Moment,
    error::{RejectReason, StillStopping},
    pool::control::Do,
    queue::{Intake, Paused},
    report::{Mode, RunningTask},
    task::isolation::Isolation,
};

/// How a pool is to end, for good. `Shutdown::drain()`, `::stop()` or `::abort()`, with options.
///
/// What a mode means is said at [`Mode`]. A deadline and a grace always exist: without
/// [`within`](Self::within) and [`grace`](Self::grace) they are the pool's (30 s and 5 s unless it was built otherwise). Near the
/// deadline a drain or stop becomes an abort by itself; after the grace what does not obey is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "pass it to `pool.shutdown`"]
pub struct Shutdown {
    mode: Mode,
    within: Option<Duration>,
    grace: Option<Duration>,
}

/// How a pool's present workers are to go while the pool stays open. `Restart::rolling()`, `::drain()`, `::stop()` or
/// `::abort()`, with options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "pass it to `pool.restart`"]
pub struct Restart {
    kind: Kind,
    within: Option<Duration>,
    grace: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rolling,
    Crew(Mode),
}

impl Shutdown {
    /// Finish everything accepted, then end.
    #[doc(alias = "close")]
    #[doc(alias = "waitForTasksToCompleteOnShutdown")]
    pub const fn drain() -> Self {
        Self { mode: Mode::Drain, within: None, grace: None }
    }

    /// Finish what runs, hand back what waits, then end.
    #[doc(alias = "cancel_futures")]
    pub const fn stop() -> Self {
        Self { mode: Mode::Stop, within: None, grace: None }
    }

    /// Ask what runs to cancel, hand back what waits, abandon after the grace what does not obey.
    #[doc(alias = "shutdownNow")]
    #[doc(alias = "destroy")]
    pub const fn abort() -> Self {
        Self { mode: Mode::Abort, within: None, grace: None }
    }

    /// The deadline: it is over after so long, whatever happens. Default: the pool's.
    #[doc(alias = "shutdown_timeout")]
    #[doc(alias = "awaitTerminationSeconds")]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.within = Some(deadline);
        self
    }

    /// Time between asking a task to cancel and abandoning it. Default: the pool's. At most half of the deadline less
    /// its reserve.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}

impl Restart {
    /// A warm replacement first, then one old worker retires, until all are new. Nobody is disturbed, capacity never drops.
    #[doc(alias = "softRestart")]
    pub const fn rolling() -> Self {
        Self { kind: Kind::Rolling, within: None, grace: None }
    }

    /// What waits and runs now is finished by the present workers; what comes meanwhile waits for the new ones.
    #[doc(alias = "close")]
    pub const fn drain() -> Self {
        Self { kind: Kind::Crew(Mode::Drain), within: None, grace: None }
    }

    /// What runs is finished, what waits now is handed back: it lies in the pool until [`take_returned`](crate::Pool::take_returned) takes it.
    pub const fn stop() -> Self {
        Self { kind: Kind::Crew(Mode::Stop), within: None, grace: None }
    }

    /// What runs is asked to cancel, what waits now is handed back, as by [`stop`](Self::stop); after the grace what does not obey is abandoned.
    #[doc(alias = "destroy")]
    pub const fn abort() -> Self {
        Self { kind: Kind::Crew(Mode::Abort), within: None, grace: None }
    }

    /// The deadline. Default: the pool's. A rolling restart has none: it disturbs nobody.
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.within = Some(deadline);
        self
    }

    /// Time between asking a task to cancel and abandoning it. Default: the pool's.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}

impl<I: Isolation> Core<I> {
    pub(crate) fn shutdown(&self, shutdown: Shutdown) -> Closing {
        let limits = self.limits(shutdown.within, shutdown.grace);
        // First of all: from here on nothing begins by time.
        self.clocks.stop();
        let shared = self.drive(|control, now, todo| {
            let mut actions = Vec::new();
            let shared = match &control.last {
                Some(shared) => {
                    let shared = Arc::clone(shared);
                    self.ask_all(control, |_| shutdown.mode, limits, now, todo);
                    shared
                }
                None => {
                    let shared = self.begin(control, What::Final, Some(shutdown.mode), limits, now);
                    control.last = Some(Arc::clone(&shared));
                    control.shut = true;
                    for procedure in control.procedures.iter_mut().filter(|one| one.what != What::Final) {
                        procedure.draft.fail("superseded by a shutdown");
                    }
                    actions = control.roster.shut();
                    self.close_intake(RejectReason::ShuttingDown, todo);
                    // A restart may have brought a generation further; this deadline counts for it all the same.
                    self.ask_all(control, |passage| passage.at_least(shutdown.mode), limits, now, todo);
                    shared
                }
            };
            // What a pause held back is held no more, and there may be nobody to run it.
            actions.extend(control.roster.review(&|lane| self.queue.unserved(lane)));
            (actions, shared)
        });
        self.closing(shared)
    }

    fn ask_all(
        &self,
        control: &mut Control,
        mode: impl Fn(&Passage) -> Mode,
        limits: (Duration, Duration),
        now: Moment,
        todo: &mut Todo,
    ) {
        let lanes: Vec<_> = control.crews.iter().map(|crew| (crew.lane, mode(&crew.passage))).collect();
        for (lane, mode) in lanes {
            self.step(control, lane, ask(mode, limits.0, limits.1), now, todo);
        }
    }

    pub(crate) fn restart(&self, restart: Restart) -> Closing {
        let limits = self.limits(restart.within, restart.grace);
        let shared = self.drive(|control, now, todo| {
            let under_way = control.procedures.iter().find(|one| matches!(one.what, What::Crew(_)));
            let crew_under_way = under_way.map(|one| (one.what, Arc::clone(&one.shared)));
            if control.shut {
                return (Vec::new(), self.refuse_restart(control, restart, limits, now, todo));
            }
            match (restart.kind, crew_under_way) {
                (Kind::Crew(mode), Some((What::Crew(lane), shared))) => {
                    self.step(control, lane, ask(mode, limits.0, limits.1), now, todo);
                    (Vec::new(), shared)
                }
                (Kind::Crew(mode), _) => self.begin_generation(control, mode, limits, now, todo),
                (Kind::Rolling, Some((_, shared))) => (Vec::new(), shared),
                (Kind::Rolling, None) => self.begin_rolling(control, limits, now, todo),
            }
        });
        self.closing(shared)
    }

    fn begin_generation(
        &self,
        control: &mut Control,
        mode: Mode,
        limits: (Duration, Duration),
        now: Moment,
        todo: &mut Todo,
    ) -> (Vec<Action>, Arc<Shared>) {
        let old = control.current().lane;
        let shared = self.begin(control, What::Crew(old), Some(mode), limits, now);
        let lane = old + 1;
        self.queue.begin_lane(lane);
        let mut actions = control.roster.begin_generation(lane);
        let generation = control.roster.generation();
        control.crews.push(Crew { lane, generation, passage: Passage::new() });
        self.reopen(todo);
        let procedure = What::Crew(old).procedure();
        todo.push(Do::Send(Event::Restart { procedure, generation, over: false }));
        self.step(control, old, ask(mode, limits.0, limits.1), now, todo);
        // The new minimum may start now, and somebody for what a pause held back: no worker need be there to end first.
        actions.extend(control.roster.review(&|lane| self.queue.unserved(lane)));
        (actions, shared)
    }

    fn begin_rolling(
        &self,
        control: &mut Control,
        limits: (Duration, Duration),
        now: Moment,
        todo: &mut Todo,
    ) -> (Vec<Action>, Arc<Shared>) {
        if let Some(roll) = control.procedures.iter().find(|one| one.what == What::Roll) {
            return (Vec::new(), Arc::clone(&roll.shared));
        }
        let shared = self.begin(control, What::Roll, None, limits, now);
        let unserved = |lane| self.queue.unserved(lane);
        let actions = control.roster.roll(&unserved);
        let generation = control.roster.generation();
        if let Some(crew) = control.crews.last_mut() {
            crew.generation = generation;
        }
        self.reopen(todo);
        todo.push(Do::Send(Event::Restart { procedure: What::Roll.procedure(), generation, over: false }));
        (actions, shared)
    }

    /// A restart repairs a broken pool.
    fn reopen(&self, todo: &mut Todo) {
        let effect = self.queue.set_intake(Intake::Open);
        todo.push(Do::Call(effect.submitters));
    }

    fn refuse_restart(
        &self,
        control: &mut Control,
        restart: Restart,
        limits: (Duration, Duration),
        now: Moment,
        todo: &mut Todo,
    ) -> Arc<Shared> {
        let (what, mode) = match restart.kind {
            Kind::Rolling => (What::Roll, None),
            Kind::Crew(mode) => (What::Crew(control.current().lane), Some(mode)),
        };
        let shared = self.begin(control, what, mode, limits, now);
        if let Some(mut procedure) = control.procedures.pop() {
            procedure.draft.fail("the pool is shutting down, or has");
            self.resolve(control, procedure, now, todo);
        }
        shared
    }

    /// Opens a procedure's report with what is there now.
    fn begin(
        &self,
        control: &mut Control,
        what: What,
        mode: Option<Mode>,
        limits: (Duration, Duration),
        now: Moment,
    ) -> Arc<Shared> {
        let (balance, generation) = (self.balance(control), control.roster.generation());
        // What is told is the grace that tasks will have. A rolling restart has no phases that cut it.
        let grace = if mode.is_some() { fitting(limits.0, limits.1) } else { limits.1 };
        let told = (limits.0, grace);
        let mut draft = Draft::new(what.procedure(), mode, generation, told, &balance, now);
        for desk in control.desks.values() {
            draft.present(&desk.seat, desk.seat.look(now), now);
        }
        let shared = Shared::new();
        let keeps = self.me.upgrade().map(|core| core as Arc<dyn std::any::Any + Send + Sync>);
        control.procedures.push(Procedural {
            what,
            draft,
            shared: Arc::clone(&shared),
            due: now.plus(limits.0),
            keeps,
        });
        shared
    }

    fn limits(&self, within: Option<Duration>, grace: Option<Duration>) -> (Duration, Duration) {
        (within.unwrap_or(self.config.deadline), grace.unwrap_or(self.config.grace))
    }

    fn closing(&self, shared: Arc<Shared>) -> Closing {
        let witness: std::sync::Weak<dyn Witness> = std::sync::Weak::<Self>::clone(&self.me);
        Closing::new(shared, witness, self.home)
    }

    pub(crate) fn pause(&self, paused: Paused) {
        let effect = self.queue.set_paused(paused);
        self.apply(effect);
        self.review();
        self.send(Event::Paused { paused: paused == Paused::Yes });
    }

    pub(crate) fn resize(&self, min: usize, max: usize) -> (usize, usize) {
        let before = self.drive(|control, _, _| {
            let before = control.roster.limits();
            let unserved = |lane| self.queue.unserved(lane);
            (control.roster.resize(min, max, &unserved), before)
        });
        // Who sleeps for good because it belonged to the least may be above it now.
        self.queue.rouse_all();
        before
    }

    pub(crate) fn warm(&self, count: usize) -> usize {
        self.drive(|control, _, _| {
            if control.shut {
                return (Vec::new(), 0);
            }
            let unserved = |lane| self.queue.unserved(lane);
            let (started, actions) = control.roster.warm(count, &unserved);
            (actions, started)
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.control.lock().current().passage.phase()
    }

    pub(crate) fn stats(&self) -> Stats {
        let control = self.control.lock();
        let now = Moment::now();
        let (balance, counts) = (self.balance(&control), self.queue.counts());
        let (min, max) = control.roster.limits();
        Stats {
            pool: Arc::clone(&self.config.name),
            phase: control.current().passage.phase(),
            generation: control.roster.generation(),
            accepted: balance.accepted,
            queued: balance.queued,
            not_due: balance.not_due,
            running: balance.running,
            rejected: self.rejected(),
            outcomes: balance.outcomes,
            caller_runs: self.caller_runs.load(crate::sync::atomic::Ordering::Relaxed),
            waiting_for_room: counts.waiting_for_room,
            untaken: self.returned.len(),
            workers: WorkerStats {
                min,
                max,
                alive: control.desks.len(),
                idle: counts.idle,
                peak: control.peak,
                started: control.started,
                abandoned: control.abandoned.len(),
                size: control.desks.values().map(|desk| desk.seat.size()).sum(),
                build: control.build.0,
                build_memory: control.build.1,
            },
            running_tasks: self.running_tasks(&control, now),
            paused: self.queue.is_paused(),
            broken: control.roster.broken().cloned(),
            retired: control.retired.clone(),
        }
    }

    fn running_tasks(&self, control: &Control, now: Moment) -> Vec<RunningTask> {
        let seen = control.look(now).into_iter();
        seen.map(|(seat, sighting)| RunningTask {
            task: sighting.task,
            name: sighting.name,
            progress: sighting.progress,
            responsive: sighting.responsive,
            worker: seat.id,
            worker_name: Arc::clone(&seat.name),
            running_for: now.since(sighting.since),
        })
        .collect()
    }
}

impl<I: Isolation> Witness for Core<I> {
    fn still(&self, waited: Duration) -> StillStopping {
        let control = self.control.lock();
        let now = Moment::now();
        let say = |task: RunningTask| {
            let name = task.name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
            let progress = task.progress.map(|said| format!(" ({said})")).unwrap_or_default();
            let (worker, id) = (task.worker_name, task.task);
            format!("{worker} runs task {id}{name} for at least {:?}{progress}", task.running_for)
        };
        let running = self.running_tasks(&control, now).into_iter().map(say).collect();
        StillStopping { waited, running, queued: self.queue.counts().queued as u64, would_deadlock: false }
    }
}
