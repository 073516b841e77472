//! Supervisors that are killed or signalled: this executable, started with `--scenario NAME LANGUAGE`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, ExitCode};

use ebbtide::{App, Pool};
use serde_json::Value;

use crate::alone::{Holds, itself};
use crate::kinds::{Kind, node, python, rust};
use crate::rig::{Rig, ask};
use crate::tools::{Gate, mark, scratch};

const FLAG: &str = "--scenario";
const DIRECT: &str = "--direct";

/// The scenario named on the command line, if one is.
pub(crate) fn asked() -> Option<(Holds, String, String)> {
    let args: Vec<String> = std::env::args().collect();
    match &args[..] {
        [_, flag, name, kind] if flag == FLAG => Some((Holds::Guarded, name.clone(), kind.clone())),
        [_, flag, name, kind, direct] if flag == FLAG && direct == DIRECT => {
            Some((Holds::Direct, name.clone(), kind.clone()))
        }
        _ => None,
    }
}

/// Plays it.
pub(crate) fn play(name: &str, kind: &str) -> ExitCode {
    let kind = [rust(), node(), python()].into_iter().find(|one| one.name == kind).unwrap();
    match name {
        "orphans" => orphans(&kind),
        "serve" => return serve(&kind),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// A running scenario; killed when dropped.
pub(crate) struct Running {
    pub(crate) process: Child,
    said: BufReader<ChildStderr>,
    /// Of its workers, and where its files are.
    pub(crate) mark: String,
    pub(crate) gate: String,
}

impl Running {
    /// Starts it and waits until it is up. Whether there is a guardian is as in the test that asks.
    pub(crate) fn start(name: &str, kind: &str) -> Self {
        let direct = std::env::args().any(|arg| arg == DIRECT);
        let mut args = vec![FLAG, name, kind];
        if direct {
            args.push(DIRECT);
        }
        let mut process = itself(&args);
        let said = BufReader::new(process.stderr.take().unwrap());
        let mut running = Self { process, said, mark: String::new(), gate: String::new() };
        running.mark = running.word("mark ");
        running.gate = running.word("gate ");
        running.word("up");
        running
    }

    /// The rest of the next line that begins so.
    pub(crate) fn word(&mut self, begins: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let n = self.said.read_line(&mut line).unwrap();
            assert!(n > 0, "it ended before it said {begins:?}: {all}");
            if let Some(rest) = line.strip_prefix(begins) {
                return rest.trim_end().to_owned();
            }
            all += &line;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let directory = std::env::temp_dir().canonicalize().unwrap().join(format!("ebbtide-{}", self.mark));
        let _ = std::fs::remove_dir_all(directory);
    }
}

fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    writeln!(out, "{line}").unwrap();
}

fn greet() -> Gate {
    let gate = Gate::closed();
    say(&format!("mark {}", mark()));
    say(&format!("gate {}", gate.path()));
    gate
}

/// Three workers, each with a grandchild in a session of its own; one is in a busy loop, one waits, one is idle.
fn orphans(kind: &Kind) {
    let gate = greet();
    let rig = Rig::new(kind, 3..=3);
    let tasks: Vec<_> = (0..3).map(|_| rig.send("orphan", 0)).collect();
    for task in tasks {
        say(&format!("grandchild {}", crate::rig::value(task)));
    }
    let (busy, waits) = (rig.send("busy", 0), rig.send("gate", gate.path()));
    rig.until_begun(2);
    say("up");
    let _ = (busy.wait(), waits.wait());
}

/// An application with a pool of processes; says what came of its tasks.
fn serve(kind: &Kind) -> ExitCode {
    let gate = greet();
    let app = App::builder("serve");
    let workers = Pool::processes(kind.command.clone()).workers(2..=2).warm().typed::<Value, Value>();
    let pool = app.pool("workers", workers).unwrap();
    let running = app.run();
    let tasks: Vec<_> = (0..6).map(|_| pool.submit(ask("gate", gate.path())).unwrap()).collect();
    crate::tools::eventually("two have begun", || pool.stats().running_tasks.len() == 2);
    say("up");
    let report = running.wait();
    let completed = tasks.iter().filter(|task| task.outcome() == Some(ebbtide::Outcome::Completed)).count();
    say(&format!("completed {completed}"));
    say(&format!("report {}", report.to_json().len()));
    let _ = std::fs::remove_dir_all(scratch());
    report.code()
}
