//! What can be typed: options, their defaults, their errors, the long help with examples.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::exit;
use crate::worker_args::WorkerArgs;

/// More than this many workers is taken for a typing error.
const WORKERS_MOST: usize = 4_096;
/// More than this many waiting tasks is taken for a typing error.
const QUEUE_MOST: usize = 1_000_000;

/// Worker pools that stop right: every accepted task ends in exactly one known way.
#[derive(Debug, Parser)]
#[command(
    name = "ebbtide",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run COMMAND once per line of the input, or give the line to a warm worker process; on a pool that stops right
    Run(Box<RunArgs>),
    /// Show a report that was written as JSON: as text, as a page with the timeline as a picture, or as the picture alone
    Report(ReportArgs),
    /// Say what this machine can enforce: containment, memory limits, interpreters, open files
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, as roff
    #[command(hide = true)]
    Man {
        /// Which page
        #[arg(value_enum, default_value_t = Page::Run)]
        page: Page,
    },
}

/// The manual pages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Page {
    Ebbtide,
    Run,
    Report,
    Doctor,
}

/// `ebbtide run`.
#[derive(Debug, Args)]
#[command(
    about = "Run COMMAND once per line of the input, or give the line to a warm worker process; on a pool that stops right",
    override_usage = USAGE,
    long_about = LONG_ABOUT,
    after_long_help = after_long_help()
)]
pub(crate) struct RunArgs {
    /// How many commands run, or worker processes are, at once: N, or MIN..MAX to grow with the work
    ///
    /// Default: 1 up to the number of processors.
    #[arg(short = 'w', long, value_name = "N|MIN..MAX", value_parser = workers)]
    pub(crate) workers: Option<Workers>,

    /// How many lines may be read ahead and wait [default: as many as workers; with --worker, times --credits]
    #[arg(long, value_name = "N", value_parser = queue)]
    pub(crate) queue: Option<usize>,

    /// The longest one task may run, all its attempts together [default: no limit]
    ///
    /// Counted from its start. Then the command gets SIGTERM, and SIGKILL after --grace; a worker process is asked to cancel the task, gets
    /// SIGTERM at half of --grace and SIGKILL at its end, and is replaced. What ends by itself before it is killed keeps its result. A task that ran out of time is not tried again. Durations: 90s, 1m30s, 250ms; a number without a unit is seconds.
    #[arg(long, value_name = "D", value_parser = positive_duration)]
    pub(crate) timeout: Option<Duration>,

    /// The longest a stop may take
    ///
    /// After the first SIGINT or SIGTERM what runs may go on until this long minus a tenth minus --grace; then
    /// it is asked to end by SIGTERM. It does not limit a run that nobody stops.
    #[arg(long, value_name = "D", default_value = "30s", value_parser = positive_duration)]
    pub(crate) deadline: Duration,

    /// The time that a command, or a task in a worker process, has to end once it was asked (at most half of --deadline)
    #[arg(long, value_name = "D", default_value = "5s", value_parser = duration)]
    pub(crate) grace: Duration,

    /// How often a task that failed is tried again; the output of the last attempt is kept
    ///
    /// With --worker it also declares that running a task twice does no harm: only then one whose worker died under it is tried again, first
    /// alone in a fresh process. Its `task.attempt` counts on.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) retries: u32,

    /// Print outputs in the order of the input
    ///
    /// At most 1 000 tasks, or 100 with large outputs, are ahead of the oldest unprinted one; then reading waits.
    #[arg(short = 'k', long)]
    pub(crate) keep_order: bool,

    /// Write a line per ended task to FILE, in GNU parallel's columns
    ///
    /// Columns: Seq Host Starttime JobRuntime Send Receive Exitval Signal Command, separated by tabs; a tab,
    /// newline, NUL or backslash in a command is written \t \n \0 \\. Each row is written after the output or result of
    /// its task is printed. A FILE that has rows is only taken with --resume or --resume-failed.
    #[arg(long, value_name = "FILE")]
    pub(crate) joblog: Option<PathBuf>,

    /// Skip the tasks that --joblog says have ended (also those that failed)
    ///
    /// Lines that our own stop ended were not logged and run again. A log that belongs to other input or another
    /// COMMAND is refused.
    #[arg(long, requires = "joblog")]
    pub(crate) resume: bool,

    /// Like --resume, and run again the tasks whose last row says that they failed
    #[arg(long, requires = "joblog")]
    pub(crate) resume_failed: bool,

    /// Read the lines from FILE instead of the standard input, which is also -
    #[arg(short = 'a', long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// The input is separated by NUL, not by newline (find -print0)
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// What a failure does: nothing, stop (what runs finishes), or abort (what runs is ended)
    #[arg(long, value_enum, value_name = "never|soon|now", default_value_t = Halt::Never)]
    pub(crate) halt: Halt,

    /// Print outputs and results as they are, or one JSON object per task
    #[arg(long, value_enum, value_name = "text|json", default_value_t = Format::Text)]
    pub(crate) output: Format,

    /// Write the shutdown report to FILE, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Print what would be run, start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// No progress bar and no messages but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) worker: WorkerArgs,

    /// The command and its arguments; {} is replaced by the line. With --worker: arguments of the program, or of the interpreter
    #[arg(help_heading = None, value_name = "COMMAND", required_unless_present = "worker", trailing_var_arg = true, num_args = 1..)]
    pub(crate) command: Vec<OsString>,
}

/// `ebbtide report`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  seq 100 | ebbtide run --report report.json -- ./step {}; ebbtide report report.json
  ebbtide report report.json --html report.html && xdg-open report.html
  ebbtide report - < report.json

Exit codes:
    0  it is shown
    2  FILE is no report, or one of another version
   74  FILE cannot be read, or the output not be written")]
pub(crate) struct ReportArgs {
    /// The report: of `ebbtide run --report`, of an application or of a pool (their `to_json`); - reads the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Write a page to OUT instead: one file that loads nothing and runs nothing
    #[arg(long, value_name = "OUT")]
    pub(crate) html: Option<PathBuf>,

    /// Write the picture of the page alone to OUT, as SVG
    #[arg(long, value_name = "OUT")]
    pub(crate) svg: Option<PathBuf>,
}

/// `ebbtide doctor`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
    0  everything that `ebbtide run` needs is there; what is missing makes it weaker, or rules out one kind of worker
    1  something that it needs is missing")]
pub(crate) struct DoctorArgs {
    /// Print lines for a person, or one JSON object
    #[arg(long, value_enum, value_name = "text|json", default_value_t = Format::Text)]
    pub(crate) output: Format,
}

/// How many workers a pool may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workers {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Halt {
    /// Go on
    Never,
    /// Read no more; what runs finishes
    Soon,
    /// Read no more; what runs is asked to end
    Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

impl RunArgs {
    /// The workers asked for, or one up to a worker per processor.
    pub(crate) fn workers(&self) -> Workers {
        self.workers.unwrap_or_else(|| {
            let max = std::thread::available_parallelism().map_or(1, usize::from);
            Workers { min: 1, max }
        })
    }

    /// The file of the lines; none where they come from the standard input.
    pub(crate) fn input(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// The grace that fits into the deadline.
    pub(crate) fn grace(&self) -> Duration {
        self.grace.min(self.deadline / 2)
    }
}

/// The whole command line as clap knows it, for completions and manual pages.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

const USAGE: &str = "\
ebbtide run [OPTIONS] [--] <COMMAND>...
       ebbtide run [OPTIONS] --worker node:FILE[#EXPORT] [-- ARG...]
       ebbtide run [OPTIONS] --worker python:MODULE:FUNCTION [-- ARG...]
       ebbtide run [OPTIONS] --worker program:PATH [-- ARG...]";

const LONG_ABOUT: &str = "\
Run COMMAND once per line of the input, or give the line to a warm worker process; on a pool that stops right.

Each line of the standard input (or of --input) is one task. COMMAND is started for it directly, never through a \
shell, with {} replaced by the line wherever it occurs in an argument; without any {} the line is appended as the \
last argument. The command's standard input is empty. Outputs are printed as each task ends and never mixed.

With --worker each line is a JSON value, and the argument of a function in a process that stays: a Node.js file, a \
Python function, or a program that speaks the worker protocol. It is started once, keeps what it has loaded, and \
its memory, age and number of tasks can be limited. What the function returns is printed as one line of JSON; what \
the worker prints goes to the standard error, with its name before each line.

The first SIGINT, SIGTERM or SIGHUP stops: no more input is read, what runs finishes within --deadline, what waits \
is returned. SIGINT and SIGHUP stay ignored where they were ignored at the start, as by nohup. A second one (more than 250 ms later) forces: what runs is killed. A third ends the process. No command, \
no worker and nothing they started outlives the run, also when ebbtide itself is killed.";

fn after_long_help() -> String {
    format!("{DETAILS}\n\n{}\n\n{EXAMPLES}", exit::table())
}

const DETAILS: &str = "\
Details:
  {}            may stand in COMMAND itself; then a command that is not found fails its own task
                (127), not the run
  empty lines   are skipped, as xargs does, and have no number
  CR LF         the CR is part of the line (there is a warning); remove it with tr -d '\\r'.
                In JSON it is white space
  not UTF-8     bytes reach the command as they are; in JSON they are base64: \"input_base64\",
                \"stdout_base64\", …
  a NUL byte    in a line fails its task, no argument can hold one; --null separates at NUL
  long lines    more than 10 MiB ends the reading (74); what the system cannot pass as an
                argument fails its task
  big outputs   are spooled to an unlinked file in TMPDIR beyond 1 MiB; of a command's output
                --output json keeps the first 1 MiB, and says \"stdout_truncated\" and
                \"stdout_bytes\"
  json          fields: id input outcome exit_code signal stdout stderr attempts waited_ms ran_ms
                outcomes: completed failed panicked cancelled timed_out killed crashed
                abandoned returned
  stdout        that was closed before the start (>&-) is /dev/null to us: what is printed is gone
                and that is no error; one whose reader goes later is (74)
  left-overs    what a command leaves running in its process group is killed when it ends
  --joblog      tells what was printed: after a SIGKILL of ebbtide itself, or a full disk, no
                output is missing, and commands whose output still waited for its turn run again
                when the run is resumed. What prints nothing is logged as soon as it has ended
  --halt        the lines that were not run are left to resume, so the exit code is 10, unless
                none is left (1)

With --worker:
  not JSON      a line that is no JSON value fails its task (error InvalidJson, which names the
                line), and the run goes on; so does a result that is none (InvalidResult)
  bytes         that a function returns are printed as a JSON string where they are UTF-8, else
                as {\"base64\": …}
  json          fields: id input outcome result error{name,message,stack} worker attempts
                waited_ms ran_ms; input is the value itself, a string where the line is none
  a dead worker costs what it was running: crashed, or killed where we ended it (--timeout,
                --memory-hard). What it had not begun goes to another
  no worker     that can be started at all ends the run (14) before anything is read
  environment   workers have PATH HOME USER LOGNAME SHELL LANG LC_* TZ TMPDIR PYTHONPATH
                NODE_PATH of ours, and what --env names
  --joblog      here, too, what ended without a row comes a second time";

const EXAMPLES: &str = "\
Examples:
  find . -name '*.rs' | ebbtide run -- wc -l {}
  find . -print0 | ebbtide run -0 --workers 1..8 --output json -- sha256sum
  ebbtide run --input urls --joblog done.log --resume --timeout 1m --retries 2 -- curl -fsSO {}
  seq 100 | ebbtide run --halt soon --report report.json -- ./step --number={}
  jq -c .[] images.json | ebbtide run --worker node:resize.js#thumbnail --memory-soft 400MiB
  ls *.csv | jq -R . | ebbtide run --worker python:tables:load --joblog done.log --resume
  seq 1000 | ebbtide run --worker program:./primes --max-tasks 100 -- --fast";

/// `N` or `MIN..MAX` (`MIN..=MAX` too): at least one, MIN not above MAX.
fn workers(text: &str) -> Result<Workers, String> {
    let number = |part: &str| {
        part.trim().parse::<usize>().map_err(|_| format!("`{part}` is not a number; write N or MIN..MAX"))
    };
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (number(min)?, number(max.strip_prefix('=').unwrap_or(max))?),
        None => number(text).map(|n| (n, n))?,
    };
    if max == 0 || min == 0 {
        return Err("a pool needs at least one worker".to_owned());
    }
    if min > max {
        return Err(format!("the least ({min}) is more than the most ({max})"));
    }
    if max > WORKERS_MOST {
        return Err(format!("at most {WORKERS_MOST} workers"));
    }
    Ok(Workers { min, max })
}

fn queue(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("a queue of zero could hold nothing; the least is 1".to_owned()),
        Ok(n) if n > QUEUE_MOST => Err(format!("at most {QUEUE_MOST}")),
        Ok(n) => Ok(n),
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

/// `90s`, `1m 30s`, `250ms`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()).and_then(year);
    }
    // It would be one number.
    let words: Vec<_> = text.split_whitespace().collect();
    let in_number = |c: char| c.is_ascii_digit() || c == '.';
    if words.windows(2).any(|two| two[0].ends_with(in_number) && two[1].starts_with(in_number)) {
        return Err(format!("`{text}` has a space within a number; write 30s, 1m30s or 250ms"));
    }
    // Beyond these its seconds and its fractions come to more than a `Duration` holds together, and it panics.
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    if text.len() > 64 || digits > Some(10) {
        return Err("at most a year; write 30s, 1m30s or 250ms".to_owned());
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write 30s, 1m30s or 250ms"))
        .and_then(year)
}

pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        some => Ok(some),
    }
}

/// A limit on everything: longer than a year is a typing error, and would overflow clocks elsewhere.
fn year(duration: Duration) -> Result<Duration, String> {
    if duration > Duration::from_hours(24 * 366) { Err("at most a year".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<RunArgs, clap::Error> {
        let cli = Cli::try_parse_from([&["ebbtide", "run"], line].concat())?;
        match cli.command {
            Command::Run(args) => Ok(*args),
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn the_command_is_everything_after_the_first_word_or_the_dashes() {
        let args = parse(&["-k", "--", "wc", "-l", "{}"]).unwrap();
        assert_eq!(args.command, ["wc", "-l", "{}"]);
        let args = parse(&["wc", "-l", "--quiet"]).unwrap();
        assert_eq!((args.command.len(), args.quiet), (3, false));
    }

    #[test]
    fn a_worker_needs_no_command_and_may_have_arguments() {
        assert!(parse(&["--worker", "node:x.js"]).unwrap().command.is_empty());
        let args = parse(&["--worker", "program:./x", "-w", "2", "--", "--fast"]).unwrap();
        assert_eq!(args.command, ["--fast"]);
    }

    #[test]
    fn workers_are_a_number_or_a_range() {
        assert_eq!(workers("3"), Ok(Workers { min: 3, max: 3 }));
        assert_eq!(workers("1..4"), Ok(Workers { min: 1, max: 4 }));
        assert_eq!(workers("1..=4"), Ok(Workers { min: 1, max: 4 }));
        for wrong in ["0", "0..0", "4..1", "..", "x", "1..", "-1", "99999999999999999999", "5000"] {
            assert!(workers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        for wrong in [
            "",
            "x",
            "-1",
            "inf",
            "NaN",
            "1e300",
            "9999999999999h",
            "018446744073709551615.5s0.5s",
            "1 2s",
            "1\t8446744073 709551615.5s0 .5s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(positive_duration("0").is_err());
    }

    #[test]
    fn errors_name_the_option_and_end_with_2() {
        for (line, option) in [
            (&["--workers", "0", "--", "true"][..], "--workers"),
            (&["--queue", "0", "--", "true"], "--queue"),
            (&["--deadline", "0", "--", "true"], "--deadline"),
            (&["--resume", "--", "true"], "--joblog"),
            (&["--resume-failed", "--", "true"], "--joblog"),
            (&["--worksers", "3", "--", "true"], "--worksers"),
            (&["--halt", "sometimes", "--", "true"], "--halt"),
            (&[], "COMMAND"),
            (&["--worker", "ruby:x.rb"], "--worker"),
            (&["--memory-soft", "1MiB", "--", "true"], "--worker"),
            (&["--worker", "node:x.js", "--memory-hard", "much"], "--memory-hard"),
            (&["--worker", "node:x.js", "--max-tasks", "0"], "--max-tasks"),
            (&["--worker", "node:x.js", "--credits", "0"], "--credits"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn the_help_shows_the_exit_codes_and_examples() {
        let help = parse(&["--help"]).unwrap_err().to_string();
        assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
    }
}
