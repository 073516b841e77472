//! The ways to submit to a pool of processes, the same on everything that can: pools, submitters and named tasks.

use std::{future::Future, sync::Arc};

use super::{express::Now, gather, pools::Pool, submitter::Submitter};
use crate::{
    error::{SubmitError, SubmitManyError},
    task::{
        handle::Handle,
        id::TaskId,
        options::{Refused, Task},
    },
    worker::{
        process::{Reply, Request},
        remote::{Call, Chunk, Processes},
    },
};

fn refused<Q, R>((call, reason): Refused<Call<Q, R>>) -> SubmitError<Q> {
    SubmitError::new(call.0, reason)
}

/// Stamps out the submit methods. `$this` is `self`; `$task` turns it into a [`Task`].
macro_rules! request_methods {
    ($($type:ty, [$($receiver:tt)*] => $this:expr, $task:expr;)*) => {$(
        impl<Q: Request, R: Reply> $type {
            /// Submits a request and gives its handle. Waits for room where the pool's policy is to wait.
            ///
            /// A request that cannot be written, or whose reply cannot be read as `R`, ends `Failed`; an error that its worker raises does so, too,
            /// as a [`WorkerError`](crate::process::WorkerError).
            ///
            /// # Errors
            /// [`SubmitError`] gives the request back: the pool shuts down, is broken, or is full and does not wait.
            #[doc(alias = "run")]
            pub fn submit($($receiver)*, request: Q) -> Result<Handle<R>, SubmitError<Q>> {
                $this.submit_now(Call::new(request)).map_err(refused)
            }

            /// Submits a request if there is room now.
            ///
            /// # Errors
            /// As `submit`, and at once when the queue is full (unless the policy sheds the oldest).
            pub fn try_submit($($receiver)*, request: Q) -> Result<Handle<R>, SubmitError<Q>> {
                $task.try_submit_job(Call::new(request)).map_err(refused)
            }

            /// Submits a request and waits for room without blocking the thread; on any runtime. Dropping the future before it is
            /// done submits nothing.
            ///
            /// # Errors
            /// As `submit`.
            pub fn submit_async($($receiver)*, request: Q) -> impl Future<Output = Result<Handle<R>, SubmitError<Q>>> {
                let submit = $task.submit_job_async(Call::new(request));
                async move { submit.await.map_err(refused) }
            }

            /// Submits several requests as *one* task: its worker's function is called with one after the other, and the handle gives their replies in
            /// order. For many tiny requests, where sending each costs more than running it; several hundred to a chunk are a good number.
            ///
            /// It starts, ends and counts as one: the first request that fails ends it `Failed` (the message says which item), a crash takes all of them, and
            /// what ran before is not said. JSON only.
            ///
            /// # Errors
            /// As `submit`.
            #[doc(alias = "chunksize")]
            pub fn submit_chunk($($receiver)*, requests: Vec<Q>) -> Result<Handle<Vec<R>>, SubmitError<Vec<Q>>>
            where
                Vec<Q>: Request,
                Vec<R>: Reply,
            {
                $this.submit_now(Chunk::new(requests)).map_err(|(chunk, reason)| SubmitError::new(chunk.0, reason))
            }

            /// Submits a request whose reply nobody wants; its outcome is counted.
            ///
            /// # Errors
            /// As `submit`.
            pub fn execute($($receiver)*, request: Q) -> Result<TaskId, SubmitError<Q>> {
                $this.submit(request).map(|handle| handle.id())
            }
        }
    )*};
}

request_methods! {
    Pool<Processes<Q, R>>, [&self] => self, self.plain();
    Submitter<Processes<Q, R>>, [&self] => self, self.plain();
    Task<'_, Processes<Q, R>>, [self] => self, self;
}

impl<Q: Request, R: Reply> Pool<Processes<Q, R>> {
    /// Submits many requests, in order, and gives their handles in that order.
    ///
    /// # Errors
    /// [`SubmitManyError`] at the first that is not accepted: with the handles of those that were, and the rest.
    #[doc(alias = "map")]
    pub fn submit_many(
        &self,
        requests: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Handle<R>>, SubmitManyError<Handle<R>, Q>> {
        let result = gather::many_jobs(self.core(), requests.into_iter().map(Call::new));
        result.map_err(|error| SubmitManyError {
            accepted: error.accepted,
            rejected: error.rejected.into_iter().map(|call| call.0).collect(),
            reason: error.reason,
        })
    }

    /// Runs all of them and gives the first reply; the others are asked to cancel before this returns (and are not waited for). With a `timeout`,
    /// at most so long. Those that find no room in the queue before that are not submitted.
    ///
    /// # Errors
    /// [`FirstError`](crate::FirstError): none given, none accepted, all failed (with the last error), or the time passed.
    #[doc(alias = "invokeAny")]
    pub fn first_success(
        &self,
        requests: impl IntoIterator<Item = Q>,
        timeout: Option<std::time::Duration>,
    ) -> Result<R, gather::FirstError> {
        gather::first(self.core().home, requests, timeout, |request, token| {
            self.plain().cancelled_by(token).submit(request)
        })
    }
}

impl<Q: Request, R: Reply> Task<'_, Processes<Q, R>> {
    /// Which function (export) of the worker it is for. Default: the worker's own default.
    pub fn function(self, name: impl Into<Arc<str>>) -> Self {
        self.for_function(name.into())
    }

    /// Declares that running it twice does no harm. If its worker dies under it, it is tried once more, alone in a fresh process; the
    /// second death is its outcome, `Crashed`. Not where it was ended by force: for its own timeout, its memory, or an abort.
    ///
    /// Default: it is begun at most once.
    #[doc(alias = "retries")]
    #[doc(alias = "attempts")]
    pub fn idempotent(self) -> Self {
        self.declared_idempotent()
    }

    /// For whoever tries again by themselves, with a new task: so often the same was tried before. The worker is told that this is attempt
    /// `times + 1` (`task.attempt` in its SDKs), so that it can give up or do without something at the last one. Nothing else depends on it.
    ///
    /// Default: 0.
    pub fn attempts_before(self, times: u32) -> Self {
        self.tried(times)
    }
}
