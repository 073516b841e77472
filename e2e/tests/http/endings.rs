//! L-25, one test for each kind of client that an ingress finds when it stops.

use std::time::Duration;

use ebbtide::http::{Caps, Gap};
use tokio::time::timeout;

use super::{
    clients::{End, Raw, Two, body_of, head},
    service::{Fixture, PATIENCE, fixture},
};

const SHORT: Duration = Duration::from_millis(300);

/// Short where a test waits for the cut, long where it must not come.
fn caps() -> Caps {
    Caps { heads: PATIENCE, bodies: PATIENCE, streams: PATIENCE, requests: PATIENCE }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it comes in time")
}

#[tokio::test]
async fn l_25_an_idle_keep_alive_connection_is_closed_at_once() {
    let Fixture { ingress, address, .. } = fixture();
    let mut idle = Raw::get(address, "/").await;
    assert!(!idle.until("hello").await.to_lowercase().contains("connection: close"));
    let report = soon(ingress.stop(caps())).await;
    assert_eq!(idle.rest().await, (String::new(), End::Closed));
    assert!(report.duration < PATIENCE / 3, "not at a cap: {report}");
    assert_eq!((report.connections.open, report.connections.idle), (1, 1), "{report}");
    assert_eq!(report.connections.cut(), 0, "{report}");
    assert!(report.is_clean());
    println!("an idle connection: stopped in {:?}", report.duration);
}

#[tokio::test]
async fn l_25_a_request_that_waits_in_the_socket_of_an_idle_connection_is_served() {
    // On one thread the ingress cannot have read it when it is told to stop: nothing runs between the two lines.
    let Fixture { ingress, address, .. } = fixture();
    let mut raw = Raw::get(address, "/").await;
    raw.until("hello").await;
    raw.send(&head("/")).await;
    let stop = ingress.stop(caps());
    let (answer, end) = raw.rest().await;
    assert!(answer.ends_with("hello") && answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(end, End::Closed);
    let report = soon(stop).await;
    assert_eq!(report.stats.answered, 2, "{report}");
}

#[tokio::test]
async fn l_25_a_request_under_way_is_finished_and_its_connection_closed() {
    let Fixture { ingress, gates, address } = fixture();
    let mut raw = Raw::get(address, "/gate").await;
    gates.entered().await;
    let stop = ingress.stop(caps());
    assert!(raw.is_quiet(SHORT).await, "it is still served");
    gates.gate.add_permits(1);
    let (answer, end) = raw.rest().await;
    assert!(answer.contains("200 OK") && answer.ends_with("through"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(end, End::Closed);
    let report = soon(stop).await;
    assert_eq!((report.connections.finished, report.connections.cut()), (1, 0), "{report}");
    assert_eq!(report.last.map(|last| last.path).as_deref(), Some("/gate"));
}

#[tokio::test]
async fn l_25_a_connection_that_has_said_nothing_yet_may_still_ask() {
    let Fixture { ingress, address, .. } = fixture();
    let mut fresh = Raw::connect(address).await;
    // Known to be accepted before the stop, for once it is not the backlog that is tested.
    while ingress.stats().connections == 0 {
        tokio::task::yield_now().await;
    }
    let stop = ingress.stop(caps());
    assert!(fresh.is_quiet(SHORT).await, "neither closed nor reset");
    fresh.send(&head("/")).await;
    let (answer, end) = fresh.rest().await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(end, End::Closed);
    assert_eq!(soon(stop).await.connections.cut(), 0);
}

#[tokio::test]
async fn l_25_a_half_sent_head_is_cut_at_its_cap() {
    let Fixture { ingress, address, .. } = fixture();
    let mut half = Raw::connect(address).await;
    half.send("GET / HTTP/1.1\r\nHost: loop").await;
    let mut second = Raw::get(address, "/").await;
    second.until("hello").await;
    second.send("GET / HTTP/1.1\r\n").await;
    let mut silent = Raw::connect(address).await;
    while ingress.stats().connections < 3 {
        tokio::task::yield_now().await;
    }
    let report = soon(ingress.stop(Caps { heads: SHORT, ..caps() })).await;
    assert_ne!(half.rest().await.0, "hello");
    second.rest().await;
    silent.rest().await;
    assert_eq!((report.connections.cut_heads, report.connections.cut_silent), (2, 1), "{report}");
    assert!(report.duration >= SHORT && report.duration < PATIENCE / 3, "{report}");
    println!("a half-sent head: stopped in {:?} with a cap of {SHORT:?}", report.duration);
}

#[tokio::test]
async fn l_25_a_half_sent_head_that_is_completed_in_time_is_served() {
    let Fixture { ingress, address, .. } = fixture();
    let mut half = Raw::connect(address).await;
    half.send("GET / HTTP/1.1\r\nHost: loop").await;
    while ingress.stats().connections == 0 {
        tokio::task::yield_now().await;
    }
    let stop = ingress.stop(caps());
    assert!(half.is_quiet(SHORT).await);
    half.send("back\r\n\r\n").await;
    assert!(half.rest().await.0.ends_with("hello"));
    assert_eq!(soon(stop).await.connections.cut(), 0);
}

#[tokio::test]
async fn l_25_a_slow_body_is_cut_at_its_cap_and_its_handler_hears_of_it() {
    let Fixture { ingress, address, .. } = fixture();
    let mut slow = Raw::connect(address).await;
    slow.send("POST /echo HTTP/1.1\r\nHost: loopback\r\nContent-Length: 1000\r\n\r\nebb").await;
    while ingress.stats().open == 0 {
        tokio::task::yield_now().await;
    }
    let stop = ingress.stop(Caps { bodies: SHORT, ..caps() });
    let mut dripping = 0;
    let (answer, _) = loop {
        tokio::select! {
            rest = slow.rest() => break rest,
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        // One byte at a time: progress of a kind, and not enough.
        dripping += usize::from(slow.try_send("x").await);
    };
    assert!(answer.contains("HTTP/1.1 400"), "axum says so when a body breaks off: {answer}");
    let report = soon(stop).await;
    assert_eq!(report.connections.cut_bodies, 1, "{report}, {dripping} bytes");
    assert!(report.duration < PATIENCE / 3, "{report}");
    println!("a slow body: stopped in {:?} with a cap of {SHORT:?}", report.duration);
}

#[tokio::test]
async fn l_25_an_upload_that_ends_in_time_is_answered() {
    let Fixture { ingress, address, .. } = fixture();
    let mut upload = Raw::connect(address).await;
    upload.send("POST /echo HTTP/1.1\r\nHost: loopback\r\nContent-Length: 7\r\n\r\nebb").await;
    while ingress.stats().open == 0 {
        tokio::task::yield_now().await;
    }
    let stop = ingress.stop(caps());
    assert!(upload.is_quiet(SHORT).await);
    upload.send("tide").await;
    let (answer, end) = upload.rest().await;
    assert!(answer.ends_with("ebbtide"), "{answer}");
    assert_eq!(end, End::Closed);
    assert_eq!(soon(stop).await.connections.cut(), 0);
}

#[tokio::test]
async fn l_25_an_answer_that_came_before_its_request_was_read_arrives() {
    let Fixture { ingress, address, .. } = fixture();
    let mut upload = Raw::connect(address).await;
    upload.send("POST /unread HTTP/1.1\r\nHost: loopback\r\nContent-Length: 100000\r\n\r\n").await;
    while ingress.stats().requests == 0 {
        tokio::task::yield_now().await;
    }
    let stop = ingress.stop(caps());
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if !upload.try_send(&"x".repeat(1000)).await {
            break;
        }
    }
    let (answer, _) = upload.rest().await;
    assert!(answer.ends_with("too much"), "a close with unread bytes would have reset it: {answer:?}");
    soon(stop).await;
}

#[tokio::test]
async fn l_25_a_stream_is_told_and_ends_by_itself() {
    let Fixture { ingress, gates, address } = fixture();
    let mut events = Raw::get(address, "/polite").await;
    events.until("data: first").await;
    ingress.leave();
    assert!(events.is_quiet(SHORT).await, "not during the deregistration delay");
    let stop = ingress.stop(caps());
    soon(gates.told.notified()).await;
    let (last, end) = events.rest().await;
    assert!(last.contains("data: bye") && last.ends_with("0\r\n\r\n"), "to its proper end: {last:?}");
    assert_eq!(end, End::Closed);
    let report = soon(stop).await;
    assert_eq!(report.connections.cut(), 0, "{report}");
}

#[tokio::test]
async fn l_25_a_stream_that_does_not_end_is_cut_at_its_cap() {
    let Fixture { ingress, gates, address } = fixture();
    let mut endless = Raw::get(address, "/endless").await;
    endless.until("data: again").await;
    // Silent, and deaf to what it is told.
    let mut served = Raw::get(address, "/gate").await;
    gates.entered().await;
    let stop = ingress.stop(Caps { streams: SHORT, ..caps() });
    let (rest, _) = endless.rest().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "a client must see that it was not the end: {rest:?}");
    assert!(served.is_quiet(SHORT).await, "a request is not a stream");
    gates.gate.add_permits(1);
    assert!(served.rest().await.0.ends_with("through"));
    let report = soon(stop).await;
    assert_eq!((report.connections.cut_streams, report.connections.finished), (1, 1), "{report}");
}

#[tokio::test]
async fn l_25_http_2_gets_goaway_and_its_streams_finish() {
    let Fixture { ingress, gates, address } = fixture();
    let mut two = Two::connect(address).await;
    let waiting = [two.get("/gate"), two.get("/gate"), two.get("/gate")];
    for _ in &waiting {
        soon(gates.entered()).await;
    }
    let stop = ingress.stop(caps());
    // GOAWAY has come when the client cannot send more on it; what it sent before is answered.
    while let Ok(answer) = soon(two.get("/")).await.unwrap() {
        assert_eq!(body_of(answer).await, ("hello".to_owned(), true));
    }
    assert_eq!((ingress.stats().open, ingress.stats().connections), (3, 1), "its streams are still open");
    gates.gate.add_permits(3);
    for answer in waiting {
        let answer = soon(answer).await.unwrap().expect("its stream finishes");
        assert_eq!(body_of(answer).await, ("through".to_owned(), true));
    }
    soon(two.ended).await.unwrap().expect("no error ends the connection");
    let report = soon(stop).await;
    assert_eq!((report.connections.finished, report.connections.cut()), (1, 0), "{report}");
}

#[tokio::test]
async fn l_25_an_idle_http_2_connection_goes_at_once() {
    let Fixture { ingress, address, .. } = fixture();
    let mut two = Two::connect(address).await;
    let answer = soon(two.get("/")).await.unwrap().unwrap();
    assert_eq!(body_of(answer).await, ("hello".to_owned(), true));
    let report = soon(ingress.stop(caps())).await;
    soon(two.ended).await.unwrap().expect("no error ends the connection");
    assert!(report.duration < PATIENCE / 3 && report.connections.idle == 1, "{report}");
}

#[tokio::test]
async fn l_25_one_stream_of_http_2_is_cut_and_the_others_go_on() {
    let Fixture { ingress, gates, address } = fixture();
    let mut two = Two::connect(address).await;
    let endless = soon(two.get("/endless")).await.unwrap().unwrap();
    let waiting = two.get("/gate");
    soon(gates.entered()).await;
    let stop = ingress.stop(Caps { streams: SHORT, ..caps() });
    let (text, whole) = body_of(endless).await;
    assert!(text.contains("again") && !whole, "{text}");
    gates.gate.add_permits(1);
    let answer = soon(waiting).await.unwrap().expect("the other stream finishes");
    assert_eq!(body_of(answer).await.0, "through");
    let report = soon(stop).await;
    assert_eq!((report.connections.cut_streams, report.connections.cut_requests), (1, 0), "{report}");
}

async fn web_socket(fixture: &Fixture) -> Raw {
    let mut raw = Raw::connect(fixture.address).await;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    raw.send(&format!(
        "GET /ws HTTP/1.1\r\nHost: loopback\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ))
    .await;
    assert!(raw.until("\r\n\r\n").await.contains("101 Switching"));
    raw
}

#[tokio::test]
async fn l_25_a_web_socket_is_told_and_closes_with_1001() {
    let fixture = fixture();
    let mut talking = web_socket(&fixture).await;
    // A text frame, masked with zeros; it comes back without a mask.
    talking.send_bytes(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await;
    talking.until("hi").await;
    let stop = fixture.ingress.stop(caps());
    let (bytes, _) = talking.rest_bytes().await;
    assert_eq!(bytes[0], 0x88, "a close frame: {bytes:?}");
    assert_eq!(u16::from_be_bytes([bytes[2], bytes[3]]), 1001, "{bytes:?}");
    let report = soon(stop).await;
    assert_eq!(report.connections.cut(), 0, "{report}");
}

#[tokio::test]
async fn l_25_a_web_socket_that_does_not_listen_is_cut_at_its_cap() {
    let fixture = fixture();
    let mut deaf = web_socket(&fixture).await;
    deaf.send_bytes(&[0x81, 0x84, 0, 0, 0, 0, b's', b't', b'a', b'y']).await;
    assert!(deaf.is_quiet(SHORT).await);
    let report = soon(fixture.ingress.stop(Caps { streams: SHORT, ..caps() })).await;
    deaf.rest().await;
    assert_eq!(report.connections.cut_streams, 1, "{report}");
    assert!(report.duration < PATIENCE / 3, "{report}");
}

#[tokio::test]
async fn the_last_cap_cuts_a_request_and_says_so() {
    let Fixture { ingress, gates, address } = fixture();
    let mut raw = Raw::get(address, "/gate").await;
    gates.entered().await;
    let mut two = Two::connect(address).await;
    let stuck = two.get("/gate");
    gates.entered().await;
    let report = soon(ingress.stop(Caps::within(SHORT))).await;
    assert_eq!(raw.rest().await.0, "");
    assert!(soon(stuck).await.unwrap().is_err());
    assert_eq!(report.connections.cut_requests, 2, "{report}");
    assert_eq!((report.stats.unfinished, report.stats.open), (2, 0), "{report:?}");
    assert!(!report.is_clean());
    assert!(report.to_string().contains("2 cut in a request"), "{report}");
}

#[tokio::test]
async fn a_forced_stop_cuts_now_and_any_number_of_stops_are_one() {
    let Fixture { ingress, gates, address } = fixture();
    let mut raw = Raw::get(address, "/gate").await;
    gates.entered().await;
    let first = ingress.stop(caps());
    let second = ingress.force();
    let (first, second) = (soon(first).await, soon(second).await);
    assert_eq!(raw.rest().await.0, "");
    assert_eq!(first.connections, second.connections);
    assert_eq!((first.connections.cut_requests, first.failed.as_deref()), (1, Some("forced")));
    assert_eq!(first.gap, Some(Gap::Shut));
}
