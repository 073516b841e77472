//! The primitives every other room uses: std's, or a model checker's.
//!
//! Built with `--cfg shuttle` the same code runs under shuttle's scheduler, so that the tests explore interleavings of the real pool and
//! not of a copy; with `--cfg loom` the primitives beneath it run under loom, which also explores what the orderings of atomics allow and sees
//! who touches an [`UnsafeCell`] unordered. What a model does not see, because it is std's in all of them: `Arc`, `OnceLock`, the box of
//! `once_cell`, and the few statics that no model may carry from one run to the next. Locks ignore poisoning: user code never runs under
//! one, and a panic of ours would be a bug that every later caller should not have to handle.

#[cfg(shuttle)]
#[path = "sync/mpsc.rs"]
pub(crate) mod mpsc;
#[cfg(not(shuttle))]
pub(crate) use std::sync::mpsc;

#[cfg(not(any(shuttle, loom)))]
use std::{sync as imp, thread as imp_thread};

#[cfg(shuttle)]
use shuttle::{sync as imp, thread as imp_thread};

#[cfg(loom)]
use loom::{sync as imp, thread as imp_thread};

use std::{io, sync::OnceLock, time::Duration};

pub(crate) use imp::MutexGuard;
pub(crate) use imp::atomic;
pub(crate) use imp_thread::JoinHandle;
#[cfg(not(loom))]
pub(crate) use imp_thread::{Thread, current, park};
#[cfg(loom)]
pub(crate) use parking::{Thread, current, park};

#[cfg(shuttle)]
pub(crate) use shuttle::{sync::Condvar, thread_local};
#[cfg(not(any(shuttle, loom)))]
pub(crate) use std::thread_local;

/// Loom's, which does not know `const { … }`.
#[cfg(loom)]
macro_rules! loom_thread_local {
    () => {};
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = const $init:block; $($rest:tt)*) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $init }
        $crate::sync::thread_local! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $init:expr; $($rest:tt)*) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $init }
        $crate::sync::thread_local! { $($rest)* }
    };
}
#[cfg(loom)]
pub(crate) use loom_thread_local as thread_local;

/// True under a model checker: there is no time, only turns, and every step more is many runs more.
pub(crate) const IN_A_MODEL: bool = cfg!(any(shuttle, loom));

/// How many threads can run at once, as it was when somebody first asked; in a model always two.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    let count = || std::thread::available_parallelism().map_or(1, usize::from);
    if IN_A_MODEL { 2 } else { *CORES.get_or_init(count) }
}

/// A mutex without poisoning.
pub(crate) struct Mutex<T>(imp::Mutex<T>);

/// A place that is written without a lock; who may, the code around it knows.
pub(crate) struct UnsafeCell<T>(Cell<T>);

#[cfg(loom)]
type Cell<T> = loom::cell::UnsafeCell<T>;
#[cfg(not(loom))]
type Cell<T> = std::cell::UnsafeCell<T>;

impl<T> Mutex<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// Not `const` there: each run of a model has its own.
    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// `None` where somebody else has it.
    #[cfg(not(loom))]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> std::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> UnsafeCell<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Self {
        Self(Cell::new(value))
    }

    /// Lends a pointer to what lies there, for as long as `touch` takes. Loom notes it as a write.
    #[inline]
    pub(crate) fn with_mut<R>(&self, touch: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(loom)]
        return self.0.with_mut(touch);
        #[cfg(not(loom))]
        touch(self.0.get())
    }
}

/// Parks the calling thread until it is unparked or, at the latest, after `duration`.
///
/// A model has no time: there it may only be unparked, unless it is a simulation.
pub(crate) fn park_timeout(duration: Duration) {
    #[cfg(not(any(shuttle, loom)))]
    imp_thread::park_timeout(duration);
    #[cfg(shuttle)]
    {
        use crate::clock::{Moment, simulated};
        let thread = current();
        let alarm = simulated::now()
            .and_then(|now: Moment| simulated::insert(now.plus(duration), Box::new(move || thread.unpark())));
        park();
        alarm.into_iter().for_each(simulated::remove);
    }
    #[cfg(loom)]
    {
        let _ = duration;
        park();
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
    #[cfg(not(any(shuttle, loom)))]
    {
        let mut builder = imp_thread::Builder::new().name(name);
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(body)
    }
    #[cfg(any(shuttle, loom))]
    {
        let _ = (name, stack_size);
        Ok(imp_thread::spawn(body))
    }
}

/// Parking as std has it. Loom's own takes an unpark for the end of any wait: a thread that waits for a lock would go on without it, and
/// whoever releases a lock takes the tokens of those who wait for it.
#[cfg(loom)]
mod parking {
    use std::sync::Arc;

    use loom::sync::{Condvar, Mutex};

    #[derive(Clone, Debug)]
    pub(crate) struct Thread(Arc<Token>);

    #[derive(Debug)]
    struct Token {
        given: Mutex<bool>,
        came: Condvar,
    }

    loom::thread_local! {
        static OWN: Thread = Thread(Arc::new(Token { given: Mutex::new(false), came: Condvar::new() }))
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            *self.0.given.lock().expect("loom's locks are not poisoned") = true;
            self.0.came.notify_one();
        }
    }

    pub(crate) fn current() -> Thread {
        OWN.with(Thread::clone)
    }

    pub(crate) fn park() {
        let Thread(token) = current();
        let mut given = token.given.lock().expect("loom's locks are not poisoned");
        while !*given {
            given = token.came.wait(given).expect("loom's locks are not poisoned");
        }
        *given = false;
    }
}

/// Runs a scenario in every interleaving that takes at most two preemptions, with every value that a load may give.
#[cfg(all(test, loom))]
pub(crate) fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // `LOOM_MAX_PREEMPTIONS` says another, for those small enough.
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&runs);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        scenario();
    });
    let runs = runs.load(std::sync::atomic::Ordering::Relaxed);
    assert!(runs > 1, "only one interleaving was tried: what races here begins with a load that loom forgot");
}
