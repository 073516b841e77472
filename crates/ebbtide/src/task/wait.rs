//! Waiting for something that others make true: one way for threads and futures alike, a [`Waker`].

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use super::panics;
use crate::{
    clock::Moment,
    sync::{
        self, Thread,
        atomic::{AtomicU32, Ordering},
    },
};

/// Wakes one thread, and counts it: the token that `park` takes may be taken by whatever else parks on that thread, a blocking
/// receive in a hook for example.
struct Unpark {
    thread: Thread,
    wakes: AtomicU32,
}

impl Unpark {
    fn of_this_thread() -> Arc<Self> {
        Arc::new(Self { thread: sync::current(), wakes: AtomicU32::new(0) })
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

sync::thread_local! {
    /// What wakes the thread it belongs to, and the same as a waker.
    static OWN: (Arc<Unpark>, Waker) = {
        let unpark = Unpark::of_this_thread();
        (Arc::clone(&unpark), Waker::from(unpark))
    };
}

/// Blocks the calling thread until `poll` gives a value, or `until` has come (then `None`).
///
/// `poll` must leave the waker where it is woken when the answer changes. Spurious wake-ups only poll again.
pub(crate) fn block_until<T>(until: Option<Moment>, mut poll: impl FnMut(&Waker) -> Option<T>) -> Option<T> {
    let mut wait = |(unpark, waker): &(Arc<Unpark>, Waker)| {
        loop {
            let seen = unpark.wakes.load(Ordering::SeqCst);
            if let Some(value) = poll(waker) {
                return Some(value);
            }
            while unpark.wakes.load(Ordering::SeqCst) == seen {
                let Some(until) = until else {
                    sync::park();
                    continue;
                };
                let now = Moment::now();
                if now >= until {
                    return None;
                }
                sync::park_timeout(until.since(now));
            }
        }
    };
    // In the destructor of another thread-local ours may be gone; waiting must not fail even there.
    OWN.try_with(&mut wait).unwrap_or_else(|_| {
        let unpark = Unpark::of_this_thread();
        wait(&(Arc::clone(&unpark), Waker::from(unpark)))
    })
}

/// Those who wait for one thing, each under a key of its own so that polling again replaces its waker.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    list: Vec<(usize, Waker)>,
}

impl Wakers {
    /// Leaves a waker, and gives the one it replaces. That must be dropped after the lock around the list is released: it may
    /// be the last owner of a future, and a future may own anything.
    #[must_use]
    pub(crate) fn register(&mut self, key: usize, waker: &Waker) -> Option<Waker> {
        match self.list.iter_mut().find(|(own, _)| *own == key) {
            Some((_, old)) if old.will_wake(waker) => None,
            Some((_, old)) => Some(std::mem::replace(old, waker.clone())),
            None => {
                self.list.push((key, waker.clone()));
                None
            }
        }
    }

    /// Takes out who waits no more; to be dropped after the lock around the list is released.
    #[must_use]
    pub(crate) fn forget(&mut self, key: usize) -> Option<Waker> {
        let place = self.list.iter().position(|(own, _)| *own == key)?;
        Some(self.list.swap_remove(place).1)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes all of them; to be woken after the lock around the list is released.
    pub(crate) fn take(&mut self) -> Vec<(usize, Waker)> {
        std::mem::take(&mut self.list)
    }
}

pub(crate) fn wake_all(wakers: Vec<(usize, Waker)>) {
    wakers.into_iter().for_each(|(_, waker)| wake(waker));
}

/// Wakes one. A waker is its executor's code: if it panics, whoever else is to be woken or told must be all the same.
pub(crate) fn wake(waker: Waker) {
    let _ = panics::quietly(|| waker.wake());
}
