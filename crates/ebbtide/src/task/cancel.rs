//! Asking: a token that many can look at, wait for, or hang an action on.
//!
//! A request, never a force. Invariant: the reason is written once, before the flag is raised; an action
//! registered after that runs at once, one registered before runs exactly once or is taken back.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context as Poller, Poll, Waker},
    time::Duration,
};

use super::{
    error::Cancelled,
    outcome::CancelReason,
    panics,
    wait::{self, Wakers},
};
use crate::{
    clock::Moment,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Asks tasks to cancel. Clones are the same token; a [`child`](Self::child) is cancelled with its parent, not the other way.
///
/// Cancelling is asking: a running body must look. What still waits in a queue under this token ends at once.
#[derive(Clone)]
#[doc(alias = "CancellationToken")]
#[doc(alias = "AbortController")]
pub struct CancelToken(Arc<Node>);

/// Takes back an action registered with [`CancelToken::on_cancel`] when dropped.
#[must_use = "dropping the guard takes the action back"]
pub struct CancelGuard {
    node: Weak<Node>,
    key: u64,
}

/// Resolves when its token is cancelled. From [`CancelToken::cancelled`].
#[derive(Debug)]
pub struct WaitCancelled {
    token: CancelToken,
    key: usize,
}

type Action = Box<dyn FnOnce(&CancelReason) + Send>;

#[derive(Default)]
struct Node {
    raised: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    reason: Option<CancelReason>,
    actions: BTreeMap<u64, Action>,
    wakers: Wakers,
    next_key: u64,
    /// Keeps a child registered with its parent for as long as the child lives.
    parent: Option<CancelGuard>,
}

impl Default for Mutex<Inner> {
    fn default() -> Self {
        Self::new(Inner::default())
    }
}

impl CancelToken {
    /// A token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// A token that is cancelled when this one is, or on its own.
    #[must_use]
    #[doc(alias = "child_token")]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let weak = Arc::downgrade(&child.0);
        let guard = self.on_cancel(move |reason| {
            if let Some(node) = weak.upgrade() {
                Self(node).cancel_because(reason.as_parent());
            }
        });
        child.0.inner.lock().parent = Some(guard);
        child
    }

    /// Asks everybody under this token to cancel. False if that was asked before.
    pub fn cancel(&self) -> bool {
        self.cancel_because(CancelReason::Requested(None))
    }

    /// The same with a reason, which the tasks, their handles and the report will name.
    pub fn cancel_with(&self, why: impl Into<Arc<str>>) -> bool {
        self.cancel_because(CancelReason::Requested(Some(why.into())))
    }

    pub(crate) fn cancel_because(&self, reason: CancelReason) -> bool {
        let (actions, wakers) = {
            let mut inner = self.0.inner.lock();
            if inner.reason.is_some() {
                return false;
            }
            inner.reason = Some(reason.clone());
            self.0.raised.store(true, Ordering::SeqCst);
            (std::mem::take(&mut inner.actions), inner.wakers.take())
        };
        wait::wake_all(wakers);
        for action in actions.into_values() {
            // It may be the user's. If it panics, those that come after it must hear of the request all the same.
            let _ = panics::quietly(|| action(&reason));
        }
        true
    }

    /// True once it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Why it was cancelled, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        if self.is_cancelled() { self.0.inner.lock().reason.clone() } else { None }
    }

    /// `Err(Cancelled)` once it was cancelled; for `?`.
    ///
    /// # Errors
    /// [`Cancelled`], when it was.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Blocks the calling thread until it is cancelled or `timeout` has passed; true if it is cancelled.
    ///
    /// A sleep that ends early when somebody asks.
    #[must_use = "false says that the time passed"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let (until, waiting) = (Moment::now().plus(timeout), self.cancelled());
        wait::block_until(Some(until), |waker| waiting.is_over(waker).then_some(())).is_some()
    }

    /// A future that resolves when it is cancelled.
    #[must_use]
    pub fn cancelled(&self) -> WaitCancelled {
        WaitCancelled { token: self.clone(), key: self.waiter_key() }
    }

    /// Runs `action` when it is cancelled, on the thread that cancels; at once if it already is.
    ///
    /// The action must be quick and must not block. Dropping the guard takes it back. Actions run in the order in which they were registered;
    /// a panic of one is caught, and keeps none of the others from running.
    pub fn on_cancel(&self, action: impl FnOnce(&CancelReason) + Send + 'static) -> CancelGuard {
        let mut inner = self.0.inner.lock();
        let key = inner.next_key;
        inner.next_key += 1;
        let node = Arc::downgrade(&self.0);
        if let Some(reason) = inner.reason.clone() {
            drop(inner);
            action(&reason);
        } else {
            inner.actions.insert(key, Box::new(action));
        }
        CancelGuard { node, key }
    }

    fn waiter_key(&self) -> usize {
        let mut inner = self.0.inner.lock();
        inner.next_key += 1;
        usize::try_from(inner.next_key).unwrap_or(usize::MAX)
    }
}

impl WaitCancelled {
    /// True once it is cancelled; else leaves the waker, which stays for as long as this does.
    pub(crate) fn is_over(&self, waker: &Waker) -> bool {
        if self.token.is_cancelled() {
            return true;
        }
        let _replaced;
        let mut inner = self.token.0.inner.lock();
        _replaced = inner.wakers.register(self.key, waker);
        inner.reason.is_some()
    }
}

/// A token may live as long as its program, and be waited for by everything that comes and goes in it.
impl Drop for WaitCancelled {
    fn drop(&mut self) {
        if !self.token.is_cancelled() {
            let gone = self.token.0.inner.lock().wakers.forget(self.key);
            panics::drop_quietly(gone);
        }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("reason", &self.reason()).finish()
    }
}

impl CancelReason {
    pub(crate) fn as_parent(&self) -> Self {
        match self {
            Self::Requested(why) | Self::Parent(why) => Self::Parent(why.clone()),
            other => Self::Parent(Some(other.to_string().into())),
        }
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(node) = self.node.upgrade() {
            // Taken out under the lock, dropped after it: an action may own anything.
            let action = node.inner.lock().actions.remove(&self.key);
            drop(action);
        }
    }
}

impl fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelGuard").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Future for WaitCancelled {
    type Output = CancelReason;

    fn poll(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<CancelReason> {
        if self.is_over(poller.waker()) {
            Poll::Ready(self.token.reason().unwrap_or(CancelReason::Requested(None)))
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_follows_its_parent_and_not_the_other_way() {
        let parent = CancelToken::new();
        let child = parent.child();
        let sibling = parent.child();
        assert!(child.cancel());
        assert!(!parent.is_cancelled() && !sibling.is_cancelled());
        assert!(parent.cancel_with("enough"));
        assert_eq!(sibling.reason(), Some(CancelReason::Parent(Some("enough".into()))));
        assert_eq!(child.reason(), Some(CancelReason::Requested(None)), "the first reason stays");
        assert!(!parent.cancel(), "a second request changes nothing");
    }

    #[test]
    fn an_action_runs_once_or_is_taken_back() {
        let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = |runs: &Arc<std::sync::atomic::AtomicUsize>| {
            let runs = Arc::clone(runs);
            move |_: &CancelReason| {
                runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        };
        let token = CancelToken::new();
        let kept = token.on_cancel(count(&runs));
        drop(token.on_cancel(count(&runs)));
        token.cancel();
        token.cancel();
        let late = token.on_cancel(count(&runs));
        drop((kept, late));
        assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 2, "one before, one late");
    }

    #[test]
    fn an_action_that_panics_keeps_no_other_from_running() {
        let token = CancelToken::new();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let guards: Vec<_> = (0..3)
            .map(|n| {
                let seen = Arc::clone(&seen);
                token.on_cancel(move |_| {
                    seen.lock().unwrap().push(n);
                    assert_ne!(n, 1, "the second panics");
                })
            })
            .collect();
        assert!(token.cancel());
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2], "in their order");
        drop(guards);
    }

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let token = CancelToken::new();
        let left = || token.0.inner.lock().wakers.len();
        for _ in 0..10 {
            assert!(!token.wait_timeout(Duration::ZERO));
            let mut waiting = std::pin::pin!(token.cancelled());
            assert!(waiting.as_mut().poll(&mut Poller::from_waker(std::task::Waker::noop())).is_pending());
            assert_eq!(left(), 1);
        }
        assert_eq!(left(), 0);
        drop(token.on_cancel(|_| ()));
        assert!(token.0.inner.lock().actions.is_empty());
    }

    #[test]
    fn waiting_ends_by_time_or_by_the_request() {
        let token = CancelToken::new();
        assert!(!token.wait_timeout(Duration::from_millis(1)));
        token.cancel();
        assert!(token.wait_timeout(Duration::from_secs(60)));
    }
}
