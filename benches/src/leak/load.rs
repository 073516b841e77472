//! Our side: the load on a pool, with its own ledger, in a process of its own that can be capped.

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ebbtide::{
    ByteSize, Completions, Memory, Outcome, Pool, Processes, RetireReason, Shutdown, TaskId, WorkerCommand,
};
use serde::{Deserialize, Serialize};

use super::LOAD;
use crate::foreign;

/// A worker above the first is replaced after its task, above the second killed.
const RETIRE_AT: u64 = 128;
const KILL_AT: u64 = 256;

#[derive(Serialize)]
struct Request {
    key: u64,
    leak: u64,
}

#[derive(Debug, Deserialize)]
struct Reply {
    worker: String,
    cached: usize,
    restored: usize,
}

type Leaky = Pool<Processes<Request, Reply>>;
type Hogs = Mutex<HashSet<TaskId>>;

/// What came of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Ledger {
    pub(super) accepted: u64,
    pub(super) completed: u64,
    /// Hogs that were killed at the hard limit.
    pub(super) hogs_killed: u64,
    /// Hogs that were submitted.
    pub(super) hogs: u64,
    /// Everything else, by how it ended: each is one too many.
    pub(super) lost: BTreeMap<String, u64>,
    /// Workers that answered at least once.
    pub(super) workers: u64,
    /// Of those: built from what their predecessor handed on.
    pub(super) restored: u64,
    /// The largest cache that was handed on, and the largest there was.
    pub(super) restored_most: usize,
    pub(super) cached_most: usize,
    /// Workers that were retired for their size, and that were killed; not those that were killed while the pool was drained.
    pub(super) retired: u64,
    pub(super) killed: u64,
}

/// Runs the load for so long and prints the ledger as one line of JSON.
///
/// # Errors
/// The pool cannot be built, or refuses a task.
pub(crate) fn load(seconds: u64) -> Result<(), Box<dyn Error>> {
    let file = foreign::workshop("node")?.join("leak.cjs");
    let memory = Memory::retire_at(ByteSize::mib(RETIRE_AT)).kill_at(ByteSize::mib(KILL_AT));
    let builder =
        Pool::processes(WorkerCommand::node(file)).name("leaky").workers(2..=2).queue(100_000).warm();
    let pool: Leaky = builder.memory(memory).snapshots().build()?;
    let (done, hogs) = (Completions::new(), Mutex::new(HashSet::new()));
    let mut ledger = thread::scope(|scope| -> Result<Ledger, Box<dyn Error>> {
        let ends = scope.spawn(|| collect(&done, &hogs));
        let accepted = submit(&pool, &done, &hogs, Duration::from_secs(seconds))?;
        let mut ledger = ends.join().map_err(|_| "the ledger panicked")?;
        ledger.accepted = accepted;
        ledger.hogs = accepted / LOAD.hog_every;
        Ok(ledger)
    })?;
    let report = pool.shutdown(Shutdown::drain()).wait()?;
    assert!(report.law_holds(), "{report}");
    // Only now is the last of them counted.
    let retired = pool.stats().retired;
    let by = |reason| retired.get(&reason).copied().unwrap_or_default();
    (ledger.retired, ledger.killed) = (by(RetireReason::Size), by(RetireReason::Killed));
    println!("{}", serde_json::to_string(&ledger)?);
    Ok(())
}

fn submit(
    pool: &Leaky,
    done: &Completions<Reply>,
    hogs: &Hogs,
    length: Duration,
) -> Result<u64, Box<dyn Error>> {
    let begin = Instant::now();
    let mut accepted: u64 = 0;
    while begin.elapsed() < length {
        while accepted as f64 <= begin.elapsed().as_secs_f64() * LOAD.rate as f64 {
            let hog = accepted % LOAD.hog_every == LOAD.hog_every - 1;
            let request = Request { key: accepted % 1000, leak: if hog { LOAD.hog } else { LOAD.leak } };
            let named = pool.task(if hog { "hog" } else { "leak" });
            let handle = named.submit(request).map_err(|error| error.to_string())?;
            if hog {
                hogs.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.id());
            }
            done.push(handle);
            accepted += 1;
        }
        thread::sleep(Duration::from_millis(5));
    }
    done.close();
    Ok(accepted)
}

/// Every handle resolves once: what is not completed is a hog that was killed, or lost.
fn collect(done: &Completions<Reply>, hogs: &Hogs) -> Ledger {
    let is_hog = |id| hogs.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
    let mut ledger = Ledger::default();
    let mut workers: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(finished) = done.take() {
        match finished.result {
            Ok(reply) => {
                ledger.completed += 1;
                ledger.cached_most = ledger.cached_most.max(reply.cached);
                workers.entry(reply.worker).or_insert(reply.restored);
            }
            Err(error) if error.outcome() == Outcome::Killed && is_hog(finished.id) => {
                ledger.hogs_killed += 1
            }
            Err(error) => *ledger.lost.entry(error.to_string()).or_default() += 1,
        }
    }
    ledger.workers = workers.len() as u64;
    ledger.restored = workers.values().filter(|restored| **restored > 0).count() as u64;
    ledger.restored_most = workers.values().copied().max().unwrap_or_default();
    ledger
}
