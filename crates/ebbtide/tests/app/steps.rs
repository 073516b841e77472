//! Components that write down what is done to them and behave as they were told.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use ebbtide::{BoxError, Component, Starting, Stopping};

/// Longer than anything here takes: who waits so long waits in vain, and the test fails instead of hanging.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What was done, in order. Clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

/// How a hook behaves.
#[derive(Clone)]
pub(crate) enum Step {
    Good,
    Fail(&'static str),
    Panic(&'static str),
    /// A panic whose payload panics when it is dropped.
    PanicTwice,
    Take(Duration),
    /// Ends well, when it is called off or forced.
    UntilCancelled,
    FailWhenCancelled,
    /// Never ends, whatever it is told.
    Hang,
}

pub(crate) struct Part {
    log: Log,
    name: String,
    start: Step,
    stop: Step,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the drop of a payload");
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn part(&self, name: &str) -> Part {
        Part { log: self.clone(), name: name.to_owned(), start: Step::Good, stop: Step::Good }
    }

    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().expect("nobody panics with it").push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

impl Part {
    pub(crate) fn start(mut self, step: Step) -> Self {
        self.start = step;
        self
    }

    pub(crate) fn stop(mut self, step: Step) -> Self {
        self.stop = step;
        self
    }
}

impl Step {
    fn go(&self, token: &ebbtide::CancelToken) -> Result<(), BoxError> {
        match self {
            Self::Good => Ok(()),
            Self::Fail(text) => Err((*text).into()),
            Self::Panic(text) => panic!("{text}"),
            Self::PanicTwice => std::panic::panic_any(Bomb),
            Self::Take(time) => {
                thread::sleep(*time);
                Ok(())
            }
            Self::UntilCancelled => {
                assert!(token.wait_timeout(LONG), "nobody called it off");
                Ok(())
            }
            Self::FailWhenCancelled => {
                assert!(token.wait_timeout(LONG), "nobody called it off");
                Err(ebbtide::Cancelled.into())
            }
            Self::Hang => loop {
                thread::park();
            },
        }
    }
}

impl Component for Part {
    fn start(&self, starting: &Starting) -> Result<(), BoxError> {
        self.log.add(format!("start {}", self.name));
        self.start.go(starting.token())
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        self.log.add(format!("stop {}", self.name));
        self.stop.go(stopping.token())
    }

    fn force(&self) {
        self.log.add(format!("force {}", self.name));
    }
}

/// Waits until something is so.
pub(crate) fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < LONG, "waited in vain");
        thread::sleep(Duration::from_millis(1));
    }
}
