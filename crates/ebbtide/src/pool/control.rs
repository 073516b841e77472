//! What is known of the workers and the procedures under way, behind one short lock that the task path never takes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{closing::Shared, draft::Draft, phase::Passage, roster::Roster};
use crate::{
    clock::Moment,
    report::{Procedure, Report, Turn},
    sync::JoinHandle,
    task::{
        id::{TaskId, WorkerId},
        outcome::Outcomes,
        post::Post,
        seat::{Seat, Sighting},
    },
    timer::Alarm,
    worker::{craft::Snapshot, reason::RetireReason},
};

pub(crate) struct Control {
    pub(crate) roster: Roster,
    /// The present generation, last; before it one that still finishes its work.
    pub(crate) crews: Vec<Crew>,
    pub(crate) desks: BTreeMap<WorkerId, Desk>,
    /// Callers that run a task of their own for a full pool.
    pub(crate) guests: Vec<Arc<Seat>>,
    /// Threads that were given up and have not ended yet.
    pub(crate) abandoned: BTreeMap<WorkerId, Arc<Seat>>,
    pub(crate) procedures: Vec<Procedural>,
    /// Where the last report of this pool is or will be, once it was told to shut down.
    pub(crate) last: Option<Arc<Shared>>,
    /// How the runs of those who are gone ended.
    pub(crate) past: Outcomes,
    pub(crate) snapshots: HashMap<WorkerId, Snapshot>,
    pub(crate) alarm: Option<(Moment, Alarm)>,
    /// One per running task that was asked, until its grace is over.
    pub(crate) asked: HashMap<TaskId, Alarm>,
    pub(crate) boxes: HashMap<WorkerId, Alarm>,
    pub(crate) peak: usize,
    pub(crate) started: u64,
    pub(crate) build: (Duration, u64),
    pub(crate) retired: BTreeMap<RetireReason, u64>,
    pub(crate) shut: bool,
    pub(crate) terminated: bool,
}

/// One generation in its lane.
pub(crate) struct Crew {
    pub(crate) lane: u32,
    pub(crate) generation: u32,
    pub(crate) passage: Passage,
}

/// A worker's place at the pool.
pub(crate) struct Desk {
    pub(crate) seat: Arc<Seat>,
    pub(crate) thread: Option<JoinHandle<()>>,
    pub(crate) why: Option<RetireReason>,
    pub(crate) stage: DeskStage,
    /// What the process used before its state was built.
    pub(crate) memory_before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeskStage {
    Present,
    /// It has said its last word; its thread is being joined.
    Joining,
}

/// A procedure under way: its report in the making and those who wait for it.
pub(crate) struct Procedural {
    pub(crate) what: What,
    pub(crate) draft: Draft,
    pub(crate) shared: Arc<Shared>,
    /// When it is over at the latest.
    pub(crate) due: Moment,
    /// The pool itself: dropped by its owner, it lives until those who wait for the end have heard of it.
    pub(crate) keeps: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Final,
    Crew(u32),
    Roll,
}

impl What {
    pub(crate) const fn procedure(self) -> Procedure {
        match self {
            Self::Final => Procedure::Shutdown,
            Self::Crew(_) => Procedure::Restart,
            Self::Roll => Procedure::RollingRestart,
        }
    }
}

impl Control {
    pub(crate) fn new(roster: Roster) -> Self {
        Self {
            roster,
            crews: vec![Crew { lane: 1, generation: 1, passage: Passage::new() }],
            desks: BTreeMap::new(),
            guests: Vec::new(),
            abandoned: BTreeMap::new(),
            procedures: Vec::new(),
            last: None,
            past: Outcomes::default(),
            snapshots: HashMap::new(),
            alarm: None,
            asked: HashMap::new(),
            boxes: HashMap::new(),
            peak: 0,
            started: 0,
            build: (Duration::ZERO, 0),
            retired: BTreeMap::new(),
            shut: false,
            terminated: false,
        }
    }

    pub(crate) fn current(&self) -> &Crew {
        self.crews.last().expect("there is always a crew")
    }

    pub(crate) fn crew(&mut self, lane: u32) -> Option<&mut Crew> {
        self.crews.iter_mut().find(|crew| crew.lane == lane)
    }

    /// Everybody who runs tasks, or still does although given up.
    pub(crate) fn seats(&self) -> impl Iterator<Item = &Arc<Seat>> {
        let desks = self.desks.values().map(|desk| &desk.seat);
        desks.chain(&self.guests).chain(self.abandoned.values())
    }

    /// How runs have ended, the abandoned not counted: read before anything the queue counts.
    pub(crate) fn ended_running(&self) -> Outcomes {
        let mut outcomes = self.past;
        self.seats().for_each(|seat| outcomes.merge(&seat.outcomes()));
        outcomes
    }

    /// Those who belong to a lane and could hold it up.
    pub(crate) fn lane_seats(&self, lane: u32) -> impl Iterator<Item = &Arc<Seat>> {
        let desks = self.desks.values().map(|desk| &desk.seat);
        desks.chain(&self.guests).filter(move |seat| seat.lane == lane)
    }

    /// The seats of a worker; of all guests, if that is what it is.
    pub(crate) fn seats_at(&self, worker: WorkerId) -> Vec<Arc<Seat>> {
        self.seats().filter(|seat| seat.id == worker).cloned().collect()
    }

    /// The seat where a task runs.
    pub(crate) fn seat_of(&self, worker: WorkerId, task: TaskId) -> Option<Arc<Seat>> {
        let desk = self.desks.get(&worker).map(|desk| &desk.seat);
        desk.into_iter().chain(&self.guests).find(|seat| seat.run_of(task).is_some()).cloned()
    }

    pub(crate) fn note(&mut self, turn: &Turn, now: Moment) {
        for procedure in &mut self.procedures {
            procedure.draft.note(turn.clone(), now);
        }
    }

    pub(crate) fn note_lane(&mut self, lane: u32, turn: &Turn, now: Moment) {
        for procedure in &mut self.procedures {
            if matches!(procedure.what, What::Final) || procedure.what == What::Crew(lane) {
                procedure.draft.note(turn.clone(), now);
            }
        }
    }

    pub(crate) fn look(&self, now: Moment) -> Vec<(Arc<Seat>, Sighting)> {
        let seats = self.desks.values().map(|desk| &desk.seat).chain(&self.guests);
        seats.filter_map(|seat| Some((Arc::clone(seat), seat.look(now)?))).collect()
    }

    /// A worker (or guest) is gone: its counts stay.
    pub(crate) fn fold(&mut self, seat: &Seat) {
        self.past.merge(&seat.outcomes());
    }
}

/// What must be done after the lock is released, in this order.
#[derive(Default)]
pub(crate) struct Todo {
    pub(crate) list: Vec<Do>,
}

pub(crate) enum Do {
    Unpark(crate::sync::Thread),
    Call(Vec<std::task::Waker>),
    /// Ends tasks that were taken out of the queue as returned.
    Return(u32, crate::task::outcome::ReturnReason),
    /// Asks everybody at a seat to cancel; so much is left until they are ended.
    Abort(Arc<Seat>, Duration),
    /// Takes back what was sent ahead to a worker process.
    Recall(Arc<dyn Post>),
    /// A worker process has an order.
    Nudge(Arc<dyn Post>),
    /// Abandons the tasks that still run in a lane.
    EndAll(u32),
    /// Abandons whoever is still there in a lane.
    GiveUp(u32),
    Join(WorkerId, JoinHandle<()>),
    Send(super::events::Event),
    Resolve(Arc<Shared>, Box<Report>),
    CloseEvents,
    /// Lets go of the pool's leases.
    Release,
    Drop(Box<dyn std::any::Any + Send>),
}

impl Todo {
    pub(crate) fn push(&mut self, item: Do) {
        self.list.push(item);
    }
}
