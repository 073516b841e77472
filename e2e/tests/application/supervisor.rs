//! A supervisor that plays systemd's rules for Type=notify: it waits so long for a stop, longer when it is asked to in time, and
//! kills a service that does not say that it lives.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::driver::{Program, command, now};

const SECOND: Duration = Duration::from_secs(1);

struct Supervisor {
    program: Program,
    socket: UnixDatagram,
    alive_within: Option<Duration>,
    last_alive: Instant,
    stop_by: Option<Instant>,
    said: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Success,
    StopTimedOut,
    NotAlive,
}

impl Supervisor {
    fn start(scenario: &str, alive_within: Option<Duration>) -> Self {
        let name = format!("ebbtide-e2e-{}-{scenario}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(10))).expect("a time-out");
        let mut command = command(scenario);
        command.env("NOTIFY_SOCKET", format!("@{name}"));
        if let Some(within) = alive_within {
            command.env("WATCHDOG_USEC", within.as_micros().to_string());
        }
        let program = Program::start(command);
        Self { program, socket, alive_within, last_alive: now(), stop_by: None, said: Vec::new() }
    }

    fn hear(&mut self) {
        let mut buffer = [0; 4_096];
        let Ok(length) = self.socket.recv(&mut buffer) else { return };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        for line in text.lines() {
            if line == "WATCHDOG=1" || line == "READY=1" {
                self.last_alive = now();
            }
            let extension = line.strip_prefix("EXTEND_TIMEOUT_USEC=").and_then(|micros| micros.parse().ok());
            if let (Some(micros), Some(by)) = (extension, &mut self.stop_by) {
                *by = (*by).max(now() + Duration::from_micros(micros));
            }
            self.said.push(line.to_owned());
        }
    }

    fn until(&mut self, wanted: &str) {
        let begin = now();
        while !self.said.iter().any(|line| line == wanted) {
            assert!(begin.elapsed() < 60 * SECOND, "it never said {wanted:?} but {:?}", self.said);
            self.hear();
        }
    }

    /// Stops it, waits for its end by the rules, and kills it when they say so.
    fn stop(&mut self, timeout: Duration) -> Verdict {
        self.program.signal(Signal::TERM);
        self.stop_by = Some(now() + timeout);
        loop {
            self.hear();
            let late = self.stop_by.is_some_and(|by| now() > by);
            let dead = self.alive_within.is_some_and(|within| self.last_alive.elapsed() > within);
            if !self.program.is_there() {
                return Verdict::Success;
            }
            if late || dead {
                self.program.signal(Signal::KILL);
                return if late { Verdict::StopTimedOut } else { Verdict::NotAlive };
            }
        }
    }

    fn count(&self, wanted: &str) -> usize {
        self.said.iter().filter(|line| line.starts_with(wanted)).count()
    }
}

#[test]
fn l_41_while_progress_is_made_the_supervisor_is_asked_to_wait() {
    let mut supervisor = Supervisor::start("steady", None);
    supervisor.until("READY=1");
    // Twelve tasks of 0.3 s on one worker take longer than the second it would wait.
    assert_eq!(supervisor.stop(SECOND), Verdict::Success, "{:?}", supervisor.said);
    assert!(supervisor.count("EXTEND_TIMEOUT_USEC=") >= 2, "{:?}", supervisor.said);
    assert_eq!(supervisor.count("STOPPING=1"), 1);
    assert!(supervisor.count("STATUS=increments is stopping") >= 1, "{:?}", supervisor.said);
}

#[test]
fn l_41_without_progress_it_is_not() {
    let mut supervisor = Supervisor::start("stuck", None);
    supervisor.until("READY=1");
    supervisor.program.until("begun");
    assert_eq!(supervisor.stop(3 * SECOND), Verdict::StopTimedOut, "{:?}", supervisor.said);
    assert_eq!(supervisor.count("EXTEND_TIMEOUT_USEC="), 0, "{:?}", supervisor.said);
}

#[test]
fn l_42_a_long_drain_is_not_taken_for_dead() {
    let mut supervisor = Supervisor::start("five-seconds", Some(2 * SECOND));
    supervisor.until("READY=1");
    supervisor.program.until("begun");
    assert_eq!(supervisor.stop(60 * SECOND), Verdict::Success, "{:?}", supervisor.said);
    assert!(supervisor.count("WATCHDOG=1") >= 4, "{:?}", supervisor.said);
}
