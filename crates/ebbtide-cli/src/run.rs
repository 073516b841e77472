//! `ebbtide run`: one thread reads and submits, one listens to signals, this one prints and, at the end, accounts.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide::{Outcome, Pool, Report, Shutdown, Stateless};

use crate::args::RunArgs;
use crate::clock::{self, millis};
use crate::exit::{self, Ending, Facts, Law};
use crate::feed::{Fed, Unread};
use crate::output::{Bytes, Printable, Printer};
use crate::prepare::{self, Prepared};
use crate::progress::Progress;
use crate::report::{ReportFile, RunReport};
use crate::signals::{self, Meaning};
use crate::stop::{Cause, Deadline, Stage, Stopper};
use crate::{feed, messages, report};

/// Runs it all and gives the exit code.
pub(crate) fn run(args: &RunArgs) -> u8 {
    let begun = clock::now();
    if args.quiet {
        messages::hush();
    }
    let result = if args.dry_run {
        prepare::dry_run(args).map(|()| exit::OK)
    } else {
        prepare::prepare(args).map(|prepared| work(args, prepared, begun))
    };
    result.unwrap_or_else(|refusal| {
        messages::say(refusal.why);
        refusal.code
    })
}

fn work(args: &RunArgs, prepared: Prepared, begun: Instant) -> u8 {
    let Prepared { pool, stopper, feeder, jobs, done, printer, report } = prepared;
    if let Err(error) = listen(&stopper, &pool) {
        messages::say(format_args!("cannot listen to signals: {error}"));
        return exit::START;
    }
    let progress = if args.quiet { Progress::none() } else { Progress::on_a_terminal() };
    let fed = std::thread::Builder::new().name("input".to_owned()).spawn(move || feeder.feed());
    let fed = match fed {
        Ok(fed) => fed,
        Err(error) => {
            messages::say(format_args!("cannot start a thread: {error}"));
            return exit::START;
        }
    };
    let mut printing = Printing { printer, jobs, stopper: &stopper, progress, returned: Vec::new() };
    let (mut ended, mut bad) = (0, 0);
    while let Some(finished) = done.take() {
        let outcome = match &finished.result {
            Ok(()) => Outcome::Completed,
            Err(error) => error.outcome(),
        };
        ended += 1;
        bad += u64::from(outcome != Outcome::Completed);
        printing.progress.show(ended, bad);
        printing.print(finished.id, outcome);
    }
    printing.progress.finish();
    let mut returned = printing.returned;
    returned.sort_unstable_by_key(|(seq, _)| *seq);
    // The feeder does not panic; if it did, what it had accepted is still accounted for.
    let fed = fed.join().unwrap_or_else(|_| Fed { unread: Unread::Something, ..Fed::default() });
    let account = Account { begun, fed, returned, stopper: &stopper };
    account.close(&pool, report)
}

struct Printing<'a> {
    printer: Printer,
    jobs: Arc<feed::Jobs>,
    stopper: &'a Stopper,
    progress: Progress,
    returned: Vec<(u64, Vec<u8>)>,
}

impl Printing<'_> {
    fn print(&mut self, id: ebbtide::TaskId, outcome: Outcome) {
        let Some(job) = self.jobs.remove(id) else { return };
        if outcome == Outcome::Returned {
            self.returned.push((job.seq, job.line.clone()));
        }
        let record = job.take();
        if let Err(error) = self.printer.add(Printable { job, record, outcome: outcome.as_str() }) {
            messages::say(format_args!("{error}; stopping: what runs may finish"));
            self.stopper.stop(Cause::Output);
        }
    }
}

/// Signals, for the rest of the process's life.
fn listen(stopper: &Arc<Stopper>, pool: &Arc<Pool<Stateless>>) -> std::io::Result<()> {
    let (stopper, pool) = (Arc::clone(stopper), Arc::clone(pool));
    signals::listen(move |signal, meaning| match meaning {
        Meaning::Stop => {
            stopper.stop(Cause::Signal(signal));
            note_who_runs(&pool, signals::name(signal));
        }
        Meaning::Force => {
            stopper.force(Cause::Signal(signal));
            messages::say(format_args!("{}: forced: what runs is killed", signals::name(signal)));
        }
        Meaning::End => end_now(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a third signal means now; the guardian ends what still runs")]
fn end_now() {
    std::process::exit(i32::from(exit::FORCED));
}

fn note_who_runs(pool: &Pool<Stateless>, signal: &str) {
    const MOST: usize = 8;
    let running = pool.stats().running_tasks;
    let mut text = format!("{signal}: stopping; no more input is read, {} running", running.len());
    for (index, task) in running.iter().take(MOST).enumerate() {
        let before = if index == 0 { ": " } else { ", " };
        let name = task.name.as_deref().unwrap_or("a task");
        let _ = write!(text, "{before}{name}");
        if task.running_for >= Duration::from_secs(1) {
            let _ = write!(text, " for {} s", task.running_for.as_secs());
        }
    }
    if running.len() > MOST {
        text.push_str(", …");
    }
    text.push_str("; a second signal kills them");
    messages::note(text);
}

/// What is needed to say how it went.
struct Account<'a> {
    begun: Instant,
    fed: Fed,
    returned: Vec<(u64, Vec<u8>)>,
    stopper: &'a Stopper,
}

impl Account<'_> {
    /// Ends the pool, writes the report, says what is left, gives the exit code.
    fn close(self, pool: &Pool<Stateless>, file: Option<ReportFile>) -> u8 {
        let ended = match pool.shutdown(Shutdown::drain()).wait() {
            Ok(report) => report,
            Err(error) => {
                messages::say(format_args!("the pool did not end: {error}"));
                return exit::LAW;
            }
        };
        let facts = self.facts(&ended);
        let mut code = exit::code(&facts);
        if let Some(file) = file
            && let Err(error) = file.write(&self.report(&ended, code))
        {
            messages::say(error);
            code = exit::code(&Facts { trouble: Some(exit::IO), ..facts });
        }
        if self.stopper.state().cause.is_some() || facts.failed > 0 {
            self.note_what_is_left(&ended);
        }
        code
    }

    fn facts(&self, ended: &Report) -> Facts {
        let (outcomes, state) = (&ended.outcomes, self.stopper.state());
        let holds = ended.accepted == outcomes.total() && ended.queued + ended.running == 0;
        let by_deadline = if state.deadline == Deadline::Missed { outcomes.cancelled } else { 0 };
        let killed_late = outcomes.killed - self.stopper.killed().min(outcomes.killed);
        Facts {
            trouble: state.trouble,
            law: if holds { Law::Holds } else { Law::Broken },
            ending: if state.stage == Stage::Forced { Ending::Forced } else { Ending::Ordered },
            abandoned: outcomes.abandoned,
            killed_at_stop: self.stopper.killed(),
            cancelled_by_deadline: by_deadline,
            left: outcomes.returned
                + outcomes.cancelled
                + self.fed.refused.len() as u64
                + u64::from(self.fed.unread == Unread::Something),
            failed: outcomes.failed + outcomes.panicked + outcomes.crashed + outcomes.timed_out + killed_late,
        }
    }

    fn report<'r>(&self, ended: &'r Report, exit_code: u8) -> RunReport<'r> {
        let state = self.stopper.state();
        RunReport {
            format: report::FORMAT,
            version: report::VERSION,
            mode: match state.stage {
                Stage::Running => "drain",
                Stage::Stopping => "stop",
                Stage::Aborting | Stage::Forced => "abort",
            },
            signal: state.signal.map(signals::name),
            duration_ms: millis(clock::now().saturating_duration_since(self.begun)),
            stop_ms: ended.duration.as_secs_f64() * 1_000.0,
            deadline_ms: ended.deadline.as_secs_f64() * 1_000.0,
            grace_ms: ended.grace.as_secs_f64() * 1_000.0,
            accepted: ended.accepted,
            queued: ended.queued,
            running: ended.running,
            outcomes: ended.outcomes,
            during: ended.during,
            rejected: ended.rejected,
            skipped: self.fed.skipped,
            unread: self.fed.unread == Unread::Something,
            returned: self.returned.iter().map(|(_, line)| Bytes(line.clone())).collect(),
            refused: self.fed.refused.iter().cloned().map(Bytes).collect(),
            workers: &ended.workers,
            timeline: &ended.timeline,
            slowest: ended.slowest.as_ref(),
            exit_code,
        }
    }

    fn note_what_is_left(&self, ended: &Report) {
        let stopped = self.stopper.state().cause.is_some();
        let mut text = String::from(if stopped { "stopped:" } else { "ended:" });
        for outcome in Outcome::ALL {
            let count = ended.outcomes.get(outcome);
            if count > 0 {
                let _ = write!(text, " {count} {outcome},");
            }
        }
        text.push_str(match self.fed.unread {
            Unread::Something => " input left unread",
            Unread::Nothing => " all input read",
        });
        messages::note(text);
    }
}
