//! A worker's life: hello, ready, tasks, stop.

use std::sync::Arc;

use crate::failure::describe;
use crate::frame::meta::{ErrorMeta, HelloMeta};
use crate::frame::{FLAG_NONE, FrameType, HEADER, begin_frame, write_frame};
use crate::function::{Answer, Function, call, named, write_error};
use crate::link::{self, Link, Next, Waiting};
use crate::panic;
use crate::startup::{Given, Startup};
use crate::task::{Level, Task};

type Build<S> = Box<dyn FnOnce(&Startup) -> Result<S, ErrorMeta<'static>>>;
type Snapshot<S> = Box<dyn FnMut(&mut S) -> Option<Vec<u8>>>;

/// The room for what is to be written that is nobody's loss, and after how many short replies more than that is given back.
const OUT_USUAL: usize = 64 << 10;
const OUT_QUIET: u8 = 32;

/// What a worker is made of.
pub(crate) struct Parts<S> {
    pub(crate) build: Build<S>,
    pub(crate) functions: Vec<(String, Function<S>)>,
    pub(crate) snapshot: Option<Snapshot<S>>,
}

pub(crate) fn serve<S>(parts: Parts<S>) -> ! {
    let given = Given::read();
    let link = match Link::open(&given) {
        Ok(link) => Arc::new(link),
        Err(error) => {
            link::complain(format_args!(
                "this program is a worker: an ebbtide pool starts it, with a socket as descriptor 0 ({error})"
            ));
            link::end(1)
        }
    };
    let mut out = Vec::new();
    say_hello(&link, &given, &mut out);
    panic::keep_places();
    if let Err(error) = link::start_watching(&link) {
        fail(&link, out, &describe(error));
    }
    link.begins();
    let export = given.export.clone();
    let restored = link.wait_for_state(given.restore, &mut out);
    let start = Startup::new(Arc::clone(&link), given, restored);
    let built = panic::catch(|| (parts.build)(&start));
    // The predecessor's state may be large, and has been used.
    drop(start);
    let state = match built.unwrap_or_else(Err) {
        Ok(state) => state,
        Err(error) => fail(&link, out, &error),
    };
    frame(&mut out, FrameType::Ready, 0);
    let task = Task::new(Arc::clone(&link));
    let (functions, snapshot) = (parts.functions, parts.snapshot);
    let mut service = Service { link, out, quiet: 0, state, functions, snapshot, export, task };
    service.run();
    let Service { link, state, .. } = service;
    link.begins();
    let dropped = panic::catch(|| drop(state));
    link::end(i32::from(dropped.is_err()))
}

fn say_hello(link: &Link, given: &Given, out: &mut Vec<u8>) {
    let mut hello = HelloMeta { pid: std::process::id(), ..HelloMeta::default() };
    hello.lang = "rust".into();
    hello.nonce = (&*given.nonce).into();
    // A nonce that is too long is none that a pool gave.
    let _ = write_frame(out, FrameType::Hello, 0, 0, &hello.to_bytes(), b"");
    link.flush(out);
}

/// The start failed: the pool is told why, and the process ends.
fn fail(link: &Link, mut out: Vec<u8>, error: &ErrorMeta<'_>) -> ! {
    write_error(&mut out, 0, error);
    link.flush(&mut out);
    link::complain(format_args!("the start failed: {}: {}", error.name, error.message));
    link::end(1)
}

struct Service<S> {
    link: Arc<Link>,
    /// Frames that the pool does not have yet; empty while code of the user runs.
    out: Vec<u8>,
    /// Tasks since a reply was long.
    quiet: u8,
    state: S,
    functions: Vec<(String, Function<S>)>,
    snapshot: Option<Snapshot<S>>,
    export: Option<String>,
    task: Task,
}

impl<S> Service<S> {
    fn run(&mut self) {
        let mut ran = None;
        loop {
            match self.link.next(ran.take(), &mut self.out) {
                Next::Run(task) => ran = Some(self.task(task)),
                Next::Snapshot(id) => self.give_state(id),
                Next::Stop | Next::Nothing => return,
            }
        }
    }

    /// Runs a task and gives its buffer back.
    fn task(&mut self, waiting: Waiting) -> Vec<u8> {
        let Waiting { id, terms, deadline, request } = waiting;
        frame(&mut self.out, FrameType::Start, id);
        self.link.flush(&mut self.out);
        self.give_back_room();
        self.task.become_of(id, terms, deadline);
        match self.find() {
            Ok(at) => {
                let mut answer = Answer { out: &mut self.out, most: self.link.most() };
                let (_, function) = &mut self.functions[at];
                call(function, &mut self.state, &request, &self.task, &mut answer);
            }
            Err(error) => write_error(&mut self.out, id, &error),
        }
        if self.out.len() > OUT_USUAL {
            self.quiet = 0;
        }
        request
    }

    /// The room of a long reply is kept for the next one, and not for ever. Nothing waits to be written.
    fn give_back_room(&mut self) {
        if self.out.capacity() > OUT_USUAL {
            self.quiet += 1;
            if self.quiet >= OUT_QUIET {
                (self.out, self.quiet) = (Vec::new(), 0);
            }
        }
    }

    /// Which function the task is for.
    fn find(&self) -> Result<usize, ErrorMeta<'static>> {
        let place = |name: &str| self.functions.iter().position(|(known, _)| known == name);
        let (found, asked) = match self.task.function().or(self.export.as_deref()) {
            Some(name) => (place(name), Some(name)),
            None if self.functions.len() == 1 => (Some(0), None),
            None => (place("default"), None),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = self.functions.iter().map(|(name, _)| &**name).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = match asked {
                Some(name) => format!("the worker has no function {name:?}; there is: {there}"),
                None => {
                    format!("the task names no function, and the worker has no default; there is: {there}")
                }
            };
            named("NoSuchFunction", message)
        })
    }

    fn give_state(&mut self, id: u64) {
        // What has ended must not wait for the snapshot.
        self.link.flush(&mut self.out);
        let (snapshot, state) = (&mut self.snapshot, &mut self.state);
        let taken = panic::catch(|| snapshot.as_mut().and_then(|take| take(state)));
        let bytes = taken.unwrap_or_else(|panic| {
            self.link.log(0, Level::Error, &format!("the snapshot panicked: {}", panic.message));
            None
        });
        if let Some(bytes) = bytes {
            match self.write_state(id, &bytes) {
                Ok(()) => return,
                Err(long) => self.link.log(0, Level::Error, &format!("the snapshot cannot be sent: {long}")),
            }
        }
        // Sixteen bytes are never too long.
        let _ = write_frame(&mut self.out, FrameType::State, FLAG_NONE, id, b"", b"");
    }

    fn write_state(&mut self, id: u64, bytes: &[u8]) -> Result<(), crate::frame::TooLong> {
        let open = begin_frame(&mut self.out, FrameType::State, 0, id, b"")?;
        self.out.extend_from_slice(bytes);
        open.finish(&mut self.out, self.link.most())
    }
}

/// A frame that is only its header.
fn frame(out: &mut Vec<u8>, kind: FrameType, id: u64) {
    let written = write_frame(out, kind, 0, id, b"", b"");
    debug_assert!(written.is_ok(), "{HEADER} bytes are never too long");
}
