//! What an ingress counts: connections, requests, and how they ended in a stop.

use std::{net::SocketAddr, sync::Arc};

use serde::Serialize;
use tokio::sync::Notify;

use super::{
    report::{LastRequest, StoppedConnections},
    verdict::Cut,
};
use crate::{
    clock::Moment,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A snapshot: `requests = open + answered + unfinished + panicked`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IngressStats {
    /// Connections accepted so far.
    pub accepted: u64,
    /// Those that are open, upgraded ones included.
    pub connections: u64,
    /// Requests whose head has come.
    pub requests: u64,
    /// Those whose answer is not yet given.
    pub open: u64,
    /// Those whose answer was given to the connection as a whole.
    pub answered: u64,
    /// Those that were not: the client went away, the handler's answer failed, or they were cut.
    pub unfinished: u64,
    /// Those whose handler panicked. It was answered with 500, or its body broken off.
    pub panicked: u64,
    /// Connections that could not be accepted, for want of file descriptors for example. They wait in the backlog meanwhile.
    pub accept_errors: u64,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) counts: Counts,
    stop: Mutex<StopBook>,
    /// The last connection has gone.
    pub(crate) empty: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) unfinished: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
}

/// Written once per connection and request of a stop.
#[derive(Debug, Default)]
struct StopBook {
    since: Option<Moment>,
    connections: StoppedConnections,
    last: Option<LastRequest>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// By itself or by its client.
    Closed,
    /// Because the ingress stops and nothing was under way on it.
    Idle,
    /// Because the ingress stops, after its last answer.
    Finished,
    Cut(Cut),
}

impl Ledger {
    pub(crate) fn new(name: Arc<str>, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            counts: Counts::default(),
            stop: Mutex::new(StopBook::default()),
            empty: Notify::new(),
        }
    }

    pub(crate) fn connected(&self) {
        add(&self.counts.accepted);
        add(&self.counts.connections);
    }

    pub(crate) fn disconnected(&self) {
        if self.counts.connections.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.empty.notify_waiters();
        }
    }

    pub(crate) fn stopping(&self, since: Moment) {
        let mut book = self.stop.lock();
        book.since = Some(since);
        book.connections.open = self.counts.connections.load(Ordering::SeqCst);
    }

    pub(crate) fn waited_in_backlog(&self) {
        self.stop.lock().connections.backlog += 1;
    }

    /// Nothing is noted before a stop.
    pub(crate) fn connection_ended(&self, end: ConnectionEnd) {
        let mut book = self.stop.lock();
        if book.since.is_none() {
            return;
        }
        let counts = &mut book.connections;
        *match end {
            ConnectionEnd::Closed => &mut counts.closed,
            ConnectionEnd::Idle => &mut counts.idle,
            ConnectionEnd::Finished => &mut counts.finished,
            ConnectionEnd::Cut(Cut::Silent) => &mut counts.cut_silent,
            ConnectionEnd::Cut(Cut::Head) => &mut counts.cut_heads,
            ConnectionEnd::Cut(Cut::Body) => &mut counts.cut_bodies,
            ConnectionEnd::Cut(Cut::Stream) => &mut counts.cut_streams,
            ConnectionEnd::Cut(Cut::Request) => &mut counts.cut_requests,
        } += 1;
    }

    /// Of a connection that carried others too.
    pub(crate) fn cut_within(&self, bodies: u32, streams: u32) {
        let mut book = self.stop.lock();
        book.connections.cut_bodies += u64::from(bodies);
        book.connections.cut_streams += u64::from(streams);
    }

    pub(crate) fn request_ended(&self, method: &str, path: &str, began: Moment) {
        let mut book = self.stop.lock();
        let Some(since) = book.since else { return };
        let now = Moment::now();
        let (method, path) = (method.to_owned(), path.to_owned());
        book.last = Some(LastRequest { method, path, ran: now.since(began), ended: now.since(since) });
    }

    pub(crate) fn of_stop(&self) -> (StoppedConnections, Option<LastRequest>) {
        let book = self.stop.lock();
        (book.connections, book.last.clone())
    }

    /// Read ended before begun, so that a request that ends between two reads is seen where it was.
    pub(crate) fn stats(&self) -> IngressStats {
        let counts = &self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let (answered, unfinished, panicked) =
            (read(&counts.answered), read(&counts.unfinished), read(&counts.panicked));
        let requests = read(&counts.requests);
        IngressStats {
            connections: read(&counts.connections),
            accepted: read(&counts.accepted),
            requests,
            open: requests - answered - unfinished - panicked,
            answered,
            unfinished,
            panicked,
            accept_errors: read(&counts.accept_errors),
        }
    }
}

pub(crate) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::SeqCst);
}
