//! One connection from its accept to its end: which protocol it speaks, serving it, and obeying the verdict when the ingress stops.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use hyper::{
    Request,
    body::{Body, Incoming},
    server::conn::{http1, http2},
    service::Service as HyperService,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{oneshot, watch},
    time::sleep,
};

use super::{
    builder::Limits,
    counts::{ConnectionEnd, Ledger},
    phase::{Phase, reached},
    socket::{Activity, Socket, sever, waiting},
    verdict::{Cut, Protocol, Verdict, cut_in, verdict},
};
use crate::{clock::Moment, sync::atomic::Ordering, task::error::BoxError};

/// No HTTP/1 method is called so.
const PREFACE: &[u8; 4] = b"PRI ";
/// After an answer that came before the request's body had ended: how long the rest is read and thrown away, because a close with
/// unread bytes makes the client lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// An accepted connection, counted as open until it is dropped.
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// What the ingress' stop wants of a connection.
#[derive(Clone, Copy)]
enum Order {
    Finish,
    Cut(Cut),
}

/// Whether it was asked to finish, and what it was doing then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    WhenIdle,
    WhenBusy,
}

/// Runs the streams of an HTTP/2 connection, each a task, for as long as the connection does: handlers must not outlive a cut.
#[derive(Clone)]
struct Streams {
    alive: watch::Receiver<()>,
}

/// What hyper's connections can be asked.
trait Finishing: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<S, A> Finishing for http1::UpgradeableConnection<TokioIo<Socket>, S>
where
    S: HyperService<Request<Incoming>, Response = hyper::Response<A>, Error = Infallible>,
    A: Body + 'static,
    A::Error: Into<BoxError>,
    Self: Future,
    TokioIo<Socket>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, A> Finishing for http2::Connection<TokioIo<Socket>, S, Streams>
where
    S: HyperService<Request<Incoming>, Response = hyper::Response<A>, Error = Infallible>,
    S::Future: Send + 'static,
    A: Body + Send + 'static,
    A::Data: Send,
    A::Error: Into<BoxError>,
    Self: Future,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Streams {
    /// They end when what comes first is dropped.
    fn new() -> (watch::Sender<()>, Self) {
        let (connection, alive) = watch::channel(());
        (connection, Self { alive })
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut alive = self.alive.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stream => {}
                _ = alive.changed() => {}
            }
        });
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, ledger: Arc<Ledger>, phase: watch::Receiver<Phase>) -> Self {
        // Answers are written whole; waiting for more to send only delays them. Without it they are slower, not wrong.
        let _ = stream.set_nodelay(true);
        ledger.connected();
        Self { stream: Arc::new(stream), activity: Arc::default(), ledger, phase }
    }

    /// Serves it to its end.
    pub(crate) async fn serve<S, A>(mut self, service: S, limits: Limits)
    where
        S: HyperService<Request<Incoming>, Response = hyper::Response<A>, Error = Infallible>
            + Send
            + 'static,
        S::Future: Send + 'static,
        A: Body + Send + 'static,
        A::Data: Send,
        A::Error: Into<BoxError>,
    {
        let end = match self.protocol(limits.head_timeout).await {
            Err(end) => end,
            Ok(Protocol::Two) => {
                let (socket, closed) = self.socket();
                let (alive, streams) = Streams::new();
                let mut server = http2::Builder::new(streams);
                server.timer(TokioTimer::new()).max_concurrent_streams(limits.streams_per_connection);
                server.max_header_list_size(limits.head_bytes);
                let end = self.drive(server.serve_connection(socket, service), closed, Protocol::Two).await;
                drop(alive);
                self.streams_ended().await;
                end
            }
            Ok(_) => {
                let (socket, closed) = self.socket();
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
                server.max_buf_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX).max(8192));
                let connection = server.serve_connection(socket, service).with_upgrades();
                self.drive(connection, closed, Protocol::One).await
            }
        };
        self.ledger.connection_ended(end);
    }

    fn socket(&self) -> (TokioIo<Socket>, oneshot::Receiver<()>) {
        let (socket, closed) = Socket::new(Arc::clone(&self.stream), Arc::clone(&self.activity));
        (TokioIo::new(socket), closed)
    }

    /// Looks at the first bytes and leaves them where they are.
    async fn protocol(&mut self, patience: Duration) -> Result<Protocol, ConnectionEnd> {
        let stream = Arc::clone(&self.stream);
        tokio::select! {
            biased;
            first = first_bytes(&stream) => first.map_err(|_| ConnectionEnd::Closed),
            order = self.order(Protocol::Unknown, Told::WhenIdle) => match order {
                Order::Cut(cut) => Err(ConnectionEnd::Cut(cut)),
                Order::Finish => Err(ConnectionEnd::Idle),
            },
            () = sleep(patience) => Err(ConnectionEnd::Closed),
        }
    }

    async fn drive<C: Finishing>(
        &mut self,
        connection: C,
        mut closed: oneshot::Receiver<()>,
        protocol: Protocol,
    ) -> ConnectionEnd {
        let mut connection = Box::pin(connection);
        let mut told = Told::Nothing;
        let cut = loop {
            tokio::select! {
                biased;
                _ = connection.as_mut() => break None,
                order = self.order(protocol, told) => match order {
                    Order::Finish => {
                        let idle = self.activity.requests.load(Ordering::SeqCst) == 0;
                        told = if idle { Told::WhenIdle } else { Told::WhenBusy };
                        connection.as_mut().finish();
                    }
                    Order::Cut(cut) => break Some(cut),
                },
            }
        };
        drop(connection);
        if let Some(cut) = cut {
            sever(&self.stream);
            return ConnectionEnd::Cut(cut);
        }
        if closed.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            return self.upgraded(closed).await;
        }
        if protocol == Protocol::One {
            self.linger().await;
        }
        self.end(protocol, told)
    }

    /// Somebody else speaks on it now; it is watched until they let it go.
    async fn upgraded(&mut self, mut closed: oneshot::Receiver<()>) -> ConnectionEnd {
        tokio::select! {
            _ = &mut closed => {}
            order = self.order(Protocol::Upgraded, Told::WhenBusy) => {
                sever(&self.stream);
                if let Order::Cut(cut) = order {
                    return ConnectionEnd::Cut(cut);
                }
            }
        }
        if self.phase.borrow().is_stopping() { ConnectionEnd::Finished } else { ConnectionEnd::Closed }
    }

    fn end(&self, protocol: Protocol, told: Told) -> ConnectionEnd {
        let bodies = self.activity.cut_bodies.load(Ordering::SeqCst);
        let streams = self.activity.cut_streams.load(Ordering::SeqCst);
        match (protocol, told) {
            (Protocol::One, _) if streams > 0 => ConnectionEnd::Cut(Cut::Stream),
            (Protocol::One, _) if bodies > 0 => ConnectionEnd::Cut(Cut::Body),
            (_, Told::Nothing) if !self.phase.borrow().is_stopping() => ConnectionEnd::Closed,
            (_, told) => {
                self.ledger.cut_within(bodies, streams);
                match told {
                    Told::Nothing => ConnectionEnd::Closed,
                    Told::WhenIdle => ConnectionEnd::Idle,
                    Told::WhenBusy => ConnectionEnd::Finished,
                }
            }
        }
    }

    /// Comes back when the stop wants something of it that it was not told yet; never before a stop.
    async fn order(&mut self, protocol: Protocol, told: Told) -> Order {
        loop {
            let phase = *self.phase.borrow_and_update();
            let view = || self.activity.view(protocol, &self.stream);
            let look = match phase {
                Phase::Serving | Phase::Leaving => Duration::MAX,
                Phase::Cut => return Order::Cut(cut_in(view())),
                Phase::Stopping { since, caps } => match verdict(view(), Moment::now().since(since), &caps) {
                    Verdict::Cut(cut) => return Order::Cut(cut),
                    Verdict::Finish { .. } if told == Told::Nothing => return Order::Finish,
                    Verdict::Finish { look } | Verdict::Wait { look } => look,
                },
            };
            let stopping = phase.is_stopping();
            tokio::select! {
                changed = self.phase.changed() => if changed.is_err() {
                    // The ingress is gone, which happens only with its runtime.
                    std::future::pending::<()>().await;
                },
                () = self.activity.changed.notified(), if stopping => {}
                () = sleep(look), if stopping => {}
            }
        }
    }

    /// Each ends at the next moment its task is run.
    async fn streams_ended(&self) {
        while self.activity.requests.load(Ordering::SeqCst) > 0 {
            self.activity.changed.notified().await;
        }
    }

    async fn linger(&mut self) {
        let unread = self.activity.half_read.load(Ordering::SeqCst) > 0 || waiting(&self.stream);
        if !unread || sever_writing(&self.stream).is_err() {
            return;
        }
        tokio::select! {
            () = discard(&self.stream) => {}
            () = sleep(LINGER) => {}
            () = reached(&mut self.phase, |phase| phase == Phase::Cut) => {}
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ledger.disconnected();
    }
}

/// Which protocol the first bytes are of.
async fn first_bytes(stream: &TcpStream) -> io::Result<Protocol> {
    let mut first = [0; PREFACE.len()];
    loop {
        let bytes = stream.peek(&mut first).await?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..bytes] != PREFACE[..bytes] {
            return Ok(Protocol::One);
        }
        if bytes == PREFACE.len() {
            return Ok(Protocol::Two);
        }
        // Less than four bytes in a packet: rare enough for a nap, since the socket says "readable" for those it has.
        sleep(Duration::from_millis(1)).await;
    }
}

fn sever_writing(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write)
}

async fn discard(stream: &TcpStream) {
    let mut rest = vec![0; 16 * 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut rest) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// The address of a client that is gone already is not worth an error.
pub(crate) fn peer_of(stream: &TcpStream) -> SocketAddr {
    stream.peer_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}
