//! A run on its way through the pool: a future that is polled by whoever wakes it, so that nobody waits for it.
//!
//! It waits for room, then for the end of its task. The timer's thread polls it first, later a worker that made room or ended
//! the task; each poll is short and blocks nobody.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Wake, Waker},
};

use crate::{
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
    task::gate,
};

pub(crate) type Flying = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Nobody polls it.
const IDLE: u8 = 0;
const POLLED: u8 = 1;
/// Somebody polls it, and it was woken meanwhile.
const AGAIN: u8 = 2;
const OVER: u8 = 3;

pub(crate) struct Firing {
    word: AtomicU8,
    future: Mutex<Option<Flying>>,
}

impl Firing {
    pub(crate) fn new(future: Flying) -> Arc<Self> {
        Arc::new(Self { word: AtomicU8::new(IDLE), future: Mutex::new(Some(future)) })
    }

    /// Takes it as far as it goes now. While another thread does, that one is told to look once more.
    pub(crate) fn poll(self: &Arc<Self>) {
        let next = |word| match word {
            IDLE => Some(POLLED),
            POLLED => Some(AGAIN),
            _ => None,
        };
        if self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) != Ok(IDLE) {
            return;
        }
        let waker = Waker::from(Arc::clone(self));
        while !self.poll_once(&waker) {
            let idle = self.word.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if idle.is_ok() {
                return;
            }
            self.word.store(POLLED, Ordering::Release);
        }
        self.word.store(OVER, Ordering::Release);
    }

    /// True if it is over.
    fn poll_once(&self, waker: &Waker) -> bool {
        let Some(mut future) = self.future.lock().take() else { return true };
        // On a worker of the pool a submit would pass for a child of the task that runs there.
        let here = gate::set_here(None);
        let over = future.as_mut().poll(&mut Poller::from_waker(waker)).is_ready();
        gate::set_here(here);
        if !over {
            *self.future.lock() = Some(future);
        }
        over
    }
}

impl Wake for Firing {
    fn wake(self: Arc<Self>) {
        self.poll();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.poll();
    }
}
