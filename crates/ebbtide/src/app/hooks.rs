//! Calling the hooks of components: each on a thread of its own, its panic caught, its answer sent back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{runtime::Runtime, signal::Heard};
use crate::{
    clock::Moment,
    component::{Component, Starting, StillHeld, Stopping},
    policy::FORCED_WORK,
    report::{Mode, StopReason},
    sync::{self, Mutex, mpsc},
    task::{
        cancel::CancelToken,
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
    audience: Arc<Mutex<Audience>>,
}

/// Whether anybody does something about what hooks answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Listens,
    Gone,
}

impl Hooks {
    pub(crate) fn new(sender: mpsc::Sender<Message>, runtime: Runtime) -> Self {
        Self { sender, runtime, audience: Arc::new(Mutex::new(Audience::Listens)) }
    }

    /// One that comes when the application is over finds nobody who would stop it: its own thread does.
    pub(crate) fn start(&self, who: usize, component: Arc<dyn Component>, starting: Starting) {
        let (hooks, late, name) = (self.clone(), Arc::clone(&component), Arc::clone(&starting.name));
        let unheard = move |message| {
            if let Message::Started(_, Ok(())) = message {
                let _ = hooks.runtime.within(|| guarded(|| late.stop(&too_late(name))));
            }
            panics::drop_quietly(late);
        };
        let (thread, message) = (format!("{}-start", starting.name), move |how| Message::Started(who, how));
        self.call(thread, move || component.start(&starting), message, unheard);
    }

    pub(crate) fn stop(&self, who: usize, component: Arc<dyn Component>, stopping: Stopping) {
        let name = format!("{}-stop", stopping.name);
        self.call(name, move || component.stop(&stopping), move |how| Message::Stopped(who, how), drop);
    }

    /// Stops one whose start came just when the application ended.
    pub(crate) fn stop_too_late(&self, who: usize, name: &Arc<str>, component: Arc<dyn Component>) {
        self.stop(who, component, too_late(Arc::clone(name)));
    }

    /// From here on nobody listens. What has been said by now can still be received, and nothing else will come from a hook.
    pub(crate) fn close(&self) {
        *self.audience.lock() = Audience::Gone;
    }

    /// Gives a message back that nobody would hear.
    fn deliver(&self, message: Message) -> Result<(), Message> {
        let audience = self.audience.lock();
        if *audience == Audience::Gone {
            return Err(message);
        }
        let _ = self.sender.send(message);
        Ok(())
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
        unheard: impl FnOnce(Message) + Send + 'static,
    ) {
        let hooks = self.clone();
        // Shared, so that it can be answered when no thread can be had.
        let answer = Arc::new(Mutex::new(Some(message)));
        let theirs = Arc::clone(&answer);
        let body = move || {
            let how = hooks.runtime.within(|| guarded(hook));
            let message = theirs.lock().take();
            match message.map(|message| hooks.deliver(message(how))) {
                Some(Err(message)) => unheard(message),
                // It may be the last to hold a component.
                _ => panics::drop_quietly(unheard),
            }
        };
        if let Err(error) = sync::spawn(name, None, body)
            && let Some(message) = answer.lock().take()
        {
            let text = format!("no thread could be started for it: {error}");
            let fault = Fault { text, panicked: Panicked::No, held_by: Vec::new() };
            let _ = self.sender.send(message(Err(fault)));
        }
    }
}

/// What one is told that is stopped after the application's end.
fn too_late(name: Arc<str>) -> Stopping {
    let token = CancelToken::new();
    token.cancel_with("the application is over");
    let until = Moment::now().plus(FORCED_WORK);
    Stopping { name, mode: Mode::Abort, until, token, said: Arc::default() }
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
