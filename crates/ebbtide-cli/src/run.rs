//! `ebbtide run`: one thread reads and submits, one listens to signals, this one prints and, at the end, accounts.

use std::fmt::Write as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ebbtide::{Completions, Outcome, Outcomes, Report, Shutdown};
use rustix::event::{PollFd, PollFlags};

use crate::args::{Format, RunArgs};
use crate::clock::{self, millis};
use crate::crew::Crew;
use crate::exit::{self, Ending, Facts, Law};
use crate::feed::{Fed, Feeder, Jobs, Unread};
use crate::job::{Job, Record};
use crate::output::{Bytes, Printable, Printer};
use crate::prepare::{self, Prepared};
use crate::progress::Progress;
use crate::report::{ReportFile, RunReport};
use crate::signals::{self, Meaning};
use crate::stop::{Cause, Deadline, Stage, Stopper};
use crate::work::{Ended, Settled, Work};
use crate::workers::{Answer, Beginning, Heard};
use crate::{messages, report};

/// So many commands that failed are named; the others are counted.
const NAMED_MOST: u64 = 10;

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
    let Prepared { work, stopper, feeder, jobs, done, printer, report, heard } = prepared;
    let crew = work.crew();
    let cannot = |what: &str, error: std::io::Error| {
        messages::say(format_args!("cannot {what}: {error}"));
        exit::START
    };
    if let Err(error) = listen(&stopper, &crew) {
        return cannot("listen to signals", error);
    }
    let telling = match heard.as_ref().map(|heard| heard.tell(&stopper)).transpose() {
        Ok(telling) => telling,
        Err(error) => return cannot("start a thread", error),
    };
    let mut tally = Tally::default();
    let (mut fed, mut unseen) = (Fed::default(), 0);
    if heard.as_ref().map_or(Beginning::Ready, |heard| wait_for_workers(heard, &stopper)) != Beginning::Broken
    {
        let threads = settle(work, jobs, done).and_then(|ends| Ok((ends, start_feeding(feeder)?)));
        let (ends, feeding) = match threads {
            Ok(threads) => threads,
            Err(error) => return cannot("start a thread", error),
        };
        let progress = if args.quiet { Progress::none() } else { Progress::on_a_terminal() };
        let mut printing =
            Printing { printer, stopper: &stopper, progress, tally, format: args.output, failures: 0 };
        ends.into_iter().for_each(|(job, ended)| printing.print(job, *ended));
        printing.progress.finish();
        printing.count_the_others();
        (tally, unseen) = (printing.tally, printing.printer.unseen());
        // The feeder does not panic; if it did, what it had accepted is still accounted for.
        let lost = |_| Fed { unread: Unread::Something, accepted: tally.ended(), ..Fed::default() };
        fed = feeding.join().unwrap_or_else(lost);
    }
    let tally = tally.without(unseen);
    let account = Account { begun, fed, tally, unseen, stopper: &stopper, heard: heard.as_deref() };
    let code = account.close(&crew, report);
    if let (Some(heard), Some(telling)) = (heard, telling) {
        heard.close();
        // It does not panic either.
        let _ = telling.join();
    }
    code
}

/// Lines that have ended, on their way to be printed; as many as the window lets in at most.
type Ends = mpsc::Receiver<(Arc<Job>, Box<Ended>)>;

/// Settles what ends, on a thread of its own: whoever does not read what we print holds up neither the next attempt at a line, nor the
/// keeping of large results on disk.
fn settle(work: Arc<Work>, jobs: Arc<Jobs>, done: Completions<Answer>) -> std::io::Result<Ends> {
    let (out, ends) = mpsc::channel();
    let settle = move || {
        while let Some(finished) = done.take() {
            let Some(job) = jobs.remove(finished.id) else { continue };
            match work.settle(&job, finished) {
                Settled::Again(handle) => {
                    jobs.insert(handle.id(), job);
                    done.push(handle);
                }
                // Whoever prints does so to the end.
                Settled::Ended(ended) => drop(out.send((job, ended))),
            }
        }
    };
    std::thread::Builder::new().name("settle".to_owned()).spawn(settle).map(|_| ends)
}

fn start_feeding(feeder: Feeder) -> std::io::Result<std::thread::JoinHandle<Fed>> {
    std::thread::Builder::new().name("input".to_owned()).spawn(move || feeder.feed())
}

/// Nothing is read before the first worker is ready: if none can be started, nothing has begun. A stop that comes meanwhile has nobody to
/// wait for.
fn wait_for_workers(heard: &Heard, stopper: &Stopper) -> Beginning {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(heard.known(), PollFlags::IN),
            PollFd::from_borrowed_fd(stopper.stopped(), PollFlags::IN),
        ];
        let polled = rustix::event::poll(&mut fds, None);
        let beginning = heard.beginning();
        if beginning == Beginning::Unknown && polled.is_ok() && !fds[1].revents().is_empty() {
            return match stopper.state().cause {
                Some(Cause::Pool) => Beginning::Broken,
                Some(cause) => {
                    stopper.abort(cause);
                    beginning
                }
                None => beginning,
            };
        }
        if beginning != Beginning::Unknown {
            return beginning;
        }
    }
}

struct Printing<'a> {
    printer: Printer,
    stopper: &'a Stopper,
    progress: Progress,
    tally: Tally,
    format: Format,
    /// Commands that failed; the first of them are named.
    failures: u64,
}

/// The lines that have ended, counted beside the pool.
#[derive(Debug, Default)]
struct Tally {
    outcomes: Outcomes,
    /// Those of them after the stop began.
    during: Outcomes,
    returned: Vec<(u64, Vec<u8>)>,
}

impl Tally {
    fn ended(&self) -> u64 {
        self.outcomes.total()
    }

    /// So many of those that completed were not printed: nobody has what they made.
    fn without(self, unseen: u64) -> Tally {
        Tally { outcomes: without(self.outcomes, unseen), ..self }
    }

    fn count(outcomes: &mut Outcomes, outcome: Outcome) {
        *match outcome {
            Outcome::Completed => &mut outcomes.completed,
            Outcome::Failed => &mut outcomes.failed,
            Outcome::Panicked => &mut outcomes.panicked,
            Outcome::Cancelled => &mut outcomes.cancelled,
            Outcome::TimedOut => &mut outcomes.timed_out,
            Outcome::Killed => &mut outcomes.killed,
            Outcome::Crashed => &mut outcomes.crashed,
            Outcome::Abandoned => &mut outcomes.abandoned,
            Outcome::Returned => &mut outcomes.returned,
        } += 1;
    }
}

fn without(mut outcomes: Outcomes, unseen: u64) -> Outcomes {
    let unseen = unseen.min(outcomes.completed);
    outcomes.completed -= unseen;
    outcomes.failed += unseen;
    outcomes
}

impl Printing<'_> {
    fn print(&mut self, job: Arc<Job>, ended: Ended) {
        let Ended { outcome, record, row } = ended;
        Tally::count(&mut self.tally.outcomes, outcome);
        if self.stopper.state().cause.is_some() {
            Tally::count(&mut self.tally.during, outcome);
        }
        let ended = self.tally.ended();
        self.progress.show(ended, ended - self.tally.outcomes.completed);
        if outcome == Outcome::Returned {
            self.tally.returned.push((job.seq, job.line.clone()));
        }
        let failure = failure(&job, outcome, record.as_ref()).filter(|_| self.format == Format::Text);
        if let Err(error) = self.printer.add(Printable { job, record, outcome: outcome.as_str(), row }) {
            messages::say(format_args!("{error}; stopping: what runs may finish"));
            self.stopper.stop(Cause::Output);
        }
        if let Some(failure) = failure {
            self.failures += 1;
            if self.failures <= NAMED_MOST {
                messages::note(failure);
            }
        }
    }

    fn count_the_others(&self) {
        if self.failures > NAMED_MOST {
            let more = self.failures - NAMED_MOST;
            messages::note(format_args!("{more} more failed; --joblog and --output json name them all"));
        }
    }
}

/// What is said of a command that ended with an exit code: it may itself have said nothing, or not on what line. What could not be started, and
/// what workers say, is told elsewhere.
fn failure(job: &Job, outcome: Outcome, record: Option<&Record>) -> Option<String> {
    let record = record.filter(|record| record.reply.is_none() && record.problem.is_none())?;
    let code = record.exit_code.filter(|_| outcome == Outcome::Failed)?;
    Some(format!("line {} ({}): exit code {code}", job.seq, messages::short(&job.line)))
}

/// Signals, for the rest of the process's life.
fn listen(stopper: &Arc<Stopper>, crew: &Crew) -> std::io::Result<()> {
    let (stopper, crew) = (Arc::clone(stopper), crew.clone());
    signals::listen(move |signal, meaning| match meaning {
        Meaning::Stop => {
            stopper.stop(Cause::Signal(signal));
            note_who_runs(&crew, signals::name(signal));
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

fn note_who_runs(crew: &Crew, signal: &str) {
    const MOST: usize = 8;
    let running = crew.running();
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
    tally: Tally,
    /// Tasks that completed and could not be printed; the tally has them as failed.
    unseen: u64,
    stopper: &'a Stopper,
    heard: Option<&'a Heard>,
}

impl Account<'_> {
    /// Ends the pool, writes the report, says what is left, gives the exit code.
    fn close(mut self, crew: &Crew, file: Option<ReportFile>) -> u8 {
        self.tally.returned.sort_unstable_by_key(|(seq, _)| *seq);
        let ended = match crew.shutdown(Shutdown::drain()).wait() {
            Ok(report) => report,
            Err(error) => {
                messages::say(format_args!("the pool did not end: {error}"));
                return exit::LAW;
            }
        };
        let facts = self.facts(&ended);
        let mut code = exit::code(&facts);
        if let Some(file) = file
            && let Err(error) = file.write(&self.report(crew, &ended, code))
        {
            messages::say(error);
            code = exit::code(&Facts { trouble: Some(exit::IO), ..facts });
        }
        let nothing_begun = code == exit::START && self.fed.accepted == 0;
        if !nothing_begun && (self.stopper.state().cause.is_some() || facts.failed > 0) {
            self.note_what_is_left();
        }
        code
    }

    fn facts(&self, ended: &Report) -> Facts {
        let (outcomes, state) = (&self.tally.outcomes, self.stopper.state());
        // The pool's book and our own: what was submitted again is several tasks to the one and a line to the other.
        let holds =
            ended.law_holds() && ended.queued + ended.running == 0 && self.fed.accepted == outcomes.total();
        let by_deadline = if state.deadline == Deadline::Missed { outcomes.cancelled } else { 0 };
        let killed_late = outcomes.killed - self.stopper.killed().min(outcomes.killed);
        // All workers have gone: whoever had something to keep has tried.
        let state_lost = self.heard.is_some_and(Heard::has_lost_state);
        Facts {
            trouble: state.trouble.or(state_lost.then_some(exit::IO)),
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

    fn report<'r>(&self, crew: &Crew, ended: &'r Report, exit_code: u8) -> RunReport<'r> {
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
            // What was asked for: the pool's own are wider, for the case that we fail.
            deadline_ms: self.stopper.deadline().as_secs_f64() * 1_000.0,
            grace_ms: self.stopper.grace().as_secs_f64() * 1_000.0,
            accepted: self.fed.accepted,
            queued: ended.queued,
            running: ended.running,
            outcomes: self.tally.outcomes,
            during: without(crew.during(ended, self.tally.during), self.unseen),
            rejected: ended.rejected,
            skipped: self.fed.skipped,
            unread: self.fed.unread == Unread::Something,
            returned: self.tally.returned.iter().map(|(_, line)| Bytes(line.clone())).collect(),
            refused: self.fed.refused.iter().cloned().map(Bytes).collect(),
            workers: &ended.workers,
            timeline: &ended.timeline,
            slowest: ended.slowest.as_ref(),
            exit_code,
        }
    }

    fn note_what_is_left(&self) {
        let stopped = self.stopper.state().cause.is_some();
        let mut text = String::from(if stopped { "stopped:" } else { "ended:" });
        for outcome in Outcome::ALL {
            let count = self.tally.outcomes.get(outcome);
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
