//! A connection's socket, shared by who serves it and who watches over it, and what is counted on it.

use std::{
    io,
    mem::MaybeUninit,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Notify, oneshot},
};

use super::verdict::{Began, Incoming, Protocol, View};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What goes on on one connection. Written by its socket and its requests, read when the ingress stops.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    pub(crate) requests: AtomicU32,
    pub(crate) streams: AtomicU32,
    pub(crate) uploads: AtomicU32,
    /// Requests of which a body was not read to its end: more of it may come after the answer.
    pub(crate) half_read: AtomicU32,
    /// Bodies and streams that a stop cut.
    pub(crate) cut_bodies: AtomicU32,
    pub(crate) cut_streams: AtomicU32,
    began: AtomicU64,
    /// Reads that brought something.
    reads: AtomicU64,
    /// How many of them belong to requests that are over.
    settled: AtomicU64,
    /// Something of the above changed.
    pub(crate) changed: Notify,
}

/// The socket as hyper sees it: reads are counted, and it is known when it is dropped, by whomever it was handed to.
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    activity: Arc<Activity>,
    /// Never sent on: its end is the message.
    _open: oneshot::Sender<()>,
}

impl Activity {
    pub(crate) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.began.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    pub(crate) fn end(&self) {
        self.settled.store(self.reads.load(Ordering::SeqCst), Ordering::SeqCst);
        self.requests.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Asks the socket itself whether something waits in it: the runtime may not have heard of it yet.
    pub(crate) fn view(&self, protocol: Protocol, stream: &TcpStream) -> View {
        let read = self.reads.load(Ordering::SeqCst) > self.settled.load(Ordering::SeqCst);
        let incoming = if read || waiting(stream) { Incoming::Bytes } else { Incoming::Nothing };
        let began = if self.began.load(Ordering::SeqCst) == 0 { Began::Never } else { Began::Once };
        View {
            protocol,
            requests: self.requests.load(Ordering::SeqCst),
            streams: self.streams.load(Ordering::SeqCst),
            uploads: self.uploads.load(Ordering::SeqCst),
            began,
            incoming,
        }
    }

    fn read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

/// True if bytes wait in the socket.
pub(crate) fn waiting(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
}

/// Ends a connection for both sides, whoever holds its socket.
pub(crate) fn sever(stream: &TcpStream) {
    // It may be gone already.
    let _ = SockRef::from(stream).shutdown(Shutdown::Both);
}

impl Socket {
    /// The socket, and what ends when it is dropped.
    pub(crate) fn new(stream: Arc<TcpStream>, activity: Arc<Activity>) -> (Self, oneshot::Receiver<()>) {
        let (open, closed) = oneshot::channel();
        (Self { stream, activity, _open: open }, closed)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(bytes) => {
                    buf.advance(bytes);
                    if bytes > 0 {
                        self.activity.read();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            // The other side was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
