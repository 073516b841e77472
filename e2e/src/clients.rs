//! Clients under load that can tell what became of each request: answered, refused before it was sent, or sent and not answered.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::servers::now;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(1);

/// Clients that ask until they are told to stop.
#[derive(Debug)]
pub struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Tally>>,
}

/// What clients saw.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers of 2xx.
    pub answered: u64,
    /// Other answers: their status.
    pub others: Vec<u16>,
    /// Requests that were sent on a connection of their own and not answered: the promise to whoever is accepted, broken.
    pub dropped: Vec<String>,
    /// Requests that were sent on a connection that had served before and was closed at that very moment.
    pub raced: u64,
    /// When connecting was refused.
    pub refused: Vec<Instant>,
}

/// How a client treats its connection.
#[derive(Clone, Copy, Debug)]
pub enum Habit {
    /// Uses it until the server closes it, then tries again on a new one.
    Keeps,
    /// A new one for each request.
    Renews,
}

struct Client {
    address: SocketAddr,
    request: String,
    habit: Habit,
    kept: Option<TcpStream>,
    tally: Tally,
}

impl Clients {
    /// Starts one thread per habit, each of which sends `request` line (`POST /incr`) again and again.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start(address: SocketAddr, request: &str, habits: &[Habit]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = |&habit: &Habit| {
            let connection = match habit {
                Habit::Keeps => "keep-alive",
                Habit::Renews => "close",
            };
            let request = format!(
                "{request} HTTP/1.1\r\nHost: loopback\r\nContent-Length: 0\r\nConnection: {connection}\r\n\r\n"
            );
            let mut client = Client { address, request, habit, kept: None, tally: Tally::default() };
            let over = Arc::clone(&over);
            let body = move || {
                while !over.load(Ordering::SeqCst) {
                    client.once();
                    thread::park_timeout(PAUSE);
                }
                client.tally
            };
            thread::Builder::new().name("client".to_owned()).spawn(body).expect("a thread")
        };
        let threads = habits.iter().map(thread).collect();
        Self { over, threads }
    }

    /// Tells them to stop, and adds up what they saw.
    ///
    /// # Panics
    /// When one of them did.
    #[must_use]
    pub fn stop(self) -> Tally {
        self.over.store(true, Ordering::SeqCst);
        let mut all = Tally::default();
        for thread in self.threads {
            let one = thread.join().expect("a client does not panic");
            all.answered += one.answered;
            all.raced += one.raced;
            all.others.extend(one.others);
            all.dropped.extend(one.dropped);
            all.refused.extend(one.refused);
        }
        all
    }
}

impl Tally {
    /// Requests of which nobody can know whether they were served.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.raced + u64::try_from(self.dropped.len()).expect("few")
    }
}

impl Client {
    fn once(&mut self) {
        if let Some(mut kept) = self.kept.take() {
            match self.ask(&mut kept) {
                Ok(keep) => self.kept = keep.then_some(kept),
                // The next turn is the second try, on a new connection.
                Err(_) => self.tally.raced += 1,
            }
            return;
        }
        let mut fresh = match TcpStream::connect(self.address) {
            Ok(fresh) => fresh,
            Err(_) => return self.tally.refused.push(now()),
        };
        match self.ask(&mut fresh) {
            Ok(keep) => self.kept = keep.then_some(fresh),
            Err(error) => self.tally.dropped.push(error.to_string()),
        }
    }

    /// True if the connection may be used again.
    fn ask(&mut self, socket: &mut TcpStream) -> io::Result<bool> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(self.request.as_bytes())?;
        let (head, rest) = read_head(socket)?;
        let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length - rest.min(length)];
        socket.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        match status.ok_or(io::ErrorKind::InvalidData)? {
            200..=299 => self.tally.answered += 1,
            other => self.tally.others.push(other),
        }
        let closes = header(&head, "connection").is_some_and(|text| text.eq_ignore_ascii_case("close"));
        Ok(matches!(self.habit, Habit::Keeps) && !closes)
    }
}

/// The head of an answer, and how many bytes of its body came with it.
fn read_head(socket: &mut TcpStream) -> io::Result<(String, usize)> {
    let (mut all, mut part) = (Vec::new(), [0; 1024]);
    loop {
        let bytes = match socket.read(&mut part) {
            // The process was suspended and goes on.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        all.extend_from_slice(&part[..bytes]);
        if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok((String::from_utf8_lossy(&all[..end]).into_owned(), all.len() - end - 4));
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
