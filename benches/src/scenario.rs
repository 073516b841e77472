//! The scenarios: what is run, how much of it, and what the result is called.

use crate::lap::{Kind, Lap};

/// What the values of a scenario are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    /// Of two values of the same lap; one of them is said in the scenario to be what it is compared with.
    Ratio,
}

impl Unit {
    /// As it is printed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

/// One scenario of the race.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// One result row per value that a lap gives.
    pub(crate) rows: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
    producers: usize,
    workers: usize,
    full: usize,
    quick: usize,
    /// At most so many rounds: more would take long and tell nothing.
    pub(crate) rounds_max: u32,
    /// Others keep every processor busy.
    pub(crate) busy: bool,
}

impl Scenario {
    /// The lap; `slowness` makes it shorter for contenders that are slower by orders of magnitude.
    pub(crate) fn lap(&self, size: Size, slowness: usize) -> Lap {
        let size = match size {
            Size::Full => self.full,
            Size::Quick => self.quick,
        };
        Lap {
            kind: self.kind,
            producers: self.producers,
            workers: self.workers,
            size: (size / slowness).max(1),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Quick,
}

pub(crate) const fn new(
    rows: &'static [&'static str],
    kind: Kind,
    producers_workers: (usize, usize),
    quick_full: (usize, usize),
    about: &'static str,
) -> Scenario {
    let (producers, workers) = producers_workers;
    let (quick, full) = quick_full;
    Scenario {
        rows,
        about,
        unit: Unit::Nanoseconds,
        kind,
        producers,
        workers,
        full,
        quick,
        rounds_max: u32::MAX,
        busy: false,
    }
}

const fn busy(scenario: Scenario) -> Scenario {
    Scenario { busy: true, ..scenario }
}

pub(crate) const fn bytes(scenario: Scenario) -> Scenario {
    Scenario { unit: Unit::Bytes, rounds_max: 5, ..scenario }
}

/// Ratios within a lap, whose own denominators vary: they take more rounds.
pub(crate) const fn ratio(scenario: Scenario) -> Scenario {
    Scenario { unit: Unit::Ratio, rounds_max: 15, ..scenario }
}

pub(crate) const fn at_most(rounds_max: u32, scenario: Scenario) -> Scenario {
    Scenario { rounds_max, ..scenario }
}

const FIRE: &str = "empty tasks without handles, per task; producers to workers";
const HANDLE: &str = "empty tasks whose handles are all awaited, 1000 in flight per producer, per task";

/// The race of threads, in the order in which it is run; that of processes is in [`processes`](crate::processes).
pub(crate) const ALL: [Scenario; 32] = [
    new(&["fire-1to1"], Kind::Fire, (1, 1), (40_000, 400_000), FIRE),
    new(&["fire-1to2"], Kind::Fire, (1, 2), (40_000, 400_000), FIRE),
    new(&["fire-2to2"], Kind::Fire, (2, 2), (40_000, 400_000), FIRE),
    new(&["handle-1to1"], Kind::Handle, (1, 1), (20_000, 200_000), HANDLE),
    new(&["handle-1to2"], Kind::Handle, (1, 2), (20_000, 200_000), HANDLE),
    new(&["handle-2to2"], Kind::Handle, (2, 2), (20_000, 200_000), HANDLE),
    new(&["fire-2to16"], Kind::Fire, (2, 16), (20_000, 200_000), FIRE),
    new(&["fire-2to64"], Kind::Fire, (2, 64), (20_000, 200_000), FIRE),
    new(&["fire-2to256"], Kind::Fire, (2, 256), (20_000, 200_000), FIRE),
    new(&["handle-2to16"], Kind::Handle, (2, 16), (10_000, 100_000), HANDLE),
    new(&["handle-2to64"], Kind::Handle, (2, 64), (10_000, 100_000), HANDLE),
    new(&["handle-2to256"], Kind::Handle, (2, 256), (10_000, 100_000), HANDLE),
    new(&["many-64"], Kind::Many, (1, 2), (12_800, 128_000), "64 submitted together and awaited, per task"),
    new(
        &["many-64-call"],
        Kind::ManyCall,
        (1, 2),
        (12_800, 128_000),
        "the same, the call of submit alone, per task",
    ),
    new(&["burst-1000"], Kind::Burst, (1, 2), (10_000, 100_000), "1000 at once on an idle pool, per task"),
    new(
        &["ping-pong"],
        Kind::PingPong,
        (1, 1),
        (1_000, 20_000),
        "one task with a handle, awaited, then the next",
    ),
    busy(new(
        &["ping-pong-busy"],
        Kind::PingPong,
        (1, 1),
        (2_000, 10_000),
        "the same, while others keep every processor busy",
    )),
    new(
        &["idle-start-p50", "idle-start-p99"],
        Kind::Idle,
        (1, 2),
        (50, 1_000),
        "from submit on an idle pool to the task's first line",
    ),
    at_most(
        5,
        new(&["idle-cpu"], Kind::IdleCpu, (1, 2), (100, 1_000), "CPU time of an idle pool, per second"),
    ),
    at_most(
        5,
        new(
            &["late-1ms-p50", "late-1ms-p99"],
            Kind::Late,
            (1, 1),
            (500, 2_000),
            "a job at a fixed rate of 1 ms: from each point of its grid to the run's first line",
        ),
    ),
    new(
        &["bounded-128"],
        Kind::Bounded,
        (2, 2),
        (20_000, 200_000),
        "empty tasks into a queue of 128 whose submitters wait, per task",
    ),
    new(
        &["fan-out-in"],
        Kind::Fan,
        (1, 2),
        (6_400, 64_000),
        "a task submits 64, the last reports, per child",
    ),
    new(
        &["uneven"],
        Kind::Uneven,
        (1, 2),
        (1_000, 10_000),
        "99 % of 1 µs, 1 % of 1 ms, per task (ideal 5 495)",
    ),
    new(
        &["json-lines"],
        Kind::Json,
        (1, 2),
        (1_000, 20_000),
        "a real job: parse lines of JSON of about 600 bytes, per line",
    ),
    new(
        &["stop-last-end"],
        Kind::Drain,
        (1, 2),
        (1_000, 1_000),
        "drain: from the last task's end to the end",
    ),
    at_most(
        5,
        new(
            &["stop-1ms-tasks"],
            Kind::Stretch,
            (1, 1),
            (100, 1_000),
            "tasks of 1 ms, drained, per task (ideal 1 000 000)",
        ),
    ),
    new(
        &["stop-abort-100k"],
        Kind::Abort,
        (1, 1),
        (100_000, 100_000),
        "abort with 100 000 queued: all handed back",
    ),
    at_most(
        5,
        new(
            &["queued-10k"],
            Kind::Millions,
            (1, 1),
            (10_000, 10_000),
            "10 000 queued behind a held worker, then run",
        ),
    ),
    at_most(
        5,
        new(
            &["queued-3m"],
            Kind::Millions,
            (1, 1),
            (3_000_000, 3_000_000),
            "3 million queued likewise, per task",
        ),
    ),
    bytes(new(
        &["memory-queued"],
        Kind::MemoryQueued,
        (1, 1),
        (200_000, 500_000),
        "per queued task without a handle, beyond its closure",
    )),
    bytes(new(
        &["memory-queued-handle"],
        Kind::MemoryHandle,
        (1, 1),
        (100_000, 500_000),
        "per queued task and its handle, beyond its closure",
    )),
    bytes(new(
        &["memory-idle-worker"],
        Kind::MemoryWorker,
        (1, 64),
        (64, 64),
        "resident memory per idle worker, of 64",
    )),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names: Vec<_> = ALL.iter().flat_map(|scenario| scenario.rows).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn shares_are_whole() {
        for size in [Size::Quick, Size::Full] {
            for scenario in ALL {
                let lap = scenario.lap(size, 1);
                assert_eq!(lap.size % lap.producers, 0, "{:?}", scenario.rows);
                let windowed = lap.kind == Kind::Handle;
                assert!(!windowed || (lap.size / lap.producers).is_multiple_of(1000), "{:?}", scenario.rows);
            }
        }
    }
}
