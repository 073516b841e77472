//! The primitives every other room uses: std's, or the model checker's.
//!
//! Built with `--cfg shuttle` the same code runs under shuttle's scheduler, so that the tests explore
//! interleavings of the real pool and not of a copy. Locks ignore poisoning: user code never runs under
//! one, and a panic of ours would be a bug that every later caller should not have to handle.

#[cfg(not(shuttle))]
use std::{sync as imp, thread as imp_thread};

#[cfg(shuttle)]
use shuttle::{sync as imp, thread as imp_thread};

use std::{io, time::Duration};

pub(crate) use imp::MutexGuard;
pub(crate) use imp::atomic;
pub(crate) use imp_thread::{JoinHandle, Thread, current, park};

#[cfg(shuttle)]
pub(crate) use shuttle::thread_local;
#[cfg(not(shuttle))]
pub(crate) use std::thread_local;

/// A mutex without poisoning.
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T> std::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutex")
    }
}

/// Parks the calling thread until it is unparked or, at the latest, after `duration`.
///
/// A model has no time: there it may only be unparked, or give way to others once.
pub(crate) fn park_timeout(duration: Duration) {
    #[cfg(not(shuttle))]
    imp_thread::park_timeout(duration);
    #[cfg(shuttle)]
    {
        let _ = duration;
        imp_thread::park();
    }
}

/// Gives the processor away once; for the few places that wait for another thread's next instruction.
pub(crate) fn yield_now() {
    imp_thread::yield_now();
}

/// Starts a named thread. The one place of the library where threads come from.
pub(crate) fn spawn(
    name: String,
    stack_size: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    #[cfg(not(shuttle))]
    {
        let mut builder = imp_thread::Builder::new().name(name);
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(body)
    }
    #[cfg(shuttle)]
    {
        let _ = (name, stack_size);
        Ok(imp_thread::spawn(body))
    }
}
