//! The same clients at a plain axum server with its own graceful shutdown: what this ingress is for.

use std::time::Duration;

use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use super::{
    clients::Raw,
    service::{Gates, router},
};

async fn plain() -> (std::net::SocketAddr, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    // Its handlers ask for the notice that only our ingress gives; the two used here do not.
    let router = router(Gates::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    (address, stop, tokio::spawn(server.into_future()))
}

#[tokio::test]
async fn plain_axum_does_not_end_while_a_stream_or_half_a_head_is_open() {
    for path in ["/endless", "half"] {
        let (address, stop, server) = plain().await;
        let mut raw = Raw::connect(address).await;
        if path == "half" {
            raw.send("GET / HTTP/1.1\r\nHost: loop").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            raw.send(&super::clients::head(path)).await;
            raw.until("data: again").await;
        }
        stop.send(()).unwrap();
        // Ours is over within its cap, which is a fraction of this in the tests of L-25.
        let over = timeout(Duration::from_secs(3), server).await;
        println!("plain axum with {path}: {}", if over.is_ok() { "ended" } else { "alive after 3 s" });
        assert!(over.is_err(), "{path}: axum has learned it; say so in the papers");
    }
}
