//! The body of a task: its attempts, its row in the job log, its outcome in the pool's terms.

use std::error::Error;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ebbtide::process::SpawnError;
use ebbtide::{CancelReason, CancelToken, Cancelled, Context, Crashed, Killed, Stateless};

use crate::args::{Format, Halt};
use crate::bell::Bell;
use crate::job::{Job, Kept, Outputs, Record};
use crate::joblog::Row;
use crate::ledger::Ledger;
use crate::runner::{Asks, Attempt, Budget, Keep, Launcher, Verdict, attempt, find_program, spool_place};
use crate::stop::{Cause, Stopper};
use crate::template::{Template, quoted};
use crate::window::Window;
use crate::{clock, messages};

/// What every task of the run uses.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) template: Template,
    pub(crate) launcher: Launcher,
    pub(crate) log: Option<Arc<Ledger>>,
    /// When a row may be written.
    pub(crate) format: Format,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) window: Arc<Window>,
    pub(crate) budget: Budget,
    pub(crate) keep: Keep,
    pub(crate) grace: Duration,
    pub(crate) attempts_most: u32,
    pub(crate) halt: Halt,
}

/// What a shell gives for a command that it cannot find, or find but not start.
const NOT_FOUND: i32 = 127;
const CANNOT_START: i32 = 126;
/// How long is waited for room on the machine, again and again, before a task fails for want of it.
const LIMIT_PAUSES_MS: [u64; 7] = [50, 100, 250, 500, 1_000, 2_000, 4_000];

/// The command ended with an exit code that is not 0, or could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CommandFailed(String);

/// How a task ended, seen from its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    verdict: Verdict,
    /// Asked by its own --timeout, not by a stop.
    timed_out: Timed,
    output: Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timed {
    Out,
    NotOut,
}

/// Runs the task, leaves its record with `job` and in it its row for the job log, where that is not written yet. The pool makes the outcome of what is returned.
pub(crate) fn run(
    shared: &Shared,
    job: &Job,
    task: &Context<'_, Stateless>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (started, wall) = (clock::now(), SystemTime::now());
    let argv = shared.template.fill(&job.line);
    let token = task.token();
    let mut record = Record::empty();
    let verdict = attempts(shared, &argv, &token, &mut record);
    record.waited = started.saturating_duration_since(job.read);
    record.ran = clock::now().saturating_duration_since(started);
    let timed_out = match token.reason() {
        Some(CancelReason::Timeout) => Timed::Out,
        _ => Timed::NotOut,
    };
    let end = End { verdict, timed_out, output: record.output };
    if end.is_over() {
        record.row = log(shared, row(job, &argv, end, &record, wall), &record);
    }
    if end.is_failure() {
        shared.stopper.halt(shared.halt);
    }
    say_what_nobody_sees(job, end, &record);
    keep_count(shared, end, &record);
    let result = outcome(end, &record);
    job.leave(record);
    result
}

impl End {
    /// Whether the task is done for good: what our own stop ended is not, nor what wrote something that nobody will see.
    fn is_over(self) -> bool {
        self.output == Kept::Whole && self.ended_by_itself()
    }

    fn ended_by_itself(self) -> bool {
        match self.verdict {
            Verdict::Completed | Verdict::Failed | Verdict::Crashed => true,
            Verdict::Cancelled | Verdict::Killed => self.timed_out == Timed::Out,
        }
    }

    fn is_failure(self) -> bool {
        self.ended_by_itself() && (self.verdict != Verdict::Completed || self.output == Kept::Lost)
    }
}

/// Attempts until one succeeds, none is left, or somebody asks to end.
fn attempts(shared: &Shared, argv: &[OsString], token: &CancelToken, record: &mut Record) -> Verdict {
    let bell = match Bell::new() {
        Ok(bell) => Arc::new(bell),
        Err(error) => {
            record.exit_code = Some(CANNOT_START);
            record.problem = Some(format!("cannot start: {error}"));
            return Verdict::Failed;
        }
    };
    let rung = Arc::clone(&bell);
    let _taken_back_at_the_end = token.on_cancel(move |_| rung.ring());
    let asks = Asks {
        cancel: std::os::fd::AsFd::as_fd(&*bell),
        force: shared.stopper.forced(),
        grace: shared.grace,
    };
    let mut patience = LIMIT_PAUSES_MS.iter();
    loop {
        if token.is_cancelled() {
            return Verdict::Cancelled;
        }
        let verdict = match attempt(&shared.launcher, argv, asks, shared.keep, &shared.budget) {
            Ok(done) => {
                record.attempts += 1;
                take(record, done)
            }
            Err(error) => {
                // A machine that has no room now may have it when others have ended.
                if let (SpawnError::Limit { .. }, Some(pause)) = (&error, patience.next()) {
                    let _ended_early = token.wait_timeout(Duration::from_millis(*pause));
                    continue;
                }
                let verdict = not_started(record, &error);
                if verdict == Verdict::Failed {
                    return verdict;
                }
                verdict
            }
        };
        let again = matches!(verdict, Verdict::Failed | Verdict::Crashed);
        if !again || record.attempts >= shared.attempts_most {
            return verdict;
        }
    }
}

/// What it means that no command runs.
fn not_started(record: &mut Record, error: &SpawnError) -> Verdict {
    let (code, verdict) = match error {
        // It may have begun, and then it died under us: an attempt like another.
        SpawnError::Lost { .. } => {
            record.attempts += 1;
            (None, Verdict::Crashed)
        }
        SpawnError::NotFound { .. } => (Some(NOT_FOUND), Verdict::Failed),
        _ => (Some(CANNOT_START), Verdict::Failed),
    };
    record.problem = Some(why_not_started(error));
    (record.exit_code, record.signal, record.outputs) = (code, None, None);
    verdict
}

fn why_not_started(error: &SpawnError) -> String {
    match error {
        // The system says the same of a script whose interpreter is missing.
        SpawnError::NotFound { program } if find_program(program).is_ok() => {
            format!("{}: it is there, but not the interpreter that its #! line names", program.display())
        }
        _ => error.to_string(),
    }
}

fn take(record: &mut Record, done: Attempt) -> Verdict {
    record.exit_code = done.exit_code;
    record.signal = done.signal;
    let outputs = Outputs { stdout: done.stdout, stderr: done.stderr };
    record.problem =
        outputs.lost().map(|error| format!("its output could not be kept {}: {error}", spool_place()));
    record.output = if record.problem.is_some() { Kept::Lost } else { Kept::Whole };
    record.outputs = (record.output == Kept::Whole).then_some(outputs);
    done.verdict
}

/// A row says that the output was printed. Where there is none to print it is written before the task counts as ended, so that what only has
/// effects is as rarely done twice as can be; else it is given back, for whoever prints.
fn log(shared: &Shared, row: Row, record: &Record) -> Option<Row> {
    let log = shared.log.as_ref()?;
    if !record.prints(shared.format) {
        log.add(&row);
        return None;
    }
    Some(row)
}

fn row(job: &Job, argv: &[OsString], end: End, record: &Record, started: SystemTime) -> Row {
    Row {
        seq: job.seq,
        started,
        ran: record.ran,
        received: record.outputs.as_ref().map_or(0, |outputs| outputs.stdout.total()),
        exit: match (end.timed_out, end.verdict, record.exit_code) {
            (Timed::Out, Verdict::Cancelled | Verdict::Killed, _) | (_, _, None)
                if record.signal.is_none() =>
            {
                -1
            }
            (_, _, code) => code.unwrap_or(0),
        },
        signal: record.signal.unwrap_or(0),
        command: quoted(argv),
    }
}

/// A command tells its failure itself; what happened around it only we can tell.
fn say_what_nobody_sees(job: &Job, end: End, record: &Record) {
    let line = messages::short(&job.line);
    if let Some(problem) = &record.problem {
        messages::say(format_args!("line {} ({line}): {problem}", job.seq));
    } else if end.timed_out == Timed::Out && end.is_failure() {
        messages::say(format_args!("line {} ({line}): ran out of time", job.seq));
    } else if end.verdict == Verdict::Crashed {
        let how =
            record.signal.map_or("its guardian was killed".to_owned(), |signal| format!("signal {signal}"));
        messages::say(format_args!("line {} ({line}): crashed: {how}", job.seq));
    }
}

fn keep_count(shared: &Shared, end: End, record: &Record) {
    for _ in 0..record.spooled() {
        shared.window.spooled();
    }
    if end.verdict == Verdict::Killed && end.timed_out == Timed::NotOut {
        shared.stopper.count_killed();
    }
    if end.output == Kept::Lost {
        shared.stopper.stop(Cause::Output);
    }
}

fn outcome(end: End, record: &Record) -> Result<(), Box<dyn Error + Send + Sync>> {
    match end.verdict {
        Verdict::Completed if end.output == Kept::Whole => Ok(()),
        Verdict::Completed | Verdict::Failed => {
            let how = match (&record.problem, record.exit_code) {
                (Some(problem), _) => problem.clone(),
                (None, code) => format!("exit code {}", code.unwrap_or(-1)),
            };
            Err(CommandFailed(how).into())
        }
        Verdict::Cancelled => Err(Cancelled.into()),
        Verdict::Killed => Err(Killed::new(match end.timed_out {
            Timed::Out => "timeout",
            Timed::NotOut => "stop",
        })
        .into()),
        Verdict::Crashed => {
            Err(Crashed { exit_code: record.exit_code, signal: record.signal, ..Crashed::default() }.into())
        }
    }
}
