//! Telling the supervisor: systemd's notify protocol, which others speak too. Datagrams of lines to the socket in `NOTIFY_SOCKET`.

use std::time::Duration;

use crate::clock::Moment;

/// Asked for with every message about progress: until then another must come.
pub(crate) const EXTENSION: Duration = Duration::from_secs(5);

/// Sends what a supervisor wants to know; silent where there is none.
#[derive(Debug)]
pub(crate) struct Notifier {
    #[cfg(target_os = "linux")]
    socket: Option<std::os::unix::net::UnixDatagram>,
    /// How often the supervisor wants to hear that we live.
    alive: Option<Duration>,
    next_alive: Option<Moment>,
    status: String,
}

impl Notifier {
    /// Knows nobody.
    pub(crate) fn silent() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            socket: None,
            alive: None,
            next_alive: None,
            status: String::new(),
        }
    }

    /// Whoever the environment names.
    ///
    /// # Errors
    /// A text, when it names one who cannot be reached.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_environment() -> Result<Self, String> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::silent());
        };
        let socket = connect(&name).map_err(|error| {
            format!("NOTIFY_SOCKET names {}, which cannot be reached: {error}", name.to_string_lossy())
        })?;
        let alive = alive_interval(
            std::env::var("WATCHDOG_USEC").ok().as_deref(),
            std::env::var("WATCHDOG_PID").ok().as_deref(),
            std::process::id(),
        );
        Ok(Self {
            socket: Some(socket),
            alive,
            next_alive: alive.map(|_| Moment::now()),
            status: String::new(),
        })
    }

    /// There is no such protocol elsewhere.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn from_environment() -> Result<Self, String> {
        Ok(Self::silent())
    }

    pub(crate) fn ready(&mut self) {
        self.send("READY=1\nSTATUS=ready");
    }

    pub(crate) fn stopping(&mut self) {
        self.send("STOPPING=1");
    }

    /// Progress was made: the supervisor should wait at least so long for more.
    pub(crate) fn extend(&mut self) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
    }

    /// Tells what we are doing, if it is not what we told last.
    pub(crate) fn status(&mut self, text: &str) {
        if text != self.status {
            text.clone_into(&mut self.status);
            self.send(&format!("STATUS={}", text.replace('\n', " ")));
        }
    }

    /// Says that we live, if it is time. Gives when it is time again.
    pub(crate) fn keep_alive(&mut self, now: Moment) -> Option<Moment> {
        if let (Some(due), Some(alive)) = (self.next_alive, self.alive)
            && now >= due
        {
            self.send("WATCHDOG=1");
            self.next_alive = Some(now.plus(alive));
        }
        self.next_alive
    }

    /// A full or vanished socket must not hold anybody up; the supervisor's own time-outs are its answer.
    fn send(&mut self, text: &str) {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.socket {
            let _ = socket.send(text.as_bytes());
        }
        let _ = text;
    }
}

#[cfg(target_os = "linux")]
fn connect(name: &std::ffi::OsStr) -> std::io::Result<std::os::unix::net::UnixDatagram> {
    use std::os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    };
    let address = match name.as_bytes() {
        [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(std::io::Error::other("it begins neither with / nor with @")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Half of what the supervisor waits for, if it waits for us.
#[cfg(any(target_os = "linux", test))]
fn alive_interval(micros: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let micros: u64 = micros?.parse().ok().filter(|&micros| micros > 0)?;
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    ours.then(|| Duration::from_micros(micros) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_half_of_what_is_waited_for_and_only_if_it_is_ours() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(alive_interval(Some("2000000"), None, 7), second);
        assert_eq!(alive_interval(Some("2000000"), Some("7"), 7), second);
        assert_eq!(alive_interval(Some("2000000"), Some("8"), 7), None);
        for bad in ["", "0", "-1", "two"] {
            assert_eq!(alive_interval(Some(bad), None, 7), None, "{bad}");
        }
        assert_eq!(alive_interval(None, Some("7"), 7), None);
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let mut silent = Notifier::silent();
        silent.ready();
        silent.status("x");
        assert_eq!(silent.keep_alive(Moment::from_nanos(1)), None);
    }
}
