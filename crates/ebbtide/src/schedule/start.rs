//! The ways to start a job, written once and stamped out per isolation, as those of submitting a task are.

use std::sync::Arc;

use super::{
    body::Body,
    face::{Later, Schedule},
    job::Job,
    one_shot::{Landing, OneShot, Promise},
    plan::{NotScheduled, ScheduleError, Wishes},
    series::Series,
};
use crate::{
    pool::core::Core,
    task::{
        context::Context,
        error::BoxError,
        isolation::{Isolation, Stateless, Threads},
    },
};

impl Wishes {
    fn register<I: Isolation>(
        self,
        core: &Arc<Core<I>>,
        landing: Option<Arc<dyn Landing>>,
    ) -> Result<Arc<Series<I>>, NotScheduled> {
        let (label, scale, timetable) = self.plan().map_err(NotScheduled::Option)?;
        Series::register(core, label, (scale, timetable), landing).map_err(NotScheduled::Rejected)
    }
}

impl<I: Isolation> Schedule<I> {
    pub(super) fn start_with<F>(
        self,
        body: F,
        make: impl FnOnce(F) -> Body<I>,
    ) -> Result<Job, ScheduleError<F>> {
        match self.wishes.register(&self.core, None) {
            Ok(series) => {
                series.go(make(body));
                Ok(Job::new(series))
            }
            Err(why) => Err(ScheduleError::new(body, why)),
        }
    }

    pub(super) fn overlapping(mut self, runs: u32) -> Self {
        self.wishes.places = runs;
        self
    }
}

impl<I: Isolation> Later<I> {
    pub(super) fn start_with<T, F>(
        self,
        body: F,
        make: impl FnOnce(F, Arc<Promise<T>>) -> Body<I>,
    ) -> Result<OneShot<T>, ScheduleError<F>>
    where
        T: Send + 'static,
    {
        let promise = Promise::new();
        let landing: Arc<dyn Landing> = Arc::<Promise<T>>::clone(&promise);
        match self.wishes.register(&self.core, Some(landing)) {
            Ok(series) => {
                series.go(make(body, Arc::clone(&promise)));
                Ok(OneShot::new(Job::new(series), promise))
            }
            Err(why) => Err(ScheduleError::new(body, why)),
        }
    }
}

/// Stamps out the start methods for one isolation: what a body takes, and how it is called.
macro_rules! start_methods {
    (
        [$($generics:tt)*] $isolation:ty, ($($argument:ty),*), |$state:pat_param, $context:ident| ($($passed:expr),*)
    ) => {
        impl<$($generics)*> Schedule<$isolation> {
            /// Starts the job. What `body` returns is dropped; a panic is the run's outcome and the job goes on.
            ///
            /// # Errors
            /// [`ScheduleError`] names the option that is wrong (a period of zero, a cron line that never comes, …), or says why the pool takes no
            /// jobs, and gives the body back.
            pub fn start<T, F>(self, body: F) -> Result<Job, ScheduleError<F>>
            where
                F: FnMut($($argument),*) -> T + Send + 'static,
            {
                self.start_with(body, |mut body| {
                    Body::Alone(Box::new(move |$state: &mut _, $context: &Context<'_, $isolation>| {
                        drop(body($($passed),*));
                        Ok(())
                    }))
                })
            }

            /// Starts a job whose runs say themselves whether they failed: an `Err` is the outcome `Failed` of that run, and the job goes on
            /// ([`give_up_after`](Self::give_up_after) if it is not to).
            ///
            /// # Errors
            /// As [`start`](Self::start).
            pub fn start_fallible<T, E, F>(self, body: F) -> Result<Job, ScheduleError<F>>
            where
                F: FnMut($($argument),*) -> Result<T, E> + Send + 'static,
                E: Into<BoxError> + 'static,
            {
                self.start_with(body, |mut body| {
                    Body::Alone(Box::new(move |$state: &mut _, $context: &Context<'_, $isolation>| {
                        body($($passed),*).map(drop).map_err(Into::into)
                    }))
                })
            }

            /// Starts a job that may overlap with itself, up to `runs` runs at a time. At a fixed rate or on a cron line.
            ///
            /// # Errors
            /// As [`start`](Self::start).
            pub fn start_overlapping<T, E, F>(self, runs: u32, body: F) -> Result<Job, ScheduleError<F>>
            where
                F: Fn($($argument),*) -> Result<T, E> + Send + Sync + 'static,
                E: Into<BoxError> + 'static,
            {
                self.overlapping(runs).start_with(body, |body| {
                    Body::Shared(Arc::new(move |$state: &mut _, $context: &Context<'_, $isolation>| {
                        body($($passed),*).map(drop).map_err(Into::into)
                    }))
                })
            }
        }

        impl<$($generics)*> Later<$isolation> {
            /// Accepts the run. It is a task of the pool from now on, and ends in one of the nine ways.
            ///
            /// # Errors
            /// [`ScheduleError`] names the option that is wrong, or says why the pool takes no jobs, and gives the body back.
            pub fn start<T, F>(self, body: F) -> Result<OneShot<T>, ScheduleError<F>>
            where
                F: FnOnce($($argument),*) -> T + Send + 'static,
                T: Send + 'static,
            {
                self.start_with(body, |body, promise| {
                    Body::Once(Box::new(move |$state: &mut _, $context: &Context<'_, $isolation>| {
                        promise.put(body($($passed),*));
                        Ok(())
                    }))
                })
            }

            /// The same for a body that says itself whether it failed.
            ///
            /// # Errors
            /// As [`start`](Self::start).
            pub fn start_fallible<T, E, F>(self, body: F) -> Result<OneShot<T>, ScheduleError<F>>
            where
                F: FnOnce($($argument),*) -> Result<T, E> + Send + 'static,
                T: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                self.start_with(body, |body, promise| {
                    Body::Once(Box::new(move |$state: &mut _, $context: &Context<'_, $isolation>| {
                        promise.put(body($($passed),*).map_err(Into::into)?);
                        Ok(())
                    }))
                })
            }
        }
    };
}

start_methods!([] Stateless, (&Context<'_, Stateless>), |_state, context| (context));
start_methods!([S: 'static] Threads<S>, (&mut S, &Context<'_, Threads<S>>), |state, context| (state, context));
