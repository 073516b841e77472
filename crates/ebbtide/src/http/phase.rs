//! How far an ingress is in its life, as its connections and handlers see it.

use std::{fmt, time::Duration};

use tokio::sync::watch;

use crate::{clock::Moment, policy};

/// How long a stop waits for what, each counted from the stop. None is longer than [`requests`](Self::requests).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// For the head of a request: on a connection that has sent nothing yet, or half of one. Default 1 s.
    pub heads: Duration,
    /// For the body of a request. Default 5 s.
    pub bodies: Duration,
    /// For answers of unknown length and upgraded connections, after they were told. Default 5 s.
    pub streams: Duration,
    /// For everything: what is open then is cut. Default 30 s.
    pub requests: Duration,
}

/// Tells a handler that the ingress stops, so that a stream without an end can find one. In the extensions of every request.
///
/// ```
/// # use ebbtide::http::StopNotice;
/// async fn events(stopping: StopNotice) {
///     // with tokio: select! { _ = stopping.wait() => …, event = next() => … }
///     stopping.wait().await; // send a last event; for a WebSocket close with 1001
/// }
/// ```
#[derive(Clone)]
pub struct StopNotice {
    phase: watch::Receiver<Phase>,
}

/// Ordered and monotone; each may be skipped, none re-entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything is served.
    Serving,
    /// The same, but clients are asked to come back on a new connection.
    Leaving,
    /// Nothing new is accepted; what is open ends.
    Stopping { since: Moment, caps: Caps },
    /// Whatever is still open is cut.
    Cut,
}

impl Caps {
    /// The defaults, none of them longer than `total`.
    #[must_use]
    pub fn within(total: Duration) -> Self {
        Self {
            heads: policy::INGRESS_HEADS.min(total),
            bodies: policy::INGRESS_BODIES.min(total),
            streams: policy::INGRESS_STREAMS.min(total),
            requests: total,
        }
    }

    pub(crate) fn ordered(self) -> Self {
        let total = self.requests;
        Self {
            heads: self.heads.min(total),
            bodies: self.bodies.min(total),
            streams: self.streams.min(total),
            requests: total,
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self::within(policy::DEADLINE)
    }
}

impl Phase {
    fn rank(self) -> u8 {
        match self {
            Self::Serving => 0,
            Self::Leaving => 1,
            Self::Stopping { .. } => 2,
            Self::Cut => 3,
        }
    }

    pub(crate) fn is_leaving(self) -> bool {
        self.rank() >= 1
    }

    pub(crate) fn is_stopping(self) -> bool {
        self.rank() >= 2
    }
}

/// Goes on to a later phase; an earlier one changes nothing. True if it did.
pub(crate) fn advance(phase: &watch::Sender<Phase>, to: Phase) -> bool {
    phase.send_if_modified(|now| {
        let later = to.rank() > now.rank();
        if later {
            *now = to;
        }
        later
    })
}

/// Comes back when the phase is as asked; never if the ingress is gone before.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, is: impl Fn(Phase) -> bool) {
    // A sender that is gone means that the ingress is: nobody will stop or cut any more, and nobody has to.
    let gone = phase.wait_for(|phase| is(*phase)).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}

/// Comes back when a stop has gone on for as long as `cap` says, or cuts.
pub(crate) async fn capped(mut phase: watch::Receiver<Phase>, cap: impl Fn(&Caps) -> Duration) {
    reached(&mut phase, Phase::is_stopping).await;
    let now = *phase.borrow();
    if let Phase::Stopping { since, caps } = now {
        let left = cap(&caps).saturating_sub(Moment::now().since(since));
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = reached(&mut phase, |phase| phase == Phase::Cut) => {}
        }
    }
}

impl StopNotice {
    pub(crate) fn new(phase: watch::Receiver<Phase>) -> Self {
        Self { phase }
    }

    /// True once the ingress stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.phase.borrow().is_stopping()
    }

    /// Comes back when the ingress stops; at once if it does already. Not during the deregistration delay: then all is served.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut phase = self.phase.clone();
        async move {
            // An ingress that is gone has stopped.
            let _ = phase.wait_for(|phase| phase.is_stopping()).await;
        }
    }
}

impl fmt::Debug for StopNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopNotice").field("is_stopping", &self.is_stopping()).finish()
    }
}
