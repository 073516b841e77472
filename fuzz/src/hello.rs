//! What a worker says first, as the pool judges it: whoever is not the one that was started gets no task.
#![no_main]

use ebbtide_worker::frame::{VERSION, meta::HelloMeta};

#[path = "."]
mod remote {
    #[path = "../../crates/ebbtide/src/worker/remote/greeting.rs"]
    mod greeting;

    pub(crate) fn greet(meta: &[u8], nonce: &str) -> Result<usize, String> {
        let credits = greeting::greet(meta, nonce)?;
        assert!((1..=greeting::CREDITS_MOST).contains(&credits));
        #[cfg(feature = "canary")]
        assert!(credits != greeting::CREDITS_MOST, "the canary");
        Ok(credits)
    }
}

const NONCE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    // From one who was started by the pool and is no friend of it: hardly a mutation would find the nonce again.
    judge(&[br#"{"nonce":""#, NONCE.as_bytes(), b"\",", bytes, b"}"].concat());
});

fn judge(meta: &[u8]) {
    if remote::greet(meta, NONCE).is_ok() {
        let hello = HelloMeta::read(meta).expect("it was read before");
        assert_eq!((hello.proto, &*hello.nonce), (VERSION, NONCE), "nobody else is let in");
    }
}
