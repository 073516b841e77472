//! What comes in from a worker process: frames on its socket, lines on its standard output and error.

use std::time::Duration;

use bytes::Bytes;
use ebbtide_worker::frame::{Decoder, LongFrame};
use rustix::io::Errno;

use super::{
    lent::Lender,
    machine::{self, Pipe},
    process::Wire,
};
use crate::worker::output::OutputSource;

/// So much is read from an output at a time.
const CHUNK: usize = 64 << 10;
/// So much is read of what comes after a fault; a socket holds less.
const REST: usize = 4 << 20;
/// So much of what is written before a worker is ready is kept until somebody can be told.
const EARLY: usize = 64 << 10;
/// A line is cut to so much.
pub(super) const LINE: usize = 8 << 10;
/// Where something was cut off.
pub(super) const CUT: char = '…';

pub(super) struct Ear {
    pub(super) decoder: Decoder,
    lender: Lender,
    outputs: [Option<Output>; 2],
    chunk: Vec<u8>,
    /// What came before it was ready.
    pub(super) early: Early,
}

struct Output {
    pipe: Pipe,
    source: OutputSource,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// More of that line came than is kept.
    cut: bool,
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
    pub(super) fn new(most: u32, stdout: Pipe, stderr: Pipe) -> Self {
        let output = |pipe, source| Some(Output { pipe, source, begun: Vec::new(), cut: false });
        Self {
            decoder: Decoder::with_limit(most),
            lender: Lender::default(),
            outputs: [output(stdout, OutputSource::Stdout), output(stderr, OutputSource::Stderr)],
            chunk: Vec::new(),
            early: Early::default(),
        }
    }

    /// Waits until something comes, so long at most, and reads it. `line` gets the lines, if it wants any.
    pub(super) fn listen(
        &mut self,
        wire: &Wire,
        patience: Option<Duration>,
        line: Option<Line<'_>>,
    ) -> Heard {
        let outputs = self.outputs.each_ref().map(|output| output.as_ref().map(|output| &output.pipe));
        let ready = machine::wait(&wire.socket, &wire.kin, outputs, patience);
        let heard =
            if ready.socket || ready.ended { self.receive(wire, ready.ended) } else { Heard::Nothing };
        if ready.outputs {
            self.read_outputs(wire, line);
        }
        heard
    }

    /// Takes what has come on the socket, without waiting for more.
    pub(super) fn glance(&mut self, wire: &Wire) -> Heard {
        self.receive(wire, false)
    }

    /// The next frame, if it is long and came whole; its memory may be kept, and comes back when nobody does.
    pub(super) fn take_long(&mut self) -> Option<(LongFrame, Bytes)> {
        let mut long = self.decoder.take_long()?;
        let memory = long.take_bytes();
        Some((long, self.lender.lend(memory)))
    }

    /// After a fault, and the end of the process: all that came behind it.
    pub(super) fn rest(&mut self, wire: &Wire) -> &[u8] {
        while self.decoder.pending() < REST && self.receive(wire, true) != Heard::End {}
        self.decoder.rest()
    }

    fn receive(&mut self, wire: &Wire, ended: bool) -> Heard {
        let space = self.lender.watch(|memory| self.decoder.space_from(memory));
        match wire.socket.receive(space) {
            Ok(0) => Heard::End,
            Ok(n) => {
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
            match output.pipe.read(&mut self.chunk[..]) {
                Ok(n @ 1..) => {
                    let chunk = &self.chunk[..n];
                    wire.tail.add(chunk);
                    match &mut line {
                        Some(line) => output.split(chunk, line),
                        None => output.forget(),
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(_) | Err(_) => {
                    if let Some(line) = &mut line {
                        output.finish(line);
                    }
                    *place = None;
                }
            }
        }
    }

    /// Nothing more is read: lines that were begun are told as they are.
    pub(super) fn finish(&mut self, mut line: Line<'_>) {
        self.outputs.iter_mut().flatten().for_each(|output| output.finish(&mut line));
    }
}

/// What a worker wrote before it was ready, when there is nobody yet to be told: the first lines.
#[derive(Default)]
pub(super) struct Early {
    lines: Vec<(OutputSource, String)>,
    bytes: usize,
}

impl Early {
    pub(super) fn add(&mut self, source: OutputSource, line: String) {
        if self.bytes > EARLY {
            return;
        }
        self.bytes += line.len() + size_of::<(OutputSource, String)>();
        let full = self.bytes > EARLY;
        let line = if full { "(more was written before it was ready)".to_owned() } else { line };
        self.lines.push((source, line));
    }

    pub(super) fn tell(self, line: Line<'_>) {
        self.lines.into_iter().for_each(|(source, text)| line(source, text));
    }
}

/// Who hears of lines.
pub(super) type Line<'l> = &'l mut dyn FnMut(OutputSource, String);

impl Output {
    fn split(&mut self, chunk: &[u8], tell: &mut Line<'_>) {
        let mut rest = chunk;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            self.begin(&rest[..at]);
            self.tell(tell);
            rest = &rest[at + 1..];
        }
        self.begin(rest);
    }

    fn forget(&mut self) {
        self.begun.clear();
        self.cut = false;
    }

    fn finish(&mut self, tell: &mut Line<'_>) {
        if !self.begun.is_empty() {
            self.tell(tell);
        }
    }

    fn tell(&mut self, tell: &mut Line<'_>) {
        let mut line = String::from_utf8_lossy(&self.begun).trim_end_matches('\r').to_owned();
        if std::mem::take(&mut self.cut) {
            line.push(CUT);
        }
        self.begun.clear();
        tell(self.source, line);
    }

    fn begin(&mut self, more: &[u8]) {
        let room = LINE.saturating_sub(self.begun.len());
        self.cut |= more.len() > room;
        self.begun.extend_from_slice(&more[..more.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_comes_early_the_beginning_is_kept() {
        let (mut early, mut told) = (Early::default(), Vec::new());
        let line = "x".repeat(LINE);
        (0..100).for_each(|_| early.add(OutputSource::Stdout, line.clone()));
        early.tell(&mut |_, line| told.push(line));
        assert!((2..=EARLY / LINE + 1).contains(&told.len()), "{}", told.len());
        assert!(told.pop().is_some_and(|last| last.starts_with("(more was written")));
        assert!(told.iter().all(|kept| *kept == line));
    }
}
