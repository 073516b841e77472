//! Bodies, watched: those of requests end with an error when they come too slowly for a stop, those of answers when they have no end.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::watch;

use super::{
    gate::Ticket,
    phase::{Caps, Phase, capped},
    socket::Activity,
};
use crate::{
    sync::atomic::Ordering,
    task::{error::BoxError, panics},
};

/// The body of a request as a handler reads it.
pub struct RequestBody {
    inner: Incoming,
    /// Until it has ended.
    upload: Option<Upload>,
    capped: CapTimer,
}

/// Reading the body of a request failed.
#[derive(Debug)]
pub enum RequestBodyError {
    /// The connection, or what came on it.
    Connection(hyper::Error),
    /// The ingress stops, and the body took longer than [`Caps::bodies`].
    Stopping,
}

/// The body of an answer as hyper writes it. With it, the request is over.
pub(crate) struct AnswerBody<B: Body> {
    /// `None` once it has ended or panicked, and in an answer of our own.
    inner: Option<Pin<Box<B>>>,
    /// The count of an answer of unknown length.
    stream: Option<Stream>,
    capped: CapTimer,
    ticket: Option<Ticket>,
}

/// Made when it is first needed; for most bodies it never is.
struct CapTimer {
    phase: watch::Receiver<Phase>,
    cap: fn(&Caps) -> std::time::Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

struct Upload {
    activity: Arc<Activity>,
    end: UploadEnd,
}

#[derive(PartialEq, Eq)]
enum UploadEnd {
    Early,
    Whole,
}

struct Stream(Arc<Activity>);

impl CapTimer {
    fn new(phase: watch::Receiver<Phase>, cap: fn(&Caps) -> std::time::Duration) -> Self {
        Self { phase, cap, timer: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(capped(self.phase.clone(), self.cap)));
        timer.as_mut().poll(cx)
    }
}

impl Upload {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.uploads.fetch_add(1, Ordering::SeqCst);
        Self { activity: Arc::clone(activity), end: UploadEnd::Early }
    }

    fn whole(mut self) {
        self.end = UploadEnd::Whole;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.end == UploadEnd::Early {
            self.activity.half_read.fetch_add(1, Ordering::SeqCst);
        }
        self.activity.uploads.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stream {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.streams.fetch_add(1, Ordering::SeqCst);
        activity.changed.notify_one();
        Self(Arc::clone(activity))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, activity: &Arc<Activity>, phase: watch::Receiver<Phase>) -> Self {
        let upload = (!inner.is_end_stream()).then(|| Upload::begin(activity));
        Self { inner, upload, capped: CapTimer::new(phase, |caps| caps.bodies) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if frame.is_none() || self.inner.is_end_stream() {
                self.upload.take().into_iter().for_each(Upload::whole);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Connection)));
        }
        ready!(self.capped.poll(cx));
        if let Some(upload) = self.upload.take() {
            upload.activity.cut_bodies.fetch_add(1, Ordering::SeqCst);
        }
        Poll::Ready(Some(Err(RequestBodyError::Stopping)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body> AnswerBody<B> {
    pub(crate) fn new(
        inner: B,
        activity: &Arc<Activity>,
        phase: watch::Receiver<Phase>,
        ticket: Ticket,
    ) -> Self {
        let endless = !inner.is_end_stream() && inner.size_hint().exact().is_none();
        Self {
            inner: Some(Box::pin(inner)),
            stream: endless.then(|| Stream::begin(activity)),
            capped: CapTimer::new(phase, |caps| caps.streams),
            ticket: Some(ticket),
        }
    }

    /// Nothing to say: an answer of ours.
    pub(crate) fn empty(phase: watch::Receiver<Phase>, ticket: Ticket) -> Self {
        Self {
            inner: None,
            stream: None,
            capped: CapTimer::new(phase, |caps| caps.streams),
            ticket: Some(ticket),
        }
    }

    fn end(&mut self, end: impl FnOnce(&mut Ticket)) {
        if let Some(ticket) = &mut self.ticket {
            end(ticket);
        }
        self.stream = None;
        if let Some(inner) = self.inner.take() {
            panics::drop_quietly(inner);
        }
        self.ticket = None;
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = &mut *self;
        // Before it is asked: one that always has something to give would not come to its cap otherwise.
        if this.stream.is_some() && this.capped.poll(cx).is_ready() {
            this.end(Ticket::cut);
            return Poll::Ready(Some(Err("the server stops, and the answer had no end".into())));
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll_frame(cx)));
        match polled {
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let Some(ticket) = &mut this.ticket {
                    ticket.sending();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(Poll::Ready(None)) => {
                this.end(Ticket::answered);
                Poll::Ready(None)
            }
            Ok(Poll::Ready(Some(Err(error)))) => {
                this.end(Ticket::failed);
                Poll::Ready(Some(Err(error.into())))
            }
            Err(payload) => {
                panics::drop_quietly(payload);
                this.end(Ticket::panicked);
                Poll::Ready(Some(Err("the body of the answer panicked".into())))
            }
            Ok(Poll::Pending) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), |inner| inner.size_hint())
    }
}

impl<B: Body> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        // One that is empty, or whose last byte was taken, is dropped without being asked again; so is one of an answer to HEAD.
        let whole = self.inner.as_ref().is_none_or(|inner| inner.is_end_stream());
        self.end(|ticket| ticket.dropped(whole));
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("ended", &self.upload.is_none()).finish_non_exhaustive()
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Stopping => f.write_str("the server stops, and the body of the request took too long"),
        }
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connection(error) => error.source(),
            Self::Stopping => None,
        }
    }
}
