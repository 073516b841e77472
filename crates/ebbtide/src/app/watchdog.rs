//! The last line: a thread outside of every runtime that ends the process when the deadline has passed and a margin more.
//!
//! It knows a moment, an exit code and a text, and needs nobody's help to use them.

use std::{
    io::{self, Write as _},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use crate::{clock::Moment, sync};

/// Writing the last words takes no longer than this: whoever reads them may be gone.
const LAST_WORDS: Duration = Duration::from_millis(40);

/// Ends the process at a moment, unless it is disarmed before. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    at: Option<Moment>,
    code: u8,
    words: Arc<str>,
}

impl Watchdog {
    pub(crate) fn start() -> io::Result<Self> {
        let state = State { at: None, code: 0, words: "".into() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let watched = Arc::clone(&shared);
        sync::spawn("watchdog".to_owned(), Some(256 * 1024), move || watched.watch())?;
        Ok(Self { shared })
    }

    /// From now on the process ends at `at`; the earlier moment counts.
    pub(crate) fn arm(&self, at: Moment) {
        let mut state = self.shared.state();
        state.at = Some(state.at.map_or(at, |before| before.min(at)));
        self.shared.changed.notify_all();
    }

    pub(crate) fn disarm(&self) {
        self.shared.state().at = None;
        self.shared.changed.notify_all();
    }

    /// What it would say and exit with.
    pub(crate) fn prepare(&self, code: u8, words: impl Into<Arc<str>>) {
        let mut state = self.shared.state();
        (state.code, state.words) = (code, words.into());
    }

    /// Ends the process now. `code` instead of what was prepared, if given.
    pub(crate) fn end(&self, code: Option<u8>) -> ! {
        let (prepared, words) = {
            let state = self.shared.state();
            (state.code, Arc::clone(&state.words))
        };
        say(&words);
        exit(code.unwrap_or(prepared))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(self: Arc<Self>) {
        let mut state = self.state();
        loop {
            let now = Moment::now();
            state = match state.at {
                Some(at) if at <= now => break,
                Some(at) => {
                    let waited = self.changed.wait_timeout(state, at.since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        drop(state);
        Watchdog { shared: self }.end(None)
    }
}

/// Writes to the standard error, and does not wait for one who does not read it.
pub(crate) fn say(words: &Arc<str>) {
    if words.is_empty() {
        return;
    }
    let (done, written) = mpsc::channel::<()>();
    let words = Arc::clone(words);
    let write = move || {
        let _ = io::stderr().write_all(words.as_bytes());
        drop(done);
    };
    if sync::spawn("last-words".to_owned(), Some(256 * 1024), write).is_ok() {
        let _ = written.recv_timeout(LAST_WORDS);
    }
}

/// Ends the process without asking anybody: destructors, exit handlers and buffers of others may be what hangs.
fn exit(code: u8) -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(i32::from(code));
    #[cfg(not(unix))]
    {
        #[expect(clippy::disallowed_methods, reason = "the watchdog is what ends the process")]
        std::process::exit(i32::from(code));
    }
}
