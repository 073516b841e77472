//! Waiting for a shutdown or a restart: one result, any number of waiters.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context as Poller, Poll, Waker},
    time::Duration,
};

use crate::{
    clock::Moment,
    error::StillStopping,
    report::Report,
    sync::Mutex,
    task::{
        gate::{self, HomeId},
        handle::next_key,
        wait::{self, Wakers},
    },
};

/// A shutdown or restart under way. A plain future; a thread can wait on it; clones wait for the same end.
///
/// The procedure goes on whether anybody waits or not: dropping this changes nothing.
#[must_use = "the procedure goes on without it, but only waiting tells when it is over"]
pub struct Closing {
    shared: Arc<Shared>,
    witness: Weak<dyn Witness>,
    home: HomeId,
    key: usize,
}

/// Who can say what still runs.
pub(crate) trait Witness: Send + Sync {
    fn still(&self, waited: Duration) -> StillStopping;
}

/// The place where the report is put.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    report: Option<Report>,
    wakers: Wakers,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner::default()) })
    }

    pub(crate) fn resolve(&self, report: Report) {
        let wakers = {
            let mut inner = self.inner.lock();
            debug_assert!(inner.report.is_none(), "resolved twice");
            inner.report = Some(report);
            inner.wakers.take()
        };
        wait::wake_all(wakers);
    }

    fn poll(&self, key: usize, waker: &Waker) -> Option<Report> {
        let _replaced;
        let mut inner = self.inner.lock();
        if inner.report.is_none() {
            _replaced = inner.wakers.register(key, waker);
        }
        inner.report.clone()
    }
}

impl Closing {
    pub(crate) fn new(shared: Arc<Shared>, witness: Weak<dyn Witness>, home: HomeId) -> Self {
        Self { shared, witness, home, key: next_key() }
    }

    /// True once it is over.
    #[must_use]
    #[doc(alias = "isTerminated")]
    pub fn is_over(&self) -> bool {
        self.shared.inner.lock().report.is_some()
    }

    /// Blocks until it is over, which it is by its deadline, and gives the report.
    ///
    /// # Errors
    /// [`StillStopping`] with `would_deadlock`, on a worker of the same pool: it would wait for itself.
    pub fn wait(&self) -> Result<Report, StillStopping> {
        self.block(None)
    }

    /// Blocks until it is over, but at most `timeout`.
    ///
    /// # Errors
    /// [`StillStopping`] says who still runs; the procedure goes on.
    #[doc(alias = "awaitTermination")]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Report, StillStopping> {
        self.block(Some(timeout))
    }

    fn block(&self, timeout: Option<Duration>) -> Result<Report, StillStopping> {
        if gate::here(self.home).is_some() && !self.is_over() {
            return Err(StillStopping {
                waited: Duration::ZERO,
                running: Vec::new(),
                queued: 0,
                would_deadlock: true,
            });
        }
        let until = timeout.map(|timeout| Moment::now().plus(timeout));
        let report = wait::block_until(until, |waker| self.shared.poll(self.key, waker));
        report.ok_or_else(|| {
            let waited = timeout.unwrap_or_default();
            let nothing = StillStopping { waited, running: Vec::new(), queued: 0, would_deadlock: false };
            self.witness.upgrade().map_or(nothing, |witness| witness.still(waited))
        })
    }
}

impl Future for Closing {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Report> {
        match self.shared.poll(self.key, poller.waker()) {
            Some(report) => Poll::Ready(report),
            None => Poll::Pending,
        }
    }
}

impl Clone for Closing {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared), Weak::clone(&self.witness), self.home)
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}
