//! The ways to submit, the same on everything that can: pools, submitters, named tasks, and tasks for their children.
//!
//! What a closure takes follows from the pool's isolation, and two inherent `submit` methods on one type cannot
//! differ in that; so each method is written once here and stamped out per type and isolation.

use std::future::Future;

use super::{express::Now, pools::Pool, submitter::Submitter};

use crate::{
    error::SubmitError,
    task::{
        context::Context,
        error::BoxError,
        handle::Handle,
        id::TaskId,
        isolation::{Fallible, Plain, Stateless, Threads},
        options::{Refused, Task, Wish},
    },
};

fn plain<F, T>((job, reason): Refused<Plain<F, T>>) -> SubmitError<F> {
    SubmitError::new(job.0, reason)
}

fn fallible<F, T, E>((job, reason): Refused<Fallible<F, T, E>>) -> SubmitError<F> {
    SubmitError::new(job.0, reason)
}

/// Stamps out the submit methods. `$this` is `self`; `$task` turns it into a [`Task`].
macro_rules! submit_methods {
    (
        impl[$($generics:tt)*] $type:ty, ($($argument:ty),*), [$($receiver:tt)*] => $this:expr, $waits:literal
    ) => {
        impl<$($generics)*> $type {
            /// Submits a task and gives its handle.
            #[doc = $waits]
            ///
            /// # Errors
            /// [`SubmitError`] gives the task back: the pool shuts down, is broken, or is full and does not wait.
            #[doc(alias = "run")]
            pub fn submit<T, F>($($receiver)*, task: F) -> Result<Handle<T>, SubmitError<F>>
            where
                F: FnOnce($($argument),*) -> T + Send + 'static,
                T: Send + 'static,
            {
                $this.submit_now(Plain::new(task)).map_err(plain)
            }

            /// Submits a task that says itself whether it failed: an `Err` is the outcome `Failed`, with the error kept.
            #[doc = $waits]
            ///
            /// An error that is [`Cancelled`](crate::Cancelled), [`Killed`](crate::Killed) or [`Crashed`](crate::Crashed) is that outcome.
            ///
            /// # Errors
            /// As `submit`.
            pub fn submit_fallible<T, E, F>($($receiver)*, task: F) -> Result<Handle<T>, SubmitError<F>>
            where
                F: FnOnce($($argument),*) -> Result<T, E> + Send + 'static,
                T: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                $this.submit_now(Fallible::new(task)).map_err(fallible)
            }

            /// Submits a task without a handle: its result is dropped, its outcome counted. The cheapest way.
            #[doc = $waits]
            ///
            /// # Errors
            /// As `submit`.
            #[doc(alias = "spawn")]
            pub fn execute<F>($($receiver)*, task: F) -> Result<TaskId, SubmitError<F>>
            where
                F: FnOnce($($argument),*) + Send + 'static,
            {
                $this.execute_now(Plain::new(task), Wish::Wait).map_err(plain)
            }
        }
    };
}

/// Stamps out the variants that choose how to wait for room.
macro_rules! waiting_methods {
    (
        impl[$($generics:tt)*] $type:ty, ($($argument:ty),*), [$($receiver:tt)*] => $this:expr, $task:expr
    ) => {
        impl<$($generics)*> $type {
            /// Submits a task if there is room now.
            ///
            /// # Errors
            /// As `submit`, and at once when the queue is full (unless the policy sheds the oldest).
            #[doc(alias = "offer")]
            pub fn try_submit<T, F>($($receiver)*, task: F) -> Result<Handle<T>, SubmitError<F>>
            where
                F: FnOnce($($argument),*) -> T + Send + 'static,
                T: Send + 'static,
            {
                $task.try_submit_job(Plain::new(task)).map_err(plain)
            }

            /// `try_submit` for a task that says itself whether it failed.
            ///
            /// # Errors
            /// As `try_submit`.
            pub fn try_submit_fallible<T, E, F>($($receiver)*, task: F) -> Result<Handle<T>, SubmitError<F>>
            where
                F: FnOnce($($argument),*) -> Result<T, E> + Send + 'static,
                T: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                $task.try_submit_job(Fallible::new(task)).map_err(fallible)
            }

            /// `execute`, if there is room now.
            ///
            /// # Errors
            /// As `try_submit`.
            pub fn try_execute<F>($($receiver)*, task: F) -> Result<TaskId, SubmitError<F>>
            where
                F: FnOnce($($argument),*) + Send + 'static,
            {
                $this.execute_now(Plain::new(task), Wish::Try).map_err(plain)
            }

            /// Submits a task and waits for room without blocking the thread; on any runtime. Dropping the future before it
            /// is done submits nothing. Where the pool's policy is caller runs, this waits.
            ///
            /// # Errors
            /// As `submit`.
            #[doc(alias = "spawn_blocking")]
            pub fn submit_async<T, F>(
                $($receiver)*,
                task: F,
            ) -> impl Future<Output = Result<Handle<T>, SubmitError<F>>>
            where
                F: FnOnce($($argument),*) -> T + Send + 'static,
                T: Send + 'static,
            {
                let submit = $task.submit_job_async(Plain::new(task));
                async move { submit.await.map_err(plain) }
            }

            /// `submit_async` for a task that says itself whether it failed.
            ///
            /// # Errors
            /// As `submit`.
            pub fn submit_fallible_async<T, E, F>(
                $($receiver)*,
                task: F,
            ) -> impl Future<Output = Result<Handle<T>, SubmitError<F>>>
            where
                F: FnOnce($($argument),*) -> Result<T, E> + Send + 'static,
                T: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                let submit = $task.submit_job_async(Fallible::new(task));
                async move { submit.await.map_err(fallible) }
            }
        }
    };
}

macro_rules! everything {
    ($([$($generics:tt)*] $type:ty, ($($argument:ty),*), [$($receiver:tt)*] => $this:expr, $task:expr;)*) => {$(
        submit_methods!(impl[$($generics)*] $type, ($($argument),*), [$($receiver)*] => $this,
            "Waits for room where the pool's policy is to wait; on a worker of the same pool it never waits.");
        waiting_methods!(impl[$($generics)*] $type, ($($argument),*), [$($receiver)*] => $this, $task);
    )*};
}

everything! {
    [] Pool<Stateless>, (&Context<'_, Stateless>), [&self] => self, self.plain();
    [S: 'static] Pool<Threads<S>>, (&mut S, &Context<'_, Threads<S>>), [&self] => self, self.plain();
    [] Submitter<Stateless>, (&Context<'_, Stateless>), [&self] => self, self.plain();
    [S: 'static] Submitter<Threads<S>>, (&mut S, &Context<'_, Threads<S>>), [&self] => self, self.plain();
    [] Task<'_, Stateless>, (&Context<'_, Stateless>), [self] => self, self;
    [S: 'static] Task<'_, Threads<S>>, (&mut S, &Context<'_, Threads<S>>), [self] => self, self;
}

submit_methods!(impl[] Context<'_, Stateless>, (&Context<'_, Stateless>), [&self] => self,
    "A child of the running task: never waits, and may use the queue's reserve.");
submit_methods!(impl[S: 'static] Context<'_, Threads<S>>, (&mut S, &Context<'_, Threads<S>>), [&self] => self,
    "A child of the running task: never waits, and may use the queue's reserve.");
