//! What a line becomes and what its end means: a command on a thread that minds it, or a request to a worker process.

use std::sync::Arc;
use std::time::Duration;

use ebbtide::{Finished, Handle, Outcome, Pool, Stateless};

use crate::body::{self, Shared};
use crate::crew::Crew;
use crate::job::{Job, Record};
use crate::joblog::Row;
use crate::messages;
use crate::workers::{Answer, Requests};

/// The one or the other.
#[derive(Debug)]
pub(crate) enum Work {
    Commands(Commands),
    Workers(Requests),
}

/// Commands, and all that they share.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) pool: Arc<Pool<Stateless>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) timeout: Option<Duration>,
}

/// What the end of a task came to.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It was submitted again.
    Again(Handle<Answer>),
    Ended(Box<Ended>),
}

/// The end of a line.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// Nothing when it never ran, or panicked.
    pub(crate) record: Option<Record>,
    /// Its row in the job log, to be written once it is printed; nothing when it was written before, or must not be.
    pub(crate) row: Option<Row>,
}

impl Work {
    /// The pool, for those who watch and stop it.
    pub(crate) fn crew(&self) -> Crew {
        match self {
            Work::Commands(commands) => Crew::Commands(Arc::clone(&commands.pool)),
            Work::Workers(requests) => Crew::Workers(Arc::clone(&requests.pool)),
        }
    }

    /// Makes a task of it; waits for room.
    ///
    /// # Errors
    /// Why the pool does not take it, in words.
    pub(crate) fn submit(&self, job: &Arc<Job>) -> Result<Handle<Answer>, String> {
        match self {
            Work::Commands(commands) => commands.submit(job),
            Work::Workers(requests) => requests.submit(job),
        }
    }

    /// Whether its end is the end of the line, and all that is to be told about it.
    pub(crate) fn settle(&self, job: &Arc<Job>, finished: Finished<Answer>) -> Settled {
        match self {
            Work::Commands(_) => {
                let outcome =
                    finished.result.as_ref().map_or_else(|error| error.outcome(), |_| Outcome::Completed);
                let mut record = job.take();
                let row = record.as_mut().and_then(|record| record.row.take());
                Settled::Ended(Box::new(Ended { outcome, record, row }))
            }
            Work::Workers(requests) => requests.settle(job, finished),
        }
    }
}

impl Commands {
    fn submit(&self, job: &Arc<Job>) -> Result<Handle<Answer>, String> {
        let (shared, mine) = (Arc::clone(&self.shared), Arc::clone(job));
        let mut task = self.pool.task(name(job));
        if let Some(timeout) = self.timeout {
            task = task.timeout(timeout);
        }
        task.submit_fallible(move |task| body::run(&shared, &mine, task).map(|()| Answer::none()))
            .map_err(|error| error.to_string())
    }
}

/// What a task is called in messages and reports.
pub(crate) fn name(job: &Job) -> String {
    format!("line {} ({})", job.seq, messages::short(&job.line))
}
