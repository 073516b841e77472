//! The clients: some keep their connections, some open one per request, one reads the cache. They know nothing of the stop.

use std::{io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time};

/// Clients that increment over a connection they keep,
const KEEPERS: usize = 5;
/// and over a new one for every request.
const OPENERS: usize = 2;
/// Reads before the load begins.
const WARM: usize = 100;
/// Time between an answer and the client's next request.
const PACE: Duration = Duration::from_millis(8);
/// No answer after so long counts as none.
const PATIENCE: Duration = Duration::from_secs(20);

/// What clients saw.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// Increments answered with 2xx: promised.
    pub(crate) answered: u64,
    /// Increments answered otherwise.
    pub(crate) other: u64,
    /// Increments that were sent and got no answer: reset, closed, or silence.
    pub(crate) unanswered: u64,
    /// Requests of either kind that found nobody listening.
    pub(crate) refused: u64,
    /// Reads of the cache that were answered with 2xx.
    pub(crate) reads: u64,
    /// Reads that were sent and got no answer or another one.
    pub(crate) reads_lost: u64,
}

/// The clients while they work.
#[derive(Debug)]
pub(crate) struct Load {
    stop: watch::Sender<()>,
    clients: JoinSet<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Keeper,
    Opener,
    Reader,
}

enum Answer {
    Status(u16),
    Refused,
    None,
}

/// Reads the cache a few times, so that nobody is loaded before its code is: what counts begins after it.
pub(crate) async fn warm(to: SocketAddr) -> Result<(), String> {
    let mut kept = None;
    for _ in 0..WARM {
        match time::timeout(PATIENCE, ask(to, Kind::Reader, &mut kept)).await {
            Ok(Answer::Status(200..300)) => {}
            _ => return Err("it was READY and did not answer".to_owned()),
        }
    }
    Ok(())
}

type Sender = http1::SendRequest<Empty<Bytes>>;

impl Load {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let (stop, told) = watch::channel(());
        let mut clients = JoinSet::new();
        let kinds = [(Kind::Keeper, KEEPERS), (Kind::Opener, OPENERS), (Kind::Reader, 1)];
        for (kind, count) in kinds {
            for _ in 0..count {
                clients.spawn(client(to, kind, told.clone()));
            }
        }
        Self { stop, clients }
    }

    /// No new request; waits for the answers to those under way.
    pub(crate) async fn end(self) -> Seen {
        drop(self.stop);
        self.clients.join_all().await.into_iter().fold(Seen::default(), Seen::plus)
    }
}

impl Seen {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            other: self.other + other.other,
            unanswered: self.unanswered + other.unanswered,
            refused: self.refused + other.refused,
            reads: self.reads + other.reads,
            reads_lost: self.reads_lost + other.reads_lost,
        }
    }

    fn add(&mut self, kind: Kind, answer: &Answer) {
        let count = match (kind, answer) {
            (_, Answer::Refused) => &mut self.refused,
            (Kind::Reader, Answer::Status(200..300)) => &mut self.reads,
            (Kind::Reader, _) => &mut self.reads_lost,
            (_, Answer::Status(200..300)) => &mut self.answered,
            (_, Answer::Status(_)) => &mut self.other,
            (_, Answer::None) => &mut self.unanswered,
        };
        *count += 1;
    }
}

async fn client(to: SocketAddr, kind: Kind, mut told: watch::Receiver<()>) -> Seen {
    let mut seen = Seen::default();
    let mut kept = None;
    loop {
        let asked = time::timeout(PATIENCE, ask(to, kind, &mut kept)).await;
        seen.add(kind, &asked.unwrap_or(Answer::None));
        if kind == Kind::Opener {
            kept = None;
        }
        if time::timeout(PACE, told.changed()).await.is_ok() {
            return seen;
        }
    }
}

/// One request. A kept connection that was closed while nothing was under way is replaced, as every client library does.
async fn ask(to: SocketAddr, kind: Kind, kept: &mut Option<Sender>) -> Answer {
    if let Some(sender) = kept
        && let Some(answer) = over(sender, to, kind).await
    {
        return answer;
    }
    *kept = None;
    let mut sender = match open(to).await {
        Ok(sender) => sender,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Answer::Refused,
        Err(_) => return Answer::None,
    };
    let answer = over(&mut sender, to, kind).await.unwrap_or(Answer::None);
    *kept = Some(sender);
    answer
}

/// `None` if the request was not sent, since the connection had been closed before.
async fn over(sender: &mut Sender, to: SocketAddr, kind: Kind) -> Option<Answer> {
    sender.ready().await.ok()?;
    let (method, path) = match kind {
        Kind::Reader => (Method::GET, "/cached"),
        Kind::Keeper | Kind::Opener => (Method::POST, "/incr"),
    };
    let request = Request::builder().method(method).uri(path).header("host", to.to_string());
    let request = request.body(Empty::new()).ok()?;
    let answer = match sender.send_request(request).await {
        Ok(answer) => answer,
        Err(error) if error.is_canceled() => return None,
        Err(_) => return Some(Answer::None),
    };
    let status = answer.status().as_u16();
    // An answer is one when it is complete.
    Some(answer.into_body().collect().await.map_or(Answer::None, |_| Answer::Status(status)))
}

async fn open(to: SocketAddr) -> io::Result<Sender> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // How the connection ends shows in the answers.
    tokio::spawn(connection);
    Ok(sender)
}
