//! Reading and submitting: one thread that turns lines into tasks, and waits whenever there is no room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ebbtide::{Completions, TaskId};

use crate::input::{Lines, Next};
use crate::job::Job;
use crate::resume::{Line, Resume};
use crate::stop::{Cause, Stopper};
use crate::template::Template;
use crate::window::{Entry, Window};
use crate::work::Work;
use crate::workers::Answer;
use crate::{clock, messages};

/// The tasks that were accepted and are not printed.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<HashMap<TaskId, Arc<Job>>>);

/// What reading came to.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    /// Whether there was input left.
    pub(crate) unread: Unread,
    /// Lines that were read and then refused by a pool that was shutting down.
    pub(crate) refused: Vec<Vec<u8>>,
    /// Lines that an earlier run had done.
    pub(crate) skipped: u64,
    /// Lines that became tasks.
    pub(crate) accepted: u64,
}

/// Whether there was input left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Unread {
    #[default]
    Nothing,
    Something,
}

/// The reader of the input.
#[derive(Debug)]
pub(crate) struct Feeder {
    pub(crate) lines: Lines,
    pub(crate) resume: Resume,
    pub(crate) template: Template,
    pub(crate) work: Arc<Work>,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) window: Arc<Window>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) done: Completions<Answer>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Again,
    /// The input has ended.
    End,
    /// Somebody stopped the run, or the input or the log made us.
    Stop,
}

impl Jobs {
    pub(crate) fn remove(&self, id: TaskId) -> Option<Arc<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Adds a task, before its end may be taken out of the completions.
    pub(crate) fn insert(&self, id: TaskId, job: Arc<Job>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, job);
    }
}

impl Feeder {
    /// Feeds the pool until the input ends or the run is stopped; then says so to whoever takes completions.
    pub(crate) fn feed(mut self) -> Fed {
        let mut fed = Fed::default();
        let mut order = 0;
        let end = loop {
            match self.step(&mut order, &mut fed) {
                Step::Again => {}
                end => break end,
            }
        };
        if end == Step::Stop && (!fed.refused.is_empty() || self.lines.unread()) {
            fed.unread = Unread::Something;
        }
        fed.skipped = self.resume.skipped();
        fed.accepted = order;
        self.done.close();
        fed
    }

    fn step(&mut self, order: &mut u64, fed: &mut Fed) -> Step {
        let line = match self.lines.next(self.stopper.stopped()) {
            Ok(Next::Line(line)) => line,
            Ok(Next::Stopped) => return Step::Stop,
            Ok(Next::End) => match self.resume.end() {
                Ok(()) => return Step::End,
                Err(error) => return self.give_up(Cause::OtherWork, format_args!("the job log {error}")),
            },
            Err(error) => return self.give_up(Cause::Input, error),
        };
        let seq = match self.resume.next(&self.template, &line) {
            Ok(Line::ToDo(seq)) => seq,
            Ok(Line::Done) => return Step::Again,
            Err(error) => return self.give_up(Cause::OtherWork, format_args!("the job log {error}")),
        };
        // In JSON it is white space.
        if seq == 1 && line.ends_with(b"\r") && matches!(*self.work, Work::Commands(_)) {
            messages::note(
                "the lines end with CR LF; the CR is part of the argument (tr -d '\\r' removes it)",
            );
        }
        let read = clock::now();
        if self.window.enter(line.len()) == Entry::Shut {
            fed.refused.push(line);
            return Step::Stop;
        }
        let job = Arc::new(Job::new(seq, *order, line, read));
        if self.submit(&job) == Step::Stop {
            self.window.leave(job.line.len(), 0);
            fed.refused.push(job.line.clone());
            return Step::Stop;
        }
        *order += 1;
        Step::Again
    }

    fn submit(&self, job: &Arc<Job>) -> Step {
        match self.work.submit(job) {
            Ok(handle) => {
                self.jobs.insert(handle.id(), Arc::clone(job));
                self.done.push(handle);
                Step::Again
            }
            Err(error) => {
                if self.stopper.state().cause.is_none() {
                    return self.give_up(Cause::Pool, error);
                }
                Step::Stop
            }
        }
    }

    fn give_up(&self, cause: Cause, why: impl std::fmt::Display) -> Step {
        messages::say(why);
        self.stopper.stop(cause);
        Step::Stop
    }
}
