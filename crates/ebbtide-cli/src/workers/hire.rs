//! The pool of workers as the options ask for it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ebbtide::process::Guardian;
use ebbtide::{ByteSize, Memory, Pool, Retirement};
use rustix::io::Errno;

use super::heard::{Heard, in_our_words};
use super::spec::WorkerSpec;
use crate::args::RunArgs;
use crate::crew::{Workers, pool_deadline, pool_grace};
use crate::exit;
use crate::files::lock;
use crate::prepare::Refusal;

/// The name of the pool, and so of its workers and of the file of their state.
pub(super) const POOL: &str = "run";
/// How many starts may fail before it is given up: what does not load will not load later, but a machine may be short of something for a
/// moment.
const STARTS_MOST: u32 = 2;

/// The folder of what these workers learn; this run has it to itself, for the last one to write would undo what another had learnt.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    _locked: File,
}

/// Makes the folder and tries it: that it cannot be written must not show after the work.
pub(crate) fn state_folder(args: &RunArgs, spec: &WorkerSpec) -> Result<Option<StateFolder>, Refusal> {
    let Some(folder) = &args.worker.state_dir else { return Ok(None) };
    let folder = folder.join(spec.folder_name());
    let tried = std::fs::create_dir_all(&folder).and_then(|()| {
        // One byte: on a full disk a name alone may still have room.
        tempfile::tempfile_in(&folder).and_then(|mut file| std::io::Write::write_all(&mut file, b" "))?;
        OpenOptions::new().write(true).create(true).truncate(false).open(folder.join("lock"))
    });
    let cannot = |error: io::Error| Refusal {
        code: exit::IO,
        why: format!("--state-dir: cannot write to {}: {error}", folder.display()),
    };
    let file = tried.map_err(cannot)?;
    match lock(&file) {
        Ok(()) => Ok(Some(StateFolder { path: folder, _locked: file })),
        Err(Errno::WOULDBLOCK) => Err(Refusal {
            code: exit::USAGE,
            why: format!(
                "--state-dir: {} is in use by another ebbtide: give each run a folder of its own",
                folder.display()
            ),
        }),
        Err(error) => Err(cannot(error.into())),
    }
}

/// Builds the pool and begins to start its least workers.
pub(crate) fn hire(
    args: &RunArgs,
    spec: &WorkerSpec,
    guardian: Guardian,
    heard: &Arc<Heard>,
    state: Option<&StateFolder>,
) -> Result<Workers, Refusal> {
    let (workers, asked, grace) = (args.workers(), &args.worker, args.grace());
    let mut command = spec.command(&args.command).concurrency(asked.concurrency);
    for variable in &asked.env {
        command = match variable.split_once('=') {
            Some((name, value)) => command.env(name, value),
            None => command.pass_env(variable),
        };
    }
    let mut retirement = Retirement::new();
    if let Some(tasks) = asked.max_tasks {
        retirement = retirement.after_tasks(tasks);
    }
    if let Some(age) = asked.max_age {
        retirement = retirement.older_than(age);
    }
    let hook = Arc::clone(heard);
    let mut pool = Pool::processes(command)
        .name(POOL)
        .workers(workers.min..=workers.max)
        .queue(args.queue.unwrap_or(workers.max.saturating_mul(asked.credits)))
        .deadline(pool_deadline(grace, std::time::Duration::ZERO))
        .grace(pool_grace(grace, std::time::Duration::ZERO))
        .credits(asked.credits)
        .start_timeout(asked.start_timeout)
        // So long that starts that all run out of time are counted together, too.
        .restart_intensity(
            STARTS_MOST,
            asked.start_timeout * (STARTS_MOST + 2) + std::time::Duration::from_secs(10),
        )
        .retire(retirement)
        .guardian(guardian)
        .on_event(move |event| hook.hear(event))
        .warm();
    if let Some(memory) = memory(asked.memory_soft, asked.memory_hard)? {
        pool = pool.memory(memory);
    }
    if let Some(folder) = state {
        pool = pool.state_dir(&folder.path);
    }
    pool.build().map_err(|error| Refusal { code: exit::START, why: in_our_words(&error.to_string()) })
}

fn memory(soft: Option<ByteSize>, hard: Option<ByteSize>) -> Result<Option<Memory>, Refusal> {
    match (soft, hard) {
        (Some(soft), Some(hard)) if soft >= hard => Err(Refusal {
            code: exit::USAGE,
            why: format!(
                "--memory-soft ({}) must be below --memory-hard ({}): workers are replaced above the one and killed above the other",
                soft.display().iec(),
                hard.display().iec()
            ),
        }),
        (Some(soft), Some(hard)) => Ok(Some(Memory::retire_at(soft).kill_at(hard))),
        (Some(soft), None) => Ok(Some(Memory::retire_at(soft))),
        (None, Some(hard)) => Ok(Some(Memory::kill_above(hard))),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gentle_limit_above_the_hard_one_names_both_options() {
        let refusal = memory(Some(ByteSize::mib(512)), Some(ByteSize::mib(400))).unwrap_err();
        assert_eq!(refusal.code, 2);
        assert!(refusal.why.contains("--memory-soft (512.0 MiB)"), "{}", refusal.why);
        assert!(memory(Some(ByteSize::mib(400)), Some(ByteSize::mib(512))).unwrap().is_some());
        assert!(memory(None, None).unwrap().is_none());
    }
}
