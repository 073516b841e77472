//! What the workers of a pool are made of: how their state is built, saved, measured and laid down, and when they
//! have done enough.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::task::{
    error::BoxError,
    id::WorkerId,
    isolation::{Isolation, Stateless},
    seat::Seat,
};

use super::thread::ThreadWorker;

/// A worker as its own state is told of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its number.
    pub id: WorkerId,
    /// Its name, which is its thread's.
    pub name: Arc<str>,
    /// Its generation.
    pub generation: u32,
    pub(crate) seat: Arc<Seat>,
}

impl WorkerInfo {
    pub(crate) fn of(seat: &Arc<Seat>) -> Self {
        Self {
            id: seat.id,
            name: Arc::clone(&seat.name),
            generation: seat.generation,
            seat: Arc::clone(seat),
        }
    }
}

impl fmt::Debug for WorkerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, generation, .. } = self;
        f.debug_struct("WorkerInfo")
            .field("id", id)
            .field("name", name)
            .field("generation", generation)
            .finish_non_exhaustive()
    }
}

/// A state's memory between two workers: what `snapshot` saved and `restore` is given.
pub(crate) type Snapshot = Box<dyn Any + Send>;

pub(crate) type Build<S> = Box<dyn Fn(&WorkerInfo, Option<Snapshot>) -> Result<S, BoxError> + Send + Sync>;
pub(crate) type Save<S> = Box<dyn Fn(&mut S) -> Snapshot + Send + Sync>;
pub(crate) type Measure<S> = Box<dyn Fn(&S) -> u64 + Send + Sync>;
/// Runs task after task until it is time to go.
pub(crate) type Serve<I> = fn(&ThreadWorker<I>, <I as Isolation>::State);
pub(crate) type Lay<S> = Box<dyn Fn(&mut S, super::reason::RetireReason) + Send + Sync>;

pub(crate) struct Craft<I: Isolation> {
    pub(crate) serve: Serve<I>,
    pub(crate) build: Build<I::State>,
    pub(crate) save: Option<Save<I::State>>,
    pub(crate) measure: Option<Measure<I::State>>,
    pub(crate) on_retire: Option<Lay<I::State>>,
    pub(crate) limits: Limits,
    pub(crate) after_panic: AfterPanic,
    pub(crate) stack_size: Option<usize>,
    pub(crate) handover: Handover,
}

/// How a replacement takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// The new one is warm before the old one leaves.
    NewFirst,
    /// The same, built from a snapshot of the old one's state.
    NewFirstFromSnapshot,
    /// The old one leaves first: its state is exclusive.
    OldFirst,
}

/// What becomes of a worker whose task panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AfterPanic {
    /// It is replaced: its state is suspect. The default with state.
    Replace,
    /// It stays. The default without state.
    Keep,
}

/// When a worker has done enough. All are looked at between two tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) tasks: Option<u64>,
    pub(crate) age: Option<Duration>,
    pub(crate) size: Option<u64>,
    pub(crate) failures: Option<u32>,
    pub(crate) jitter: f64,
}

impl Craft<Stateless> {
    pub(crate) fn stateless() -> Self {
        Self::new(Box::new(|_, _| Ok(())), AfterPanic::Keep)
    }
}

impl<I: Isolation> Craft<I> {
    /// True if a task that ends well may still mean something for its worker.
    #[inline]
    pub(crate) fn has_limits(&self) -> bool {
        let Limits { tasks, failures, size, .. } = &self.limits;
        tasks.is_some() || failures.is_some() || size.is_some() || self.measure.is_some()
    }

    pub(crate) fn new(build: Build<I::State>, after_panic: AfterPanic) -> Self {
        Self {
            serve: ThreadWorker::serve,
            build,
            save: None,
            measure: None,
            on_retire: None,
            limits: Limits { jitter: crate::policy::JITTER, ..Limits::default() },
            after_panic,
            stack_size: None,
            handover: Handover::NewFirst,
        }
    }
}

impl<I: Isolation> fmt::Debug for Craft<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Craft").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A number in 0..1 that belongs to a worker (splitmix64's finaliser), for spreading limits.
pub(crate) fn fraction(id: WorkerId) -> f64 {
    let mut bits = u64::from(id.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
