//! Calling the hooks of components: each on a thread of its own, its panic caught, its answer sent back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{runtime::Runtime, signal::Heard};
use crate::{
    component::{Component, Starting, StillHeld, Stopping},
    report::StopReason,
    sync::{self, mpsc},
    task::{
        error::{BoxError, panic_message},
        panics,
    },
};

/// What whoever runs the application is told.
#[derive(Debug)]
pub(crate) enum Message {
    Started(usize, Result<(), Fault>),
    Stopped(usize, Result<(), Fault>),
    /// A component has ended by itself.
    Ended(usize, Result<(), String>),
    Stop(StopReason),
    Force,
    Signal(Heard),
}

/// What went wrong in a hook.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) text: String,
    pub(crate) panicked: Panicked,
    /// A resource that is still held, and by whom.
    pub(crate) held_by: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panicked {
    No,
    Yes,
}

/// Calls hooks on behalf of one application.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) sender: mpsc::Sender<Message>,
    pub(crate) runtime: Runtime,
}

impl Hooks {
    pub(crate) fn start(&self, who: usize, component: Arc<dyn Component>, starting: Starting) {
        let name = format!("{}-start", starting.name);
        self.call(name, move || component.start(&starting), move |how| Message::Started(who, how));
    }

    pub(crate) fn stop(&self, who: usize, component: Arc<dyn Component>, stopping: Stopping) {
        let name = format!("{}-stop", stopping.name);
        self.call(name, move || component.stop(&stopping), move |how| Message::Stopped(who, how));
    }

    pub(crate) fn force(&self, name: &str, component: Arc<dyn Component>) {
        let runtime = self.runtime.clone();
        let body = move || {
            let _ = panics::quietly(|| runtime.within(|| component.force()));
        };
        // Without a thread its stop runs into its limit.
        drop(sync::spawn(format!("{name}-force"), None, body));
    }

    /// Tells everybody that the stop has begun.
    pub(crate) fn tell(&self, components: Vec<Arc<dyn Component>>) {
        let runtime = self.runtime.clone();
        let body = move || {
            for component in components {
                let _ = panics::quietly(|| runtime.within(|| component.told()));
                // It may be the last to hold it, and a destructor may panic: one by one, for two panics at once end the process.
                panics::drop_quietly(component);
            }
        };
        drop(sync::spawn("told".to_owned(), None, body));
    }

    fn call(
        &self,
        name: String,
        hook: impl FnOnce() -> Result<(), BoxError> + Send + 'static,
        message: impl FnOnce(Result<(), Fault>) -> Message + Send + 'static,
    ) {
        let Self { sender, runtime } = self.clone();
        let (message, mine) = (Box::new(message), self.sender.clone());
        // Shared, so that it can be answered when no thread can be had.
        let answer = Arc::new(sync::Mutex::new(Some(message)));
        let theirs = Arc::clone(&answer);
        let body = move || {
            let how = runtime.within(|| guarded(hook));
            if let Some(message) = theirs.lock().take() {
                let _ = sender.send(message(how));
            }
        };
        if let Err(error) = sync::spawn(name, None, body)
            && let Some(message) = answer.lock().take()
        {
            let text = format!("no thread could be started for it: {error}");
            let fault = Fault { text, panicked: Panicked::No, held_by: Vec::new() };
            let _ = mine.send(message(Err(fault)));
        }
    }
}

/// A hook's result; its panic is one.
fn guarded(hook: impl FnOnce() -> Result<(), BoxError>) -> Result<(), Fault> {
    match catch_unwind(AssertUnwindSafe(hook)) {
        Ok(how) => how.map_err(|error| {
            let held_by = error.downcast_ref::<StillHeld>().map(|still| still.holders().to_vec());
            Fault { text: error.to_string(), panicked: Panicked::No, held_by: held_by.unwrap_or_default() }
        }),
        Err(payload) => {
            let text = format!("it panicked: {}", panic_message(&*payload));
            panics::bury(payload);
            Err(Fault { text, panicked: Panicked::Yes, held_by: Vec::new() })
        }
    }
}
