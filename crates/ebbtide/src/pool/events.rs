//! What happens in a pool, for those who watch: a hook that is called, and streams that are read.
//!
//! A stream is bounded: who reads too slowly loses the oldest events and is told how many. The pool never waits for a reader.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

use super::phase::Phase;
use crate::{
    clock::Moment,
    policy::EVENTS,
    report::Procedure,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{
        handle::next_key,
        id::{TaskId, WorkerId},
        outcome::Outcome,
        wait::{self, Wakers},
    },
    worker::{output::OutputSource, reason::RetireReason, thread::Notice},
};

/// Something that happened in a pool.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A worker has built its state and serves.
    WorkerStarted {
        /// Its number.
        worker: WorkerId,
        /// Its generation.
        generation: u32,
        /// What building its state took.
        #[serde(rename = "build_ms", serialize_with = "crate::report::millis")]
        build: Duration,
    },
    /// A worker could not be started; it is tried again after a pause.
    WorkerStartFailed {
        /// Its number.
        worker: WorkerId,
        /// Why.
        cause: Arc<str>,
    },
    /// A worker was told to leave after its present task.
    WorkerRetiring {
        /// Its number.
        worker: WorkerId,
        /// Why.
        reason: RetireReason,
    },
    /// A worker's thread has ended.
    WorkerEnded {
        /// Its number.
        worker: WorkerId,
        /// How many tasks it had begun.
        tasks: u64,
    },
    /// A worker was given up with the task it runs.
    WorkerAbandoned {
        /// Its number.
        worker: WorkerId,
        /// The task, unless it hung outside of one.
        task: Option<TaskId>,
    },
    /// The thread of an abandoned worker has ended after all.
    AbandonedEnded {
        /// Its number.
        worker: WorkerId,
    },
    /// A started task ended otherwise than `Completed`.
    TaskEnded {
        /// The task.
        task: TaskId,
        /// Its name.
        name: Option<Arc<str>>,
        /// How.
        outcome: Outcome,
    },
    /// A generation entered a phase.
    PhaseChanged {
        /// Which generation.
        generation: u32,
        /// The phase.
        phase: Phase,
    },
    /// A restart began or ended.
    Restart {
        /// Rolling or not.
        procedure: Procedure,
        /// The new generation.
        generation: u32,
        /// False when it begins, true when it is over.
        over: bool,
    },
    /// The pool was paused or resumed.
    Paused {
        /// True if nothing starts now.
        paused: bool,
    },
    /// Runs of a job that were due did not take place.
    TicksMissed {
        /// The job's name.
        job: Arc<str>,
        /// How many.
        ticks: u64,
        /// Why.
        why: MissedBecause,
    },
    /// A job is over: nothing begins by it any more. Not told of a single run that took place.
    JobOver {
        /// The job's name.
        job: Arc<str>,
        /// Why.
        why: JobEnd,
    },
    /// A worker process wrote or logged a line. Only told while somebody listens; the pool keeps the tail in any case, for when it dies.
    /// What it writes before it is ready is told once it is: the first 64 KiB, and that there was more.
    WorkerOutput {
        /// The worker.
        worker: WorkerId,
        /// The task it was for, as far as known.
        task: Option<TaskId>,
        /// Where it came from.
        source: OutputSource,
        /// The line, without its end; cut at 8 KiB, and then with a `…` at its end. What came last may have had no end.
        text: String,
    },
    /// A worker process ended although nobody had asked it to, or was ended by force.
    WorkerDied {
        /// The worker.
        worker: WorkerId,
        /// How, and its last words.
        how: Arc<str>,
    },
    /// A task whose worker died under it is tried again, alone on a worker of its own.
    TaskQuarantined {
        /// The task.
        task: TaskId,
        /// Which attempt begins.
        attempt: u32,
    },
    /// A limit on workers cannot be held, and is not any more: they would be replaced without end.
    LimitIgnored {
        /// Which, and why.
        why: Arc<str>,
    },
    /// The state of a worker process could not be written into `state_dir`: its replacement has it, the next start of the program has not.
    StateNotKept {
        /// The worker.
        worker: WorkerId,
        /// What went wrong.
        why: Arc<str>,
    },
    /// The workers cannot be started; what waited was returned.
    Broken {
        /// Why.
        cause: Arc<str>,
    },
}

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Output { worker, task, source, text } => {
                Self::WorkerOutput { worker, task, source, text }
            }
            Notice::Died { worker, how } => Self::WorkerDied { worker, how },
            Notice::Quarantined { task, attempt } => Self::TaskQuarantined { task, attempt },
            Notice::LimitIgnored { why } => Self::LimitIgnored { why },
            Notice::StateNotKept { worker, why } => Self::StateNotKept { worker, why },
        }
    }
}

/// Why a run that was due did not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissedBecause {
    /// The run before had not ended, or the clock itself was held up.
    Late,
    /// The pool did not take it: its queue was full and its policy is not to wait, or it is broken.
    Refused,
}

/// Why a job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobEnd {
    /// Its only run has ended, or its cron line has no next time.
    Done,
    /// By its owner: `cancel`.
    Cancelled,
    /// By its owner, `stop`, or because its pool was told to shut down.
    Stopped,
    /// As many runs in a row failed as it was told to bear.
    GaveUp,
    /// The pool would not take its only run, for good.
    Refused,
}

/// A stream of a pool's events from now on. From `pool.events()`. Holds at most 1024 unread events.
pub struct Events {
    stream: Arc<Stream>,
    key: usize,
}

pub(crate) type Hook = Box<dyn Fn(&Event) + Send + Sync>;

/// Where events go out.
pub(crate) struct Hub {
    hook: Option<Hook>,
    watched: AtomicBool,
    /// `None` when the pool has terminated.
    streams: Mutex<Option<Vec<Weak<Stream>>>>,
}

struct Stream {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Event>,
    missed: u64,
    closed: bool,
    wakers: Wakers,
}

impl Hub {
    pub(crate) fn new(hook: Option<Hook>) -> Self {
        let watched = AtomicBool::new(hook.is_some());
        Self { hook, watched, streams: Mutex::new(Some(Vec::new())) }
    }

    /// True if anybody would see an event; asked before one is made on a path that should be quick.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn subscribe(&self) -> Events {
        let stream = Arc::new(Stream { inner: Mutex::new(Inner::default()) });
        let open = match &mut *self.streams.lock() {
            Some(streams) => {
                streams.retain(|stream| stream.strong_count() > 0);
                streams.push(Arc::downgrade(&stream));
                self.watched.store(true, Ordering::Relaxed);
                true
            }
            None => false,
        };
        if !open {
            stream.close();
        }
        Events { stream, key: next_key() }
    }

    /// Sends an event to everybody; never under a lock of the pool's.
    pub(crate) fn send(&self, event: &Event) {
        crate::pool::trace::event(event);
        if let Some(hook) = &self.hook {
            let _ = crate::task::panics::quietly(|| hook(event));
        }
        // Readers are woken after the lock is released: a waker may run its reader at once.
        let streams: Vec<_> = {
            let mut streams = self.streams.lock();
            let Some(streams) = &mut *streams else { return };
            streams.retain(|stream| stream.strong_count() > 0);
            if streams.is_empty() && self.hook.is_none() {
                self.watched.store(false, Ordering::Relaxed);
            }
            streams.iter().filter_map(Weak::upgrade).collect()
        };
        streams.iter().for_each(|stream| stream.push(event.clone()));
    }

    /// Nothing more will be sent.
    pub(crate) fn close(&self) {
        let streams = self.streams.lock().take().unwrap_or_default();
        streams.iter().filter_map(Weak::upgrade).for_each(|stream| stream.close());
    }
}

impl Stream {
    fn close(&self) {
        let wakers = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            inner.wakers.take()
        };
        wait::wake_all(wakers);
    }

    fn push(&self, event: Event) {
        let wakers = {
            let mut inner = self.inner.lock();
            if inner.waiting.len() == EVENTS {
                inner.waiting.pop_front();
                inner.missed += 1;
            }
            inner.waiting.push_back(event);
            inner.wakers.take()
        };
        wait::wake_all(wakers);
    }

    fn poll(&self, key: usize, waker: &Waker) -> Poll<Option<Event>> {
        let _replaced;
        let mut inner = self.inner.lock();
        match inner.waiting.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if inner.closed => Poll::Ready(None),
            None => {
                _replaced = inner.wakers.register(key, waker);
                Poll::Pending
            }
        }
    }
}

impl Events {
    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.stream.inner.lock().waiting.pop_front()
    }

    /// Blocks for the next event, at most `timeout`. `None` when the time passed or the pool is gone.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Event> {
        let until = Moment::now().plus(timeout);
        wait::block_until(Some(until), |waker| match self.stream.poll(self.key, waker) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        })
        .flatten()
    }

    /// The next event, without blocking a thread. `None` when the pool is gone.
    pub async fn next_async(&mut self) -> Option<Event> {
        std::future::poll_fn(|poller| self.stream.poll(self.key, poller.waker())).await
    }

    /// How many events were lost because they were not read in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.stream.inner.lock().missed
    }
}

/// Blocks for each next event; ends when the pool is gone.
impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        wait::block_until(None, |waker| match self.stream.poll(self.key, waker) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        })
        .flatten()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("missed", &self.missed()).finish_non_exhaustive()
    }
}
