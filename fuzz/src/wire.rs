//! Frames between a pool and its workers, in both directions and with every meta: one end is always a program of somebody else's.
//!
//! The first byte says in what pieces the rest arrives, which must make no difference.
#![no_main]

use ebbtide_worker::frame::meta::{CancelMeta, ErrorMeta, HelloMeta, LogMeta, ResultMeta, TaskMeta};
use ebbtide_worker::frame::{
    Decoder, Frame, FrameType, META_MAX, batch, ids, write_batch_item, write_frame, write_ids,
};

/// A frame may be so long here: above the usual buffer, so that both ways of making room are gone.
const MOST: u32 = 100_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let (whole, sound) = read(bytes, usize::MAX);
    let (in_pieces, sound_in_pieces) = read(bytes, usize::from(cut) + 1);
    assert_eq!(whole, in_pieces, "it arrives however it is cut");
    assert_eq!(sound, sound_in_pieces);
    if sound {
        assert_eq!(&bytes[..whole.len()], whole, "written again it is what was read");
    }
});

/// Reads a stream in pieces; gives its frames as they are written again, and whether all of it were frames.
fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let (mut decoder, mut again, mut rest) = (Decoder::with_limit(MOST), Vec::new(), bytes);
    while !rest.is_empty() {
        let space = decoder.space();
        assert!(!space.is_empty() && space.len() <= 4 * MOST as usize, "a space of {}", space.len());
        let n = space.len().min(piece).min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        decoder.filled(n);
        rest = &rest[n..];
        loop {
            match decoder.next() {
                Ok(Some(frame)) => look(&frame, &mut again),
                Ok(None) => break,
                Err(malformed) => {
                    assert_eq!(decoder.next().unwrap_err(), malformed, "it says so again");
                    return (again, false);
                }
            }
        }
    }
    assert!(decoder.pending() <= bytes.len());
    (again, true)
}

fn look(frame: &Frame<'_>, again: &mut Vec<u8>) {
    write_frame(again, frame.kind, frame.flags, frame.id, frame.meta, frame.body).expect("it was one");
    // What is read of a meta and written is read as the same.
    macro_rules! meta {
        ($meta:ident) => {
            if let Ok(meta) = $meta::read(frame.meta) {
                assert_eq!($meta::read(&meta.to_bytes()).as_ref(), Ok(&meta));
            }
        };
    }
    match frame.kind {
        FrameType::Task => meta!(TaskMeta),
        FrameType::Cancel => meta!(CancelMeta),
        FrameType::Hello => meta!(HelloMeta),
        FrameType::Result => meta!(ResultMeta),
        FrameType::Log => meta!(LogMeta),
        FrameType::Error => {
            let Ok(meta) = ErrorMeta::read(frame.meta) else { return };
            let bytes = meta.to_bytes();
            assert!(bytes.len() <= META_MAX, "it is cut so that it fits");
            let read = ErrorMeta::read(&bytes).expect("it is one still");
            assert!(meta.message.starts_with(&*read.message) && meta.stack.starts_with(&*read.stack));
        }
        FrameType::Batch => {
            meta!(TaskMeta);
            let Ok(items) = batch(frame.body) else { return };
            let mut body = Vec::new();
            items.for_each(|(id, request)| write_batch_item(&mut body, id, request));
            assert_eq!(body, frame.body);
        }
        FrameType::Recall | FrameType::Returned => {
            let Ok(ids) = ids(frame.body) else { return };
            #[cfg(feature = "canary")]
            assert!(
                !(ids.len() > 1 && ids.clone().skip(1).eq(ids.clone().take(ids.len() - 1))),
                "the canary"
            );
            let mut body = Vec::new();
            write_ids(&mut body, ids);
            assert_eq!(body, frame.body);
        }
        _ => {}
    }
}
