//! What an application is doing now, for whoever answers probes or wants to know.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    clock::Moment,
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
    task::cancel::CancelToken,
};

/// Where an application is in its life; ordered and monotone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// Its components are being started.
    Starting,
    /// All have started: it serves.
    Ready,
    /// It was asked to stop.
    Stopping,
    /// It has stopped.
    Ended,
}

/// Looks at an application from anywhere. Cheap to clone.
#[derive(Clone)]
pub struct Status {
    shared: Arc<Shared>,
}

struct Shared {
    state: AtomicU8,
    stopping: CancelToken,
    stop_began: Mutex<Option<Moment>>,
    ask: Mutex<Option<Ask>>,
}

/// Asks who runs the application how far it is.
pub(crate) type Ask = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

impl Status {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            state: AtomicU8::new(0),
            stopping: CancelToken::new(),
            stop_began: Mutex::new(None),
            ask: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> AppState {
        match self.shared.state.load(Ordering::Acquire) {
            0 => AppState::Starting,
            1 => AppState::Ready,
            2 => AppState::Stopping,
            _ => AppState::Ended,
        }
    }

    /// The answer to a readiness probe: true while everything has started and nobody has asked it to stop.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state() == AppState::Ready
    }

    /// Cancelled when the application is asked to stop: what waits for events for ever looks at it.
    #[must_use]
    pub fn stopping(&self) -> &CancelToken {
        &self.shared.stopping
    }

    /// How long ago it was asked to stop.
    #[must_use]
    pub fn stopping_for(&self) -> Option<Duration> {
        (*self.shared.stop_began.lock()).map(|began| Moment::now().since(began))
    }

    /// What it is doing, a line per component that is not just serving, for a person.
    #[must_use]
    pub fn progress(&self) -> Vec<String> {
        // Components are asked: not under the lock.
        let ask = self.shared.ask.lock().clone();
        ask.map_or_else(Vec::new, |ask| ask())
    }

    pub(crate) fn set_ask(&self, ask: Option<Ask>) {
        *self.shared.ask.lock() = ask;
    }

    /// Never goes back.
    pub(crate) fn enter(&self, state: AppState) {
        self.shared.state.fetch_max(state as u8, Ordering::AcqRel);
        if state >= AppState::Stopping {
            self.shared.stop_began.lock().get_or_insert_with(Moment::now);
            self.shared.stopping.cancel_with("the application stops");
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("state", &self.state()).finish_non_exhaustive()
    }
}
