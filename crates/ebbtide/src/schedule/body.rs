//! What a job runs, and where that is: at home with the job, or out on a worker.

use std::sync::Arc;

use super::series::{Series, cancelled};
use crate::{
    pool::JobEnd,
    task::{
        context::Context,
        error::BoxError,
        isolation::{Isolation, Job},
    },
};

/// How a run ends, as its body says it.
pub(crate) type Ends = Result<(), BoxError>;
pub(crate) type Once<I> = Box<dyn FnOnce(&mut <I as Isolation>::State, &Context<'_, I>) -> Ends + Send>;
pub(crate) type Alone<I> = Box<dyn FnMut(&mut <I as Isolation>::State, &Context<'_, I>) -> Ends + Send>;
pub(crate) type Shared<I> = Arc<dyn Fn(&mut <I as Isolation>::State, &Context<'_, I>) -> Ends + Send + Sync>;

/// The body of a job.
pub(crate) enum Body<I: Isolation> {
    /// For one run.
    Once(Once<I>),
    /// For one run at a time.
    Alone(Alone<I>),
    /// For several at a time.
    Shared(Shared<I>),
}

impl<I: Isolation> Body<I> {
    /// Takes it along for a run; one that several may have stays as well.
    pub(crate) fn take(home: &mut Option<Self>) -> Option<Self> {
        match home {
            Some(Self::Shared(body)) => Some(Self::Shared(Arc::clone(body))),
            _ => home.take(),
        }
    }
}

/// One run of a job, on its way into the pool. The body stays at home until the run begins.
pub(crate) struct Run<I: Isolation> {
    pub(crate) series: Arc<Series<I>>,
    pub(crate) flight: u64,
}

impl<I: Isolation> Job<I> for Run<I> {
    type Output = ();

    fn run(self, state: &mut I::State, context: &Context<'_, I>) -> Ends {
        // Ended between being taken by a worker and its first line, it has not begun.
        let body = match self.series.begin(self.flight) {
            Ok(body) => body,
            Err(JobEnd::Cancelled) => return Err(context.revoke(cancelled()).into()),
            Err(_) => return Err(context.withdraw().into()),
        };
        let mut out = Out { run: &self, body: Some(body) };
        match &mut out.body {
            Some(Body::Alone(body)) => body(state, context),
            Some(Body::Shared(body)) => body(state, context),
            once => match once.take() {
                Some(Body::Once(body)) => body(state, context),
                _ => Ok(()),
            },
        }
    }
}

/// A body that is out: comes home also when the run ends by unwinding.
struct Out<'r, I: Isolation> {
    run: &'r Run<I>,
    body: Option<Body<I>>,
}

impl<I: Isolation> Drop for Out<'_, I> {
    fn drop(&mut self) {
        self.run.series.came_home(self.run.flight, self.body.take());
    }
}

/// A run that never began, for whoever takes it out of `take_returned`.
pub(crate) struct Unstarted<I: Isolation>(pub(crate) Once<I>);

impl<I: Isolation> Job<I> for Unstarted<I> {
    type Output = ();

    fn run(self, state: &mut I::State, context: &Context<'_, I>) -> Ends {
        (self.0)(state, context)
    }
}
