//! Writing frames into a buffer.

use super::MAX_FRAME;
use super::kind::{FrameType, HEADER, META_MAX};
use super::malformed::TooLong;

/// The header of a frame, for who writes meta and body from where they lie. `most` is the limit of the connection, [`MAX_FRAME`] by default.
///
/// # Errors
/// Meta or the whole is too long.
#[inline]
pub fn head(
    kind: FrameType,
    flags: u8,
    id: u64,
    meta_len: usize,
    body_len: usize,
    most: u32,
) -> Result<[u8; HEADER], TooLong> {
    if meta_len > META_MAX {
        return Err(TooLong::Meta { len: meta_len });
    }
    let len = body_len.saturating_add(HEADER - 4 + meta_len);
    if len > most as usize {
        return Err(TooLong::Frame { len, most });
    }
    // Neither cast can cut: both were compared with a limit of their type.
    let first = u64::from(len as u32)
        | u64::from(kind.number()) << 32
        | u64::from(flags) << 40
        | (meta_len as u64) << 48;
    let mut head = [0; HEADER];
    head[..8].copy_from_slice(&first.to_le_bytes());
    head[8..].copy_from_slice(&id.to_le_bytes());
    Ok(head)
}

/// Appends a frame to `out`. The limit is [`MAX_FRAME`]; for another, use [`head`] or [`begin_frame`].
///
/// # Errors
/// Meta or the whole is too long; `out` is as it was.
#[inline]
pub fn write_frame(
    out: &mut Vec<u8>,
    kind: FrameType,
    flags: u8,
    id: u64,
    meta: &[u8],
    body: &[u8],
) -> Result<(), TooLong> {
    let head = head(kind, flags, id, meta.len(), body.len(), MAX_FRAME)?;
    // One reservation for the three, which then only copy.
    out.reserve(HEADER + meta.len() + body.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(meta);
    out.extend_from_slice(body);
    Ok(())
}

/// Begins a frame whose body is serialized straight into `out`, and whose length is put in by [`Open::finish`].
///
/// ```
/// use ebbtide_worker::frame::{FrameType, MAX_FRAME, begin_frame};
///
/// let mut out = Vec::new();
/// let open = begin_frame(&mut out, FrameType::Result, 0, 7, b"")?;
/// serde_json::to_writer(&mut out, &[1, 2, 3])?;
/// open.finish(&mut out, MAX_FRAME)?;
/// assert_eq!(out[..4], (12u32 + 7).to_le_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Meta is too long; `out` is as it was.
#[inline]
pub fn begin_frame(
    out: &mut Vec<u8>,
    kind: FrameType,
    flags: u8,
    id: u64,
    meta: &[u8],
) -> Result<Open, TooLong> {
    let head = head(kind, flags, id, meta.len(), 0, u32::MAX)?;
    let at = out.len();
    out.extend_from_slice(&head);
    out.extend_from_slice(meta);
    Ok(Open { at })
}

/// A frame that was begun and has no length yet. Dropped as it is, it leaves a frame without its body in the buffer: finish or abandon it.
#[must_use = "a frame that is not finished says a wrong length"]
#[derive(Debug)]
pub struct Open {
    at: usize,
}

impl Open {
    /// Ends the frame at the end of `out`, which must be the buffer it was begun in, with nothing taken from before it.
    ///
    /// # Errors
    /// The frame is longer than `most`; it is removed, and `out` is as it was before [`begin_frame`].
    #[inline]
    pub fn finish(self, out: &mut Vec<u8>, most: u32) -> Result<(), TooLong> {
        let len = out.len().saturating_sub(self.at + 4);
        debug_assert!(len >= HEADER - 4, "finished in another buffer");
        match u32::try_from(len) {
            Ok(fits) if fits <= most => {
                out[self.at..self.at + 4].copy_from_slice(&fits.to_le_bytes());
                Ok(())
            }
            _ => {
                self.abandon(out);
                Err(TooLong::Frame { len, most })
            }
        }
    }

    /// Removes the frame, for a body that could not be serialized.
    #[inline]
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let mut out = Vec::new();
        write_frame(&mut out, FrameType::Error, 3, 0x0102_0304_0506_0708, b"{}", b"xyz").unwrap();
        let head = [17, 0, 0, 0, 69, 3, 2, 0, 8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(out, [&head[..], b"{}xyz"].concat());
    }

    #[test]
    fn what_is_too_long_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        let meta = vec![b' '; META_MAX + 1];
        let long = TooLong::Meta { len: META_MAX + 1 };
        assert_eq!(write_frame(&mut out, FrameType::Task, 0, 1, &meta, b""), Err(long.clone()));
        assert_eq!(begin_frame(&mut out, FrameType::Task, 0, 1, &meta).unwrap_err(), long);
        let open = begin_frame(&mut out, FrameType::Task, 0, 1, &meta[1..]).unwrap();
        out.push(0);
        let len = 12 + META_MAX + 1;
        let most = len as u32 - 1;
        assert_eq!(open.finish(&mut out, most), Err(TooLong::Frame { len, most }));
        assert_eq!(
            head(FrameType::Task, 0, 1, 0, usize::MAX, most),
            Err(TooLong::Frame { len: usize::MAX, most })
        );
        assert_eq!(out, b"before");
    }
}
