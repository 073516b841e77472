//! Reading frames from a stream that is cut anywhere.
//!
//! The buffer is bytes `start..end` of a vector that is always initialized to its length. Costs that are held here:
//! a byte is moved within or between buffers a bounded number of times, because what is moved is never more than what was consumed before
//! it, or the buffer at least doubles; a frame that is longer than the buffer gets its whole room with one allocation; nothing is
//! allocated for a length that is not allowed.

use super::MAX_FRAME;
use super::kind::{Frame, FrameType, HEADER};
use super::malformed::Malformed;

/// The buffer of a connection on which nothing is long.
const USUAL: usize = 64 << 10;
/// The least room that is offered to a read.
const LEAST: usize = 4 << 10;
/// A buffer above this is given back as soon as its frame was taken.
const KEPT: usize = 2 << 20;
/// Between the usual and that: given back after so many reads that did not need it, so that a stream of long frames does not pay for an
/// allocation each, and a single one does not stay.
const QUIET: u8 = 32;

/// The reading end of a connection: bytes in, frames out.
///
/// Read into [`space`](Self::space), say how much came with [`filled`](Self::filled), then take frames from [`next`](Self::next) until
/// there is none. It keeps 64 KiB, up to 2 MiB more for a while after a long frame, and for a frame that is longer than that as much as it has.
///
/// It does not read meta, nor care which way a frame goes.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    most: u32,
    quiet: u8,
    /// The usual buffer, while one that is longer stands in for it.
    usual: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// One with the limit [`MAX_FRAME`]. Allocates nothing before the first read.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(MAX_FRAME)
    }

    /// One that takes no frame whose `len` (all that follows its four bytes) is above `most`.
    #[must_use]
    pub fn with_limit(most: u32) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, most, quiet: 0, usual: Vec::new() }
    }

    /// Where the next read goes. Never empty; at least the whole rest of a frame whose length is known.
    pub fn space(&mut self) -> &mut [u8] {
        self.space_from(|_| None)
    }

    /// The same; memory for a long frame, of so many bytes, is taken from `memory` where it has some, whatever is in there: what is longer is cut,
    /// and what is shorter grows. `None` = it is allocated. Short frames ask for none.
    pub fn space_from(&mut self, memory: impl FnOnce(usize) -> Option<Vec<u8>>) -> &mut [u8] {
        let held = self.end - self.start;
        if held == 0 {
            (self.start, self.end) = (0, 0);
        }
        let wanted = self.wanted();
        self.shrink(wanted);
        if self.buffer.len() - self.start < wanted {
            self.make_room(wanted, memory);
        }
        &mut self.buffer[self.end..]
    }

    /// `n` bytes were read into the [`space`](Self::space).
    ///
    /// # Panics
    /// If that is more than there was space for.
    #[inline]
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.buffer.len() - self.end, "more bytes than there was space for");
        self.end += n;
    }

    /// The next whole frame; `None` = it has not come yet.
    ///
    /// # Errors
    /// What comes next is no frame. Every further call says the same: nobody can know where the next one would begin.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from it, which `Iterator` cannot say"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let Some(header) = self.header()? else { return Ok(None) };
        let held = &self.buffer[self.start..self.end];
        if held.len() < header.total {
            return Ok(None);
        }
        self.start += header.total;
        Ok(Some(header.frame(held)))
    }

    /// The next whole frame with the memory it lies in, if it is long and alone in there: 64 KiB or more, in memory that was made for it. Then it
    /// need not be copied by who keeps it. `None` = it has not come, or is to be had from [`next`](Self::next), where errors are, too.
    #[inline]
    pub fn take_long(&mut self) -> Option<LongFrame> {
        if self.end < USUAL || self.start > 0 || self.end < self.buffer.len() {
            return None;
        }
        let header = self.header().ok()??;
        if header.total != self.end {
            return None;
        }
        (self.start, self.end) = (0, 0);
        Some(LongFrame { header, bytes: std::mem::take(&mut self.buffer) })
    }

    /// Bytes that came and were not taken. Not 0 at the end of a stream = it ended within a frame.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.end - self.start
    }

    /// Those bytes, for who wants to know what came after something that is no frame.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[inline]
    fn header(&self) -> Result<Option<Header>, Malformed> {
        let held = &self.buffer[self.start..self.end];
        let Some(bytes) = held.first_chunk::<HEADER>() else {
            // A length that is not allowed is said as soon as it is there.
            return match held.first_chunk::<4>() {
                Some(len) => check(u32::from_le_bytes(*len), self.most).map(|()| None),
                None => Ok(None),
            };
        };
        let [l0, l1, l2, l3, kind, flags, m0, m1, id @ ..] = *bytes;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        check(len, self.most)?;
        let meta_len = u16::from_le_bytes([m0, m1]);
        if u32::from(meta_len) > len - (HEADER as u32 - 4) {
            return Err(Malformed::MetaBeyondEnd { meta_len, len });
        }
        let Some(kind) = FrameType::from_number(kind) else { return Err(Malformed::UnknownType(kind)) };
        let (total, meta_len) = (len as usize + 4, usize::from(meta_len));
        Ok(Some(Header { kind, flags, id: u64::from_le_bytes(id), total, meta_len }))
    }

    /// How long the buffer has to be, counted from `start`, for the next read to be worth it.
    fn wanted(&self) -> usize {
        let held = self.end - self.start;
        match self.header() {
            // Exactly to its end: then nothing of the frame after it has to be moved.
            Ok(Some(header)) if header.total > held => header.total,
            _ => held + LEAST,
        }
    }

    fn shrink(&mut self, wanted: usize) {
        if self.buffer.len() <= USUAL {
            return;
        }
        if wanted > USUAL {
            self.quiet = 0;
            return;
        }
        self.quiet += 1;
        if self.buffer.len() > KEPT || self.quiet >= QUIET {
            let usual = self.usual();
            self.replace(usual);
        }
    }

    fn make_room(&mut self, wanted: usize, memory: impl FnOnce(usize) -> Option<Vec<u8>>) {
        let held = self.end - self.start;
        // Moved to the front only if that is no more than was consumed since the last time: so it is paid for.
        if wanted <= self.buffer.len() && held <= self.start {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        } else {
            let rest_of_a_frame = wanted > held + LEAST;
            let length = if rest_of_a_frame { wanted } else { (2 * held).max(wanted) }.max(USUAL);
            let buffer = match length {
                USUAL => self.usual(),
                _ => memory(length).map_or_else(|| vec![0; length], |memory| resized(memory, length)),
            };
            self.replace(buffer);
        }
    }

    fn usual(&mut self) -> Vec<u8> {
        let usual = std::mem::take(&mut self.usual);
        if usual.is_empty() { vec![0; USUAL] } else { usual }
    }

    fn replace(&mut self, mut buffer: Vec<u8>) {
        let held = self.end - self.start;
        buffer[..held].copy_from_slice(&self.buffer[self.start..self.end]);
        let before = std::mem::replace(&mut self.buffer, buffer);
        if before.len() == USUAL {
            self.usual = before;
        }
        (self.start, self.end, self.quiet) = (0, held, 0);
    }
}

/// A long frame that owns its memory, from [`Decoder::take_long`].
#[derive(Debug)]
pub struct LongFrame {
    header: Header,
    bytes: Vec<u8>,
}

impl LongFrame {
    /// All of it: header, meta and body, to be shown by [`frame`](Self::frame) from wherever they have been moved.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Where in its bytes the body begins.
    #[must_use]
    pub fn body(&self) -> usize {
        HEADER + self.header.meta_len
    }

    /// The frame in its bytes.
    ///
    /// # Panics
    /// If they are not all there.
    #[must_use]
    pub fn frame<'b>(&self, bytes: &'b [u8]) -> Frame<'b> {
        self.header.frame(bytes)
    }
}

#[derive(Debug)]
struct Header {
    kind: FrameType,
    flags: u8,
    id: u64,
    /// Bytes of the frame, all included.
    total: usize,
    meta_len: usize,
}

impl Header {
    /// The frame of which this is the head, at the beginning of these bytes.
    #[inline]
    fn frame<'b>(&self, bytes: &'b [u8]) -> Frame<'b> {
        let (meta, body) = bytes[HEADER..self.total].split_at(self.meta_len);
        Frame { kind: self.kind, flags: self.flags, id: self.id, meta, body }
    }
}

fn resized(mut memory: Vec<u8>, length: usize) -> Vec<u8> {
    memory.resize(length, 0);
    memory
}

#[inline]
fn check(len: u32, most: u32) -> Result<(), Malformed> {
    if len > most {
        return Err(Malformed::TooLong { len, most });
    }
    if len < HEADER as u32 - 4 {
        return Err(Malformed::TooShort { len });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::encode::write_frame;
    use super::*;

    fn feed(decoder: &mut Decoder, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = decoder.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            decoder.filled(n);
            bytes = &bytes[n..];
        }
    }

    #[test]
    fn a_long_frame_is_given_with_its_memory_if_it_is_alone_in_there() {
        let body = |number: u8, length| (0..length).map(|at| number ^ at as u8).collect::<Vec<_>>();
        let frames = [
            (1, 100),
            (2, 200 << 10),
            (3, 10),
            (4, 70_000),
            (5, 90_000),
            (6, 0),
            (7, 3 << 20),
            (8, 2 * USUAL),
        ];
        for (step, owned) in [(1 << 30, true), (5_000, true), (1 << 30, false)] {
            let mut all = Vec::new();
            for (number, length) in frames {
                write_frame(&mut all, FrameType::Result, 0, number, b"{}", &body(number as u8, length))
                    .expect("fits");
            }
            let (mut decoder, mut seen, mut long) = (Decoder::new(), Vec::new(), 0);
            let mut rest = &all[..];
            while !rest.is_empty() {
                let space = decoder.space();
                let n = space.len().min(rest.len()).min(step);
                space[..n].copy_from_slice(&rest[..n]);
                decoder.filled(n);
                rest = &rest[n..];
                loop {
                    if let Some(mut whole) = owned.then(|| decoder.take_long()).flatten() {
                        let bytes = whole.take_bytes();
                        let frame = whole.frame(&bytes);
                        assert_eq!((frame.meta, frame.body), (&b"{}"[..], &bytes[whole.body()..]));
                        seen.push((frame.id, frame.body.to_vec()));
                        long += 1;
                    } else if let Some(frame) = decoder.next().expect("well-formed") {
                        seen.push((frame.id, frame.body.to_vec()));
                    } else {
                        break;
                    }
                }
            }
            assert_eq!(decoder.pending(), 0);
            assert_eq!(seen, frames.map(|(number, length)| (number, body(number as u8, length))));
            assert_eq!(long, if owned { 5 } else { 0 }, "{step} at a time");
        }
    }

    #[test]
    fn a_length_is_refused_with_its_fourth_byte_and_nothing_is_allocated() {
        for (len, wrong) in [
            (11, Malformed::TooShort { len: 11 }),
            (0, Malformed::TooShort { len: 0 }),
            (101, Malformed::TooLong { len: 101, most: 100 }),
            (u32::MAX, Malformed::TooLong { len: u32::MAX, most: 100 }),
        ] {
            let mut decoder = Decoder::with_limit(100);
            feed(&mut decoder, &len.to_le_bytes()[..3]);
            assert_eq!(decoder.next(), Ok(None));
            feed(&mut decoder, &len.to_le_bytes()[3..]);
            for _ in 0..3 {
                assert_eq!(decoder.next(), Err(wrong.clone()));
                assert_eq!(decoder.space().len(), USUAL - 4);
            }
        }
    }

    #[test]
    fn what_a_header_says_wrong_is_said() {
        for (at, byte, wrong) in [
            (4, 0, Malformed::UnknownType(0)),
            (4, 8, Malformed::UnknownType(8)),
            (4, 75, Malformed::UnknownType(75)),
            (6, 1, Malformed::MetaBeyondEnd { meta_len: 1, len: 12 }),
            (7, 255, Malformed::MetaBeyondEnd { meta_len: 255 << 8, len: 12 }),
        ] {
            let mut bytes = Vec::new();
            write_frame(&mut bytes, FrameType::Ping, 0, 1, b"", b"").unwrap();
            bytes[at] = byte;
            let mut decoder = Decoder::new();
            feed(&mut decoder, &bytes);
            assert_eq!(decoder.next(), Err(wrong));
            assert_eq!(decoder.rest(), bytes);
        }
    }

    #[test]
    fn a_long_frame_gets_its_room_at_once_and_gives_it_back() {
        for (body, at_once) in [(3 << 20, true), (1 << 20, false)] {
            let mut bytes = Vec::new();
            write_frame(&mut bytes, FrameType::Task, 0, 1, b"", &vec![7; body]).unwrap();
            let mut decoder = Decoder::new();
            feed(&mut decoder, &bytes[..HEADER]);
            assert_eq!(decoder.space().len(), body);
            feed(&mut decoder, &bytes[HEADER..]);
            assert_eq!(decoder.next().unwrap().unwrap().body.len(), body);
            assert_eq!(decoder.pending(), 0);
            let reads = (1..100).find(|_| decoder.space().len() == USUAL);
            assert_eq!(reads, Some(if at_once { 1 } else { QUIET.into() }));
        }
    }

    #[test]
    fn a_long_frame_lies_in_memory_that_is_given_for_it_and_short_ones_ask_for_none() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, FrameType::Task, 0, 1, b"", &[7; 200 << 10]).unwrap();
        let total = bytes.len();
        write_frame(&mut bytes, FrameType::Ping, 0, 2, b"", b"").unwrap();
        for given in [total + 5, total, total - 1, 0] {
            let mut old = vec![9; given];
            old.shrink_to_fit();
            let (lies, mut spare, mut asked) = (old.as_ptr(), Some(old), Vec::new());
            let (mut decoder, mut rest, mut ids) = (Decoder::new(), &bytes[..], Vec::new());
            while !rest.is_empty() {
                let space = decoder.space_from(|length| {
                    asked.push(length);
                    spare.take()
                });
                let n = space.len().min(rest.len()).min(1000);
                space[..n].copy_from_slice(&rest[..n]);
                decoder.filled(n);
                rest = &rest[n..];
                if let Some(mut long) = decoder.take_long() {
                    let memory = long.take_bytes();
                    assert_eq!(memory.as_ptr() == lies, given >= total, "{given}");
                    assert!(memory == bytes[..total], "what was in there before is not seen");
                    ids.push(long.frame(&memory).id);
                } else if let Some(frame) = decoder.next().unwrap() {
                    ids.push(frame.id);
                }
            }
            assert_eq!((asked, ids), (vec![total], vec![1, 2]));
        }
    }

    #[test]
    fn a_reader_that_takes_no_frames_gets_space_all_the_same() {
        let mut bytes = Vec::new();
        for id in 0..10_000 {
            write_frame(&mut bytes, FrameType::Task, 0, id, b"", &[7; 84]).unwrap();
        }
        let mut decoder = Decoder::new();
        feed(&mut decoder, &bytes);
        for id in 0..10_000 {
            assert_eq!(decoder.next().unwrap().unwrap().id, id);
        }
        assert_eq!(decoder.next(), Ok(None));
    }
}
