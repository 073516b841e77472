//! The short way from `submit` into the queue, for tasks without options from outside: no options are built and nothing is
//! decided. What does not fit it goes the long way, through the [`Gate`](crate::task::gate::Gate).

use super::{core::Core, pools::Pool, submitter::Submitter};
use crate::{
    error::RejectReason,
    policy::Priority,
    task::{
        cell::TaskCell,
        context::Context,
        entry::Loose,
        gate::{self, Gate},
        handle::Handle,
        header::Header,
        id::TaskId,
        isolation::{Isolation, Job},
        options::{Door, Refused, Task, Wish},
    },
};

/// Submits one task without further options.
pub(super) trait Now<I: Isolation>: Sized {
    fn submit_now<J: Job<I>>(self, job: J) -> Result<Handle<J::Output>, Refused<J>>;
    fn execute_now<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>>;
}

impl<I: Isolation> Core<I> {
    /// Nothing is put around tasks, and the calling thread is none of the pool's workers.
    fn is_plain_here(&self) -> bool {
        !self.decorates() && gate::here(self.home).is_none()
    }
}

impl<I: Isolation> Now<I> for &Core<I> {
    fn submit_now<J: Job<I>>(self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        if !self.is_plain_here() {
            return Task::new(self, Door::Outside).submit_job(job);
        }
        let cell = TaskCell::new(Header::new(self.home, Priority::Normal, None), job);
        if self.queue.express(&cell).is_ok() {
            return Ok(Handle::new(cell));
        }
        Task::new(self, Door::Outside).submit_cell(cell)
    }

    fn execute_now<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>> {
        let job = if self.is_plain_here() {
            match self.queue.express(Loose(job)) {
                Ok(id) => return Ok(id),
                Err(Loose(job)) => job,
            }
        } else {
            job
        };
        Task::new(self, Door::Outside).execute_job(job, wish)
    }
}

/// Those that were not accepted, and why the first was not.
type Rest<J> = (Vec<J>, RejectReason);

impl<I: Isolation> Core<I> {
    /// Submits some at once, in order, as far as there is room; waits for room as a single submit does.
    pub(super) fn submit_together<J: Job<I>>(
        &self,
        jobs: Vec<J>,
        handles: &mut Vec<Handle<J::Output>>,
    ) -> Result<(), Rest<J>> {
        let mut jobs = jobs.into_iter();
        if !self.is_plain_here() {
            while let Some(job) = jobs.next() {
                match self.submit_now(job) {
                    Ok(handle) => handles.push(handle),
                    Err((job, reason)) => return Err((std::iter::once(job).chain(jobs).collect(), reason)),
                }
            }
            return Ok(());
        }
        let cell = |job| TaskCell::new(Header::new(self.home, Priority::Normal, None), job);
        let cells: Vec<_> = jobs.map(cell).collect();
        let mut cells = cells.into_iter();
        loop {
            let count = self.queue.express_many(cells.as_slice());
            handles.extend(cells.by_ref().take(count).map(|cell| Handle::new(cell as _)));
            let Some(next) = cells.next() else { return Ok(()) };
            match Task::new(self, Door::Outside).submit_cell(next) {
                Ok(handle) => handles.push(handle),
                Err((job, reason)) => {
                    let rest = cells.filter_map(TaskCell::into_job);
                    return Err((std::iter::once(job).chain(rest).collect(), reason));
                }
            }
        }
    }
}

impl<I: Isolation> Now<I> for &Pool<I> {
    fn submit_now<J: Job<I>>(self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        self.core().submit_now(job)
    }

    fn execute_now<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>> {
        self.core().execute_now(job, wish)
    }
}

impl<I: Isolation> Now<I> for &Submitter<I> {
    fn submit_now<J: Job<I>>(self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        self.core().submit_now(job)
    }

    fn execute_now<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>> {
        self.core().execute_now(job, wish)
    }
}

/// Children go through the gate: they may use the reserve.
impl<I: Isolation> Now<I> for &Context<'_, I> {
    fn submit_now<J: Job<I>>(self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        self.unnamed_task().submit_job(job)
    }

    fn execute_now<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>> {
        self.unnamed_task().execute_job(job, wish)
    }
}

impl<I: Isolation> Now<I> for Task<'_, I> {
    fn submit_now<J: Job<I>>(self, job: J) -> Result<Handle<J::Output>, Refused<J>> {
        self.submit_job(job)
    }

    fn execute_now<J: Job<I>>(self, job: J, wish: Wish) -> Result<TaskId, Refused<J>> {
        self.execute_job(job, wish)
    }
}
