//! The last of what a worker process printed, kept for the day it dies.

use crate::sync::Mutex;

/// So much is kept at least, once there was that much.
const KEPT: usize = 64 << 10;
/// So much of it is shown as last words.
const WORDS: usize = 2 << 10;

/// The end of what came on standard output and error, in the order in which it was read.
#[derive(Debug)]
pub(super) struct Tail(Mutex<Vec<u8>>);

impl Tail {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn add(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let mut kept = self.0.lock();
        // Twice as much is let come together before the older half goes, so that a flood is not moved at every read.
        if kept.len() + bytes.len() > 2 * KEPT {
            let surplus = (kept.len() + bytes.len()).saturating_sub(KEPT).min(kept.len());
            kept.drain(..surplus);
        }
        kept.extend_from_slice(bytes);
    }

    /// The last words: whole lines where they fit.
    pub(super) fn last_words(&self) -> String {
        let kept = self.0.lock();
        let from = kept.len().saturating_sub(WORDS);
        let cut = &kept[from..];
        let line =
            if from > 0 { cut.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1) } else { 0 };
        String::from_utf8_lossy(&cut[line..]).trim().to_owned()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_its_end_and_a_bounded_rest() {
        let tail = Tail::new();
        for number in 0..100_000 {
            tail.add(format!("line {number}\n").as_bytes());
            assert!(tail.len() <= 2 * KEPT);
        }
        let words = tail.last_words();
        assert!(words.starts_with("line 99") && words.ends_with("line 99999"), "{words}");
        assert!(tail.len() >= KEPT);
    }

    #[test]
    fn one_long_chunk_is_cut_and_short_words_are_whole() {
        let tail = Tail::new();
        tail.add(b"first\n");
        assert_eq!(tail.last_words(), "first");
        tail.add(&vec![b'x'; 10 << 20]);
        assert!(tail.len() <= 2 * KEPT && tail.last_words().len() == WORDS);
    }
}
