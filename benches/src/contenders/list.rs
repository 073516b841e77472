//! The list of contenders: their names in the results, what they are, and where they live.

use super::{hand, ours, pools, runtimes};
use crate::{
    contender::NotOffered,
    course,
    lap::{Group, Kind, Lap, Values},
};

/// Ours, as the results name it.
pub(crate) const OURS: &str = "ebbtide";
/// The same, with a task for each of many requests that come at once.
pub(crate) const SINGLY: &str = "ebbtide, submit_many";

/// Whether it is ours, with another setting perhaps: `ebbtide, submit_many`.
pub(crate) fn is_ours(name: &str) -> bool {
    name.split(',').next() == Some(OURS)
}

/// A contender of the race.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// What is run in its name.
    pub(crate) about: &'static str,
    pub(crate) home: Home,
    /// Where it takes part at all; that it cannot run there all the same is for it to say.
    pub(crate) takes: fn(Kind) -> bool,
}

/// What must be there for a contender to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// This program: a process of its own for every scenario.
    Rust,
    /// A JVM of its own for the whole race, so that its compiler has seen the code.
    Jvm,
    /// A node process of its own for the whole race.
    Node,
    /// This program, with pools of processes: a process of its own for every scenario.
    Processes,
    /// JavaScript's pools, against those of processes: a node of its own for every scenario.
    NodePools,
    /// Python's pools: a Python of its own for every scenario.
    PythonPools,
}

/// All that this program has as threads.
fn threads(kind: Kind) -> bool {
    kind.group() == Group::Threads
}

const fn rust(name: &'static str, about: &'static str) -> Entry {
    Entry { name, about, home: Home::Rust, takes: threads }
}

/// Everybody.
pub(crate) const ALL: [Entry; 23] = [
    rust(OURS, "Pool<Stateless> of fixed size, defaults, all accounting on"),
    rust("crossbeam-channel", "40 lines by hand: a channel, threads, boxed closures, oneshot replies"),
    rust("kanal", "the same on kanal"),
    rust("flume", "the same on flume"),
    rust("mutex+condvar", "the same on Mutex<VecDeque> and Condvar"),
    rust("threadpool", "execute; replies through a oneshot channel"),
    rust("rusty_pool", "execute, evaluate; core size = maximum size"),
    rust("workerpool", "ThunkWorker, execute; replies through a oneshot channel"),
    rust("executors channel", "crossbeam_channel_pool, execute; replies through a oneshot channel"),
    rust("executors stealing", "crossbeam_workstealing_pool, execute; replies through a oneshot channel"),
    rust("rayon", "ThreadPool::spawn; replies through a oneshot channel"),
    rust("rayon par_iter", "the real job only, as rayon means it"),
    rust("tokio spawn_blocking", "multi-thread runtime, as many blocking threads as workers"),
    rust("tokio spawn", "multi-thread runtime, a future without an await"),
    rust("tokio interval", "the 1 ms job only: interval in a task of its own, multi-thread runtime"),
    rust("blocking", "unblock; its one pool limited by BLOCKING_MAX_THREADS"),
    rust("affinitypool", "spawn; its future waited for with block_on"),
    Entry {
        name: "jdk linked",
        about: "ThreadPoolExecutor, core = maximum, LinkedBlockingQueue",
        home: Home::Jvm,
        takes: threads,
    },
    Entry {
        name: "jdk array",
        about: "ThreadPoolExecutor, core = maximum, ArrayBlockingQueue",
        home: Home::Jvm,
        takes: threads,
    },
    Entry { name: "jdk forkjoin", about: "ForkJoinPool, async mode", home: Home::Jvm, takes: threads },
    Entry {
        name: "jdk scheduled",
        about: "the 1 ms job only: ScheduledThreadPoolExecutor, scheduleAtFixedRate",
        home: Home::Jvm,
        takes: threads,
    },
    Entry {
        name: "piscina",
        about: "worker threads, run() of an empty function",
        home: Home::Node,
        takes: threads,
    },
    Entry {
        name: "tinypool",
        about: "worker threads, run() of an empty function",
        home: Home::Node,
        takes: threads,
    },
];

/// Runs a lap of one that lives in this program.
pub(crate) fn run(name: &str, lap: Lap) -> Result<Values, NotOffered> {
    let run = match name {
        OURS => course::run::<ours::Ebbtide>,
        "crossbeam-channel" => course::run::<hand::Crossbeam>,
        "kanal" => course::run::<hand::Kanal>,
        "flume" => course::run::<hand::Flume>,
        "mutex+condvar" => course::run::<hand::Locked>,
        "threadpool" => course::run::<pools::ThreadPool>,
        "rusty_pool" => course::run::<pools::RustyPool>,
        "workerpool" => course::run::<pools::WorkerPool>,
        "executors channel" => course::run::<pools::Channel>,
        "executors stealing" => course::run::<pools::Stealing>,
        "rayon" => course::run::<runtimes::Rayon>,
        "rayon par_iter" if lap.kind == Kind::Json => course::par_iter,
        "rayon par_iter" => return Err(NotOffered("is no pool; runs the real job only")),
        "tokio spawn_blocking" => course::run::<runtimes::SpawnBlocking>,
        "tokio spawn" => course::run::<runtimes::Spawn>,
        "tokio interval" if lap.kind == Kind::Late => course::run::<runtimes::Interval>,
        "tokio interval" => return Err(NotOffered("is no pool; runs the 1 ms job only")),
        "blocking" => course::run::<runtimes::Blocking>,
        "affinitypool" => course::run::<runtimes::Affinity>,
        _ => return Err(NotOffered("is not a contender of this program")),
    };
    run(lap)
}
