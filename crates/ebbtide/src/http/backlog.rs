//! Closing a listener without resetting anybody: see "How the listener is closed" in the room's documentation.

use std::{io, net::SocketAddr, net::TcpListener, net::TcpStream, time::Duration};

use super::report::Gap;
use crate::clock::Moment;

/// Handshakes that are under way take a round trip, and a second more for a packet that was lost (the first repetition; an accept queue that
/// is full loses the last packet too). They are waited for this long.
const HANDSHAKES: Duration = Duration::from_millis(1_200);
/// How long one look at the system's table may take: with tens of thousands of connections on a busy machine it takes its time.
const TABLE_READ: Duration = Duration::from_secs(2);
/// How often they are looked at, and how long a listener on which nothing happens is left open after it was filtered: a packet that
/// was let through just before is processed by then.
const LOOK: Duration = Duration::from_millis(2);

/// Whether somebody may be connecting right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Clients are far away, or have connected lately: the system's table of connections is read, which takes up to tens of
    /// milliseconds on a large machine.
    Likely,
    /// Only this machine can connect, and nobody has of late.
    None,
}

/// Accepts what the backlog holds and what is on its way into it, then closes the listener. The listener does not block.
pub(crate) async fn close(
    listener: TcpListener,
    traffic: Traffic,
    mut accepted: impl FnMut(TcpStream, SocketAddr),
) -> Gap {
    let filtered = shut(&listener).is_ok();
    let begin = Moment::now();
    let mut traffic = traffic;
    let gap = loop {
        let mut came = 0;
        let emptied = accept_all(&listener, |stream, peer| {
            came += 1;
            accepted(stream, peer);
        });
        if !filtered {
            break Gap::Open;
        }
        if came > 0 {
            traffic = Traffic::Likely;
        }
        let late = Moment::now().since(begin) >= HANDSHAKES;
        tokio::time::sleep(LOOK).await;
        let under_way = match traffic {
            Traffic::Likely => handshakes(&listener).await,
            Traffic::None => Some(0),
        };
        match (emptied, under_way) {
            // Looked at after it was filtered, so none can begin; once more for the last that ended meanwhile.
            (true, Some(0)) if accept_all(&listener, &mut accepted) => break Gap::Shut,
            _ if late => break Gap::HandshakesLeft,
            _ => {}
        }
    };
    drop(listener);
    gap
}

/// True if it was accepted to its end.
fn accept_all(listener: &TcpListener, mut accepted: impl FnMut(TcpStream, SocketAddr)) -> bool {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => accepted(stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            // Gone while it waited; the next one may be there.
            Err(error) if is_of_the_connection(&error) => {}
            // No file descriptor is free: those that are open end.
            Err(_) => return false,
        }
    }
}

/// Errors of `accept` that concern the one connection, not the listener.
pub(crate) fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Drops every packet that asks for a new connection (SYN without ACK) and lets all others through: the ends of handshakes under way, and all
/// that comes on connections, which inherit the filter.
#[cfg(target_os = "linux")]
fn shut(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    // Byte 13 of a TCP header are its flags; 0x02 is SYN, 0x10 ACK. In words: A = [13]; A &= 0x12; A == 0x02 ? drop : pass.
    let program = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&program)
}

#[cfg(not(target_os = "linux"))]
fn shut(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many connections to the listener's port are between SYN and ACK; `None` if that cannot be told.
async fn handshakes(listener: &TcpListener) -> Option<usize> {
    let address = listener.local_addr().ok()?;
    let read = move || {
        let four = std::fs::read_to_string("/proc/self/net/tcp").ok()?;
        // A listener for IPv6 may take both kinds.
        let six = address.is_ipv6().then(|| std::fs::read_to_string("/proc/self/net/tcp6").ok());
        Some(half_open(&four, address.port()) + half_open(&six.flatten().unwrap_or_default(), address.port()))
    };
    // It is a file in name only: the system walks all of its connections.
    let read = tokio::task::spawn_blocking(read);
    // The threads for that may all be taken by what hangs; the listener is closed all the same.
    tokio::time::timeout(TABLE_READ, read).await.ok()?.ok().flatten()
}

/// Rows `sl local_address rem_address st …` in state 03 whose local port is this one, all in hexadecimal.
fn half_open(table: &str, port: u16) -> usize {
    let port = format!("{port:04X}");
    let half = table.lines().skip(1).filter(|row| {
        let mut words = row.split_ascii_whitespace().skip(1);
        let local = words.next().and_then(|local| local.rsplit(':').next());
        local == Some(&*port) && words.nth(1) == Some("03")
    });
    half.count()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        time::Duration,
    };

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1127 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 03 00000000:00000000 01:00000063 00000000     0        0 0 0 0
   2: 0100007F:C350 0100007F:1F90 02 00000000:00000000 01:00000063 00000000     0        0 0 0 0
   3: 0100007F:1F91 0100007F:C351 03 00000000:00000000 01:00000063 00000000     0        0 0 0 0
   4: 0100007F:1F90 0100007F:C352 01 00000000:00000000 00:00000000 00000000     0        0 99 1 0
";

    #[test]
    fn only_handshakes_of_this_port_count() {
        assert_eq!(half_open(TABLE, 8080), 1);
        assert_eq!(half_open(TABLE, 8081), 1);
        assert_eq!(half_open(TABLE, 0xC350), 0);
        assert_eq!(half_open("", 8080), 0);
    }

    fn close_now(listener: TcpListener) -> (Vec<TcpStream>, Gap) {
        listener.set_nonblocking(true).unwrap();
        let mut accepted = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let gap = runtime.block_on(close(listener, Traffic::None, |stream, _| accepted.push(stream)));
        (accepted, gap)
    }

    #[test]
    fn everybody_in_the_backlog_is_accepted_and_who_comes_later_is_refused() {
        for address in [std::net::IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            // A machine without IPv6 cannot bind it.
            let Ok(listener) = TcpListener::bind((address, 0)) else { continue };
            let address = listener.local_addr().unwrap();
            let waiting: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
            let (accepted, gap) = close_now(listener);
            assert_eq!(accepted.len(), waiting.len());
            assert_eq!(gap, if cfg!(target_os = "linux") { Gap::Shut } else { Gap::Open });
            let late = TcpStream::connect(address).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_shut_listener_drops_newcomers_and_its_connections_still_carry_bytes() {
        use std::io::{Read, Write};
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        shut(&listener).unwrap();
        let newcomer = TcpStream::connect_timeout(&address, Duration::from_millis(200)).unwrap_err();
        assert_eq!(newcomer.kind(), io::ErrorKind::TimedOut, "neither accepted nor reset");
        let (mut server, _) = listener.accept().unwrap();
        drop(listener);
        client.write_all(b"ebb").unwrap();
        let mut word = [0; 3];
        server.read_exact(&mut word).unwrap();
        server.write_all(b"tide").unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((&word, &*answer), (b"ebb", "tide"));
    }
}
