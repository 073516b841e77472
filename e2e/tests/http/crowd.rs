//! Many clients that connect and ask while the ingress stops: whoever was accepted is answered.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ebbtide::http::{Caps, Gap, Ingress, bind};

use super::service::PATIENCE;

/// What one client saw, on one connection each.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Answered,
    /// Not accepted: connecting was refused, which is honest.
    Refused,
    /// Connected, and then not answered: the promise is broken.
    Dropped(String),
}

fn ask(address: SocketAddr) -> Seen {
    let mut socket = match TcpStream::connect(address) {
        Ok(socket) => socket,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Seen::Refused,
        Err(error) => return Seen::Dropped(format!("connecting: {error}")),
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    let asked = socket
        .write_all(b"GET / HTTP/1.1\r\nHost: loopback\r\nConnection: close\r\n\r\n")
        .and_then(|()| socket.read_to_string(&mut answer));
    match asked {
        Ok(_) if answer.ends_with("hello") => Seen::Answered,
        Ok(_) => Seen::Dropped(format!("answered {answer:?}")),
        Err(error) => Seen::Dropped(format!("asking: {error}")),
    }
}

/// Clients on threads until all of them are refused, an ingress that stops in their midst.
fn round(number: u64) -> (Vec<Seen>, Option<Gap>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    let ingress = Ingress::builder("api").runtime(runtime.handle().clone());
    let ingress = ingress.start(bind("127.0.0.1:0").unwrap(), router).unwrap();
    let address = ingress.local_addr();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let over = Arc::clone(&over);
            let body = move || {
                let mut seen = Vec::new();
                while !over.load(Ordering::SeqCst) && !seen.contains(&Seen::Refused) {
                    seen.push(ask(address));
                }
                seen
            };
            std::thread::Builder::new().spawn(body).unwrap()
        })
        .collect();
    std::thread::park_timeout(Duration::from_millis(20 + number * 7 % 30));
    let report = ingress.stop(Caps::within(PATIENCE)).wait_timeout(PATIENCE).expect("it stops");
    over.store(true, Ordering::SeqCst);
    let seen = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert_eq!(report.connections.cut(), 0, "{report}");
    (seen, report.gap)
}

#[test]
fn nobody_who_was_accepted_is_reset_when_the_listener_closes() {
    // A round takes a second, since somebody always tries to connect while the gap is shut; some go on at the same time.
    let rounds = if std::env::var_os("EBBTIDE_LONG").is_some() { 100 } else { 12 };
    let lane = |lane: u64| {
        let mut answered = 0;
        for number in 0..rounds {
            let (seen, gap) = round(lane * 1000 + number);
            let dropped: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Dropped(_))).collect();
            assert!(dropped.is_empty(), "round {number}: {dropped:?}");
            answered += seen.iter().filter(|seen| **seen == Seen::Answered).count();
            assert_eq!(gap, if cfg!(target_os = "linux") { Some(Gap::Shut) } else { Some(Gap::Open) });
        }
        answered
    };
    let lanes = 5;
    let answered: usize = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    println!("{} stops, {answered} connections answered, none reset", lanes * rounds);
    assert!(answered > 100);
}

/// The same with a listener that is just dropped, so that the test above is known to bite.
#[test]
fn a_listener_that_is_just_closed_resets_who_waits_in_its_backlog() {
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = TcpStream::connect(address).unwrap();
    drop(listener);
    // It thinks that it is connected, asks, and is reset.
    let asked = waiting.write_all(b"GET / HTTP/1.1\r\nHost: loopback\r\n\r\n");
    let asked = asked.and_then(|()| waiting.read(&mut [0; 1]));
    let error = asked.expect_err("it was accepted by nobody");
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}
