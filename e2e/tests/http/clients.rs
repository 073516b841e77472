//! Clients that do exactly what they are told, byte by byte, and one for HTTP/2.

use std::{net::SocketAddr, time::Duration};

use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::service::PATIENCE;

/// A connection on which bytes are sent and read as they are.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn get(address: SocketAddr, path: &str) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&head(path)).await;
        raw
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what may find nobody who reads it.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// Reads until what has come contains `text`; gives all of it and forgets it.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let all = String::from_utf8_lossy(&self.read).into_owned();
            if all.contains(text) {
                self.read.clear();
                return all;
            }
            let more = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            let more = more.unwrap_or_else(|_| panic!("waited for {text:?}, got {all:?}"));
            assert_ne!(more.unwrap(), 0, "closed before {text:?}, after {all:?}");
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> (String, End) {
        let (bytes, end) = self.rest_bytes().await;
        (String::from_utf8_lossy(&bytes).into_owned(), end)
    }

    pub(crate) async fn rest_bytes(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            match timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.expect("it is closed") {
                Ok(0) => break End::Closed,
                Ok(_) => {}
                Err(_) => break End::Reset,
            }
        };
        (std::mem::take(&mut self.read), end)
    }

    /// True if nothing comes and nothing ends for that long.
    pub(crate) async fn is_quiet(&mut self, for_so_long: Duration) -> bool {
        timeout(for_so_long, self.stream.read_buf(&mut self.read)).await.is_err()
    }
}

/// The head of a request on a connection that is kept.
pub(crate) fn head(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: loopback\r\n\r\n")
}

/// An HTTP/2 connection.
pub(crate) struct Two {
    pub(crate) requests: http2::SendRequest<String>,
    /// Resolves when the connection has ended.
    pub(crate) ended: JoinHandle<Result<(), hyper::Error>>,
}

impl Two {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (requests, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        Self { requests, ended: tokio::spawn(connection) }
    }

    /// Sends a request; its answer comes when it comes.
    pub(crate) fn get(&mut self, path: &str) -> JoinHandle<Result<Response<Incoming>, hyper::Error>> {
        let request = Request::get(format!("http://loopback{path}")).body(String::new()).unwrap();
        tokio::spawn(self.requests.send_request(request))
    }
}

/// A body's bytes, and whether it came to its end.
pub(crate) async fn body_of(answer: Response<Incoming>) -> (String, bool) {
    let mut body = answer.into_body();
    let mut text = String::new();
    loop {
        let frame =
            std::future::poll_fn(|cx| hyper::body::Body::poll_frame(std::pin::Pin::new(&mut body), cx));
        match timeout(PATIENCE, frame).await.expect("the body ends") {
            None => return (text, true),
            Some(Err(_)) => return (text, false),
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    text += &String::from_utf8_lossy(bytes);
                }
            }
        }
    }
}
