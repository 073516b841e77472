//! Everything that can be found wrong before the first task: input, command, report file, job log, guardian, pool.

use std::io::IsTerminal as _;
use std::sync::Arc;

use ebbtide::process::Guardian;
use ebbtide::{Completions, Pool, Stateless};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::{Format, RunArgs, Workers};
use crate::body::Shared;
use crate::crew::{COMMANDS_MARGIN, Crew, pool_deadline, pool_grace};
use crate::feed::{Feeder, Jobs};
use crate::files::is_same_file;
use crate::input::{Lines, Separator};
use crate::joblog::{Done, Earlier, JobLog, OpenError, Past};
use crate::ledger::Ledger;
use crate::output::Printer;
use crate::report::ReportFile;
use crate::resume::{MismatchError, Resume};
use crate::runner::{Budget, Keep, Launcher, find_program};
use crate::stop::Stopper;
use crate::template::Template;
use crate::window::Window;
use crate::work::{Commands, Work};
use crate::workers::{Answer, Heard, Requests, Seen, WorkerSpec, hire, state_folder};
use crate::{exit, messages, plan};

/// A run that can begin.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) work: Arc<Work>,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) feeder: Feeder,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) done: Completions<Answer>,
    pub(crate) printer: Printer,
    pub(crate) report: Option<ReportFile>,
    /// What is heard from worker processes, where those do the work.
    pub(crate) heard: Option<Arc<Heard>>,
}

/// Why a run cannot begin: nothing was started.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) why: String,
}

impl Refusal {
    fn with(code: u8) -> impl Fn(&dyn std::fmt::Display) -> Refusal {
        move |why| Refusal { code, why: why.to_string() }
    }
}

/// `--dry-run`.
pub(crate) fn dry_run(args: &RunArgs) -> Result<(), Refusal> {
    let template = template(args);
    let lines = lines(args)?;
    let past = match &args.joblog {
        Some(path) if resumes(args) => JobLog::look(path).map_err(refused_log)?,
        _ => Past::default(),
    };
    plan::print(args, &template, lines, Resume::new(past, done(args))).map_err(|error| match error {
        plan::PlanError::Mismatch(error) => mismatch(error),
        plan::PlanError::Output(error) => Refusal::with(exit::IO)(&error),
    })
}

/// Checks and opens everything, starts the guardian and the pool.
pub(crate) fn prepare(args: &RunArgs) -> Result<Prepared, Refusal> {
    let template = template(args);
    let lines = lines(args)?;
    if args.input().is_none() && std::io::stdin().is_terminal() {
        messages::note("reading tasks from the terminal, one per line; Ctrl-D ends the input");
    }
    if let (None, Some(program)) = (&args.worker.worker, template.program()) {
        find_program(program).map_err(|why| Refusal { code: exit::NOT_FOUND, why })?;
    }
    let (log, resume) = log(args, &template)?;
    // After the log: a run that is refused must not empty the report of an earlier one.
    let report = report(args)?;
    let Hired { work, stopper, window, ledger, heard } = match &args.worker.worker {
        None => commands(args, log)?,
        Some(spec) => requests(args, spec, log)?,
    };
    let (patience, jobs, done) = (stopper.patience(), Arc::new(Jobs::default()), Completions::new());
    let printer = match args.keep_order {
        true => Printer::of_input(args.output, Arc::clone(&window), patience),
        false => Printer::of_ending(args.output, Arc::clone(&window), patience),
    };
    let feeder = Feeder {
        lines,
        resume,
        template,
        work: Arc::clone(&work),
        stopper: Arc::clone(&stopper),
        window,
        jobs: Arc::clone(&jobs),
        done: done.clone(),
    };
    Ok(Prepared { work, stopper, feeder, jobs, done, printer: printer.with_ledger(ledger), report, heard })
}

/// A pool, and what belongs to it.
struct Hired {
    work: Arc<Work>,
    stopper: Arc<Stopper>,
    window: Arc<Window>,
    /// Of the printer: it writes the rows of what it prints.
    ledger: Option<Arc<Ledger>>,
    heard: Option<Arc<Heard>>,
}

fn commands(args: &RunArgs, log: Option<JobLog>) -> Result<Hired, Refusal> {
    // Before the limit is raised: commands keep the limits that we were given.
    let launcher = Launcher::new(args.workers().max).map_err(|error| Refusal::with(exit::START)(&error))?;
    raise_descriptor_limit(args)?;
    let pool = Arc::new(pool(args)?);
    let (window, stopper) = stopper(args, Crew::Commands(Arc::clone(&pool)))?;
    let ledger = log.map(|log| Arc::new(Ledger::new(log, Arc::clone(&stopper))));
    let shared = Arc::new(Shared {
        template: template(args),
        launcher,
        log: ledger.clone(),
        format: args.output,
        stopper: Arc::clone(&stopper),
        window: Arc::clone(&window),
        budget: Budget::default(),
        keep: if args.output == Format::Json { Keep::Beginning } else { Keep::Everything },
        grace: args.grace(),
        attempts_most: args.retries.saturating_add(1),
        halt: args.halt,
    });
    let work = Arc::new(Work::Commands(Commands { pool, shared, timeout: args.timeout }));
    Ok(Hired { work, stopper, window, ledger, heard: None })
}

fn requests(args: &RunArgs, spec: &WorkerSpec, log: Option<JobLog>) -> Result<Hired, Refusal> {
    let start = Refusal::with(exit::START);
    let state = state_folder(args, spec)?;
    // Before the limit is raised, here too.
    let guardian = Guardian::start().map_err(|error| start(&error))?;
    raise_descriptor_limit(args)?;
    let heard = Arc::new(Heard::new().map_err(|error| start(&error))?);
    let pool = Arc::new(hire(args, spec, guardian, &heard, state.as_ref())?);
    let (window, stopper) = stopper(args, Crew::Workers(Arc::clone(&pool)))?;
    let work = Work::Workers(Requests {
        pool,
        stopper: Arc::clone(&stopper),
        window: Arc::clone(&window),
        heard: Arc::clone(&heard),
        template: template(args),
        timeout: args.timeout,
        retries: args.retries,
        halt: args.halt,
        seen: Seen::new(args.worker.concurrency),
        state,
    });
    let ledger = log.map(|log| Arc::new(Ledger::new(log, Arc::clone(&stopper))));
    Ok(Hired { work: Arc::new(work), stopper, window, ledger, heard: Some(heard) })
}

fn stopper(args: &RunArgs, crew: Crew) -> Result<(Arc<Window>, Arc<Stopper>), Refusal> {
    let start = Refusal::with(exit::START);
    let window = Arc::new(Window::default());
    let stopper = Stopper::new(crew, Arc::clone(&window), args.deadline, args.grace());
    let stopper = Arc::new(stopper.map_err(|error| start(&error))?);
    stopper.watch().map_err(|error| start(&error))?;
    Ok((window, stopper))
}

/// What a line becomes: a command with it in its place, or, for the job log, the worker and the line.
fn template(args: &RunArgs) -> Template {
    match &args.worker.worker {
        None => Template::new(&args.command),
        Some(spec) => {
            let words: Vec<_> =
                std::iter::once(spec.text().to_owned()).chain(args.command.iter().cloned()).collect();
            Template::of_requests(&words)
        }
    }
}

fn lines(args: &RunArgs) -> Result<Lines, Refusal> {
    Lines::open(args.input(), separator(args)).map_err(|error| Refusal::with(exit::IO)(&error))
}

/// Creates the file of the report, which empties it: not one that this run reads or goes on with.
fn report(args: &RunArgs) -> Result<Option<ReportFile>, Refusal> {
    let Some(path) = &args.report else { return Ok(None) };
    for (option, other) in [("--input", args.input()), ("--joblog", args.joblog.as_deref())] {
        if other.is_some_and(|other| is_same_file(path, other)) {
            let why = format!(
                "--report and {option} are the same file, {}, and the report would overwrite it: give the report one of its own",
                path.display()
            );
            return Err(Refusal { code: exit::USAGE, why });
        }
    }
    ReportFile::create(path).map(Some).map_err(|error| Refusal::with(exit::IO)(&error))
}

fn separator(args: &RunArgs) -> Separator {
    if args.null { Separator::Nul } else { Separator::Newline }
}

fn resumes(args: &RunArgs) -> bool {
    args.resume || args.resume_failed
}

fn done(args: &RunArgs) -> Done {
    if args.resume_failed { Done::Succeeded } else { Done::Ended }
}

fn log(args: &RunArgs, template: &Template) -> Result<(Option<JobLog>, Resume), Refusal> {
    let Some(path) = &args.joblog else { return Ok((None, Resume::new(Past::default(), done(args)))) };
    let earlier = if resumes(args) { Earlier::GoOn } else { Earlier::Refuse };
    let (log, past) = JobLog::open(path, earlier).map_err(refused_log)?;
    let mut resume = Resume::new(past, done(args));
    if let Some(input) = args.input() {
        resume.check(input, separator(args), template).map_err(mismatch)?;
    }
    Ok((Some(log), resume))
}

fn refused_log(error: OpenError) -> Refusal {
    let code = match error {
        OpenError::Io { .. } => exit::IO,
        OpenError::Locked { .. } | OpenError::HasRows { .. } | OpenError::Read { .. } => exit::USAGE,
    };
    Refusal::with(code)(&error)
}

fn mismatch(error: MismatchError) -> Refusal {
    let code = match error {
        MismatchError::Log(_) => exit::USAGE,
        MismatchError::Input(_) | MismatchError::Bell(_) => exit::IO,
    };
    Refusal::with(code)(&error)
}

fn pool(args: &RunArgs) -> Result<Pool<Stateless>, Refusal> {
    let workers = args.workers();
    Pool::builder()
        .name("run")
        .workers(workers.min..=workers.max)
        .queue(args.queue.unwrap_or(workers.max))
        .deadline(pool_deadline(args.grace(), COMMANDS_MARGIN))
        .grace(pool_grace(args.grace(), COMMANDS_MARGIN))
        .build()
        .map_err(|error| Refusal::with(exit::START)(&error))
}

/// What a running task needs: two pipes, a bell, the report of its end; while it starts, the other ends too.
const DESCRIPTORS_PER_WORKER: u64 = 8;
/// What everything else needs: the window's spooled outputs, files, bells.
const DESCRIPTORS_BESIDE: u64 = 300;

/// How many open files so many workers may need, and everything else.
pub(crate) fn descriptors_wanted(workers: Workers) -> u64 {
    DESCRIPTORS_BESIDE + DESCRIPTORS_PER_WORKER * workers.max as u64
}

fn raise_descriptor_limit(args: &RunArgs) -> Result<(), Refusal> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = if raised.is_ok() { maximum } else { current };
    let (workers, wanted) = (args.workers().max, descriptors_wanted(args.workers()));
    match allowed {
        Some(allowed) if allowed < wanted => Err(Refusal {
            code: exit::START,
            why: format!(
                "{workers} workers may need {wanted} open files and {allowed} are allowed (ulimit -n)"
            ),
        }),
        _ => Ok(()),
    }
}
