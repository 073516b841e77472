//! What can be wrong with a frame, in plain words.

use std::fmt;

use super::kind::HEADER;

/// Why bytes are no frame. Whoever reads it ends the connection: after it, nobody knows where the next frame begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// `len` is above the limit. Nothing was allocated for it.
    TooLong {
        /// What the frame says of itself.
        len: u32,
        /// The limit.
        most: u32,
    },
    /// `len` is below the rest of the header.
    TooShort {
        /// What the frame says of itself.
        len: u32,
    },
    /// Meta is longer than the frame it is in.
    MetaBeyondEnd {
        /// What the frame says of meta.
        meta_len: u16,
        /// What the frame says of itself.
        len: u32,
    },
    /// A type that this version does not have.
    UnknownType(u8),
    /// Meta is not a JSON object, or a field of it has the wrong type.
    Meta {
        /// What the JSON reader says.
        why: String,
    },
    /// A list of ids that is not a multiple of eight bytes.
    Ids {
        /// The length of the body.
        len: usize,
    },
    /// A batch whose item ends after the body does.
    Batch {
        /// Where that item begins in the body.
        at: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, most } => write!(f, "a frame of {len} bytes, at most {most} are allowed"),
            Self::TooShort { len } => {
                write!(f, "a frame of {len} bytes, which is less than the {} of its header", HEADER - 4)
            }
            Self::MetaBeyondEnd { meta_len, len } => {
                write!(f, "meta of {meta_len} bytes in a frame of {len}, which has no room for it")
            }
            Self::UnknownType(number) => write!(f, "a frame of the unknown type {number}"),
            Self::Meta { why } => write!(f, "meta that cannot be read: {why}"),
            Self::Ids { len } => write!(f, "a list of ids of {len} bytes, which is no multiple of 8"),
            Self::Batch { at } => write!(f, "a batch whose item at byte {at} ends after the batch does"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Why a frame cannot be written. The buffer it was to be appended to is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLong {
    /// Meta does not fit its two length bytes.
    Meta {
        /// Its length.
        len: usize,
    },
    /// The frame is above the limit.
    Frame {
        /// Its length, the four length bytes not counted.
        len: usize,
        /// The limit.
        most: u32,
    },
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta { len } => write!(f, "meta of {len} bytes, at most {} fit a frame", u16::MAX),
            Self::Frame { len, most } => write!(f, "a frame of {len} bytes, at most {most} are allowed"),
        }
    }
}

impl std::error::Error for TooLong {}
