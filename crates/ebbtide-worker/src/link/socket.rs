//! Finding the socket, reading and writing it.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Takes the socket the pool gave, as a copy that no child inherits, and points descriptor 0 at the null device.
pub(super) fn take() -> io::Result<OwnedFd> {
    let socket = if let Some(path) = env::var_os("EBBTIDE_SOCKET") {
        UnixStream::connect(path)?.into()
    } else if let Some(number) = env::var_os("EBBTIDE_FD").filter(|number| number != "0") {
        let number = number.to_str().and_then(|number| number.parse().ok());
        adopt(number.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "EBBTIDE_FD is no number"))?)?
    } else {
        fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?
    };
    rustix::net::sockopt::socket_type(&socket)?;
    // Whether the pool's end blocks is the pool's business; ours does.
    rustix::io::ioctl_fionbio(&socket, false)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    Ok(socket)
}

/// A copy of the descriptor with that number. To name it by its number alone would take unsafe code; asking the kernel for one of our own
/// does not. The original stays open.
#[cfg(target_os = "linux")]
fn adopt(number: i32) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn adopt(_: i32) -> io::Result<OwnedFd> {
    Err(io::Error::new(
        ErrorKind::Unsupported,
        "EBBTIDE_FD is for Linux; elsewhere the socket is descriptor 0",
    ))
}

/// Whether a read waits for the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    Looks,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// And never again.
    Gone,
}

pub(super) fn read(socket: &OwnedFd, space: &mut [u8], patience: Patience) -> Came {
    let flags = match patience {
        Patience::Waits => RecvFlags::empty(),
        Patience::Looks => RecvFlags::DONTWAIT,
    };
    loop {
        match recv(socket, &mut *space, flags) {
            Ok((0, _)) => return Came::Gone,
            Ok((n, _)) => return Came::Bytes(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Came::Nothing,
            // A connection that is broken has nobody at its other end.
            Err(_) => return Came::Gone,
        }
    }
}

/// Writes all of it. An error means that the pool is gone.
pub(super) fn write(socket: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
