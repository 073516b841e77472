//! What the stop of an ingress was, as data.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use super::counts::IngressStats;

/// What a stop of an ingress did. Everybody who asked gets the same.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct IngressReport {
    /// The ingress' name.
    pub name: Arc<str>,
    /// Where it listened.
    pub address: SocketAddr,
    /// From the request to the last connection's end.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// When the listener was closed, from the request; `None` if that did not come to pass.
    #[serde(rename = "listener_closed_ms", serialize_with = "some_millis")]
    pub listener_closed: Option<Duration>,
    /// How the gap between the last accept and the close was shut.
    pub gap: Option<Gap>,
    /// What became of its connections during the stop.
    pub connections: StoppedConnections,
    /// The counts of its life.
    pub stats: IngressStats,
    /// The request that ended last.
    pub last: Option<LastRequest>,
    /// Why it did not do what was asked: forced, or its runtime ended under it.
    pub failed: Option<String>,
}

/// Connections during a stop, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoppedConnections {
    /// Open when it began.
    pub open: u64,
    /// Accepted after it began.
    pub backlog: u64,
    /// Closed by their client, or broken.
    pub closed: u64,
    /// Closed at once, since nothing was under way on them.
    pub idle: u64,
    /// Closed after their last answer.
    pub finished: u64,
    /// Cut: had nothing open, yet did not close or say anything.
    pub cut_silent: u64,
    /// Cut in the head of a request.
    pub cut_heads: u64,
    /// Cut in the body of a request.
    pub cut_bodies: u64,
    /// Cut, or one stream of theirs, in an answer of unknown length or after an upgrade.
    pub cut_streams: u64,
    /// Cut while a request was served, at the last cap or because the stop was forced.
    pub cut_requests: u64,
}

/// How sure it is that nobody was reset between the last accept and the close of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gap {
    /// Nothing new could come, and handshakes under way were waited for.
    Shut,
    /// Nothing new could come, but handshakes that took too long were left.
    HandshakesLeft,
    /// This system has no way; the backlog was accepted until it was empty.
    Open,
}

/// The request that ended last in a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastRequest {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// How long it was open.
    #[serde(rename = "ran_ms", serialize_with = "millis")]
    pub ran: Duration,
    /// When it ended, from the request to stop.
    #[serde(rename = "ended_ms", serialize_with = "millis")]
    pub ended: Duration,
}

impl StoppedConnections {
    /// How many were cut.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut_silent + self.cut_heads + self.cut_bodies + self.cut_streams + self.cut_requests
    }
}

impl IngressReport {
    /// True if no request was cut and the listener was closed. (Streams, and clients that had sent no whole request, may have been.)
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_none() && self.listener_closed.is_some() && self.connections.cut_requests == 0
    }
}

impl fmt::Display for IngressReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.connections;
        write!(f, "{} on {} stopped in {:.1?}: ", self.name, self.address, self.duration)?;
        write!(f, "{} connections were open, {} came from the backlog", counts.open, counts.backlog)?;
        let parts = [
            (counts.idle, "idle"),
            (counts.finished, "finished"),
            (counts.closed, "closed by the client"),
            (counts.cut_silent, "cut without a request"),
            (counts.cut_heads, "cut in a request's head"),
            (counts.cut_bodies, "cut in a request's body"),
            (counts.cut_streams, "cut in a stream"),
            (counts.cut_requests, "cut in a request"),
        ];
        for (count, what) in parts.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        if let Some(last) = &self.last {
            write!(f, "; the last was {} {} after {:.1?}", last.method, last.path, last.ran)?;
        }
        if let Some(failed) = &self.failed {
            write!(f, "; {failed}")?;
        }
        Ok(())
    }
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}

fn some_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64() * 1e3).serialize(serializer)
}
