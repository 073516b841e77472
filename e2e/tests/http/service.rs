//! The service under test, and an ingress that serves it on a free port.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use ebbtide::http::{Ingress, StopNotice, bind};
use tokio::sync::{Notify, Semaphore, mpsc};

/// Nothing in these tests waits longer: what takes more hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What handlers wait for and tell.
#[derive(Debug)]
pub(crate) struct Gates {
    /// `/gate` answers once per permit.
    pub(crate) gate: Semaphore,
    /// A request of `/gate` is in its handler.
    entered: Semaphore,
    /// A stream was told.
    pub(crate) told: Notify,
}

impl Gates {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { gate: Semaphore::new(0), entered: Semaphore::new(0), told: Notify::new() })
    }

    /// Comes back once per request that has come to its handler.
    pub(crate) async fn entered(&self) {
        self.entered.acquire().await.unwrap().forget();
    }
}

pub(crate) struct Fixture {
    pub(crate) ingress: Ingress,
    pub(crate) gates: Arc<Gates>,
    pub(crate) address: SocketAddr,
}

pub(crate) fn fixture() -> Fixture {
    let gates = Gates::new();
    let listener = bind("127.0.0.1:0").unwrap();
    let ingress = Ingress::builder("api").start(listener, router(Arc::clone(&gates))).unwrap();
    let address = ingress.local_addr();
    Fixture { ingress, gates, address }
}

pub(crate) fn router(gates: Arc<Gates>) -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/gate", get(gate))
        .route("/echo", post(async |body: Bytes| body))
        .route("/unread", post(async || (StatusCode::PAYLOAD_TOO_LARGE, "too much")))
        .route("/polite", get(polite))
        .route("/endless", get(endless))
        .route("/panic", get(async || -> &'static str { panic!("the handler's own fault") }))
        .route("/panic-later", get(panic_later))
        .route(
            "/ws",
            get(async |upgrade: WebSocketUpgrade, notice| {
                upgrade.on_upgrade(move |socket| talk(socket, notice))
            }),
        )
        .with_state(gates)
}

async fn gate(State(gates): State<Arc<Gates>>) -> &'static str {
    gates.entered.add_permits(1);
    gates.gate.acquire().await.unwrap().forget();
    "through"
}

/// Events until it is told; then a last one.
async fn polite(State(gates): State<Arc<Gates>>, Extension(notice): Extension<StopNotice>) -> Response {
    let (events, stream) = channel();
    tokio::spawn(async move {
        events.send("data: first\n\n").await.unwrap();
        notice.wait().await;
        gates.told.notify_one();
        // The client may have gone.
        let _ = events.send("data: bye\n\n").await;
    });
    events_of(stream)
}

/// Events for ever, whatever it is told.
async fn endless() -> Response {
    let (events, stream) = channel();
    tokio::spawn(async move {
        while events.send("data: again\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    events_of(stream)
}

async fn panic_later() -> Response {
    let (events, stream) = channel();
    tokio::spawn(async move {
        events.send("data: first\n\n").await.unwrap();
        let _ = events.send("panic").await;
    });
    events_of(stream)
}

async fn talk(mut socket: WebSocket, Extension(notice): Extension<StopNotice>) {
    let told = notice.wait();
    tokio::pin!(told);
    loop {
        tokio::select! {
            () = &mut told => {
                let frame = CloseFrame { code: 1001, reason: "the server stops".into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if text.as_str() == "stay" => {
                    // Deaf from now on.
                    std::future::pending::<()>().await;
                }
                Some(Ok(message)) => socket.send(message).await.unwrap(),
                _ => return,
            },
        }
    }
}

type Events = mpsc::Sender<&'static str>;

fn channel() -> (Events, mpsc::Receiver<&'static str>) {
    mpsc::channel(1)
}

/// A body of unknown length. The word `panic` in it is one.
fn events_of(mut events: mpsc::Receiver<&'static str>) -> Response {
    let body = Body::new(StreamOf { next: Box::new(move |cx| events.poll_recv(cx)) });
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

type Poller = Box<dyn FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<&'static str>> + Send>;

struct StreamOf {
    next: Poller,
}

impl hyper::body::Body for StreamOf {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        let event = std::task::ready!((self.next)(cx));
        assert_ne!(event, Some("panic"), "the body's own fault");
        std::task::Poll::Ready(event.map(|event| Ok(hyper::body::Frame::data(event.into()))))
    }
}
