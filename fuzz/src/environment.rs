//! What the surroundings say about a stop: `EBBTIDE_STOP_TIMEOUT` is any bytes, and an application is built with it or refused.
#![no_main]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, time::Duration};

const STOP_TIMEOUT: &str = "EBBTIDE_STOP_TIMEOUT";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // No environment can hold a NUL.
    let value = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    // SAFETY: nothing else runs in this process, nor reads the environment: an application that is built has no threads yet.
    unsafe { std::env::set_var(STOP_TIMEOUT, OsStr::from_bytes(value)) };
    let builder = ebbtide::App::builder("fuzzed");
    match builder.build() {
        Ok(app) => {
            let shown = app.plan().to_string();
            assert!(!shown.is_empty());
            #[cfg(feature = "canary")]
            assert!(!value.ends_with(b"7ms"), "the canary");
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty());
        }
    }
});
