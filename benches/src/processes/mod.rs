//! The race of worker processes: ours against the pools of JavaScript and Python, and what starts a command per line.
//!
//! A machine that others use at the same time bends it more than the race of threads: each task wakes several processes. CPU time per task
//! stands beside wall time for that. `nice` does not help to be fair, as our guardian is a session of its own and the kernel groups by session; a
//! CPU group does (`mkdir /sys/fs/cgroup/cpu/race; echo 16384 > …/cpu.shares; echo $$ > …/cgroup.procs`).
//!
//! `list` says what is run and who takes part, `target` what is wanted; the others run our side, a file per kind of course. The peers' sides are
//! `peers/processes.mjs` and `peers/processes.py`.

mod commands;
pub(crate) mod cpu;
mod kill;
mod list;
mod rolling;
mod serve;
mod supervisor;
mod target;
mod throughput;

pub(crate) use list::{CONTENDERS, SCENARIOS};
pub(crate) use serve::{WORKER, contender, rust_worker};
pub(crate) use target::{Verdict, verdicts};
