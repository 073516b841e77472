//! An ingress that serves: what its owner holds, and its stop.

use std::{
    fmt,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::sleep};

use super::{
    accept::Closed,
    builder::IngressBuilder,
    counts::{IngressStats, Ledger},
    phase::{Caps, Phase, advance, reached},
    report::IngressReport,
};
use crate::{
    clock::Moment,
    sync::{Mutex, atomic::Ordering},
    task::wait,
};

/// How long after the last cap connections are waited for, which then have only to be dropped.
const DROPPED: Duration = Duration::from_millis(500);

/// An HTTP server that stops without refusing what it accepted. Made by [`Ingress::builder`].
///
/// Dropping it starts a stop with the default [`Caps`] and does not block.
pub struct Ingress {
    core: Arc<Core>,
    runtime: Handle,
    accepting: Mutex<Option<JoinHandle<Closed>>>,
    /// Taken by the one procedure.
    teller: Mutex<Option<watch::Sender<Option<IngressReport>>>>,
    report: watch::Receiver<Option<IngressReport>>,
}

/// The stop of an ingress: a future of its report; a thread can [`wait_timeout`](Self::wait_timeout). Dropping it changes nothing.
pub struct IngressStop {
    waiting: Pin<Box<dyn Future<Output = IngressReport> + Send>>,
}

/// What connections share with their ingress.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) phase: watch::Sender<Phase>,
}

impl Ingress {
    /// An ingress; the name stands in reports.
    ///
    /// ```no_run
    /// # async fn run<R>(router: R) where
    /// #     R: tower_service::Service<hyper::Request<ebbtide::http::RequestBody>, Response = hyper::Response<String>> + Clone + Send + 'static,
    /// #     R::Error: Into<ebbtide::BoxError>, R::Future: Send {
    /// use std::time::Duration;
    /// use ebbtide::http::{Caps, Ingress, bind};
    ///
    /// let ingress = Ingress::builder("api").start(bind("127.0.0.1:8080").unwrap(), router).unwrap();
    /// // … until a signal comes; then, behind a load balancer that looks at the readiness:
    /// ingress.leave();
    /// tokio::time::sleep(Duration::from_secs(5)).await;
    /// let report = ingress.stop(Caps::within(Duration::from_secs(20))).await;
    /// println!("{report}");
    /// # }
    /// ```
    pub fn builder(name: impl Into<Arc<str>>) -> IngressBuilder {
        IngressBuilder::new(name.into())
    }

    pub(crate) fn new(name: Arc<str>, address: SocketAddr, runtime: Handle) -> (Self, Arc<Core>) {
        let ledger = Arc::new(Ledger::new(name, address));
        let core = Arc::new(Core { ledger, phase: watch::Sender::new(Phase::Serving) });
        let (teller, report) = watch::channel(None);
        let ingress = Self {
            core: Arc::clone(&core),
            runtime,
            accepting: Mutex::new(None),
            teller: Mutex::new(Some(teller)),
            report,
        };
        (ingress, core)
    }

    pub(crate) fn accepts(&self, accepting: JoinHandle<Closed>) {
        *self.accepting.lock() = Some(accepting);
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.ledger.name
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.core.ledger.address
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> IngressStats {
        self.core.ledger.stats()
    }

    /// From now on HTTP/1 answers say `Connection: close`, so that clients come back on new connections, which a load balancer sends
    /// elsewhere. Everything is still served. For the deregistration delay; [`stop`](Self::stop) does it too.
    pub fn leave(&self) {
        advance(&self.core.phase, Phase::Leaving);
    }

    /// Stops: accepts what the backlog holds, closes the listener, lets end what is open, cuts what is open after its cap.
    ///
    /// It begins at once, also if nobody waits for it. Any number of calls are one stop, with the caps of the first.
    pub fn stop(&self, caps: Caps) -> IngressStop {
        if let Some(teller) = self.teller.lock().take() {
            let (since, caps) = (Moment::now(), caps.ordered());
            self.core.ledger.stopping(since);
            advance(&self.core.phase, Phase::Stopping { since, caps });
            let (core, accepting) = (Arc::clone(&self.core), self.accepting.lock().take());
            self.runtime.spawn(async move {
                let report = procedure(&core, accepting, since, caps).await;
                teller.send_replace(Some(report));
            });
        }
        IngressStop::new(self.report.clone(), Arc::clone(&self.core))
    }

    /// Stops, or makes the stop under way a forced one: whatever is open is cut now.
    pub fn force(&self) -> IngressStop {
        let stop = self.stop(Caps::within(Duration::ZERO));
        advance(&self.core.phase, Phase::Cut);
        stop
    }
}

async fn procedure(
    core: &Core,
    accepting: Option<JoinHandle<Closed>>,
    since: Moment,
    caps: Caps,
) -> IngressReport {
    let closed = match accepting {
        Some(accepting) => accepting.await.ok(),
        None => None,
    };
    let left = caps.requests.saturating_sub(Moment::now().since(since));
    let mut phase = core.phase.subscribe();
    tokio::select! {
        () = empty(&core.ledger) => {}
        () = sleep(left) => {}
        () = reached(&mut phase, |phase| phase == Phase::Cut) => {}
    }
    // Only `force` has gone so far before this line does.
    let forced = (*core.phase.borrow() == Phase::Cut).then(|| "forced".to_owned());
    advance(&core.phase, Phase::Cut);
    tokio::select! {
        () = empty(&core.ledger) => {}
        () = sleep(DROPPED) => {}
    }
    let mut report = draft(core, since);
    report.gap = closed.as_ref().and_then(|closed| closed.gap);
    report.listener_closed = closed.map(|closed| closed.at.since(since));
    report.failed = forced;
    report
}

/// Comes back when no connection is open.
async fn empty(ledger: &Ledger) {
    let open = || ledger.counts.connections.load(Ordering::SeqCst) > 0;
    loop {
        let mut emptied = pin!(ledger.empty.notified());
        emptied.as_mut().enable();
        if !open() {
            return;
        }
        emptied.await;
    }
}

fn draft(core: &Core, since: Moment) -> IngressReport {
    let ledger = &core.ledger;
    let (connections, last) = ledger.of_stop();
    IngressReport {
        name: Arc::clone(&ledger.name),
        address: ledger.address,
        duration: Moment::now().since(since),
        listener_closed: None,
        gap: None,
        connections,
        stats: ledger.stats(),
        last,
        failed: None,
    }
}

impl IngressStop {
    fn new(mut report: watch::Receiver<Option<IngressReport>>, core: Arc<Core>) -> Self {
        let begin = Moment::now();
        let waiting = async move {
            let told = report.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
            told.unwrap_or_else(|| {
                let mut report = draft(&core, begin);
                report.failed = Some("its tokio runtime ended before it had stopped".to_owned());
                report
            })
        };
        Self { waiting: Box::pin(waiting) }
    }

    /// Blocks the calling thread for its report, at most this long. Not for a thread of the ingress' own runtime, which it would hold up.
    pub fn wait_timeout(&mut self, at_most: Duration) -> Option<IngressReport> {
        let until = Moment::now().plus(at_most);
        wait::block_until(Some(until), |waker| {
            match self.waiting.as_mut().poll(&mut Context::from_waker(waker)) {
                Poll::Ready(report) => Some(report),
                Poll::Pending => None,
            }
        })
    }
}

impl Future for IngressStop {
    type Output = IngressReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IngressReport> {
        self.waiting.as_mut().poll(cx)
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        drop(self.stop(Caps::default()));
    }
}

impl fmt::Debug for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingress")
            .field("name", &self.name())
            .field("address", &self.local_addr())
            .field("phase", &*self.core.phase.borrow())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IngressStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngressStop").finish_non_exhaustive()
    }
}
