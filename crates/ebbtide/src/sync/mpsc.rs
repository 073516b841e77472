//! A channel under shuttle whose receiver can wait until a moment of the simulation's; what std's would do.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{Mutex, Thread, current, park, park_timeout};
use crate::clock::Moment;

struct Inner<T> {
    messages: VecDeque<T>,
    senders: usize,
    listens: bool,
    waits: Option<Thread>,
}

pub(crate) struct Sender<T>(Arc<Mutex<Inner<T>>>);
pub(crate) struct Receiver<T>(Arc<Mutex<Inner<T>>>);

/// Why nothing was received or sent.
#[derive(Debug)]
pub(crate) struct Nothing;

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let inner = Inner { messages: VecDeque::new(), senders: 1, listens: true, waits: None };
    let inner = Arc::new(Mutex::new(inner));
    (Sender(Arc::clone(&inner)), Receiver(inner))
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, message: T) -> Result<(), Nothing> {
        let waits = {
            let mut inner = self.0.lock();
            if !inner.listens {
                return Err(Nothing);
            }
            inner.messages.push_back(message);
            inner.waits.take()
        };
        waits.into_iter().for_each(|thread| thread.unpark());
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv(&self) -> Result<T, Nothing> {
        self.receive(None)
    }

    pub(crate) fn recv_timeout(&self, timeout: Duration) -> Result<T, Nothing> {
        self.receive(Some(Moment::now().plus(timeout)))
    }

    fn receive(&self, until: Option<Moment>) -> Result<T, Nothing> {
        loop {
            let mut inner = self.0.lock();
            if let Some(message) = inner.messages.pop_front() {
                return Ok(message);
            }
            let now = Moment::now();
            if inner.senders == 0 || until.is_some_and(|until| now >= until) {
                return Err(Nothing);
            }
            inner.waits = Some(current());
            drop(inner);
            match until {
                Some(until) => park_timeout(until.since(now)),
                None => park(),
            }
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waits = {
            let mut inner = self.0.lock();
            inner.senders -= 1;
            if inner.senders == 0 { inner.waits.take() } else { None }
        };
        waits.into_iter().for_each(|thread| thread.unpark());
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut inner = self.0.lock();
            inner.listens = false;
            std::mem::take(&mut inner.messages)
        };
        drop(left);
    }
}
