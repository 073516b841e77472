//! What came from the pool and waits. Pure: frames in, what must be answered at once out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::{Cancel, Cancelled};
use crate::failure::describe;
use crate::frame::meta::{CancelMeta, TaskMeta};
use crate::frame::{FLAG_RESTORE, Frame, FrameType, JSON, Malformed, batch, ids, write_frame, write_ids};
use crate::function::write_error;
use crate::startup::Restore;

/// Buffers of requests that are kept for the next ones, and how long they may be.
const SPARE: usize = 64;
const SPARE_LEN: usize = 64 << 10;
/// One longer than that is kept too, up to so many bytes and until so many short ones came after it: memory that is asked for afresh for
/// each long request costs more than copying it.
const LONG_LEN: usize = 2 << 20;
const LONG_QUIET: u8 = 32;

/// What the meta of a task says, where it is not all defaults; shared by the tasks that said it in the same bytes.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) function: Option<String>,
    pub(crate) attempt: u32,
    /// `None` = JSON.
    pub(crate) content_type: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) each: bool,
    deadline_ms: Option<u64>,
}

/// A task that has not started.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) terms: Option<Arc<Terms>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) request: Vec<u8>,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Next {
    Run(Waiting),
    Snapshot(u64),
    /// All is done and the pool wants no more.
    Stop,
    /// Nothing: wait for the pool.
    Nothing,
}

/// Tasks that wait, and what was asked.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: VecDeque<Waiting>,
    snapshots: VecDeque<u64>,
    restored: Option<Vec<u8>>,
    restore: Restore,
    asked_to_stop: bool,
    running: Option<u64>,
    spare: Vec<Vec<u8>>,
    long: Vec<u8>,
    quiet: u8,
    /// The last meta, and what it said: a stream of tasks for one function says the same again and again.
    last: Option<(Vec<u8>, Arc<Terms>)>,
}

/// Why the connection is ended.
#[derive(Debug)]
pub(super) enum Broken {
    Malformed(Malformed),
    /// A frame that is sound and out of place.
    Unexpected(FrameType),
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Unexpected(kind) => write!(f, "a frame of the type {} that is not expected", kind.name()),
        }
    }
}

impl Inbox {
    pub(super) fn new(restore: Restore) -> Self {
        Self {
            waiting: VecDeque::new(),
            snapshots: VecDeque::new(),
            restored: None,
            restore,
            asked_to_stop: false,
            running: None,
            spare: Vec::new(),
            long: Vec::new(),
            quiet: 0,
            last: None,
        }
    }

    /// Takes one frame in; what it asks for at once is appended to `replies`.
    pub(super) fn take(
        &mut self,
        frame: &Frame<'_>,
        cancel: &Cancel,
        replies: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        match frame.kind {
            FrameType::Task => {
                let (terms, deadline) = self.terms(frame.meta)?;
                self.enqueue(frame.id, terms, deadline, frame.body);
            }
            FrameType::Batch => {
                let (terms, deadline) = self.terms(frame.meta)?;
                for (id, request) in batch(frame.body)? {
                    self.enqueue(id, terms.clone(), deadline, request);
                }
            }
            FrameType::Cancel => self.cancel(frame, cancel, replies)?,
            FrameType::Recall => self.recall(frame, replies)?,
            FrameType::Ping => answer(replies, FrameType::Pong, frame.id, b""),
            FrameType::Snapshot if frame.flags & FLAG_RESTORE == 0 => self.snapshots.push_back(frame.id),
            FrameType::Snapshot if self.restore == Restore::Comes => {
                self.restore = Restore::Not;
                self.restored = Some(frame.body.to_vec());
            }
            FrameType::Stop => self.asked_to_stop = true,
            other => return Err(Broken::Unexpected(other)),
        }
        Ok(())
    }

    /// Whether a task or a snapshot waits, so that reading more is only a look.
    pub(super) fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.snapshots.is_empty() || self.asked_to_stop
    }

    /// The state of the predecessor, once it has come.
    pub(super) fn take_restored(&mut self) -> Option<Vec<u8>> {
        self.restored.take()
    }

    /// What is next. A task that is given from here is the one that runs.
    pub(super) fn next(&mut self) -> Next {
        debug_assert!(self.running.is_none(), "one task at a time");
        if let Some(id) = self.snapshots.pop_front() {
            return Next::Snapshot(id);
        }
        if let Some(task) = self.waiting.pop_front() {
            self.running = Some(task.id);
            return Next::Run(task);
        }
        if self.asked_to_stop { Next::Stop } else { Next::Nothing }
    }

    /// The task that ran has ended.
    pub(super) fn ended(&mut self, mut request: Vec<u8>, cancel: &Cancel) {
        self.running = None;
        cancel.clear();
        request.clear();
        if request.capacity() > SPARE_LEN {
            self.quiet = 0;
            if request.capacity() <= LONG_LEN {
                self.long = request;
            }
            return;
        }
        if self.long.capacity() > 0 {
            self.quiet += 1;
            if self.quiet >= LONG_QUIET {
                self.long = Vec::new();
            }
        }
        if self.spare.len() < SPARE {
            self.spare.push(request);
        }
    }

    fn enqueue(&mut self, id: u64, terms: Option<Arc<Terms>>, deadline: Option<Instant>, request: &[u8]) {
        let mut copy = if request.len() > SPARE_LEN {
            std::mem::take(&mut self.long)
        } else {
            self.spare.pop().unwrap_or_default()
        };
        copy.extend_from_slice(request);
        self.waiting.push_back(Waiting { id, terms, deadline, request: copy });
    }

    fn terms(&mut self, meta: &[u8]) -> Result<(Option<Arc<Terms>>, Option<Instant>), Malformed> {
        if meta.is_empty() {
            return Ok((None, None));
        }
        let terms = match &self.last {
            Some((bytes, terms)) if bytes == meta => Arc::clone(terms),
            _ => {
                let terms = Arc::new(Terms::from(TaskMeta::read(meta)?));
                self.last = Some((meta.to_vec(), Arc::clone(&terms)));
                terms
            }
        };
        // One that is too far away to be written down is none.
        let deadline = terms.deadline_ms.and_then(|ms| now().checked_add(Duration::from_millis(ms)));
        Ok((Some(terms), deadline))
    }

    fn cancel(&mut self, frame: &Frame<'_>, cancel: &Cancel, replies: &mut Vec<u8>) -> Result<(), Malformed> {
        let meta = CancelMeta::read(frame.meta)?;
        if self.running == Some(frame.id) {
            cancel.ask(&meta.reason);
        } else if let Some(at) = self.waiting.iter().position(|task| task.id == frame.id) {
            self.waiting.remove(at);
            write_error(replies, frame.id, &describe(Cancelled::new(&meta.reason)));
        }
        Ok(())
    }

    fn recall(&mut self, frame: &Frame<'_>, replies: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut returned = Vec::new();
        if frame.body.is_empty() {
            write_ids(&mut returned, self.waiting.drain(..).map(|task| task.id));
        } else {
            for id in ids(frame.body)? {
                if let Some(at) = self.waiting.iter().position(|task| task.id == id) {
                    self.waiting.remove(at);
                    write_ids(&mut returned, [id]);
                }
            }
        }
        answer(replies, FrameType::Returned, frame.id, &returned);
        Ok(())
    }
}

/// The time, for deadlines.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker process has no Clock: nothing in it is tested with invented times"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn answer(replies: &mut Vec<u8>, kind: FrameType, id: u64, body: &[u8]) {
    // Shorter than what was asked: an id, or some of the ids that came in one frame.
    let written = write_frame(replies, kind, 0, id, b"", body);
    debug_assert!(written.is_ok(), "{written:?}");
}

impl From<TaskMeta<'_>> for Terms {
    fn from(meta: TaskMeta<'_>) -> Self {
        Self {
            function: meta.function.filter(|name| !name.is_empty()).map(Into::into),
            attempt: meta.attempt,
            content_type: (meta.content_type != JSON).then(|| meta.content_type.into()),
            key: meta.key.map(Into::into),
            each: meta.each,
            deadline_ms: meta.deadline_ms,
        }
    }
}
