//! The guardian's frames and records, from the very file that decodes them: bytes of anybody's.
#![no_main]

#[path = "."]
mod process {
    #[path = "../../crates/ebbtide/src/worker/process/frame.rs"]
    mod frame;
    #[path = "../../crates/ebbtide/src/worker/process/spec.rs"]
    mod spec;

    pub use spec::CommandSpec;

    use frame::{HEADER, LONGEST, RECORD, Record, Request};

    /// Reads frame after frame, as the guardian does; then the bytes as records, as the supervisor does.
    pub(crate) fn look(bytes: &[u8]) {
        let mut rest = bytes;
        while let Ok(Some(length)) = frame::frame_length(rest) {
            assert!((HEADER..=LONGEST).contains(&length));
            let Some((whole, more)) = rest.split_at_checked(length) else { break };
            match frame::decode(whole) {
                Ok(Request::Spawn(spawn)) => {
                    assert!(!spawn.args.is_empty() && spawn.stdio < 8);
                    let text: usize =
                        spawn.args.iter().chain(&spawn.env).map(|one| one.to_bytes_with_nul().len()).sum();
                    assert!(text <= whole.len(), "what is borrowed lies in the frame");
                    #[cfg(feature = "canary")]
                    assert!(spawn.args.len() != 2 || spawn.args[1] != c"-k", "the canary");
                }
                Ok(Request::Signal { task, signal }) => {
                    let again = frame::encode_signal(task, signal);
                    assert_eq!(
                        (again.len(), &again[8..]),
                        (whole.len(), &whole[8..]),
                        "it says what it was told"
                    );
                }
                Err(_) => {}
            }
            rest = more;
        }
        for bytes in bytes.chunks_exact(RECORD) {
            let bytes: &[u8; RECORD] = bytes.try_into().expect("as long as one");
            if let Some(record) = Record::decode(bytes) {
                assert_eq!(Record::decode(&record.encode()), Some(record));
            }
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| process::look(bytes));
