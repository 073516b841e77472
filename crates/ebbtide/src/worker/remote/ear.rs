//! What comes in from a worker process: frames on its socket, lines on its standard output and error.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use ebbtide_worker::frame::Decoder;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
    net::{RecvFlags, recv},
};

use super::process::Wire;
use crate::worker::output::OutputSource;

/// So much is read from an output at a time.
const CHUNK: usize = 64 << 10;
/// So much is read of what comes after a fault; a socket holds less.
const REST: usize = 4 << 20;
/// A line is cut to so much.
const LINE: usize = 8 << 10;

pub(super) struct Ear {
    pub(super) decoder: Decoder,
    outputs: [Option<Output>; 2],
    chunk: Vec<u8>,
}

struct Output {
    fd: OwnedFd,
    source: OutputSource,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

/// What a look at the socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Bytes have come: look for frames.
    Frames,
    /// Nothing, or only output.
    Nothing,
    /// The other end is closed, or the process has ended and all it wrote was read.
    End,
}

impl Ear {
    pub(super) fn new(most: u32, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        let output = |fd, source| Some(Output { fd, source, begun: Vec::new() });
        Self {
            decoder: Decoder::with_limit(most),
            outputs: [output(stdout, OutputSource::Stdout), output(stderr, OutputSource::Stderr)],
            chunk: Vec::new(),
        }
    }

    /// Waits until something comes, so long at most, and reads it. `line` gets the lines, if it wants any.
    pub(super) fn listen(
        &mut self,
        wire: &Wire,
        patience: Option<Duration>,
        line: Option<Line<'_>>,
    ) -> Heard {
        let (socket, ended) = (wire.socket.as_fd(), wire.kin.exit_fd());
        let [out, err] = &self.outputs;
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::new(&socket, PollFlags::IN));
        fds.push(PollFd::new(&ended, PollFlags::IN));
        fds.extend(out.iter().chain(err).map(|output| PollFd::new(&output.fd, PollFlags::IN)));
        let patience = patience.map(|patience| Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        });
        match poll(&mut fds, patience.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return Heard::Nothing,
            Ok(_) => {}
            // Want of kernel memory: the read says whether there is more to it.
            Err(_) => std::thread::yield_now(),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let heard = if ready[0] || ready[1] { self.receive(wire, ready[1]) } else { Heard::Nothing };
        if ready[2..].contains(&true) {
            self.read_outputs(wire, line);
        }
        heard
    }

    /// Takes what has come on the socket, without waiting for more.
    pub(super) fn glance(&mut self, wire: &Wire) -> Heard {
        self.receive(wire, false)
    }

    /// After a fault, and the end of the process: all that came behind it.
    pub(super) fn rest(&mut self, wire: &Wire) -> &[u8] {
        while self.decoder.pending() < REST && self.receive(wire, true) != Heard::End {}
        self.decoder.rest()
    }

    fn receive(&mut self, wire: &Wire, ended: bool) -> Heard {
        match recv(&wire.socket, self.decoder.space(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => Heard::End,
            Ok((n, _)) => {
                self.decoder.filled(n);
                Heard::Frames
            }
            Err(Errno::INTR) => Heard::Nothing,
            // Somebody else may hold the other end; whoever had to write has ended.
            Err(Errno::AGAIN) if ended => Heard::End,
            Err(Errno::AGAIN) => Heard::Nothing,
            Err(_) => Heard::End,
        }
    }

    /// Reads what the outputs hold now, a chunk of each.
    pub(super) fn read_outputs(&mut self, wire: &Wire, mut line: Option<Line<'_>>) {
        self.chunk.resize(CHUNK, 0);
        for place in &mut self.outputs {
            let Some(output) = place else { continue };
            match read(&output.fd, &mut self.chunk[..]) {
                Ok(0) => *place = None,
                Ok(n) => {
                    let chunk = &self.chunk[..n];
                    wire.tail.add(chunk);
                    match &mut line {
                        Some(line) => output.split(chunk, line),
                        None => output.begun.clear(),
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => *place = None,
            }
        }
    }
}

/// Who hears of lines.
pub(super) type Line<'l> = &'l mut dyn FnMut(OutputSource, String);

impl Output {
    fn split(&mut self, chunk: &[u8], tell: &mut Line<'_>) {
        let mut rest = chunk;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            self.begin(&rest[..at]);
            let line = String::from_utf8_lossy(&self.begun).trim_end_matches('\r').to_owned();
            self.begun.clear();
            tell(self.source, line);
            rest = &rest[at + 1..];
        }
        self.begin(rest);
    }

    fn begin(&mut self, more: &[u8]) {
        let room = LINE.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&more[..more.len().min(room)]);
    }
}
