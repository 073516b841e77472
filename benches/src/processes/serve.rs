//! A contender of the race of processes that lives in this program: the lap is dispatched, its pool kept for the next.

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, process::Command};

use ebbtide::WorkerCommand;
use ebbtide_worker::Task;

use super::{commands, kill, rolling, supervisor, throughput};
use crate::{
    contenders::{SINGLY, is_ours},
    foreign,
    lap::{Kind, Lap, Values},
};

/// What this program is told when it is to be the Rust worker.
pub(crate) const WORKER: &str = "echo";

/// Runs a lap, with its pool.
pub(super) type Course = Box<dyn FnMut(Lap) -> Result<Values, String>>;

/// Any error ends a lap, and the contender in that scenario.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The Rust worker: gives back what it is given.
pub(crate) fn rust_worker() -> ! {
    ebbtide_worker::serve(|value: String, _: &Task| Ok::<_, Infallible>(value))
}

/// Gives what runs the laps of the contender of that name.
pub(crate) fn contender(name: &str) -> impl FnMut(Lap) -> Result<Values, String> {
    let mut courses: BTreeMap<String, Course> = BTreeMap::new();
    move |lap| {
        let key = format!("{:?}", lap.kind);
        if !courses.contains_key(&key) {
            courses.insert(key.clone(), course(name, lap)?);
        }
        courses.get_mut(&key).expect("it was put there")(lap)
    }
}

fn course(name: &str, lap: Lap) -> Result<Course, String> {
    let made = match lap.kind {
        Kind::Commands => return commands::course(name),
        _ if !is_ours(name) => return Err("starts commands only".to_owned()),
        Kind::ProcessNode => throughput::numbers(node("empty.mjs")?, lap.workers),
        Kind::ProcessNodeOne => throughput::one_at_a_time(node("empty.mjs")?, lap.workers),
        Kind::ProcessNodeMib => throughput::mebibytes(node("empty.mjs")?, lap.workers),
        Kind::ProcessPython => throughput::kibibytes(python("echo.py", "echo")?, lap.workers),
        Kind::ProcessPythonChunked => {
            throughput::crowds(python("echo.py", "echo")?, lap.workers, name != SINGLY)
        }
        Kind::ProcessPythonMib => throughput::mebibytes(python("echo.py", "echo")?, lap.workers),
        Kind::ProcessRust => throughput::rust(WorkerCommand::current_exe(WORKER), lap.workers),
        Kind::Rolling => Ok(rolling::course(node("spin.cjs")?, bare("node", "spin.cjs")?, false)),
        Kind::RollingSaturated => Ok(rolling::course(node("spin.cjs")?, bare("node", "spin.cjs")?, true)),
        Kind::KillNode => kill::course(node("busy.cjs")?, bare("node", "busy.cjs")?, 0),
        Kind::KillPython => kill::course(python("busy.py", "echo")?, bare("python", "busy.py")?, 0),
        Kind::KillNodeSpare => kill::course(node("busy.cjs")?, bare("node", "busy.cjs")?, 1),
        Kind::SupervisorCpu => supervisor::cpu(node("empty.mjs")?, lap.workers),
        Kind::SupervisorMemory => supervisor::memory(node("empty.mjs")?, lap.workers),
        _ => return Err("this scenario is not for processes".to_owned()),
    };
    made.map_err(failed)
}

/// As the race wants it said that something went wrong.
pub(super) fn failed(error: Failure) -> String {
    format!("FAILED: {error}")
}

fn node(file: &str) -> Result<WorkerCommand, String> {
    Ok(WorkerCommand::node(worker_file("node", file)?))
}

fn python(file: &str, function: &str) -> Result<WorkerCommand, String> {
    let file = worker_file("python", file)?;
    Ok(WorkerCommand::python(format!("{}:{function}", file.display())))
}

/// The interpreter and the file, as anybody would run it.
fn bare(language: &'static str, file: &str) -> Result<(&'static str, PathBuf), String> {
    Ok((interpreter(language), worker_file(language, file)?))
}

fn interpreter(language: &'static str) -> &'static str {
    if language == "python" { "python3" } else { language }
}

/// The file that the peers' pools load as well; the race has put it there.
fn worker_file(language: &'static str, name: &str) -> Result<PathBuf, String> {
    foreign::tool(Command::new(interpreter(language)).arg("--version"))
        .map_err(|missing| format!("not on this machine: {missing}"))?;
    Ok(foreign::workshop(language)?.join(name))
}
