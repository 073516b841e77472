//! Panics that are not a task's outcome: where they began, and those of user code that is dropped.

use std::{
    any::Any,
    cell::RefCell,
    mem,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

static DROPS: AtomicU64 = AtomicU64::new(0);
static LOCATE: Once = Once::new();

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets [`TaskError::panic_location`](crate::TaskError::panic_location) name the place where a task's panic began.
///
/// Puts a hook before the process's panic hook, which still runs; calling it again does nothing. Opt-in, because the
/// panic hook belongs to the program, not to a library.
pub fn locate_panics() {
    LOCATE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            // A panic in a thread-local's destructor may come when this one's is over.
            let _ = LOCATION.try_with(|location| *location.borrow_mut() = place);
            next(info);
        }));
    });
}

pub(crate) fn take_location() -> Option<String> {
    LOCATION.with(|location| location.borrow_mut().take())
}

/// Drops what belongs to a user. A panic there is caught and counted: it must not take a worker or a lock with it.
#[inline]
pub(crate) fn drop_quietly<T>(value: T) {
    let _ = quietly(|| drop(value));
}

/// Calls what belongs to a user and is nobody's task: a destructor, a hook, a waker. A panic there is caught and counted.
pub(crate) fn quietly<T>(call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => Some(value),
        Err(payload) => {
            count_drop_panic();
            bury(payload);
            None
        }
    }
}

/// Drops a panic's payload, which may panic itself; what that leaves behind is leaked.
pub(crate) fn bury(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        count_drop_panic();
        mem::forget(second);
    }
}

pub(crate) fn count_drop_panic() {
    DROPS.fetch_add(1, Ordering::Relaxed);
}

/// How many panics in destructors of tasks, results and worker states were caught in this process so far.
#[must_use]
pub fn drop_panics() -> u64 {
    DROPS.load(Ordering::Relaxed)
}
