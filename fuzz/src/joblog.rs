//! A job log that is resumed from: a file that anybody may have written.
#![no_main]

#[path = "."]
mod joblog {
    #[path = "../../crates/ebbtide-cli/src/joblog/read.rs"]
    mod read;
    #[path = "../../crates/ebbtide-cli/src/joblog/row.rs"]
    mod row;

    use read::{Done, Past};

    pub(crate) fn look(bytes: &[u8]) {
        let log = [row::HEADER, bytes].concat();
        for log in [bytes, &log] {
            let Ok(past) = Past::read(log) else { continue };
            for seq in 0..4 {
                let ended = past.is_done(seq, b"echo a", Done::Ended).unwrap_or(false);
                let succeeded = past.is_done(seq, b"echo a", Done::Succeeded).unwrap_or(false);
                assert!(ended || !succeeded, "what succeeded has ended");
                #[cfg(feature = "canary")]
                assert!(seq != 3 || !ended || succeeded, "the canary");
            }
            assert!(past.ends_with(u64::MAX).is_ok());
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| joblog::look(bytes));
