//! What the surroundings say about a stop: the value of `EBBTIDE_STOP_TIMEOUT` is any bytes, and is a duration or refused.
#![no_main]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

#[path = "../../crates/ebbtide/src/app/environment.rs"]
#[expect(dead_code, reason = "what reads the environment itself")]
mod environment;

mod error {
    pub(crate) use ebbtide::AppError;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match environment::granted(OsStr::from_bytes(bytes)) {
    Ok(granted) => {
        assert!(!granted.is_zero());
        #[cfg(feature = "canary")]
        assert!(!bytes.ends_with(b"7ms"), "the canary");
    }
    Err(error) => assert!(error.to_string().contains("EBBTIDE_STOP_TIMEOUT")),
});
