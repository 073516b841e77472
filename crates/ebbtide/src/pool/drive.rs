//! The hands of the decisions: every event is told to them under one short lock, and what they want is done.
//!
//! Runs on whichever thread brought the event. What may call user code (wakers, cancel actions, hooks, handles) is
//! put on a list and done after the lock is released, in order. After every event the same check is made: has a generation
//! become quiet, is a procedure over, when is the next tick?

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    control::{Control, Crew, Desk, DeskStage, Do, Procedural, Todo, What},
    core::Core,
    events::Event,
    outbox::Parcel,
    phase::{self, Ask, Cause, Phase},
    roster::Action,
};
use crate::{
    clock::Moment,
    error::RejectReason,
    queue::{Intake, LaneIntake},
    report::{Mode, Turn},
    sync,
    task::{
        id::WorkerId,
        isolation::Isolation,
        outcome::ReturnReason,
        seat::{Order, Seat},
    },
    timer::Alarm,
    worker::{
        craft::Snapshot,
        reason::RetireReason,
        thread::{Employer, ThreadWorker},
    },
};

impl<I: Isolation> Core<I> {
    /// Tells the decisions what happened, and does what they want.
    pub(crate) fn drive<R>(
        &self,
        event: impl FnOnce(&mut Control, Moment, &mut Todo) -> (Vec<Action>, R),
    ) -> R {
        let mut todo = Todo::default();
        let result = {
            let mut control = self.control.lock();
            let now = Moment::now();
            let (actions, result) = event(&mut control, now, &mut todo);
            self.perform(&mut control, actions, now, &mut todo);
            self.check(&mut control, now, &mut todo);
            self.post_events(&mut todo);
            result
        };
        self.finish(todo);
        result
    }

    /// Puts the events of this step into the outbox, while the lock still gives them their order.
    fn post_events(&self, todo: &mut Todo) {
        let list = std::mem::take(&mut todo.list);
        for item in list {
            match item {
                Do::Send(event) => self.outbox.put(Parcel::Event(event)),
                other => todo.list.push(other),
            }
        }
    }

    fn unserved(&self) -> impl Fn(u32) -> usize + '_ {
        |lane| self.queue.unserved(lane)
    }

    /// Something changed in the queue: is somebody to be started, is a generation over?
    pub(crate) fn review(&self) {
        self.drive(|control, _, _| (control.roster.review(&self.unserved()), ()));
    }

    fn tick(&self) {
        self.drive(|control, now, todo| {
            let lanes: Vec<_> = control.crews.iter().map(|crew| crew.lane).collect();
            for lane in lanes {
                self.step(control, lane, phase::Event::Tick, now, todo);
            }
            (control.roster.tick(now, &self.unserved()), ())
        });
    }

    /// Steps one generation's phase and does what that demands.
    pub(crate) fn step(
        &self,
        control: &mut Control,
        lane: u32,
        event: phase::Event,
        now: Moment,
        todo: &mut Todo,
    ) {
        let Some(crew) = control.crew(lane) else { return };
        let before = crew.passage.phase();
        let (step, generation) = (crew.passage.step(event, now), crew.generation);
        if let Some((entered, cause)) = step.entered {
            todo.push(Do::Send(Event::PhaseChanged { generation, phase: entered }));
            if before > Phase::Running {
                self.note_escalation(control, lane, entered, cause, now);
            }
        }
        for action in step.actions {
            match action {
                phase::Action::CloseToOutside => self.narrow(lane, LaneIntake::ChildrenOnly, todo),
                phase::Action::CloseAndReturn => {
                    self.narrow(lane, LaneIntake::Closed, todo);
                    control
                        .lane_seats(lane)
                        .filter_map(|seat| seat.post())
                        .for_each(|post| todo.push(Do::Recall(post)));
                    todo.push(Do::Return(lane, ReturnReason::PoolStopped));
                }
                phase::Action::AskAll => {
                    let grace = grace_left(control, lane, now);
                    control.lane_seats(lane).for_each(|seat| todo.push(Do::Abort(Arc::clone(seat), grace)));
                }
                phase::Action::EndAll => todo.push(Do::EndAll(lane)),
                phase::Action::GiveUp => todo.push(Do::GiveUp(lane)),
                phase::Action::Terminate => {}
            }
        }
    }

    fn note_escalation(&self, control: &mut Control, lane: u32, entered: Phase, cause: Cause, now: Moment) {
        let mode = match entered {
            Phase::Draining => Mode::Drain,
            Phase::Stopping => Mode::Stop,
            Phase::Aborting => Mode::Abort,
            Phase::Running | Phase::Terminated => return,
        };
        let why = match cause {
            Cause::Caller => "asked",
            Cause::Deadline => "the deadline came near",
        };
        control.note_lane(lane, &Turn::Escalated { mode, why: why.into() }, now);
    }

    fn narrow(&self, lane: u32, intake: LaneIntake, todo: &mut Todo) {
        for thread in self.queue.narrow(lane, intake) {
            todo.push(Do::Unpark(thread));
        }
    }

    pub(crate) fn close_intake(&self, reason: RejectReason, todo: &mut Todo) {
        let effect = self.queue.set_intake(Intake::Closed(reason));
        todo.push(Do::Call(effect.submitters));
    }

    fn perform(&self, control: &mut Control, actions: Vec<Action>, now: Moment, todo: &mut Todo) {
        let mut actions: std::collections::VecDeque<_> = actions.into();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Start { id, lane, generation, from } => {
                    let seed = from.and_then(|from| control.snapshots.remove(&from));
                    if let Err(cause) = self.start(control, id, lane, generation, seed) {
                        actions.extend(self.failed_start(control, id, &cause, now, todo));
                    }
                }
                Action::Snapshot { id } => self.ask_for_snapshot(control, id),
                Action::Retire { id, why } => {
                    if let Some(desk) = control.desks.get_mut(&id) {
                        if desk.why.replace(why).is_none() {
                            *control.retired.entry(why).or_default() += 1;
                        }
                        desk.seat.order(Order::Leave);
                        self.queue.rouse(id);
                        if let Some(post) = desk.seat.post() {
                            todo.push(Do::Nudge(post));
                        }
                    }
                    todo.push(Do::Send(Event::WorkerRetiring { worker: id, reason: why }));
                }
                Action::Break { cause } => {
                    self.close_intake(RejectReason::Broken(Arc::clone(&cause)), todo);
                    for crew in &control.crews {
                        todo.push(Do::Return(crew.lane, ReturnReason::Broken(Arc::clone(&cause))));
                    }
                    todo.push(Do::Send(Event::Broken { cause }));
                }
                Action::RollOver { failed } => self.roll_over(control, failed.as_deref(), now, todo),
            }
        }
    }

    fn start(
        &self,
        control: &mut Control,
        id: WorkerId,
        lane: u32,
        generation: u32,
        seed: Option<Snapshot>,
    ) -> Result<(), Arc<str>> {
        let Some(core) = self.me.upgrade() else { return Err("the pool is gone".into()) };
        let name = self.worker_name(id);
        let seat = Arc::new(Seat::new(id, Arc::clone(&name), generation, lane));
        if control.crew(lane).is_some_and(|crew| crew.passage.phase() >= Phase::Aborting) {
            seat.abort();
        }
        let employer: Arc<dyn Employer<I>> = core;
        let tray = self.queue.hire(id, lane);
        let worker = ThreadWorker {
            seat: Arc::clone(&seat),
            craft: Arc::clone(&self.craft),
            employer,
            seed: sync::Mutex::new(seed),
            tray,
        };
        let thread =
            sync::spawn(name.to_string(), self.craft.stack_size, move || worker.run()).map_err(|error| {
                // Nothing lies on its tray: there is nobody to be woken for it.
                let _ = self.queue.dismiss(id);
                Arc::<str>::from(format!("its thread could not be started: {error}"))
            })?;
        control.started += 1;
        let memory_before = super::memory::resident();
        let (thread, stage) = (Some(thread), DeskStage::Present);
        control.desks.insert(id, Desk { seat, thread, why: None, stage, memory_before });
        control.peak = control.peak.max(control.desks.len());
        Ok(())
    }

    fn failed_start(
        &self,
        control: &mut Control,
        id: WorkerId,
        cause: &Arc<str>,
        now: Moment,
        todo: &mut Todo,
    ) -> Vec<Action> {
        control.note(&Turn::StartFailed { worker: id, cause: Arc::clone(cause) }, now);
        todo.push(Do::Send(Event::WorkerStartFailed { worker: id, cause: Arc::clone(cause) }));
        control.roster.start_failed(id, cause, now)
    }

    fn ask_for_snapshot(&self, control: &mut Control, id: WorkerId) {
        let Some(desk) = control.desks.get(&id) else { return };
        desk.seat.order(Order::Snapshot);
        self.queue.rouse(id);
        if let Some(post) = desk.seat.post() {
            post.nudge();
        }
        let me = Weak::clone(&self.me);
        let alarm = Alarm::at(Moment::now().plus(self.config.snapshot_box), move || {
            if let Some(core) = me.upgrade() {
                core.snapshot_taken(id, None);
            }
        });
        control.boxes.insert(id, alarm);
    }

    pub(crate) fn snapshot_taken(&self, id: WorkerId, snapshot: Option<Snapshot>) {
        self.drive(|control, _, todo| {
            if let Some(alarm) = control.boxes.remove(&id) {
                todo.push(Do::Drop(Box::new(alarm)));
            }
            if let Some(snapshot) = snapshot
                && let Some(old) = control.snapshots.insert(id, snapshot)
            {
                todo.push(Do::Drop(old));
            }
            (control.roster.snapshot_taken(id), ())
        });
    }

    pub(crate) fn worker_ready(&self, seat: &Seat, build: Duration) {
        self.drive(|control, now, todo| {
            let (worker, generation) = (seat.id, seat.generation);
            if let Some(desk) = control.desks.get(&worker) {
                let grown = super::memory::resident().saturating_sub(desk.memory_before);
                control.build = (build, grown);
                let seat = Arc::clone(&desk.seat);
                control.procedures.iter_mut().for_each(|procedure| procedure.draft.present(&seat, None, now));
            }
            control.note(&Turn::Started { worker }, now);
            todo.push(Do::Send(Event::WorkerStarted { worker, generation, build }));
            let mut actions = control.roster.ready(worker, now);
            actions.extend(control.roster.review(&self.unserved()));
            (actions, ())
        });
    }

    pub(crate) fn worker_start_failed(&self, id: WorkerId, cause: &Arc<str>) {
        self.drive(|control, now, todo| (self.failed_start(control, id, cause, now, todo), ()));
    }

    /// A worker that was told to go while it started is gone.
    pub(crate) fn worker_start_ended(&self, id: WorkerId) {
        self.drive(|control, _, _| {
            control.roster.start_ended(id);
            (Vec::new(), ())
        });
    }

    /// A worker ended before it had done anything: the next is started after a pause, and too many of them break the pool.
    pub(crate) fn worker_died_young(&self, id: WorkerId, cause: &Arc<str>) {
        self.drive(|control, now, _| (control.roster.died_young(id, cause, now), ()));
    }

    pub(crate) fn worker_due(&self, id: WorkerId, why: RetireReason) {
        self.drive(|control, _, _| (control.roster.due(id, why, &self.unserved()), ()));
    }

    pub(crate) fn worker_due_now(&self, id: WorkerId, why: RetireReason) {
        self.drive(|control, _, _| (control.roster.due_now(id, why, &self.unserved()), ()));
    }

    pub(crate) fn worker_leaves(&self, id: WorkerId, why: RetireReason) {
        self.drive(|control, _, todo| {
            todo.push(Do::Send(Event::WorkerRetiring { worker: id, reason: why }));
            *control.retired.entry(why).or_default() += 1;
            control.roster.leaves(id, why);
            // It takes no more: whoever it was woken for must be looked after.
            (control.roster.review(&self.unserved()), ())
        });
    }

    /// True if the worker must look at its orders.
    pub(crate) fn idle_expired(&self, id: WorkerId) -> bool {
        self.drive(|control, _, _| {
            let actions = control.roster.idle_expired(id);
            let goes = !actions.is_empty();
            (actions, goes)
        })
    }

    /// A worker's last word: its thread can be joined now.
    pub(crate) fn worker_ended(&self, seat: &Arc<Seat>) {
        self.drive(|control, _, todo| {
            if control.abandoned.contains_key(&seat.id) {
                return (self.abandoned_ended(control, seat.id, todo), ());
            }
            if let Some(desk) = control.desks.get_mut(&seat.id) {
                desk.stage = DeskStage::Joining;
                if let Some(thread) = desk.thread.take() {
                    todo.push(Do::Join(seat.id, thread));
                }
            }
            (Vec::new(), ())
        });
    }

    /// The thread of a worker that was given up has ended after all.
    fn abandoned_ended(&self, control: &mut Control, id: WorkerId, todo: &mut Todo) -> Vec<Action> {
        let Some(seat) = control.abandoned.remove(&id) else { return Vec::new() };
        control.fold(&seat);
        control.roster.abandoned_gone();
        todo.push(Do::Send(Event::AbandonedEnded { worker: id }));
        control.roster.review(&self.unserved())
    }

    pub(crate) fn worker_joined(&self, id: WorkerId) {
        self.drive(|control, now, todo| {
            let Some(desk) = control.desks.remove(&id) else {
                // It was given up between its last word and this.
                return (self.abandoned_ended(control, id, todo), ());
            };
            self.dismiss(id, todo);
            control.fold(&desk.seat);
            let drafts = control.procedures.iter_mut().map(|procedure| &mut procedure.draft);
            drafts.for_each(|draft| draft.worker_ended(&desk.seat, now));
            todo.push(Do::Send(Event::WorkerEnded { worker: id, tasks: desk.seat.runs() }));
            let actions = control.roster.ended(id, &self.unserved());
            let inherits =
                |action: &Action| matches!(action, Action::Start { from: Some(from), .. } if *from == id);
            if !actions.iter().any(inherits)
                && let Some(snapshot) = control.snapshots.remove(&id)
            {
                todo.push(Do::Drop(snapshot));
            }
            (actions, ())
        });
    }

    pub(crate) fn guest_comes(&self, seat: &Arc<Seat>) {
        self.drive(|control, _, _| {
            if control.crew(seat.lane).is_some_and(|crew| crew.passage.phase() >= Phase::Aborting) {
                seat.abort();
            }
            control.guests.push(Arc::clone(seat));
            self.queue.arrived(seat.lane, 1);
            (Vec::new(), ())
        });
        self.keep_looking();
    }

    pub(crate) fn guest_goes(&self, seat: &Arc<Seat>) {
        self.drive(|control, _, _| {
            self.guest_leaves(control, seat);
            (Vec::new(), ())
        });
    }

    /// What lies on the tray of one who is gone is for the others; the roster is asked afterwards whether somebody is missing.
    fn dismiss(&self, id: WorkerId, todo: &mut Todo) {
        let effect = self.queue.dismiss(id);
        effect.worker.into_iter().for_each(|thread| todo.push(Do::Unpark(thread)));
    }

    pub(super) fn give_up(&self, seat: &Arc<Seat>, sighting: Option<crate::task::seat::Sighting>) {
        self.drive(|control, now, todo| {
            let drafts = control.procedures.iter_mut().map(|procedure| &mut procedure.draft);
            drafts.for_each(|draft| draft.worker_abandoned(seat, sighting.clone(), now));
            if control.desks.remove(&seat.id).is_some() {
                self.dismiss(seat.id, todo);
                control.abandoned.insert(seat.id, Arc::clone(seat));
                return (control.roster.abandoned(seat.id, &self.unserved()), ());
            }
            // A guest: its thread is the caller's own.
            self.guest_leaves(control, seat);
            (Vec::new(), ())
        });
    }

    fn guest_leaves(&self, control: &mut Control, seat: &Arc<Seat>) {
        let before = control.guests.len();
        control.guests.retain(|guest| !Arc::ptr_eq(guest, seat));
        if control.guests.len() < before {
            control.fold(seat);
        }
    }

    /// The check after every event: has a generation become quiet, is a procedure over, when is the next tick?
    fn check(&self, control: &mut Control, now: Moment, todo: &mut Todo) {
        let lanes: Vec<_> = control.crews.iter().map(|crew| crew.lane).collect();
        for lane in lanes {
            if self.is_quiet(control, lane) {
                self.step(control, lane, phase::Event::Quiet, now, todo);
            }
        }
        self.finish_procedures(control, now, todo);
        while self.queue.set_may_grow(|lane| control.roster.may_grow(lane)) {
            let actions = control.roster.review(&self.unserved());
            self.perform(control, actions, now, todo);
        }
        self.set_alarm(control, now);
    }

    fn is_quiet(&self, control: &Control, lane: u32) -> bool {
        let crew: Option<&Crew> = control.crews.iter().find(|crew| crew.lane == lane);
        crew.is_some_and(|crew| {
            crew.passage.phase() > Phase::Running && crew.passage.phase() < Phase::Terminated
        }) && control.lane_seats(lane).next().is_none()
            && !(control.shut && self.clocks.is_stopping())
            && !self.somebody_is_late(control)
            && self.queue.seal(lane)
    }

    fn finish_procedures(&self, control: &mut Control, now: Moment, todo: &mut Todo) {
        let all_over = control.crews.iter().all(|crew| crew.passage.phase() == Phase::Terminated);
        if control.shut && all_over && !control.terminated {
            control.terminated = true;
            todo.push(Do::Release);
            self.close_intake(RejectReason::Terminated, todo);
        }
        let mut open = Vec::new();
        for mut procedure in std::mem::take(&mut control.procedures) {
            let over = match procedure.what {
                What::Final => all_over,
                What::Roll => false,
                What::Crew(lane) => {
                    let gone =
                        control.crew(lane).is_none_or(|crew| crew.passage.phase() == Phase::Terminated);
                    gone && restored(control, &mut procedure, now)
                }
            };
            if over {
                self.resolve(control, procedure, now, todo);
            } else {
                open.push(procedure);
            }
        }
        control.procedures.extend(open);
        // The last one stays: its phase is the pool's.
        while control.crews.len() > 1 && control.crews[0].passage.phase() == Phase::Terminated {
            let crew = control.crews.remove(0);
            self.queue.end_lane(crew.lane);
            control.roster.end_generation(crew.lane);
        }
    }

    pub(crate) fn resolve(&self, control: &mut Control, procedure: Procedural, now: Moment, todo: &mut Todo) {
        let balance = self.balance(control);
        let report = procedure.draft.finish(&self.config.name, &balance, self.rejected(), now);
        if procedure.what != What::Final {
            let (kind, generation) = (procedure.what.procedure(), control.roster.generation());
            todo.push(Do::Send(Event::Restart { procedure: kind, generation, over: true }));
        }
        todo.push(Do::Resolve(procedure.shared, Box::new(report)));
        if procedure.what == What::Final {
            todo.push(Do::CloseEvents);
        }
        if let Some(pool) = procedure.keeps {
            todo.push(Do::Drop(Box::new(pool)));
        }
    }

    fn roll_over(&self, control: &mut Control, failed: Option<&str>, now: Moment, todo: &mut Todo) {
        let (rolls, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut control.procedures).into_iter().partition(|one| one.what == What::Roll);
        control.procedures = others;
        for mut roll in rolls {
            if let Some(why) = failed {
                roll.draft.fail(why);
            }
            self.resolve(control, roll, now, todo);
        }
    }

    fn set_alarm(&self, control: &mut Control, now: Moment) {
        let phases = control.crews.iter().filter_map(|crew| crew.passage.next_tick());
        let restarts = control.procedures.iter().filter(|one| matches!(one.what, What::Crew(_)));
        let restarts = restarts.map(|one| one.due).filter(|due| *due > now);
        let due = phases.chain(control.roster.next_tick()).chain(restarts).min();
        if control.alarm.as_ref().map(|(at, _)| *at) == due {
            return;
        }
        control.alarm = due.map(|due| {
            let me = Weak::clone(&self.me);
            let ring = move || {
                if let Some(core) = me.upgrade() {
                    core.tick();
                }
            };
            (due, Alarm::at(due, ring))
        });
    }
}

/// True if a restart whose old workers are gone waits for nothing more: the new ones serve, or it is known that they do not, or will not in time.
fn restored(control: &Control, procedure: &mut Procedural, now: Moment) -> bool {
    let roster = &control.roster;
    if let Some(cause) = roster.broken() {
        procedure.draft.fail(format!("the pool broke: {cause}"));
    } else if control.shut || roster.is_warm() {
        return true;
    } else if now >= procedure.due {
        procedure.draft.fail("the new workers were not ready by the deadline");
    } else {
        return false;
    }
    true
}

/// What is left of the grace of a generation that was just aborted.
fn grace_left(control: &mut Control, lane: u32, now: Moment) -> Duration {
    let tick = control.crew(lane).and_then(|crew| crew.passage.next_tick());
    tick.map_or(Duration::ZERO, |end| end.since(now))
}

/// What a caller asks of a generation, with the pool's defaults filled in.
pub(crate) fn ask(mode: Mode, within: Duration, grace: Duration) -> phase::Event {
    phase::Event::Ask(Ask { mode, within, grace })
}
