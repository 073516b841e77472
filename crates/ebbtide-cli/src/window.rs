//! The window: how much may be read and not yet printed, so that neither a slow task under --keep-order, nor a slow
//! reader of our output, nor huge lines can fill the memory. The one who reads waits; nobody else does.
//!
//! It cannot deadlock: only the reader of the input waits here, and the oldest unprinted task is always inside, so a
//! pool that works and a printer that prints make room without any new line.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Tasks read and not yet printed.
const TASKS_MOST: usize = 1_000;
/// Bytes of their lines.
const BYTES_MOST: usize = 64 * 1024 * 1024;
/// Outputs among them that are spooled to files, two descriptors each at most.
const SPOOLED_MOST: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Window {
    inside: Mutex<Inside>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    tasks: usize,
    bytes: usize,
    spooled: usize,
    shut: bool,
}

/// What became of an attempt to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Entered,
    /// The run is being stopped: nothing enters any more.
    Shut,
}

impl Inside {
    fn has_room(&self, bytes: usize) -> bool {
        // One line always fits, however long.
        self.tasks == 0
            || (self.tasks < TASKS_MOST && self.bytes + bytes <= BYTES_MOST && self.spooled < SPOOLED_MOST)
    }
}

impl Window {
    /// Waits for room for one task with a line of `bytes`.
    pub(crate) fn enter(&self, bytes: usize) -> Entry {
        let inside = self.lock();
        let mut inside = self
            .room
            .wait_while(inside, |inside| !inside.shut && !inside.has_room(bytes))
            .unwrap_or_else(PoisonError::into_inner);
        if inside.shut {
            return Entry::Shut;
        }
        inside.tasks += 1;
        inside.bytes += bytes;
        Entry::Entered
    }

    /// An output went to a file.
    pub(crate) fn spooled(&self) {
        self.lock().spooled += 1;
    }

    /// The task was printed: its line and its `spooled` files are gone.
    pub(crate) fn leave(&self, bytes: usize, spooled: usize) {
        let mut inside = self.lock();
        inside.tasks -= 1;
        inside.bytes -= bytes;
        inside.spooled -= spooled;
        drop(inside);
        self.room.notify_all();
    }

    /// Lets nothing in any more.
    pub(crate) fn shut(&self) {
        self.lock().shut = true;
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_full_window_waits_for_a_leaver() {
        let window = Arc::new(Window::default());
        for _ in 0..TASKS_MOST {
            assert_eq!(window.enter(1), Entry::Entered);
        }
        let other = Arc::clone(&window);
        let waiter = std::thread::Builder::new().spawn(move || other.enter(1)).unwrap();
        window.leave(1, 0);
        assert_eq!(waiter.join().unwrap(), Entry::Entered);
        assert_eq!(window.lock().tasks, TASKS_MOST);
    }

    #[test]
    fn spooled_outputs_and_long_lines_count() {
        let mut inside = Inside { tasks: 1, spooled: SPOOLED_MOST, ..Inside::default() };
        assert!(!inside.has_room(1));
        inside = Inside { tasks: 1, bytes: BYTES_MOST, ..Inside::default() };
        assert!(!inside.has_room(1));
        assert!(Inside::default().has_room(usize::MAX));
    }

    #[test]
    fn a_shut_window_wakes_who_waits() {
        let window = Arc::new(Window::default());
        assert_eq!(window.enter(BYTES_MOST), Entry::Entered);
        let other = Arc::clone(&window);
        let waiter = std::thread::Builder::new().spawn(move || other.enter(1)).unwrap();
        window.shut();
        assert_eq!(waiter.join().unwrap(), Entry::Shut);
    }
}
