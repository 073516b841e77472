//! A run's way from the job to the pool and to its end.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use super::Series;
use crate::{
    error::RejectReason,
    pool::clocks::DueGate,
    schedule::body::Run,
    task::{gate::Gate, handle::Handle, isolation::Isolation, panics},
};

/// A run, from the job to the pool and to its end.
pub(super) async fn fly<I: Isolation>(series: Arc<Series<I>>, flight: u64) {
    let handle = match (series.core.upgrade(), &series.landing) {
        (None, _) => {
            series.refused(flight, Some(RejectReason::Terminated));
            return;
        }
        (Some(core), None) => offer(&series, flight, &*core).await,
        (Some(core), Some(_)) => offer(&series, flight, &DueGate(core, &series.not_due)).await,
    };
    match handle {
        Ok(handle) => {
            series.accepted(flight, handle.any());
            let result = handle.await;
            series.landed(flight, result);
        }
        Err(reason) => series.refused(flight, reason),
    }
}

/// Submits a run, waiting for room where the policy is to wait. `None`: withdrawn meanwhile, or the pool's decorator panicked.
async fn offer<I: Isolation>(
    series: &Arc<Series<I>>,
    flight: u64,
    gate: &dyn Gate<I>,
) -> Result<Handle<()>, Option<RejectReason>> {
    let run = Run::new(Arc::clone(series), flight);
    // What it borrows is the job's body: it is never given away from the queue, but by the job.
    // A decorator that panics is the user's; the run is refused then, and the job goes on.
    let Some(submit) = panics::quietly(|| series.task(gate).scoped().submit_job_async(run)) else {
        return Err(None);
    };
    let mut submit = pin!(submit);
    let answer = poll_fn(|poller| {
        if series.is_withdrawn(flight) {
            return Poll::Ready(None);
        }
        submit.as_mut().poll(poller).map(Some)
    });
    match answer.await {
        Some(Ok(handle)) => Ok(handle),
        Some(Err((_, reason))) => Err(Some(reason)),
        None => Err(None),
    }
}
