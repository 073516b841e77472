//! How the workers of a pool are started: all that is the same for each of them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    boot,
    cap::Caps,
    command::WorkerCommand,
    memory::{Guard, Memory},
    process::WorkerProcess,
    snapshot::State,
    spares::Spares,
};
use crate::{
    error::BuildError,
    policy::START_TIMEOUT,
    sync::Mutex,
    task::error::BoxError,
    worker::{
        craft::{Snapshot, WorkerInfo},
        process::Guardian,
    },
};

/// A limit on data counts what is reserved and not used, stacks of threads above all.
const DATA_ROOM: u64 = 128 << 20;

/// What a pool of processes is told beyond what every pool is.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) command: WorkerCommand,
    pub(crate) memory: Memory,
    /// The most tasks that may be sent to a worker at a time, ahead of the one it runs.
    pub(crate) credits: usize,
    pub(crate) start_timeout: Duration,
    pub(crate) snapshots: Snapshots,
    pub(crate) most: u32,
    pub(crate) guardian: Option<Guardian>,
    /// How many ready workers are kept beside those that serve.
    pub(crate) spares: usize,
}

/// What becomes of what a worker has learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Snapshots {
    /// It is lost with it.
    No,
    /// Its replacement gets it.
    HandOver,
    /// The same, and it is kept in a file for the time after a restart of ours.
    Keep(PathBuf),
}

impl Wishes {
    pub(crate) fn new(command: WorkerCommand) -> Self {
        Self {
            command,
            memory: Memory::default(),
            credits: crate::policy::CREDITS,
            start_timeout: START_TIMEOUT,
            snapshots: Snapshots::No,
            most: crate::policy::MAX_BODY,
            guardian: None,
            spares: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        self.command.check()?;
        self.memory.check()?;
        let wrong = |option, problem: &str| Err(BuildError::new(option, problem));
        if !(1..=1024).contains(&self.credits) {
            return wrong("credits", "say 1 to 1024: how many tasks a worker may have at a time");
        }
        if self.spares > 64 {
            return wrong("spares", "say at most 64: each is a process that does nothing");
        }
        if self.start_timeout.is_zero() {
            return wrong("start_timeout", "of zero would let no worker start");
        }
        // What a worker says of an error must fit, too.
        if !(128 << 10..=1 << 30).contains(&self.most) {
            return wrong("max_body", "say 128 KiB to 1 GiB");
        }
        Ok(())
    }
}

pub(crate) struct Plan {
    pub(super) wishes: Wishes,
    pub(super) guard: Guard,
    pub(super) caps: Caps,
    /// How long a worker has after STOP.
    pub(super) grace: Duration,
    pub(super) snapshot_box: Duration,
    /// Where the last state of any worker is kept between two lives of this program.
    pub(super) state: State,
    guardian: Mutex<Option<Guardian>>,
    pub(super) spares: Spares,
}

impl Plan {
    pub(crate) fn new(wishes: Wishes, pool: Arc<str>, grace: Duration, snapshot_box: Duration) -> Self {
        let caps = Caps::find(&wishes);
        let state = State::new(&wishes.snapshots, &pool);
        let guardian = Mutex::new(wishes.guardian.clone());
        Self {
            wishes,
            guard: Guard::default(),
            caps,
            grace,
            snapshot_box,
            state,
            guardian,
            spares: Spares::default(),
        }
    }

    /// Starts a worker and waits until it is ready.
    pub(crate) fn start(
        self: &Arc<Self>,
        worker: &WorkerInfo,
        seed: Option<Snapshot>,
    ) -> Result<WorkerProcess, BoxError> {
        let seed = seed.and_then(|seed| seed.downcast::<Vec<u8>>().ok()).map(|seed| *seed);
        let seed = seed.or_else(|| self.state.read());
        // What a spare is built from is nothing.
        let spare = if seed.is_none() { self.spares.take() } else { None };
        let process = match spare {
            Some(spare) => spare,
            None => boot::start(self, worker, seed)?,
        };
        self.spares.refill(self);
        Ok(process)
    }

    /// The pool is over: nobody is kept ready any more.
    pub(crate) fn close(&self) {
        self.spares.close();
    }

    /// The guardian, started when it is first needed, and again when it has gone; `None` where this program cannot have one.
    pub(super) fn guardian(&self) -> Result<Option<Guardian>, String> {
        let mut own = self.guardian.lock();
        if let Some(guardian) = own.as_ref().filter(|guardian| guardian.is_there()) {
            return Ok(Some(guardian.clone()));
        }
        let guardian = Guardian::shared().map_err(|error| error.to_string())?;
        own.clone_from(&guardian);
        Ok(guardian)
    }

    /// The limit on data of a worker that no control group holds: with room for what it reserves and does not use.
    pub(super) fn data_limit(&self) -> Option<u64> {
        let hard = self.wishes.memory.hard.filter(|_| self.caps == Caps::Data)?;
        Some(hard.saturating_add(DATA_ROOM))
    }
}
