//! The face of pools whose workers are processes: what is said when they are built. What they run is in [`requests`](super::requests).

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    builder::{Options, PoolBuilder},
    pools::Pool,
};
use crate::{
    error::BuildError,
    task::isolation::{Isolation, Stateless},
    worker::{
        craft::{AfterPanic, Craft, WorkerInfo},
        process::{Guardian, Raw, Reply, Request},
        remote::{Memory, Plan, Processes, Snapshots, Wishes, WorkerCommand, WorkerProcess, serve},
    },
};

/// What the workers of a pool of processes are; the plan is made when everything is known.
pub(super) struct Remote {
    wishes: Wishes,
    plan: Arc<OnceLock<Arc<Plan>>>,
}

impl Pool<Stateless> {
    /// Builds a pool whose workers are processes: they can be killed and capped, and what they leak goes with them.
    ///
    /// Call [`ebbtide::init`](crate::init) in the first line of `main`: then a guardian holds them, and none of them outlives this program,
    /// whatever ends it. Without it they are started directly: they still end with their socket, but what they have started themselves may stay.
    ///
    /// ```no_run
    /// use ebbtide::{ByteSize, Memory, Pool, Retirement, WorkerCommand};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// ebbtide::init();
    /// let pool = Pool::processes(WorkerCommand::node("resize.js"))
    ///     .workers(1..=4)
    ///     .memory(Memory::retire_at(ByteSize::mib(400)).kill_at(ByteSize::mib(512)))
    ///     .retire(Retirement::new().after_tasks(10_000))
    ///     .build::<String, Vec<u32>>()?;
    /// let sizes = pool.submit("cat.jpg".to_owned())?.wait()?;
    /// # Ok(()) }
    /// ```
    #[doc(alias = "ProcessPoolExecutor")]
    #[doc(alias = "Piscina")]
    #[doc(alias = "multiprocessing")]
    pub fn processes(command: WorkerCommand) -> PoolBuilder<Processes<Raw, Raw>> {
        let PoolBuilder { mut options, .. } = PoolBuilder::<Stateless>::new();
        let plan = Arc::default();
        let craft = craft(&plan);
        let over: Arc<OnceLock<Arc<Plan>>> = Arc::clone(&plan);
        options.remote = Some(Remote { wishes: Wishes::new(command), plan });
        let mut builder = PoolBuilder { options, craft };
        builder
            .hold(Box::new(|_| ()), Box::new(move || over.get().into_iter().for_each(|plan| plan.close())));
        builder
    }
}

impl PoolBuilder<Processes<Raw, Raw>> {
    /// Builds the pool, for requests `Q` and replies `R`: anything serde knows, as JSON, or [`Raw`] bytes.
    ///
    /// # Errors
    /// [`BuildError`] names the first option that is wrong or contradicts another, among them a file that is not there.
    pub fn build<Q: Request, R: Reply>(self) -> Result<Pool<Processes<Q, R>>, BuildError> {
        self.typed().finish()
    }

    /// The same builder with the types of requests and replies said, for [`AppBuilder::pool`](crate::AppBuilder::pool), which builds it.
    pub fn typed<Q: Request, R: Reply>(self) -> PoolBuilder<Processes<Q, R>> {
        let Self { options, craft: raw } = self;
        let plan = options.remote.as_ref().map(|remote| Arc::clone(&remote.plan)).unwrap_or_default();
        PoolBuilder { options, craft: Craft { stack_size: raw.stack_size, ..craft(&plan) } }
    }
}

impl<Q: Request, R: Reply> PoolBuilder<Processes<Q, R>> {
    fn wish(mut self, wish: impl FnOnce(&mut Wishes)) -> Self {
        if let Some(remote) = &mut self.options.remote {
            wish(&mut remote.wishes);
        }
        self
    }

    /// Limits on the memory of each worker. Default: none.
    pub fn memory(self, memory: Memory) -> Self {
        self.wish(|wishes| wishes.memory = memory)
    }

    /// How many tasks may be at a worker at a time while they are short: it then need not wait for the next one. Those that have not begun
    /// are called back at a stop, and when one of them takes long. Beyond 16 only while all of them together take less than a millisecond, and as
    /// many wait for each of the others. Default: 256.
    pub fn credits(self, credits: usize) -> Self {
        self.wish(|wishes| wishes.credits = credits)
    }

    /// How many workers are kept ready beside those that serve, so that one that was killed or has crashed is replaced at once. Each costs the memory of a
    /// worker. Not used where a snapshot is handed on. Default: 0.
    pub fn spares(self, spares: usize) -> Self {
        self.wish(|wishes| wishes.spares = spares)
    }

    /// How long a worker may take until it is ready; the period of the restart intensity is longer by as many of these. Default: 30 s.
    pub fn start_timeout(self, timeout: Duration) -> Self {
        self.wish(|wishes| wishes.start_timeout = timeout)
    }

    /// The longest request or reply, in bytes, 128 KiB to 1 GiB. Default: 64 MiB.
    pub fn max_body(self, bytes: u32) -> Self {
        self.wish(|wishes| wishes.most = bytes)
    }

    /// A worker that is replaced hands its state on: it is asked for a snapshot, between two tasks and for as long as
    /// [`snapshot_timeout`](Self::snapshot_timeout) says, and its replacement is built from that. Default: no.
    ///
    /// Never after a crash: the replacement then gets what was last kept, or nothing.
    pub fn snapshots(self) -> Self {
        self.wish(|wishes| {
            if wishes.snapshots == Snapshots::No {
                wishes.snapshots = Snapshots::HandOver;
            }
        })
    }

    /// The same, and the last snapshot of any worker is kept in a file of this directory, named after the pool, and given to workers that
    /// have no predecessor: after a restart of this program, or a crash. It is replaced whole or not at all.
    pub fn state_dir(self, directory: impl Into<PathBuf>) -> Self {
        self.wish(|wishes| wishes.snapshots = Snapshots::Keep(directory.into()))
    }

    /// How long a snapshot is waited for before the replacement is built without. Default: 2 s.
    pub fn snapshot_timeout(mut self, timeout: Duration) -> Self {
        self.options.snapshot_box = timeout;
        self
    }

    /// The guardian that starts the workers. Default: one that all pools share, if [`ebbtide::init`](crate::init) was called.
    pub fn guardian(self, guardian: Guardian) -> Self {
        self.wish(|wishes| wishes.guardian = Some(guardian))
    }
}

impl Remote {
    /// What so many starts may take that fail by their timeout: they must still be too many in the period.
    pub(super) fn slow_starts(&self, failures: u32) -> Duration {
        self.wishes.start_timeout.saturating_mul(failures.saturating_add(1))
    }

    /// Now that every option is known: checks them, and makes the plan.
    pub(super) fn settle<I: Isolation>(
        &self,
        craft: &mut Craft<I>,
        options: &Options,
    ) -> Result<(), BuildError> {
        let mut wishes = self.wishes.clone();
        wishes.check()?;
        // `larger_than` means the same here.
        if let Some(size) = craft.limits.size.take() {
            wishes.memory = wishes.memory.or_retire_at(size);
        }
        if wishes.snapshots != Snapshots::No && craft.save.is_none() {
            // The driver takes it; this says that there is one to take.
            craft.save = Some(Box::new(|_| Box::new(())));
        }
        let plan = Plan::new(wishes, options.name.as_str().into(), options.grace, options.snapshot_box);
        let _ = self.plan.set(Arc::new(plan));
        Ok(())
    }
}

/// Workers as this plan starts them, once it is made.
fn craft<Q: Request, R: Reply>(plan: &Arc<OnceLock<Arc<Plan>>>) -> Craft<Processes<Q, R>> {
    let plan = Arc::clone(plan);
    let build = Box::new(move |worker: &WorkerInfo, seed| match plan.get() {
        Some(plan) => plan.start(worker, seed),
        None => Err("the pool was not built".into()),
    });
    let measure = Box::new(|process: &WorkerProcess| process.memory());
    Craft { serve, measure: Some(measure), ..Craft::new(build, AfterPanic::Keep) }
}
