//! What a job runs, and where that is: at home with the job, or out on a worker.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;

use super::series::{Series, cancelled};
use crate::{
    pool::JobEnd,
    sync::Mutex,
    task::{
        context::Context,
        error::{BoxError, TaskError},
        isolation::{Isolation, Job, Parcel},
        outcome::ReturnReason,
        panics,
    },
};

/// How a run ends, as its body says it.
pub(crate) type Ends = Result<(), BoxError>;
pub(crate) type Once<I> = Box<dyn FnOnce(&mut <I as Isolation>::State, &Context<'_, I>) -> Ends + Send>;
pub(crate) type Alone<I> = Box<dyn FnMut(&mut <I as Isolation>::State, &Context<'_, I>) -> Ends + Send>;
pub(crate) type Shared<I> = Arc<dyn Fn(&mut <I as Isolation>::State, &Context<'_, I>) -> Ends + Send + Sync>;
/// Makes what the next run sends.
pub(crate) type Letters = Arc<dyn Fn() -> Arc<dyn Letter> + Send + Sync>;

/// What a run sends to a worker process, and what becomes of the reply.
pub(crate) trait Letter: Send + Sync {
    fn content_type(&self) -> Option<Arc<str>>;
    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError>;
    fn in_one_piece(&self) -> Option<Bytes>;
    fn read(&self, content_type: Option<&str>, reply: Parcel<'_>) -> Ends;
}

/// The body of a job.
pub(crate) enum Body<I: Isolation> {
    /// For one run.
    Once(Once<I>),
    /// For one run at a time.
    Alone(Alone<I>),
    /// For several at a time.
    Shared(Shared<I>),
    /// For one run in another process.
    Letter(Arc<dyn Letter>),
    /// For any number of them.
    Letters(Letters),
}

impl<I: Isolation> Body<I> {
    /// Takes it along for a run; one that several may have, or that may come back unused, stays as well.
    pub(crate) fn take(home: &mut Option<Self>) -> Option<Self> {
        match home {
            Some(Self::Shared(body)) => Some(Self::Shared(Arc::clone(body))),
            Some(Self::Letter(letter)) => Some(Self::Letter(Arc::clone(letter))),
            Some(Self::Letters(make)) => Some(Self::Letters(Arc::clone(make))),
            Some(Self::Once(_) | Self::Alone(_)) | None => home.take(),
        }
    }
}

/// One run of a job, on its way into the pool. The body stays at home until the run begins.
pub(crate) struct Run<I: Isolation> {
    series: Arc<Series<I>>,
    flight: u64,
    /// What it sends, where its worker is a process.
    letter: Mutex<Option<Arc<dyn Letter>>>,
}

impl<I: Isolation> Run<I> {
    pub(crate) fn new(series: Arc<Series<I>>, flight: u64) -> Self {
        Self { series, flight, letter: Mutex::new(None) }
    }

    fn letter(&self) -> Option<Arc<dyn Letter>> {
        self.letter.lock().clone()
    }
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

    /// What is sent counts as begun, unless it comes back.
    fn set_out(&self) -> Result<(), TaskError> {
        let body = match self.series.begin(self.flight) {
            Ok(body) => body,
            Err(JobEnd::Cancelled) => return Err(TaskError::cancelled(cancelled())),
            Err(_) => return Err(TaskError::returned(ReturnReason::NotDue)),
        };
        let out = Out { run: self, body: Some(body) };
        let make = AssertUnwindSafe(|| match &out.body {
            Some(Body::Letter(letter)) => Some(Arc::clone(letter)),
            Some(Body::Letters(make)) => Some(make()),
            _ => None,
        });
        let letter =
            catch_unwind(make).map_err(|payload| TaskError::panicked(payload, panics::take_location()))?;
        *self.letter.lock() = letter;
        Ok(())
    }

    fn came_back(&self) {
        self.series.came_back(self.flight);
    }

    fn content_type(&self) -> Option<Arc<str>> {
        self.letter()?.content_type()
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        self.letter().ok_or("it has nothing to send")?.write(into)
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        self.letter()?.in_one_piece()
    }

    fn read(&self, content_type: Option<&str>, reply: Parcel<'_>) -> Ends {
        self.letter().ok_or("it has sent nothing")?.read(content_type, reply)
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
pub(crate) struct Unstarted<I: Isolation>(pub(crate) Body<I>);

impl<I: Isolation> Unstarted<I> {
    fn letter(&self) -> Option<&Arc<dyn Letter>> {
        match &self.0 {
            Body::Letter(letter) => Some(letter),
            _ => None,
        }
    }
}

impl<I: Isolation> Job<I> for Unstarted<I> {
    type Output = ();

    fn run(self, state: &mut I::State, context: &Context<'_, I>) -> Ends {
        match self.0 {
            Body::Once(body) => body(state, context),
            _ => Ok(()),
        }
    }

    fn content_type(&self) -> Option<Arc<str>> {
        self.letter()?.content_type()
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        self.letter().ok_or("a closure cannot leave its process")?.write(into)
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        self.letter()?.in_one_piece()
    }

    fn read(&self, content_type: Option<&str>, reply: Parcel<'_>) -> Ends {
        self.letter().ok_or("a closure cannot come back from another process")?.read(content_type, reply)
    }
}
