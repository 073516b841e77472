//! What goes wrong while an ingress serves: handlers that panic, limits, ports in use.

use std::{net::TcpListener, time::Duration};

use ebbtide::http::{Caps, Ingress, Limits, Peer, bind};
use tokio::time::timeout;

use super::{
    clients::{Raw, Two, body_of},
    service::{Fixture, PATIENCE, fixture},
};

#[tokio::test]
async fn a_handler_that_panics_costs_its_request_only() {
    let Fixture { ingress, address, .. } = fixture();
    let mut raw = Raw::get(address, "/panic").await;
    assert!(raw.until("\r\n\r\n").await.contains("500 Internal"));
    raw.send(&super::clients::head("/")).await;
    assert!(raw.until("hello").await.contains("200 OK"), "on the same connection");
    let mut two = Two::connect(address).await;
    let (panicking, fine) = (two.get("/panic"), two.get("/"));
    assert_eq!(panicking.await.unwrap().unwrap().status(), 500);
    assert_eq!(body_of(fine.await.unwrap().unwrap()).await.0, "hello");
    let mut later = Raw::get(address, "/panic-later").await;
    later.until("data: first").await;
    assert!(!later.rest().await.0.ends_with("0\r\n\r\n"), "its body was broken off, not ended");
    drop((raw, two));
    let report = timeout(PATIENCE, ingress.stop(Caps::default())).await.unwrap();
    assert_eq!(report.stats.panicked, 3, "{report:?}");
    assert_eq!(report.stats.requests, report.stats.answered + 3, "{report:?}");
}

#[tokio::test]
async fn more_connections_than_the_limit_wait_and_are_served_later() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let ingress = Ingress::builder("narrow").limits(limits);
    let ingress = ingress.start(bind("127.0.0.1:0").unwrap(), axum::Router::new()).unwrap();
    let address = ingress.local_addr();
    let mut first = Raw::get(address, "/").await;
    first.until("404").await;
    let mut second = Raw::get(address, "/").await;
    second.until("404").await;
    let mut third = Raw::get(address, "/").await;
    assert!(third.is_quiet(Duration::from_millis(300)).await, "it waits in the backlog");
    assert_eq!(ingress.stats().connections, 2);
    drop(first);
    third.until("404").await;
    // One that still waits when the ingress stops was accepted by the system, and is served whatever the limit.
    let mut fourth = Raw::get(address, "/").await;
    let report = timeout(PATIENCE, ingress.stop(Caps::default())).await.unwrap();
    assert!(fourth.rest().await.0.contains("404"));
    assert_eq!(report.connections.backlog, 1, "{report}");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up_while_serving_too() {
    let limits = Limits { head_timeout: Duration::from_millis(200), ..Limits::default() };
    let ingress = Ingress::builder("impatient").limits(limits);
    let ingress = ingress.start(bind("127.0.0.1:0").unwrap(), axum::Router::new()).unwrap();
    let address = ingress.local_addr();
    let (mut silent, mut half) = (Raw::connect(address).await, Raw::connect(address).await);
    half.send("GET / HT").await;
    silent.rest().await;
    half.rest().await;
    while ingress.stats().connections > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_handler_can_know_its_client() {
    let peer = async |axum::Extension(Peer(peer)): axum::Extension<Peer>| peer.to_string();
    let router = axum::Router::new().route("/", axum::routing::get(peer));
    let ingress = Ingress::builder("api").start(bind("127.0.0.1:0").unwrap(), router).unwrap();
    let mut raw = Raw::get(ingress.local_addr(), "/").await;
    raw.until("127.0.0.1:").await;
}

#[test]
fn a_port_in_use_is_said_with_its_number() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("another program listens"), "{error}");
    let error = bind("nonsense").unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:8080"), "an example: {error}");
}

#[test]
fn without_a_runtime_the_error_says_what_to_do() {
    let error = Ingress::builder("api").start(bind("127.0.0.1:0").unwrap(), axum::Router::new()).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn a_runtime_that_ends_first_does_not_leave_the_stop_waiting() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build().unwrap();
    let ingress = Ingress::builder("api").runtime(runtime.handle().clone());
    let ingress = ingress.start(bind("127.0.0.1:0").unwrap(), axum::Router::new()).unwrap();
    runtime.shutdown_background();
    let report = ingress.stop(Caps::default()).wait_timeout(PATIENCE).expect("it does not hang");
    assert!(report.failed.is_some_and(|failed| failed.contains("runtime ended")));
}
