//! The right to submit and nothing else: cheap to clone, to be handed to whoever produces work.

use std::{fmt, sync::Arc};

use super::{core::Core, stats::Stats};
use crate::task::{
    isolation::Isolation,
    options::{Door, Task},
};

/// Submits into a pool. Clone, `Send` and `Sync`; cannot stop the pool and does not keep it open: when the pool is dropped or
/// shut down, submits are rejected.
pub struct Submitter<I: Isolation> {
    core: Arc<Core<I>>,
}

impl<I: Isolation> Submitter<I> {
    pub(crate) fn new(core: Arc<Core<I>>) -> Self {
        Self { core }
    }

    /// Names a task, to give it options before it is submitted.
    pub fn task(&self, name: impl Into<Arc<str>>) -> Task<'_, I> {
        self.plain().name(name)
    }

    /// A snapshot of the pool.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    pub(crate) fn core(&self) -> &Arc<Core<I>> {
        &self.core
    }

    pub(crate) fn plain(&self) -> Task<'_, I> {
        Task::new(&*self.core, Door::Outside)
    }
}

impl<I: Isolation> Clone for Submitter<I> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

impl<I: Isolation> fmt::Debug for Submitter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").field("pool", &self.core.config.name).finish_non_exhaustive()
    }
}
