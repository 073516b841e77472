//! A worker process as the pool holds it: the state of its worker.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    death::Verdict,
    ear::Ear,
    machine::{Cap, Kin, Meter, Socket},
    plan::Plan,
    tail::Tail,
};
use crate::{sync::Mutex, worker::process::Signal};

/// A worker process. What a pool of [`Processes`](super::Processes) has for the state of a worker; tasks never see it.
pub struct WorkerProcess {
    pub(super) wire: Arc<Wire>,
    pub(super) ear: Ear,
    pub(super) plan: Arc<Plan>,
}

/// What all who deal with the process share.
pub(super) struct Wire {
    pub(super) kin: Kin,
    pub(super) socket: Socket,
    pub(super) meter: Meter,
    pub(super) tail: Tail,
    /// Why it was ended by force, or is about to be: the first reason counts.
    verdict: Mutex<Option<Verdict>>,
    /// How much it used when it was last looked at.
    size: AtomicU64,
    /// How many tasks it wants to have at once.
    pub(super) credits: AtomicUsize,
    pub(super) most: u32,
    /// Its control group, if it has one of its own.
    pub(super) cap: Option<Cap>,
}

impl WorkerProcess {
    /// Its process id, which is also the number of its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.wire.kin.pid()
    }

    /// Its resident set when it was last looked at, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.wire.size()
    }
}

impl fmt::Debug for WorkerProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerProcess")
            .field("pid", &self.pid())
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

impl Wire {
    pub(super) fn new(kin: Kin, socket: Socket, most: u32, cap: Option<Cap>) -> Self {
        let meter = Meter::of(kin.pid());
        Self {
            kin,
            socket,
            meter,
            tail: Tail::new(),
            verdict: Mutex::new(None),
            size: AtomicU64::new(0),
            credits: AtomicUsize::new(1),
            most,
            cap,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Looks how much it uses now.
    pub(super) fn look(&self) -> Option<u64> {
        let size = self.meter.read()?;
        self.size.store(size, Ordering::Relaxed);
        Some(size)
    }

    /// Ends it by force, now.
    pub(super) fn kill(&self, verdict: Verdict) {
        self.verdict.lock().get_or_insert(verdict);
        self.kin.signal(Signal::KILL);
    }

    /// Tells the process itself, in the way that processes are told.
    pub(super) fn terminate(&self, verdict: Verdict) {
        self.verdict.lock().get_or_insert(verdict);
        self.kin.signal(Signal::TERM);
    }

    /// It did what it was told: whatever ends it later is not that.
    pub(super) fn pardon(&self, which: impl FnOnce(&Verdict) -> bool) {
        self.verdict.lock().take_if(|verdict| which(verdict));
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().clone()
    }
}
