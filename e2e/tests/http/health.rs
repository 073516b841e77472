//! L-27: the health port says the truth, and for as long as the application has parts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use ebbtide::http::{Health, bind};

use super::clients::Raw;

async fn probe(address: SocketAddr, path: &str) -> String {
    let mut raw = Raw::connect(address).await;
    raw.send(&format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")).await;
    raw.rest().await.0
}

#[tokio::test]
async fn readiness_liveness_and_progress_say_what_they_are_told() {
    let health = Health::start(bind("127.0.0.1:0").unwrap()).unwrap();
    let (address, state) = (health.local_addr(), health.state());
    assert!(probe(address, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(probe(address, "/livez").await.starts_with("HTTP/1.1 200"));
    state.ready();
    assert!(probe(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    state.not_ready("stopping: increments, 12 waiting");
    let told = probe(address, "/readyz").await;
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("12 waiting"), "{told}");
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    state.progress_with(move || format!("asked {}", counter.fetch_add(1, Ordering::SeqCst) + 1));
    assert!(probe(address, "/progress").await.contains("asked 1"));
    assert!(probe(address, "/progress").await.contains("asked 2"));
    assert!(probe(address, "/livez").await.starts_with("HTTP/1.1 200"), "stopping is no reason to be killed");
    assert!(probe(address, "/nothing").await.starts_with("HTTP/1.1 404"));
    health.close();
    tokio::net::TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn probes_are_answered_while_the_runtime_of_the_application_is_blocked() {
    let health = Health::start(bind("127.0.0.1:0").unwrap()).unwrap();
    let address = health.local_addr();
    // This test's runtime has one thread, and it is here: a probe with the standard library's blocking socket proves the point.
    let probe = std::thread::Builder::new().spawn(move || {
        use std::io::{Read as _, Write as _};
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(b"GET /livez HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = probe.unwrap().join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
