//! Between a connection and the user's service: requests are counted, handed what they may want to know, and their panics caught.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use hyper::{
    Request, Response, StatusCode, Version,
    body::{Body, Incoming},
    header::{CONNECTION, HeaderValue},
};
use tokio::sync::watch;
use tower_service::Service;

use super::{
    body::{AnswerBody, RequestBody},
    counts::{Ledger, add},
    phase::{Phase, StopNotice},
    socket::Activity,
};
use crate::{
    clock::Moment,
    sync::atomic::Ordering,
    task::{error::BoxError, panics},
};

/// The address of the client. In the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// One connection's way to the service.
pub(crate) struct Gate<S> {
    pub(crate) service: S,
    pub(crate) peer: Peer,
    pub(crate) activity: Arc<Activity>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// A request that has begun; counted as ended when it is dropped, which its answer's body does.
pub(crate) struct Ticket {
    activity: Arc<Activity>,
    ledger: Arc<Ledger>,
    method: String,
    path: String,
    began: Moment,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The handler has not answered.
    Open,
    /// The head of its answer was given.
    Head,
    /// Some of its body, too.
    Sending,
    Answered,
    Failed,
    Cut,
    Panicked,
}

type Answer<B> = Response<AnswerBody<B>>;

impl<S, B> hyper::service::Service<Request<Incoming>> for Gate<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<B>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let ticket = Ticket::begin(&self.activity, &self.ledger, &request);
        let (activity, phase) = (Arc::clone(&self.activity), self.phase.clone());
        let version = request.version();
        let mut request = request.map(|body| RequestBody::new(body, &activity, phase.clone()));
        request.extensions_mut().insert(StopNotice::new(phase.clone()));
        request.extensions_mut().insert(self.peer);
        let service = self.service.clone();
        Box::pin(async move {
            let mut answer = match ask(service, request).await {
                Some(Ok(answer)) => {
                    answer.map(|body| AnswerBody::new(body, &activity, phase.clone(), ticket.head()))
                }
                Some(Err(_)) => broken(AnswerBody::empty(phase.clone(), ticket.ended(End::Failed))),
                None => broken(AnswerBody::empty(phase.clone(), ticket.ended(End::Panicked))),
            };
            let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            if version < Version::HTTP_2 && !upgraded && phase.borrow().is_leaving() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer)
        })
    }
}

/// `None` if the service panicked.
async fn ask<S, R>(mut service: S, request: R) -> Option<Result<S::Response, BoxError>>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    let mut asked = pin!(async move {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    });
    let answer =
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(cx))) {
            Ok(Poll::Ready(answer)) => Poll::Ready(Some(answer)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => {
                panics::drop_quietly(payload);
                Poll::Ready(None)
            }
        });
    answer.await.map(|answer| answer.map_err(Into::into))
}

fn broken<B: Body>(body: AnswerBody<B>) -> Answer<B> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

impl Ticket {
    fn begin<T>(activity: &Arc<Activity>, ledger: &Arc<Ledger>, request: &Request<T>) -> Self {
        add(&ledger.counts.requests);
        activity.begin();
        Self {
            activity: Arc::clone(activity),
            ledger: Arc::clone(ledger),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            began: Moment::now(),
            end: End::Open,
        }
    }

    fn ended(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    fn head(self) -> Self {
        self.ended(End::Head)
    }

    pub(crate) fn sending(&mut self) {
        self.end = End::Sending;
    }

    pub(crate) fn answered(&mut self) {
        self.end = End::Answered;
    }

    pub(crate) fn failed(&mut self) {
        self.end = End::Failed;
    }

    pub(crate) fn cut(&mut self) {
        self.end = End::Cut;
        self.activity.cut_streams.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn panicked(&mut self) {
        self.end = End::Panicked;
    }

    /// Its body goes: it was whole, or was never asked for (an answer to HEAD), or was broken off.
    pub(crate) fn dropped(&mut self, whole: bool) {
        self.end = match self.end {
            End::Sending if !whole => End::Failed,
            End::Head | End::Sending => End::Answered,
            other => other,
        };
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let counts = &self.ledger.counts;
        add(match self.end {
            End::Answered => &counts.answered,
            End::Panicked => &counts.panicked,
            End::Open | End::Head | End::Sending | End::Failed | End::Cut => &counts.unfinished,
        });
        self.ledger.request_ended(&self.method, &self.path, self.began);
        self.activity.end();
    }
}

impl<S> fmt::Debug for Gate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("peer", &self.peer).finish_non_exhaustive()
    }
}
