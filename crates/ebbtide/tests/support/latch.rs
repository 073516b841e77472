//! A door that tasks wait behind until the test opens it, whatever they are asked meanwhile.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Clones are the same door. Closed until `open`; stays open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latch(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    inside: usize,
}

impl Latch {
    /// Opens it for everybody.
    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        self.0.1.notify_all();
    }

    /// Blocks until it is open. Looks at no request to cancel: whoever waits here is stuck.
    pub(crate) fn pass(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.inside += 1;
        while !state.open {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many have come to it so far.
    pub(crate) fn came(&self) -> usize {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).inside
    }
}

/// Opens its latch when dropped, so that a failing test leaves no thread behind.
#[derive(Debug)]
pub(crate) struct OpensAtLast(pub(crate) Latch);

impl Drop for OpensAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}
