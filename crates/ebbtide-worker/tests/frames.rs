//! Properties of frames: they arrive however the stream is cut, and no bytes make a reader panic or allocate what it was not told to.

use ebbtide_worker::frame::meta::{ErrorMeta, HelloMeta, TaskMeta};
use ebbtide_worker::frame::{Decoder, FrameType, batch, begin_frame, ids, write_batch_item, write_frame};
use proptest::collection::vec;
use proptest::prelude::*;

type Owned = (FrameType, u8, u64, Vec<u8>, Vec<u8>);

fn frames() -> impl Strategy<Value = Vec<Owned>> {
    let body = prop_oneof![
        8 => vec(any::<u8>(), 0..200),
        2 => vec(any::<u8>(), 0..9000),
        1 => (60_000usize..200_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ];
    let kind = prop::sample::select(FrameType::ALL.to_vec());
    vec((kind, any::<u8>(), any::<u64>(), vec(any::<u8>(), 0..300), body), 0..30)
}

/// Reads `bytes` in pieces of the given lengths, over and over; gives what came, and the longest space that was ever offered.
fn read(bytes: &[u8], pieces: &[usize], decoder: &mut Decoder) -> (Vec<Owned>, usize, bool) {
    let (mut found, mut longest, mut rest) = (Vec::new(), 0, bytes);
    for piece in pieces.iter().cycle() {
        let space = decoder.space();
        assert!(!space.is_empty());
        longest = longest.max(space.len());
        let n = space.len().min(*piece).min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        decoder.filled(n);
        loop {
            match decoder.next() {
                Ok(Some(f)) => found.push((f.kind, f.flags, f.id, f.meta.to_vec(), f.body.to_vec())),
                Ok(None) => break,
                Err(_) => return (found, longest, false),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (found, longest, true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frames_arrive_however_the_stream_is_cut(
        frames in frames(),
        pieces in vec(prop_oneof![1usize..20, 1usize..100_000], 1..20),
    ) {
        // A stream of single bytes takes long and shows nothing that these do not.
        prop_assume!(pieces.iter().sum::<usize>() > 100);
        let mut bytes = Vec::new();
        for (index, (kind, flags, id, meta, body)) in frames.iter().enumerate() {
            if index % 2 == 0 {
                write_frame(&mut bytes, *kind, *flags, *id, meta, body).unwrap();
            } else {
                let open = begin_frame(&mut bytes, *kind, *flags, *id, meta).unwrap();
                bytes.extend_from_slice(body);
                open.finish(&mut bytes, u32::MAX).unwrap();
            }
        }
        let mut decoder = Decoder::new();
        let (found, _, sound) = read(&bytes, &pieces, &mut decoder);
        prop_assert!(sound);
        prop_assert_eq!(found, frames);
        prop_assert_eq!(decoder.pending(), 0);
    }

    #[test]
    fn any_bytes_are_frames_or_refused(bytes in vec(any::<u8>(), 0..2000), cut in 1usize..300) {
        let mut decoder = Decoder::with_limit(1000);
        let (_, longest, _) = read(&bytes, &[cut], &mut decoder);
        prop_assert!(longest <= 64 << 10, "a space of {} for frames of 1000 bytes", longest);
    }

    #[test]
    fn a_frame_with_one_wrong_byte_is_a_frame_or_refused(
        at in 0usize..40, byte in any::<u8>(), cut in 1usize..50,
    ) {
        let mut bytes = Vec::new();
        for id in 0..3 {
            write_frame(&mut bytes, FrameType::Task, 0, id, b"{}", b"[1]").unwrap();
        }
        bytes[at] = byte;
        read(&bytes, &[cut], &mut Decoder::with_limit(1 << 20));
    }

    #[test]
    fn lists_and_meta_of_any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = ids(&bytes).map(Iterator::count);
        let _ = TaskMeta::read(&bytes);
        let _ = HelloMeta::read(&bytes);
        let _ = ErrorMeta::read(&bytes);
        if let Ok(items) = batch(&bytes) {
            let mut again = Vec::new();
            items.for_each(|(id, request)| write_batch_item(&mut again, id, request));
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn an_error_of_any_text_fits_and_arrives(name in ".*", message in ".*", stack in ".*") {
        let error = ErrorMeta {
            name: name.into(), message: message.into(), stack: stack.into(), ..ErrorMeta::default()
        };
        let bytes = error.to_bytes();
        prop_assert!(bytes.len() <= usize::from(u16::MAX));
        let read = ErrorMeta::read(&bytes).unwrap();
        prop_assert!(error.message.starts_with(&*read.message));
        prop_assert!(error.stack.starts_with(&*read.stack));
    }
}
