//! The scenarios and the contenders of the race of processes.

use crate::{
    contenders::{Entry, Home, OURS, SINGLY},
    lap::{Group, Kind},
    scenario::{Scenario, at_most, bytes, new, ratio},
};

/// Two workers; how long a lap is, in milliseconds.
const fn two(rows: &'static [&'static str], kind: Kind, about: &'static str) -> Scenario {
    new(rows, kind, (1, 2), (150, 1000), about)
}

/// Everything, in the order in which it is run. The size of a lap is its milliseconds, or how many commands, or how many kills.
pub(crate) const SCENARIOS: [Scenario; 15] = [
    two(
        &["process-node", "process-node-cpu"],
        Kind::ProcessNode,
        "a no-op in Node, 64 in flight, 2 workers, per task; CPU time of all processes",
    ),
    two(
        &["process-node-one-p50", "process-node-one-p99"],
        Kind::ProcessNodeOne,
        "a no-op in Node, one at a time, 2 workers",
    ),
    two(
        &["process-node-mib", "process-node-mib-cpu"],
        Kind::ProcessNodeMib,
        "1 MiB there and back, Node, copied and not transferred, 4 in flight, per task",
    ),
    two(
        &["process-python", "process-python-cpu"],
        Kind::ProcessPython,
        "a string of 1 KiB there and back, Python, 64 in flight, 2 workers, per task",
    ),
    two(
        &["process-python-chunked", "process-python-chunked-cpu"],
        Kind::ProcessPythonChunked,
        "the same, 10 000 different strings at a time: map(chunksize=100), submit_chunk of 100",
    ),
    two(
        &["process-python-mib", "process-python-mib-cpu"],
        Kind::ProcessPythonMib,
        "1 MiB of bytes there and back, Python, 4 in flight, per task",
    ),
    two(
        &["process-rust", "process-rust-cpu"],
        Kind::ProcessRust,
        "64 bytes of JSON there and back, a Rust worker twice, 4096 in flight, per task",
    ),
    new(
        &["commands", "commands-cpu"],
        Kind::Commands,
        (1, 2),
        (300, 2000),
        "/bin/true for each of many lines, 2 at a time, per command",
    ),
    ratio(new(
        &["rolling-slowdown", "rolling-p99", "rolling-bare-start-p99"],
        Kind::Rolling,
        (1, 2),
        (1000, 5000),
        "a rolling restart under a load that leaves a third free: before by the worst second, p99 by p99 before, and with Node started as often outside",
    )),
    ratio(new(
        &["rolling-saturated-slowdown", "rolling-saturated-p99", "rolling-saturated-bare-start-p99"],
        Kind::RollingSaturated,
        (1, 2),
        (1000, 5000),
        "the same with all workers always busy",
    )),
    at_most(
        5,
        kill(&KILL_NODE, Kind::KillNode, "a busy loop in Node of 80 MiB killed: from the end of its grace"),
    ),
    at_most(
        5,
        kill(
            &KILL_PYTHON,
            Kind::KillPython,
            "a busy loop in Python of 80 MiB killed: from the end of its grace",
        ),
    ),
    at_most(
        5,
        kill(
            &KILL_SPARE,
            Kind::KillNodeSpare,
            "a busy loop in Node killed, a spare worker ready: from the end of its grace",
        ),
    ),
    at_most(
        5,
        new(
            &["supervisor-cpu"],
            Kind::SupervisorCpu,
            (1, 16),
            (150, 1000),
            "CPU time of our own process per task, 16 Node workers, 64 in flight",
        ),
    ),
    bytes(new(
        &["supervisor-memory"],
        Kind::SupervisorMemory,
        (1, 16),
        (100, 500),
        "resident memory of our own process after the same",
    )),
];

const KILL_NODE: [&str; 4] =
    ["kill-node-reaped", "kill-node-ready", "kill-node-bare-start", "kill-node-beyond-start"];
const KILL_PYTHON: [&str; 4] =
    ["kill-python-reaped", "kill-python-ready", "kill-python-bare-start", "kill-python-beyond-start"];
const KILL_SPARE: [&str; 2] = ["kill-spare-reaped", "kill-spare-ready"];

const fn kill(rows: &'static [&'static str], kind: Kind, about: &'static str) -> Scenario {
    new(rows, kind, (1, 1), (1, 5), about)
}

fn processes(kind: Kind) -> bool {
    kind.group() == Group::Processes
}

/// Where many that come at once are a task each, nevertheless.
fn singly(kind: Kind) -> bool {
    kind == Kind::ProcessPythonChunked
}

fn node(kind: Kind) -> bool {
    matches!(kind, Kind::ProcessNode | Kind::ProcessNodeOne)
}

fn node_or_mib(kind: Kind) -> bool {
    node(kind) || node_mib(kind)
}

fn node_mib(kind: Kind) -> bool {
    kind == Kind::ProcessNodeMib
}

fn python(kind: Kind) -> bool {
    matches!(kind, Kind::ProcessPython | Kind::ProcessPythonMib)
}

fn python_or_chunked(kind: Kind) -> bool {
    python(kind) || kind == Kind::ProcessPythonChunked
}

fn commands(kind: Kind) -> bool {
    kind == Kind::Commands
}

const fn entry(name: &'static str, home: Home, takes: fn(Kind) -> bool, about: &'static str) -> Entry {
    Entry { name, about, home, takes }
}

/// Everybody.
pub(crate) const CONTENDERS: [Entry; 14] = [
    entry(
        OURS,
        Home::Processes,
        processes,
        "Pool::processes, defaults, all accounting on; `ebbtide run` for commands",
    ),
    entry(
        SINGLY,
        Home::Processes,
        singly,
        "the same, submit_many instead of chunks: a task each, with all its accounting",
    ),
    entry("piscina", Home::NodePools, node_or_mib, "worker threads; 1 MiB as a Uint8Array"),
    entry("piscina string", Home::NodePools, node_mib, "worker threads; 1 MiB as a string"),
    entry("tinypool", Home::NodePools, node, "worker threads"),
    entry("tinypool processes", Home::NodePools, node, "child processes"),
    entry("jest-worker", Home::NodePools, node, "worker threads"),
    entry("jest-worker processes", Home::NodePools, node, "child processes"),
    entry("concurrent.futures", Home::PythonPools, python_or_chunked, "ProcessPoolExecutor: submit, map"),
    entry("multiprocessing", Home::PythonPools, python_or_chunked, "Pool: apply_async, map"),
    entry("loky", Home::PythonPools, python, "ProcessPoolExecutor: submit"),
    entry("pebble", Home::PythonPools, python, "ProcessPool: schedule"),
    entry("xargs", Home::Processes, commands, "xargs -P2 -n1"),
    entry("parallel", Home::Processes, commands, "GNU parallel -j2"),
];
