//! What the pool says to a worker, as frames.

use bytes::Bytes;
use ebbtide_worker::frame::{FLAG_RESTORE, FrameType, HEADER, TooLong, begin_frame, head, meta, write_frame};

use crate::task::{
    cell::Runnable,
    error::{BoxError, TaskError},
    id::TaskId,
    isolation::{Isolation, Shape},
    outcome::CancelReason,
};

/// From here on a body is sent from where it lies, if it lies in one piece.
const LONG: usize = 64 << 10;

/// Appends the TASK of a cell, whose body is the caller's. What is given is to follow it, if anything is; or how the task ends if it cannot be written.
pub(super) fn task<I: Isolation>(
    out: &mut Vec<u8>,
    id: TaskId,
    cell: &dyn Runnable<I>,
    attempt: u32,
    most: u32,
) -> Result<Option<Bytes>, TaskError> {
    let failed = |error: BoxError| TaskError::failed(error);
    let too_long = |error: TooLong| TaskError::failed(format!("the request cannot be sent: {error}").into());
    let (shape, content_type) = cell.looks();
    let extras = cell.header().extras();
    let meta = if extras.is_none() && content_type.is_none() && attempt == 1 && shape == Shape::One {
        Vec::new()
    } else {
        let mut meta = meta::TaskMeta { attempt, each: shape == Shape::Each, ..meta::TaskMeta::default() };
        if let Some(content_type) = &content_type {
            meta.content_type = (&**content_type).into();
        }
        if let Some(extras) = extras {
            meta.function = extras.function.as_deref().map(Into::into);
            meta.attempt = attempt.saturating_add(extras.tried);
            meta.key = extras.key.as_deref().map(Into::into);
            meta.deadline_ms =
                extras.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }
        meta.to_bytes()
    };
    if let Some(body) = cell.in_one_piece().filter(|body| body.len() >= LONG) {
        let head = head(FrameType::Task, 0, id.0, meta.len(), body.len(), most).map_err(too_long)?;
        out.extend_from_slice(&head);
        out.extend_from_slice(&meta);
        return Ok(Some(body));
    }
    let open = begin_frame(out, FrameType::Task, 0, id.0, &meta).map_err(too_long)?;
    if let Err(error) = cell.write(out) {
        open.abandon(out);
        return Err(failed(error));
    }
    open.finish(out, most).map_err(too_long)?;
    Ok(None)
}

pub(super) fn cancel(out: &mut Vec<u8>, id: TaskId, reason: &CancelReason) {
    let text = reason.to_string();
    let meta = meta::CancelMeta { reason: meta::cut(&text, 1024).into() }.to_bytes();
    plain(out, FrameType::Cancel, 0, id.0, &meta, &[]);
}

/// Asks for everything that has not begun.
pub(super) fn recall(out: &mut Vec<u8>, number: u64) {
    plain(out, FrameType::Recall, 0, number, &[], &[]);
}

pub(super) fn snapshot(out: &mut Vec<u8>, number: u64) {
    plain(out, FrameType::Snapshot, 0, number, &[], &[]);
}

/// The state to build from. False if it is too long to be sent.
pub(super) fn restore(out: &mut Vec<u8>, state: &[u8]) -> bool {
    write_frame(out, FrameType::Snapshot, FLAG_RESTORE, 0, &[], state).is_ok()
}

pub(super) fn stop(out: &mut Vec<u8>) {
    plain(out, FrameType::Stop, 0, 0, &[], &[]);
}

pub(super) fn ping(out: &mut Vec<u8>, number: u64) {
    plain(out, FrameType::Ping, 0, number, &[], &[]);
}

/// Whether these bytes, of which nobody knows where a frame begins, have the START of this task somewhere. May be wrong the other way, by chance.
pub(super) fn have_start(bytes: &[u8], id: TaskId) -> bool {
    bytes.windows(HEADER).any(|window| {
        let Some(&[l0, l1, l2, l3, kind, _, m0, m1, ref number @ ..]) = window.first_chunk::<HEADER>() else {
            return false;
        };
        let (len, meta) = (u32::from_le_bytes([l0, l1, l2, l3]), u16::from_le_bytes([m0, m1]));
        kind == FrameType::Start as u8 && *number == id.0.to_le_bytes() && len >= 12 + u32::from(meta)
    })
}

fn plain(out: &mut Vec<u8>, kind: FrameType, flags: u8, id: u64, meta: &[u8], body: &[u8]) {
    let written = write_frame(out, kind, flags, id, meta, body);
    debug_assert!(written.is_ok(), "{kind:?}: a small frame fits");
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use ebbtide_worker::frame::Decoder;

    use super::{
        super::{Call, Processes, Raw},
        *,
    };
    use crate::{
        policy::Priority,
        task::{cell::TaskCell, gate::HomeId, header::Header},
    };

    /// The frame of a request, and how much of it is not copied; or why it cannot be sent.
    fn written(request: Raw, most: u32) -> Result<(Vec<u8>, usize), TaskError> {
        let header = Header::new(HomeId::unique(), Priority::Normal, None);
        let cell = TaskCell::<Processes<Raw, Raw>, _>::new(header, Call::new(request));
        let mut out = Vec::new();
        let body = task(&mut out, TaskId(7), &*cell, 1, most)?.unwrap_or_default();
        let there = body.len();
        out.extend_from_slice(&body);
        Ok((out, there))
    }

    #[test]
    fn a_long_body_makes_the_same_frame_and_has_the_same_limit_as_a_short_one() {
        for (length, there) in [(LONG - 1, 0), (LONG, LONG)] {
            let request = || Raw::new("image/png", vec![7; length]);
            let (frame, whole) = written(request(), u32::MAX).expect("it fits");
            assert_eq!(whole, there);
            let mut decoder = Decoder::with_limit(u32::MAX);
            decoder.space()[..HEADER].copy_from_slice(&frame[..HEADER]);
            decoder.filled(HEADER);
            decoder.space()[..frame.len() - HEADER].copy_from_slice(&frame[HEADER..]);
            decoder.filled(frame.len() - HEADER);
            let read = decoder.next().expect("it is a frame").expect("it is whole");
            let meta = meta::TaskMeta::read(read.meta).expect("it has a content type");
            assert_eq!((read.id, read.body, &*meta.content_type), (7, request().bytes(), "image/png"));
            let len = u32::try_from(frame.len()).expect("it is short") - 4;
            assert!(written(request(), len).is_ok());
            let error = written(request(), len - 1).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("cannot be sent"), "{error}");
        }
    }

    #[test]
    fn a_start_is_found_wherever_it_is_and_only_that_of_its_task() {
        for meta in ["", "{}", "{\"of\":\"a later version\"}"] {
            for before in 0..40 {
                let mut bytes = [0, 255].repeat(before);
                plain(&mut bytes, FrameType::Result, 0, 6, &[], b"7");
                plain(&mut bytes, FrameType::Start, 0, 7, meta.as_bytes(), &[]);
                bytes.extend([0, 255].repeat(before));
                assert!(have_start(&bytes, TaskId(7)));
                assert!(![6, 8, 0].into_iter().any(|other| have_start(&bytes, TaskId(other))));
            }
        }
        let mut cut = Vec::new();
        plain(&mut cut, FrameType::Start, 0, 7, &[], &[]);
        assert!(!have_start(&cut[..HEADER - 1], TaskId(7)), "it never was written");
        assert!(!have_start(&[], TaskId(7)));
    }
}
