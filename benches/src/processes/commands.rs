//! A command per line of input: `ebbtide run`, xargs, GNU parallel. Each value is nanoseconds, then CPU nanoseconds, per command.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use super::serve::{Course, Failure, failed};
use crate::{foreign, lap::Values};

/// Ticks per second of the times in `/proc/self/stat`; the kernel has shown this number to programs for as long as it has had the file.
const TICKS: f64 = 100.0;

pub(super) fn course(name: &str) -> Result<Course, String> {
    let (program, args): (_, &[&str]) = match name {
        "xargs" => ("xargs".to_owned(), &["-P2", "-n1", "/bin/true"]),
        // It asks to be cited, on a terminal, until it is told that it will be.
        "parallel" => ("parallel".to_owned(), &["--will-cite", "-j2", "/bin/true"]),
        _ => (foreign::ebbtide()?.display().to_string(), &["run", "--workers", "2", "/bin/true"]),
    };
    foreign::tool(Command::new(&program).arg("--version"))
        .map_err(|missing| format!("not on this machine: {missing}"))?;
    Ok(Box::new(move |lap| run(&program, args, lap.size).map_err(failed)))
}

fn run(program: &str, args: &[&str], count: usize) -> Result<Values, Failure> {
    let lines: String = (1..=count).map(|number| format!("{number}\n")).collect();
    let (before, begin) = (of_children(), Instant::now());
    let mut command = Command::new(program);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut input = child.stdin.take().ok_or("its input was piped")?;
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let status = child.wait()?;
    let wall = begin.elapsed().as_nanos() as f64;
    writer.join().map_err(|_| "the writer panicked")??;
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    let count = count as f64;
    Ok(vec![wall / count, (of_children() - before) / count])
}

/// CPU time of the children that were waited for, and of all that they have waited for, in nanoseconds.
fn of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which is in parentheses: cutime and cstime are fields 16 and 17.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(13).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks * 1e9 / TICKS
}
