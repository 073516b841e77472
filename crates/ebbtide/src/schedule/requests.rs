//! Starting a job on a pool of processes: what is scheduled is a request.
//!
//! A run counts as begun when its request is written, for from then on the pool cannot say alone whether it has; one that comes back unbegun (its
//! worker was told to stop, or died before it) waits again, or ends if the job has.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    body::{Body, Ends, Letter},
    face::{Later, Schedule},
    job::Job,
    one_shot::{OneShot, Promise},
    plan::ScheduleError,
};
use crate::{
    sync::Mutex,
    task::{error::BoxError, isolation::Parcel},
    worker::{
        process::{Reply, Request},
        remote::{Processes, open},
    },
};

/// A request with what becomes of its reply.
struct Sent<Q, D> {
    request: Mutex<Q>,
    deliver: D,
}

impl<Q, D> Letter for Sent<Q, D>
where
    Q: Request,
    D: Fn(Option<&str>, Parcel<'_>) -> Ends + Send + Sync,
{
    fn content_type(&self) -> Option<Arc<str>> {
        self.request.lock().content_type()
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        self.request.lock().write(into)
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        self.request.lock().in_one_piece()
    }

    fn read(&self, content_type: Option<&str>, reply: Parcel<'_>) -> Ends {
        (self.deliver)(content_type, reply)
    }
}

impl<Q: Request, R: Reply> Schedule<Processes<Q, R>> {
    /// Which function (export) of the worker its runs are for. Default: the worker's own default.
    pub fn function(mut self, name: impl Into<Arc<str>>) -> Self {
        self.wishes.function = Some(name.into());
        self
    }

    /// Starts the job. `make` gives the request of each run when that is sent to a worker; it should be quick, and should it panic that is the run's
    /// outcome. The reply is read as `R` and dropped; a worker's error, or a reply that is no `R`, is the run's outcome `Failed`. The job goes
    /// on in either case ([`give_up_after`](Self::give_up_after) if it is not to).
    ///
    /// # Errors
    /// [`ScheduleError`] names the option that is wrong (a period of zero, a cron line that never comes, …), or says why the pool takes no
    /// jobs, and gives `make` back.
    pub fn start<F>(self, make: F) -> Result<Job, ScheduleError<F>>
    where
        F: FnMut() -> Q + Send + 'static,
    {
        self.start_with(make, |make| {
            let make = Mutex::new(make);
            Body::Letters(Arc::new(move || {
                let deliver =
                    |content_type: Option<&str>, reply: Parcel<'_>| open::<R>(content_type, reply).map(drop);
                Arc::new(Sent { request: Mutex::new((make.lock())()), deliver })
            }))
        })
    }

    /// Starts a job that may overlap with itself, up to `runs` runs at a time. At a fixed rate or on a cron line. Their requests are made one after
    /// the other.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_overlapping<F>(self, runs: u32, make: F) -> Result<Job, ScheduleError<F>>
    where
        F: FnMut() -> Q + Send + 'static,
    {
        self.overlapping(runs).start(make)
    }
}

impl<Q: Request, R: Reply> Later<Processes<Q, R>> {
    /// Which function (export) of the worker it is for. Default: the worker's own default.
    pub fn function(mut self, name: impl Into<Arc<str>>) -> Self {
        self.wishes.function = Some(name.into());
        self
    }

    /// Accepts the request. It is a task of the pool from now on, and ends in one of the nine ways; its reply is waited for with what this
    /// gives.
    ///
    /// # Errors
    /// [`ScheduleError`] names the option that is wrong, or says why the pool takes no jobs, and gives the request back.
    pub fn start(self, request: Q) -> Result<OneShot<R>, ScheduleError<Q>> {
        self.start_with(request, |request, promise: Arc<Promise<R>>| {
            let deliver = move |content_type: Option<&str>, reply: Parcel<'_>| {
                promise.put(open(content_type, reply)?);
                Ok(())
            };
            Body::Letter(Arc::new(Sent { request: Mutex::new(request), deliver }))
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::{schedule::body::Unstarted, task::isolation::Job as _, worker::remote::Raw};

    #[test]
    fn a_long_body_is_not_copied_for_a_job_either() {
        let bytes = vec![7; 1 << 20];
        let lies = bytes.as_ptr();
        let request = Mutex::new(Raw::new("image/png", bytes));
        let sent = Sent { request, deliver: |_: Option<&str>, _: Parcel<'_>| Ok(()) };
        let run = Unstarted::<Processes<Raw, Raw>>(Body::Letter(Arc::new(sent)));
        assert_eq!(run.in_one_piece().map(|body| body.as_ptr()), Some(lies));
    }
}
