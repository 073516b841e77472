//! What goes out to a worker process: frames of several threads, in order, none of which may block the others.
//!
//! Everybody appends; one at a time takes what there is and writes it without holding the lock. Who must not block (the reader, an alarm) leaves to the
//! driver what the socket does not take at once.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use rustix::io::Errno;

use super::machine::Socket;
use crate::sync::Mutex;

/// A buffer that grew beyond this is given back once it is empty.
const KEEP: usize = 2 << 20;

#[derive(Default)]
struct Out {
    load: Load,
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

    /// Appends frames, and behind them what lies in one piece elsewhere; leaves `frames` empty and as large as it was.
    pub(super) fn append(&self, frames: &mut Vec<u8>, body: Option<Bytes>) {
        self.0.lock().load.append(frames, body);
        frames.clear();
        if frames.capacity() > KEEP {
            *frames = Vec::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().load.is_empty()
    }

    /// Writes what there is.
    pub(super) fn flush(&self, socket: &Socket, patience: Patience) -> Left {
        let mut taken = {
            let mut out = self.0.lock();
            if out.busy || out.load.is_empty() {
                return Left::Nothing;
            }
            out.busy = true;
            std::mem::take(&mut out.load)
        };
        loop {
            let written = taken.write(socket, patience);
            let mut out = self.0.lock();
            match written {
                Ok(()) => {}
                Err(Errno::AGAIN) => {
                    taken.join(std::mem::take(&mut out.load));
                    (out.load, out.busy) = (taken, false);
                    return Left::Something;
                }
                Err(_) => {
                    // What came meanwhile is for nobody either.
                    *out = Out::default();
                    return Left::Gone;
                }
            }
            if out.load.is_empty() {
                if taken.bytes.capacity() <= KEEP {
                    out.load = taken;
                }
                out.busy = false;
                return Left::Nothing;
            }
            std::mem::swap(&mut taken, &mut out.load);
        }
    }
}

/// Frames, and long bodies that are sent from where they lie.
#[derive(Default)]
struct Load {
    bytes: Vec<u8>,
    /// So many of the bytes are written.
    done: usize,
    /// After so many of the bytes comes such a body, or what is left of it.
    bodies: VecDeque<(usize, Bytes)>,
}

impl Load {
    fn is_empty(&self) -> bool {
        self.bytes.len() == self.done && self.bodies.is_empty()
    }

    fn append(&mut self, frames: &mut Vec<u8>, body: Option<Bytes>) {
        if self.bytes.is_empty() && self.bodies.is_empty() {
            std::mem::swap(&mut self.bytes, frames);
        } else {
            self.bytes.extend_from_slice(frames);
        }
        self.bodies.extend(body.map(|body| (self.bytes.len(), body)));
    }

    /// Puts `later` behind what is left.
    fn join(&mut self, mut later: Self) {
        let done = std::mem::take(&mut self.done);
        self.bytes.drain(..done);
        self.bodies.iter_mut().for_each(|(at, _)| *at -= done);
        let before = self.bytes.len();
        self.bytes.append(&mut later.bytes);
        self.bodies.extend(later.bodies.into_iter().map(|(at, body)| (before + at, body)));
    }

    /// Writes all of it, and leaves it empty; after an error what is not written is left.
    fn write(&mut self, socket: &Socket, patience: Patience) -> Result<(), Errno> {
        while !self.is_empty() {
            match socket.send(self.next(), patience) {
                Ok(n) => self.written(n),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.done = 0;
        Ok(())
    }

    /// What comes next: frames, a body, and the frames behind it.
    fn next(&self) -> [&[u8]; 3] {
        let place = |number: usize| self.bodies.get(number).map_or(self.bytes.len(), |(at, _)| *at);
        let body = self.bodies.front().map_or(&[][..], |(_, body)| body);
        [&self.bytes[self.done..place(0)], body, &self.bytes[place(0)..place(1)]]
    }

    fn written(&mut self, count: usize) {
        let [before, body, _] = self.next().map(<[u8]>::len);
        if count < before + body {
            self.done += count.min(before);
            if let Some((_, body)) = self.bodies.front_mut() {
                body.advance(count.saturating_sub(before));
            }
        } else {
            self.done += count - body;
            self.bodies.pop_front();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Frames and bodies by turns, of these lengths; every byte is different from its neighbours.
    fn load(lengths: &[(usize, usize)]) -> (Load, Vec<u8>) {
        let (mut load, mut all, mut byte) = (Load::default(), Vec::new(), 0_u8);
        let mut piece = |length: usize| -> Vec<u8> {
            (0..length)
                .map(|_| {
                    byte = byte.wrapping_add(1);
                    byte
                })
                .collect()
        };
        for &(frames, body) in lengths {
            let (mut frames, body) = (piece(frames), piece(body));
            all.extend_from_slice(&frames);
            all.extend_from_slice(&body);
            load.append(&mut frames, (!body.is_empty()).then(|| body.into()));
        }
        (load, all)
    }

    #[test]
    fn whatever_the_socket_takes_at_a_time_everything_goes_out_in_its_order() {
        let shapes: [&[(usize, usize)]; 6] = [
            &[(5, 0)],
            &[(3, 7)],
            &[(0, 4), (3, 2)],
            &[(2, 5), (0, 5), (6, 0)],
            &[(1, 1); 9],
            &[(4, 0), (0, 3), (4, 4)],
        ];
        for shape in shapes {
            for step in 1..20 {
                for joined in [false, true] {
                    let (mut load, mut all) = load(shape);
                    let (mut out, mut turns) = (Vec::new(), 0);
                    while !load.is_empty() {
                        let next = load.next().concat();
                        let count = step.min(next.len());
                        assert!(count > 0, "{shape:?}: something is left, and nothing is next");
                        out.extend_from_slice(&next[..count]);
                        load.written(count);
                        turns += 1;
                        if joined && turns == 2 {
                            let (later, more) = self::load(&[(3, 0), (2, 6)]);
                            load.join(later);
                            all.extend(more);
                        }
                    }
                    assert_eq!(out, all, "{shape:?}, {step} at a time");
                }
            }
        }
    }
}
