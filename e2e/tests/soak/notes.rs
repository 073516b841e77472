//! Books that the workers keep: a file in which some tasks write themselves down when they run.
//!
//! So it is seen from the other side that none runs twice, that what completed has run, and that what came back has not.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};

use ebbtide::Outcome;

use crate::tools::{fresh, lines};

/// No more tasks than this, so that a long soak is not measured by its own books.
const MOST: usize = 1_000_000;
/// Beside the outcomes, which are smaller.
const OPEN: u8 = 100;
const REFUSED: u8 = 101;

pub(crate) struct Notes {
    path: PathBuf,
    next: AtomicUsize,
    /// How each ended.
    ends: Vec<AtomicU8>,
}

impl Notes {
    pub(crate) fn new() -> Self {
        let ends = std::iter::repeat_with(|| AtomicU8::new(OPEN)).take(MOST).collect();
        Self { path: fresh("notes"), next: AtomicUsize::new(0), ends }
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The number of one more, if there may be one.
    pub(crate) fn next(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, SeqCst);
        (number < MOST).then_some(number)
    }

    /// The pool did not take it.
    pub(crate) fn refused(&self, number: usize) {
        self.ends[number].store(REFUSED, SeqCst);
    }

    pub(crate) fn end(&self, number: usize, outcome: Outcome) {
        self.ends[number].store(outcome as u8, SeqCst);
    }

    /// When no worker is left: what is wrong.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let mut ran = vec![0_u8; MOST];
        for line in lines(&self.path) {
            let number: usize = line.parse().map_err(|_| format!("{line:?} is no note"))?;
            ran[number] += 1;
        }
        let given = self.next.load(SeqCst).min(MOST);
        for (number, (ran, end)) in ran.into_iter().zip(&self.ends).take(given).enumerate() {
            let end = end.load(SeqCst);
            let outcome = Outcome::ALL.get(usize::from(end)).copied();
            let right = match outcome {
                Some(Outcome::Completed) => ran == 1,
                // It was begun, but died perhaps before its first line.
                Some(Outcome::Crashed | Outcome::Killed) => ran <= 1,
                // It looks at no request: whoever is cancelled or out of time has not begun.
                Some(_) => ran == 0,
                None => ran == 0 && end == REFUSED,
            };
            if !right {
                return Err(format!("note {number} ran {ran} times and ended {outcome:?} ({end})"));
            }
        }
        Ok(())
    }
}
