//! The caller's async runtime, if there is one: hooks are polled on threads of their own, with it at hand.

/// What was found where the application was run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runtime {
    #[cfg(feature = "tokio")]
    tokio: Option<tokio::runtime::Handle>,
}

impl Runtime {
    /// The one this thread is in.
    pub(crate) fn here() -> Self {
        Self {
            #[cfg(feature = "tokio")]
            tokio: tokio::runtime::Handle::try_current().ok(),
        }
    }

    /// Calls something with the runtime at hand: timers, sockets and `spawn` work in it.
    pub(crate) fn within<T>(&self, call: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tokio")]
        let _entered = self.tokio.as_ref().map(tokio::runtime::Handle::enter);
        call()
    }
}
