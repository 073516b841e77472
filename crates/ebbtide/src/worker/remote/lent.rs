//! Memory of a long reply, for the next one: a mebibyte that is new to the process costs more than to receive one.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::sync::Mutex;

/// What is longer is not kept.
const LONGEST: usize = 2 << 20;
/// After so many reads for which none was wanted, none is kept any more.
const QUIET: u8 = 32;

/// Belongs to the reader of one worker.
pub(super) struct Lender {
    place: Arc<Mutex<Place>>,
    /// So many reads in a row wanted none.
    quiet: u8,
}

/// Room for the memory of one reply.
#[derive(Default)]
struct Place {
    /// Long replies come: what comes back is kept.
    open: bool,
    /// Empty = none.
    memory: Vec<u8>,
}

/// Lies in what was received, and brings its memory back.
struct Lent {
    memory: Vec<u8>,
    home: Weak<Mutex<Place>>,
}

impl Default for Lender {
    fn default() -> Self {
        Self { place: Arc::new(Mutex::new(Place::default())), quiet: 0 }
    }
}

impl Lender {
    /// Does what may want memory, and is given whom to ask for it.
    pub(super) fn watch<R>(&mut self, read: impl FnOnce(&mut dyn FnMut(usize) -> Option<Vec<u8>>) -> R) -> R {
        let mut wanted = false;
        let given = read(&mut |length| {
            wanted = true;
            self.place.lock().take(length)
        });
        self.quiet = if wanted { 0 } else { self.quiet.saturating_add(1) };
        if self.quiet == QUIET {
            *self.place.lock() = Place::default();
        }
        given
    }

    /// What was received, to be kept by whoever likes, as long as he likes.
    pub(super) fn lend(&self, memory: Vec<u8>) -> Bytes {
        if memory.capacity() > LONGEST {
            return Bytes::from(memory);
        }
        self.place.lock().open = true;
        Bytes::from_owner(Lent { memory, home: Arc::downgrade(&self.place) })
    }
}

impl Place {
    /// Not if it is much longer: whoever keeps a reply keeps all of its memory.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = (length..=length + length / 8).contains(&self.memory.capacity());
        fits.then(|| std::mem::take(&mut self.memory))
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut place = home.lock();
        if place.open {
            // What comes next is rather as long as this than as what lay there.
            std::mem::swap(&mut place.memory, &mut self.memory);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// What a read that wants so much is given.
    fn want(lender: &mut Lender, length: usize) -> Option<Vec<u8>> {
        lender.watch(|memory| memory(length))
    }

    fn long(length: usize) -> (Vec<u8>, *const u8) {
        let memory = vec![7; length];
        let lies = memory.as_ptr();
        (memory, lies)
    }

    #[test]
    fn memory_comes_back_when_the_last_one_drops_it_and_only_for_what_is_about_as_long() {
        let mut lender = Lender::default();
        let (memory, lies) = long(100_000);
        let bytes = lender.lend(memory);
        let part = bytes.slice(20..);
        assert_eq!((part.as_ptr(), part.len()), (lies.wrapping_add(20), 99_980));
        drop(bytes);
        assert_eq!(want(&mut lender, 100_000), None, "a part of it is still looked at");
        drop(part);
        assert_eq!(want(&mut lender, 100_001), None);
        assert_eq!(want(&mut lender, 88_000), None, "an eighth longer and no more");
        assert_eq!(want(&mut lender, 89_000).map(|memory| memory.as_ptr()), Some(lies));
        assert_eq!(want(&mut lender, 89_000), None);
    }

    #[test]
    fn what_came_back_last_is_kept_and_nothing_that_is_very_long() {
        let mut lender = Lender::default();
        let (first, second) = (lender.lend(long(100_000).0), lender.lend(long(200_000).0));
        drop((first, second));
        assert_eq!(want(&mut lender, 100_000), None);
        drop(lender.lend(long(LONGEST + 1).0));
        assert_eq!(want(&mut lender, LONGEST + 1), None);
        assert!(want(&mut lender, 200_000).is_some());
    }

    #[test]
    fn it_is_given_away_when_no_more_are_long_and_what_comes_later_is_not_kept() {
        let mut lender = Lender::default();
        let quiet = |lender: &mut Lender| (0..QUIET).for_each(|_| lender.watch(|_| ()));
        let late = lender.lend(long(100_000).0);
        drop(lender.lend(long(100_000).0));
        quiet(&mut lender);
        assert_eq!(want(&mut lender, 100_000), None);
        drop(late);
        assert_eq!(want(&mut lender, 100_000), None);
        drop(lender.lend(long(100_000).0));
        assert!(want(&mut lender, 100_000).is_some(), "they come again");
    }

    #[test]
    fn a_reply_outlives_its_worker() {
        let lender = Lender::default();
        let bytes = lender.lend(long(100_000).0);
        drop(lender);
        assert!(bytes.iter().all(|&byte| byte == 7));
    }
}
