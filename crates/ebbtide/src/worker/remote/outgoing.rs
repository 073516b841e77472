//! What goes out to a worker process: frames of several threads, in order, none of which may block the others.
//!
//! Everybody appends; one at a time takes what there is and writes it without holding the lock. Who must not block (the reader, an alarm) leaves to the
//! driver what the socket does not take at once.

use rustix::io::Errno;

use super::machine::Socket;
use crate::sync::Mutex;

/// A buffer that grew beyond this is given back once it is empty.
const KEEP: usize = 2 << 20;

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    /// Somebody writes what was taken.
    busy: bool,
}

pub(super) struct Outgoing(Mutex<Out>);

/// Whether a write may wait for the worker to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Wait,
    DoNotWait,
}

/// What is left after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// All of it is written, or somebody else is at it.
    Nothing,
    /// The socket takes no more now: somebody has to wait for it.
    Something,
    /// Nobody reads any more.
    Gone,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Out::default()))
    }

    /// Appends frames, leaving `frames` empty and as large as it was.
    pub(super) fn append(&self, frames: &mut Vec<u8>) {
        let mut out = self.0.lock();
        if out.bytes.is_empty() {
            std::mem::swap(&mut out.bytes, frames);
        } else {
            out.bytes.extend_from_slice(frames);
        }
        drop(out);
        frames.clear();
        if frames.capacity() > KEEP {
            *frames = Vec::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().bytes.is_empty()
    }

    /// Writes what there is.
    pub(super) fn flush(&self, socket: &Socket, patience: Patience) -> Left {
        let mut taken = {
            let mut out = self.0.lock();
            if out.busy || out.bytes.is_empty() {
                return Left::Nothing;
            }
            out.busy = true;
            std::mem::take(&mut out.bytes)
        };
        loop {
            let left = write_all(socket, &taken, patience);
            let mut out = self.0.lock();
            match left {
                Ok(0) => {}
                Ok(left) => {
                    let rest = taken.len() - left;
                    taken.drain(..rest);
                    taken.append(&mut out.bytes);
                    (out.bytes, out.busy) = (taken, false);
                    return Left::Something;
                }
                Err(_) => {
                    // What came meanwhile is for nobody either.
                    out.bytes = Vec::new();
                    out.busy = false;
                    return Left::Gone;
                }
            }
            taken.clear();
            if out.bytes.is_empty() {
                if taken.capacity() <= KEEP {
                    out.bytes = taken;
                }
                out.busy = false;
                return Left::Nothing;
            }
            std::mem::swap(&mut taken, &mut out.bytes);
        }
    }
}

/// Gives how many bytes are left.
fn write_all(socket: &Socket, bytes: &[u8], patience: Patience) -> Result<usize, Errno> {
    let mut at = 0;
    while at < bytes.len() {
        match socket.send(&bytes[at..], patience) {
            Ok(n) => at += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(bytes.len() - at)
}
