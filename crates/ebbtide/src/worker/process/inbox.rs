//! The guardian's end of its socket: bytes and descriptors as they come, frames as they are whole.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use super::frame::{self, FDS, Malformed};

/// Room for each receive. Most frames are a few hundred bytes.
const CHUNK: usize = 64 << 10;
/// A buffer that grew beyond this for one frame is given back after it.
const KEEP: usize = 1 << 20;

/// What has been received and not handled.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Indexed by what [`next_frame`](Inbox::next_frame) gives; good until the next receive.
    pub(super) bytes: Vec<u8>,
    /// Handled so far, and received so far.
    span: Range<usize>,
    /// In the order of the frames they came with.
    pub(super) batches: VecDeque<Batch>,
}

/// The descriptors of one frame.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) fds: Vec<OwnedFd>,
    /// Some were lost, for want of room in the descriptor table.
    pub(super) completeness: Completeness,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    #[default]
    Whole,
    Truncated,
}

impl Inbox {
    /// Takes what has come. `Ok(0)` = the supervisor has closed its end.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<usize, Errno> {
        self.make_room();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut self.bytes[self.span.end..])];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = recvmsg(socket, into, &mut control, flags)?;
        self.span.end += message.bytes;
        // The kernel ends a receive after a message that carries descriptors, so those here are of one frame.
        let mut batch = Batch::default();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                batch.fds.extend(fds);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            batch.completeness = Completeness::Truncated;
        }
        if !batch.fds.is_empty() || batch.completeness == Completeness::Truncated {
            self.batches.push_back(batch);
        }
        Ok(message.bytes)
    }

    /// Where the next whole frame is, if one has come.
    pub(super) fn next_frame(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        let Some(length) = frame::frame_length(&self.bytes[self.span.clone()])? else { return Ok(None) };
        if length > self.span.len() {
            return Ok(None);
        }
        let range = self.span.start..self.span.start + length;
        self.span.start = range.end;
        Ok(Some(range))
    }

    /// Moves what is left to the front and sees to it that the next receive has room: for all of a frame that has begun.
    fn make_room(&mut self) {
        self.bytes.copy_within(self.span.clone(), 0);
        self.span = 0..self.span.len();
        if self.span.is_empty() && self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
        let begun = frame::frame_length(&self.bytes[self.span.clone()]).ok().flatten().unwrap_or(0);
        let wanted = (self.span.end + CHUNK).max(begun);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }
}
