//! What is heard from a pool of workers: that they began, that they cannot, how they died, what they wrote. Told by a thread of its own, so
//! that nobody who works waits for whoever reads our standard error.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ebbtide::{Event, OutputSource, TaskId, WorkerId};

use crate::bell::Bell;
use crate::messages;
use crate::output::Sink;
use crate::stop::{Cause, Stopper};

/// Lines of workers that wait to be told; what comes faster than it is read is counted only.
const LINES_MOST: usize = 10_000;

/// Where events of the pool go.
#[derive(Debug)]
pub(crate) struct Heard {
    inner: Mutex<Inner>,
    more: Condvar,
    /// Rung when it is known whether workers can be started.
    known: Bell,
}

#[derive(Debug, Default)]
struct Inner {
    news: VecDeque<News>,
    lines: usize,
    dropped: u64,
    closed: bool,
    beginning: Beginning,
    /// Tasks that the pool tried a second time.
    alone: HashSet<TaskId>,
    /// The last cause that was told, so that five attempts at the same are told once.
    told: Option<Arc<str>>,
    /// What a worker had learnt could not be kept.
    state: StateDir,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum StateDir {
    #[default]
    Kept,
    Lost,
}

/// Whether workers can be started at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Beginning {
    #[default]
    Unknown,
    /// The first one is ready.
    Ready,
    /// None, and it is not tried any more.
    Broken,
}

#[derive(Debug)]
enum News {
    Line { worker: WorkerId, source: OutputSource, text: String },
    Died { worker: WorkerId, how: Arc<str> },
    StartFailed { worker: WorkerId, cause: Arc<str> },
    Warning(Arc<str>),
    StateNotKept { worker: WorkerId, why: Arc<str> },
    Broken(Arc<str>),
}

impl Heard {
    pub(crate) fn new() -> std::io::Result<Heard> {
        Ok(Heard { inner: Mutex::default(), more: Condvar::new(), known: Bell::new()? })
    }

    /// The hook of the pool: notes and returns.
    pub(crate) fn hear(&self, event: &Event) {
        let mut inner = self.lock();
        let news = match event {
            Event::WorkerStarted { .. } => return self.begin(inner, Beginning::Ready),
            Event::TaskQuarantined { task, .. } => {
                inner.alone.insert(*task);
                return;
            }
            Event::WorkerOutput { worker, source, text, .. } => {
                if inner.lines >= LINES_MOST {
                    inner.dropped += 1;
                    return;
                }
                inner.lines += 1;
                News::Line { worker: *worker, source: *source, text: text.clone() }
            }
            Event::WorkerDied { worker, how } => News::Died { worker: *worker, how: Arc::clone(how) },
            Event::WorkerStartFailed { worker, cause } => {
                News::StartFailed { worker: *worker, cause: Arc::clone(cause) }
            }
            Event::LimitIgnored { why } => News::Warning(Arc::clone(why)),
            Event::StateNotKept { worker, why } => {
                inner.state = StateDir::Lost;
                News::StateNotKept { worker: *worker, why: Arc::clone(why) }
            }
            Event::Broken { cause } => News::Broken(Arc::clone(cause)),
            _ => return,
        };
        inner.news.push_back(news);
        drop(inner);
        self.more.notify_one();
    }

    /// Whether the pool itself has tried the task a second time; asked once.
    pub(crate) fn tried_alone(&self, task: TaskId) -> bool {
        self.lock().alone.remove(&task)
    }

    /// Whether the state of a worker could not be kept.
    pub(crate) fn has_lost_state(&self) -> bool {
        self.lock().state == StateDir::Lost
    }

    /// Whether workers can be started, as far as known.
    pub(crate) fn beginning(&self) -> Beginning {
        self.lock().beginning
    }

    /// Readable once that is known.
    pub(crate) fn known(&self) -> BorrowedFd<'_> {
        self.known.as_fd()
    }

    /// Tells what is heard until [`close`](Heard::close).
    pub(crate) fn tell(self: &Arc<Self>, stopper: &Arc<Stopper>) -> std::io::Result<JoinHandle<()>> {
        let (heard, stopper) = (Arc::clone(self), Arc::clone(stopper));
        let tell = move || {
            let mut err = Some(Sink::stderr(stopper.patience()));
            while let Some(news) = heard.next() {
                heard.say(news, &mut err, &stopper);
            }
            heard.note_dropped();
        };
        std::thread::Builder::new().name("heard".to_owned()).spawn(tell)
    }

    /// Nothing more will be heard: what there is is told.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_one();
    }

    fn next(&self) -> Option<News> {
        let inner = self.lock();
        let waits = |inner: &mut Inner| inner.news.is_empty() && !inner.closed;
        let mut inner = self.more.wait_while(inner, waits).unwrap_or_else(PoisonError::into_inner);
        let news = inner.news.pop_front()?;
        inner.lines -= usize::from(matches!(news, News::Line { .. }));
        Some(news)
    }

    fn say(&self, news: News, err: &mut Option<Sink>, stopper: &Stopper) {
        match news {
            News::Line { worker, source, text } => {
                // Whoever closed our standard error does not want to know; the run goes on.
                let line = attributed(worker, source, &text);
                if err.as_ref().is_some_and(|err| err.write(line.as_bytes()).is_err()) {
                    *err = None;
                }
            }
            News::Died { worker, how } => {
                messages::say(format_args!("{} {}", worker_name(worker.0), in_our_words(&how)));
            }
            News::Warning(why) => messages::say(in_our_words(&why)),
            News::StateNotKept { worker, why } => {
                let name = worker_name(worker.0);
                messages::say(format_args!("--state-dir: the state of {name} could not be kept: {why}"));
            }
            News::StartFailed { worker, cause } => {
                if self.is_new(&cause) {
                    let name = worker_name(worker.0);
                    messages::say(format_args!("{name} could not be started: {}", in_our_words(&cause)));
                }
            }
            News::Broken(cause) => {
                self.give_up(&cause, stopper);
                self.begin(self.lock(), Beginning::Broken);
            }
        }
    }

    fn give_up(&self, cause: &Arc<str>, stopper: &Stopper) {
        if self.is_new(cause) {
            messages::say(in_our_words(cause));
        }
        messages::say("given up: no worker can be started");
        stopper.stop(Cause::Pool);
    }

    fn is_new(&self, cause: &Arc<str>) -> bool {
        let mut inner = self.lock();
        let is_new = inner.told.as_ref() != Some(cause);
        inner.told = Some(Arc::clone(cause));
        is_new
    }

    fn begin(&self, mut inner: MutexGuard<'_, Inner>, what: Beginning) {
        if inner.beginning == Beginning::Unknown {
            inner.beginning = what;
        }
        if what == Beginning::Ready {
            inner.told = None;
        }
        drop(inner);
        self.known.ring();
    }

    fn note_dropped(&self) {
        let dropped = self.lock().dropped;
        if dropped > 0 {
            messages::say(format_args!(
                "{dropped} lines of workers are not shown: they came faster than the standard error was read"
            ));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a worker of the run, as in its reports.
pub(super) fn worker_name(worker: u32) -> String {
    format!("{}-{worker}", super::hire::POOL)
}

/// What the library says about its own options, in those of the command line.
pub(super) fn in_our_words(text: &str) -> String {
    text.replace("retire_at(", "--memory-soft (")
        .replace("kill_at(", "--memory-hard (")
        .replace("(start_timeout)", "(--start-timeout)")
        .replace("raise kill_at", "raise --memory-hard")
        .replace(", or say where it is with `interpreter`", " and put it into the PATH")
}

/// A line that a worker wrote, with its name before it, and nothing in it that moves a cursor.
fn attributed(worker: WorkerId, source: OutputSource, text: &str) -> String {
    let level = match source {
        OutputSource::Stdout | OutputSource::Stderr => String::new(),
        logged => format!("{logged}: "),
    };
    let before = format!("{}| {level}", worker_name(worker.0));
    // What was logged may have several lines, a stack for example; each says whose it is.
    let lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
    let tamed = |line: &str| line.trim_end_matches('\r').chars().map(messages::tame).collect::<String>();
    lines.map(|line| format!("{before}{}\n", tamed(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_attributed_and_harmless() {
        let line = |source, text| attributed(WorkerId(3), source, text);
        assert_eq!(line(OutputSource::Stdout, "a\tb"), "run-3| a\tb\n");
        assert_eq!(line(OutputSource::Warn, "x\x1b[2J"), "run-3| warn: x\u{fffd}[2J\n");
        assert_eq!(
            line(OutputSource::Warn, "x\r\n\n  y\n"),
            "run-3| warn: x\nrun-3| warn: \nrun-3| warn:   y\n"
        );
        assert_eq!(line(OutputSource::Warn, ""), "run-3| warn: \n");
    }

    #[test]
    fn a_flood_is_counted_and_does_not_fill_the_memory() {
        let heard = Heard::new().unwrap();
        let line = Event::WorkerOutput {
            worker: WorkerId(1),
            task: None,
            source: OutputSource::Stdout,
            text: "x".to_owned(),
        };
        let state = |heard: &Heard| {
            let inner = heard.lock();
            (inner.news.len(), inner.dropped)
        };
        for _ in 0..LINES_MOST + 5 {
            heard.hear(&line);
        }
        assert_eq!(state(&heard), (LINES_MOST, 5));
        heard.next().unwrap();
        heard.hear(&line);
        assert_eq!(state(&heard), (LINES_MOST, 5));
    }
}
