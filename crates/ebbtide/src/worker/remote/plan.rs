//! How the workers of a pool are started: all that is the same for each of them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    boot,
    command::WorkerCommand,
    machine::Host,
    memory::{Guard, Memory},
    process::WorkerProcess,
    snapshot::State,
    spares::Spares,
};
use crate::{
    error::BuildError,
    policy::START_TIMEOUT,
    task::error::BoxError,
    worker::{
        craft::{Snapshot, WorkerInfo},
        process::Guardian,
    },
};

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
    pub(super) host: Host,
    /// How long a worker has after STOP.
    pub(super) grace: Duration,
    pub(super) snapshot_box: Duration,
    /// Where the last state of any worker is kept between two lives of this program.
    pub(super) state: State,
    pub(super) spares: Spares,
}

impl Plan {
    pub(crate) fn new(wishes: Wishes, pool: Arc<str>, grace: Duration, snapshot_box: Duration) -> Self {
        let host = Host::new(&wishes);
        let state = State::new(&wishes.snapshots, &pool);
        Self { wishes, guard: Guard::default(), host, grace, snapshot_box, state, spares: Spares::default() }
    }

    /// Starts a worker and waits until it is ready.
    pub(crate) fn start(
        self: &Arc<Self>,
        worker: &WorkerInfo,
        seed: Option<Snapshot>,
    ) -> Result<WorkerProcess, BoxError> {
        let seed = seed.and_then(|seed| seed.downcast::<Vec<u8>>().ok()).map(|seed| *seed);
        let kept = if seed.is_none() { self.state.read() } else { None };
        let from = self.state.file().filter(|_| kept.is_some());
        let seed = seed.or(kept);
        // What a spare is built from is nothing.
        let spare = if seed.is_none() { self.spares.take() } else { None };
        let process = match spare {
            Some(spare) => spare,
            // Whoever wrote that file may have been another worker, or another version: it must be found.
            None => boot::start(self, worker, seed).map_err(|error| match from {
                Some(file) => format!("given the state in {}: {error}", file.display()),
                None => error,
            })?,
        };
        self.spares.refill(self);
        Ok(process)
    }

    /// The pool is over: nobody is kept ready any more.
    pub(crate) fn close(&self) {
        self.spares.close();
    }
}
