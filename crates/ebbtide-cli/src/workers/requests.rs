//! Submitting lines to worker processes, and what the end of an attempt means: the line is done, or it is tried again.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ebbtide::process::WorkerError;
use ebbtide::{CancelReason, Crashed, Finished, Handle, Killed, Outcome, TaskError};

use super::answer::{Answer, INVALID_JSON, Invalid, Request};
use super::heard::{Heard, in_our_words, worker_name};
use super::hire::StateFolder;
use crate::args::Halt;
use crate::clock;
use crate::crew::Workers;
use crate::job::{Job, Kept, Outputs, Problem, Record, Reply};
use crate::joblog::Row;
use crate::messages;
use crate::runner::{Budget, Capture, Keep, spool_place};
use crate::stop::{Cause, Stopper};
use crate::template::{Template, quoted};
use crate::window::Window;
use crate::work::{Ended, Settled, name};

/// What all answers that are not printed may hold in memory.
static BUDGET: LazyLock<Budget> = LazyLock::new(Budget::default);
/// Of so many workers it is remembered when they were last seen at the end of a task; far more than there are at a time.
const SEEN_MOST: usize = 10_000;

/// The pool of workers, and all that its tasks share.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) pool: Arc<Workers>,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) window: Arc<Window>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) template: Template,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) halt: Halt,
    /// When each worker was last seen at the end of a task; empty where a worker runs several at a time.
    pub(crate) seen: Seen,
    /// Locked until the run is over.
    #[expect(dead_code, reason = "it is kept, not looked at")]
    pub(crate) state: Option<StateFolder>,
}

/// When workers that run one task at a time were last seen at the end of one: what was sent ahead to them cannot have begun before.
#[derive(Debug)]
pub(crate) enum Seen {
    OneByOne(Mutex<HashMap<u32, Instant>>),
    SeveralAtATime,
}

/// How an attempt ended, as far as it matters whether the line is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    /// By itself: another attempt may do better.
    Failed,
    /// It would fail again, or it was ended for its own time or memory.
    FailedForGood,
    /// By our stop: it is not done, and is left to resume.
    Stopped,
    /// By our stop, with force.
    KilledAtStop,
    /// It completed, and its result could not be kept until it was printed: it is not done.
    Lost,
    /// It never began.
    NotBegun,
}

impl Requests {
    /// Submits the first attempt at a line, or the next.
    pub(crate) fn submit(&self, job: &Arc<Job>) -> Result<Handle<Answer>, String> {
        let mut task = self.pool.task(name(job)).key(job.seq.to_string());
        let (begun, ran) = {
            let tries = job.tries();
            (tries.begun, tries.ran)
        };
        if let Some(timeout) = self.timeout {
            task = task.timeout(timeout.saturating_sub(ran).max(Duration::from_millis(1)));
        }
        task = task.attempts_before(begun);
        if begun < self.retries {
            // One that dies with its worker is tried once more by the pool, alone: its death takes nobody along.
            task = task.idempotent();
        }
        let handle =
            task.submit(Request(Arc::clone(job))).map_err(|error| in_our_words(&error.to_string()))?;
        job.tries().submitted(handle.watch());
        Ok(handle)
    }

    /// What the end of an attempt means.
    pub(crate) fn settle(&self, job: &Arc<Job>, finished: Finished<Answer>) -> Settled {
        let at = finished.result.as_ref().map_or_else(|_| clock::now(), |answer| answer.at);
        let end = end(&finished.result);
        let alone = self.heard.tried_alone(finished.id);
        let worker = self.account(job, end, at, alone);
        let begun = job.tries().begun;
        let outcome = finished.result.as_ref().map_or_else(TaskError::outcome, |_| Outcome::Completed);
        if end == End::Failed && begun <= self.retries {
            match self.submit(job) {
                Ok(handle) => return Settled::Again(handle),
                // Between two attempts, by the stop: it is not done.
                Err(why) => {
                    let problem =
                        Problem { name: "Cancelled".to_owned(), message: why, stack: String::new() };
                    return Settled::Ended(self.close(
                        job,
                        Outcome::Cancelled,
                        End::Stopped,
                        worker,
                        Err(problem),
                    ));
                }
            }
        }
        let what = finished.result.map(|answer| answer.line).map_err(|error| problem(&error));
        Settled::Ended(self.close(job, outcome, end, worker, what))
    }

    /// Counts the attempt and its time. Gives the worker's name.
    fn account(&self, job: &Job, end: End, at: Instant, alone: bool) -> Option<String> {
        let mut tries = job.tries();
        if end == End::NotBegun {
            tries.forgotten();
            return None;
        }
        let worker = tries.worker();
        let floor = worker.and_then(|worker| self.seen.at(worker, at));
        tries.ended(floor, at);
        tries.begun += u32::from(alone);
        worker.map(worker_name)
    }

    /// The line is over, for this run or for good.
    fn close(
        &self,
        job: &Job,
        mut outcome: Outcome,
        mut end: End,
        worker: Option<String>,
        what: Result<Vec<u8>, Problem>,
    ) -> Box<Ended> {
        let tries = job.tries();
        let mut record = Record {
            attempts: tries.begun,
            waited: tries.waited(job.read, clock::now()),
            ran: tries.ran,
            ..Record::empty()
        };
        drop(tries);
        let mut reply = Reply { worker, error: None };
        match what.and_then(|line| self.keep(&mut record, &line)) {
            Ok(()) => {}
            Err(problem) => {
                if record.output == Kept::Lost {
                    (outcome, end) = (Outcome::Failed, End::Lost);
                }
                say(job, end, &problem, &reply);
                reply.error = Some(problem);
            }
        }
        record.reply = Some(reply);
        if matches!(end, End::Failed | End::FailedForGood | End::Lost) {
            self.stopper.halt(self.halt);
        }
        if end == End::KilledAtStop {
            self.stopper.count_killed();
        }
        let row = end.is_over().then(|| self.row(job, end, &record));
        Box::new(Ended { outcome, record: Some(record), row })
    }

    /// Keeps a result until its turn to be printed.
    fn keep(&self, record: &mut Record, line: &[u8]) -> Result<(), Problem> {
        let capture = || Capture::new(Keep::Everything, &BUDGET);
        let mut outputs = Outputs { stdout: capture(), stderr: capture() };
        outputs.stdout.push(line);
        if let Some(error) = outputs.lost() {
            record.output = Kept::Lost;
            self.stopper.stop(Cause::Output);
            let message = format!("its result could not be kept {}: {error}", spool_place());
            return Err(Problem { name: "NotKept".to_owned(), message, stack: String::new() });
        }
        record.outputs = Some(outputs);
        for _ in 0..record.spooled() {
            self.window.spooled();
        }
        Ok(())
    }

    fn row(&self, job: &Job, end: End, record: &Record) -> Row {
        let received = record.outputs.as_ref().map_or(0, |outputs| outputs.stdout.total().saturating_sub(1));
        Row {
            seq: job.seq,
            started: SystemTime::now().checked_sub(record.ran).unwrap_or(SystemTime::UNIX_EPOCH),
            ran: record.ran,
            received,
            exit: match end {
                End::Completed => 0,
                End::Failed => 1,
                _ => -1,
            },
            signal: 0,
            command: quoted(&self.template.fill(&job.line)),
        }
    }
}

impl Seen {
    pub(crate) fn new(concurrency: u32) -> Seen {
        if concurrency > 1 { Seen::SeveralAtATime } else { Seen::OneByOne(Mutex::default()) }
    }

    /// A task of this worker has ended; gives when the one before it had.
    fn at(&self, worker: u32, now: Instant) -> Option<Instant> {
        let Seen::OneByOne(seen) = self else { return None };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SEEN_MOST {
            seen.clear();
        }
        seen.insert(worker, now)
    }
}

impl End {
    /// Whether the line is done for good: what our own stop ended is not.
    fn is_over(self) -> bool {
        matches!(self, End::Completed | End::Failed | End::FailedForGood)
    }
}

fn end(result: &Result<Answer, TaskError>) -> End {
    let Err(error) = result else { return End::Completed };
    match error.outcome() {
        Outcome::Failed
            if error.downcast_ref::<Invalid>().is_some_and(|invalid| invalid.name == INVALID_JSON) =>
        {
            End::FailedForGood
        }
        Outcome::Killed if was_killed_at_stop(error) => End::KilledAtStop,
        Outcome::Killed | Outcome::TimedOut => End::FailedForGood,
        Outcome::Cancelled | Outcome::Abandoned => End::Stopped,
        Outcome::Returned => End::NotBegun,
        _ => End::Failed,
    }
}

/// Whether it was our stop that it did not obey, and not its own time or memory.
fn was_killed_at_stop(error: &TaskError) -> bool {
    let killed = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Killed>());
    killed.is_some_and(|killed| killed.request() == Some(&CancelReason::Abort))
}

/// What a person and a program are told about it.
fn problem(error: &TaskError) -> Problem {
    let told = |name: &str, message: String| Problem { name: name.to_owned(), message, stack: String::new() };
    if let Some(WorkerError { name, message, stack, .. }) = error.downcast_ref() {
        return Problem { name: name.clone(), message: message.clone(), stack: stack.clone() };
    }
    if let Some(invalid) = error.downcast_ref::<Invalid>() {
        return told(invalid.name, invalid.message.clone());
    }
    if let Some(failure) = error.failure() {
        return told("Failed", failure.to_string());
    }
    let source = std::error::Error::source(error);
    if let Some(crashed) = source.and_then(|source| source.downcast_ref::<Crashed>()) {
        let how = crashed.to_string();
        return told("Crashed", in_our_words(how.strip_prefix("crashed: ").unwrap_or(&how)));
    }
    if let Some(killed) = source.and_then(|source| source.downcast_ref::<Killed>()) {
        return told("Killed", in_our_words(killed.reason()));
    }
    let name = match error.outcome() {
        Outcome::TimedOut => "TimedOut",
        Outcome::Cancelled => "Cancelled",
        Outcome::Returned => "Returned",
        _ => "Failed",
    };
    told(name, in_our_words(&error.to_string()))
}

/// A failure is told here, for nothing of it is printed as text.
fn say(job: &Job, end: End, problem: &Problem, reply: &Reply) {
    if matches!(end, End::NotBegun | End::Stopped) {
        return;
    }
    let line = messages::short(&job.line);
    let worker = reply.worker.as_deref().map(|worker| format!(" ({worker})")).unwrap_or_default();
    let place = place(&problem.stack).map(|place| format!("\n  {place}")).unwrap_or_default();
    messages::say(format_args!("line {} ({line}): {problem}{worker}{place}", job.seq));
}

/// Frames of Node.js itself and of our worker say nothing.
const OURS: [&str; 2] = ["node:internal", "ebbtide-worker.cjs"];

/// The line of a stack that says where: the first of Node's, the last of Python's.
fn place(stack: &str) -> Option<&str> {
    let lines = || stack.lines().map(str::trim);
    let node = lines().find(|line| line.starts_with("at ") && !OURS.iter().any(|ours| line.contains(ours)));
    node.or_else(|| lines().rfind(|line| line.starts_with("File \"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_is_where_its_language_puts_it() {
        let node = "TypeError: x\n    at one (/a/b.js:3:7)\n    at two (/a/b.js:9:1)";
        assert_eq!(place(node), Some("at one (/a/b.js:3:7)"));
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 9, in f\n    g()\n  File \"a.py\", line 3, in g\nValueError";
        assert_eq!(place(python), Some("File \"a.py\", line 3, in g"));
        assert_eq!(place(""), None);
    }

    #[test]
    fn only_what_ended_by_itself_is_done() {
        for end in [End::Completed, End::Failed, End::FailedForGood] {
            assert!(end.is_over());
        }
        for end in [End::Stopped, End::KilledAtStop, End::Lost, End::NotBegun] {
            assert!(!end.is_over());
        }
    }
}
