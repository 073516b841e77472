//! What a worker says first, and whether it is the one that was started. Pure, and of nobody's trust: fuzzed as it stands here.

use ebbtide_worker::frame::{VERSION, meta::HelloMeta};

/// More tasks than this are at no worker at a time, however many it asks for.
pub(super) const CREDITS_MOST: usize = 1024;

/// Reads the meta of a HELLO. Gives how many tasks the worker wants to have, or in words why it may have none.
pub(super) fn greet(meta: &[u8], nonce: &str) -> Result<usize, String> {
    let hello = HelloMeta::read(meta).map_err(|malformed| malformed.to_string())?;
    if hello.proto != VERSION {
        return Err(format!(
            "protocol version {}, and this pool speaks {VERSION}: update the worker's ebbtide package or this program",
            hello.proto
        ));
    }
    if hello.nonce != nonce {
        return Err("a HELLO without our nonce (EBBTIDE_NONCE)".to_owned());
    }
    Ok(usize::try_from(hello.credits).unwrap_or(1).clamp(1, CREDITS_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_nonce_and_speaks_the_version_is_greeted() {
        let hello = |proto, nonce: &str, credits| {
            let meta = HelloMeta { proto, nonce: nonce.into(), credits, ..HelloMeta::default() }.to_bytes();
            greet(&meta, "a1")
        };
        assert_eq!(hello(VERSION, "a1", 7), Ok(7));
        assert_eq!(hello(VERSION, "a1", 0), Ok(1), "one at least");
        assert_eq!(hello(VERSION, "a1", u32::MAX), Ok(CREDITS_MOST));
        for (proto, nonce, why) in [(2, "a1", "version 2"), (VERSION, "", "nonce"), (VERSION, "a10", "nonce")]
        {
            assert!(hello(proto, nonce, 1).unwrap_err().contains(why));
        }
        assert!(greet(b"", "a1").is_err(), "a default has no nonce");
        assert!(greet(b"[]", "a1").is_err());
    }
}
