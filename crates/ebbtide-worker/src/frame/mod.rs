//! Frames of the worker protocol, version 1: pure encoding and decoding, no I/O. For those who write a supervisor or a worker.
//!
//! ```text
//! len u32 | type u8 | flags u8 | meta_len u16 | id u64 | meta … | body …        (little-endian; len counts what follows it)
//! ```
//! [`write_frame`] appends a frame to a buffer; [`begin_frame`] does so where the body is serialized straight into it; [`head`] gives the
//! sixteen bytes alone, for a body that is to be written from where it lies. A [`Decoder`] is read into and gives frames back, however the
//! stream was cut. [`meta`] has what the small JSON object of each frame may hold, [`ids`] and [`batch`] read the bodies that are lists.
//!
//! ```
//! use ebbtide_worker::frame::{Decoder, FrameType, write_frame};
//!
//! let mut out = Vec::new();
//! write_frame(&mut out, FrameType::Task, 0, 7, b"", b"[1,2]")?;
//!
//! let mut decoder = Decoder::new();
//! for cut in out.chunks(3) {
//!     decoder.space()[..cut.len()].copy_from_slice(cut);
//!     decoder.filled(cut.len());
//! }
//! let frame = decoder.next()?.ok_or("a frame")?;
//! assert_eq!((frame.kind, frame.id, frame.body), (FrameType::Task, 7, &b"[1,2]"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod items;
mod kind;
mod malformed;
pub mod meta;

pub use decode::{Decoder, LongFrame};
pub use encode::{Open, begin_frame, head, write_frame};
pub use items::{Batch, Ids, batch, ids, write_batch_item, write_ids};
pub use kind::{
    FLAG_NONE, FLAG_RESTORE, Frame, FrameType, HEADER, JSON, MAX_FRAME, META_MAX, OCTETS, VERSION,
};
pub use malformed::{Malformed, TooLong};
