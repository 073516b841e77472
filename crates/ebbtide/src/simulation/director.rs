//! Who runs next, and what a seed decides: the dice, the scheduler, and the loop over seeds.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use crate::{
    clock::{Moment, simulated},
    sync,
};

/// The keeper is the first thread that is started; the run itself is number 0.
const KEEPER: usize = 1;

std::thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
    /// A digest of who ran when, for telling whether a seed decides everything.
    static TRACE: Cell<u64> = const { Cell::new(0) };
}

/// A small generator (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    /// True once in so many.
    pub(super) fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// From a millisecond to about two minutes, short ones more often.
    pub(super) fn span(&mut self) -> Duration {
        let magnitude = self.below(17);
        Duration::from_millis(1 + self.next() % (1 << magnitude))
    }

    /// Dice of its own for somebody.
    pub(super) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}

/// How the machine of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// Time passes only while nobody can run: a deadline is kept to the nanosecond.
    Quick,
    /// Time passes also while somebody could run.
    Slow,
}

/// What a run is given.
#[derive(Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) machine: Machine,
    pub(super) verbose: bool,
}

struct Director {
    seeds: std::ops::Range<u64>,
    dice: Dice,
    machine: Machine,
    /// Who runs goes on with this many chances in 16.
    sticks: usize,
    trace: u64,
}

impl Director {
    fn choose(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> TaskId {
        let keeper_waits = !simulated::is_ringing();
        let is_keeper = |task: &Task| usize::from(task.id()) == KEEPER;
        let hurried = match self.machine {
            Machine::Quick => false,
            Machine::Slow => self.dice.once_in(48),
        };
        // A park may end without a reason, seldom enough that time goes on.
        let spurious = self.dice.once_in(64);
        let counts = |task: &&&Task| {
            let later = keeper_waits && is_keeper(task) && !hurried || task.blocked() && !spurious;
            let yields = is_yielding && Some(task.id()) == current;
            !later && !yields
        };
        let able: Vec<TaskId> = runnable.iter().filter(counts).map(|task| task.id()).collect();
        if let Some(current) = current
            && able.contains(&current)
            && self.dice.below(16) < self.sticks
        {
            return current;
        }
        match able.len() {
            // Only the keeper, or one that spins as well: it may wait for what only time brings.
            0 => {
                let awake: Vec<_> = runnable.iter().filter(|task| !task.blocked()).collect();
                awake.get(self.dice.below(awake.len().max(1))).map_or(runnable[0].id(), |task| task.id())
            }
            count => able[self.dice.below(count)],
        }
    }
}

impl Scheduler for Director {
    fn new_execution(&mut self) -> Option<Schedule> {
        TRACE.set(self.trace);
        let seed = self.seeds.next()?;
        SEED.set(seed);
        self.dice = Dice::new(!seed);
        self.machine = machine_of(seed);
        self.sticks = self.dice.pick(&[0, 8, 14]);
        self.trace = 0;
        Some(Schedule::new(seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let chosen = self.choose(runnable, current, is_yielding);
        let now = simulated::now().map_or(0, Moment::nanos);
        self.trace = (self.trace ^ usize::from(chosen) as u64 ^ now).wrapping_mul(0x100_0000_01B3);
        Some(chosen)
    }

    fn next_u64(&mut self) -> u64 {
        self.dice.next()
    }
}

fn machine_of(seed: u64) -> Machine {
    if seed % 4 == 3 { Machine::Slow } else { Machine::Quick }
}

/// What a sweep over seeds came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Swept {
    pub(super) runs: u64,
    pub(super) simulated: Duration,
    pub(super) trace: u64,
}

/// Runs a scenario once per seed. The first that fails is named, with the one command that replays it.
pub(super) fn sweep(test: &'static str, seeds: std::ops::Range<u64>, scenario: fn(World)) -> Swept {
    let verbose = std::env::var_os("EBBTIDE_SEED").is_some();
    let mut config = shuttle::Config::new();
    config.stack_size = 512 * 1024;
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::FailAfter(5_000_000);
    let director = Director { seeds, dice: Dice::new(0), machine: Machine::Quick, sticks: 0, trace: 0 };
    let total = std::sync::Arc::new(std::sync::Mutex::new(Swept::default()));
    let sum = std::sync::Arc::clone(&total);
    let run = move || {
        let seed = SEED.get();
        simulated::begin();
        drop(sync::spawn("keeper".to_owned(), None, simulated::keep).expect("a thread of the model's"));
        scenario(World { dice: Dice::new(seed), machine: machine_of(seed), verbose });
        let mut sum = sum.lock().expect("nobody panics with it");
        sum.runs += 1;
        sum.simulated += Moment::now().since(Moment::from_nanos(1));
        drop(sum);
        simulated::end();
    };
    let runner = shuttle::Runner::new(director, config);
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| runner.run(run))) {
        let seed = SEED.get();
        eprintln!(
            "seed {seed} fails; this replays it:\n  EBBTIDE_SEED={seed} RUSTFLAGS=\"--cfg shuttle -C debug-assertions\" \
             cargo test --release -p ebbtide --lib --target-dir target/shuttle {test} -- --exact --nocapture"
        );
        resume_unwind(payload);
    }
    let mut swept = *total.lock().expect("nobody panics with it");
    swept.trace = TRACE.get();
    swept
}

/// The seeds of a test: one that is asked for, or as many as its form has.
pub(super) fn seeds(short: u64, long: u64) -> std::ops::Range<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = read("EBBTIDE_SEED") {
        return seed..seed + 1;
    }
    let count = read("EBBTIDE_SEEDS").unwrap_or(if std::env::var_os("EBBTIDE_LONG").is_some() {
        long
    } else {
        short
    });
    let first = read("EBBTIDE_FIRST_SEED").unwrap_or(0);
    first..first + count
}

/// Says what a sweep was.
pub(super) fn say(what: &str, seeds: std::ops::Range<u64>, scenario: &'static str, run: fn(World)) {
    let began = Instant::now();
    let swept = sweep(scenario, seeds, run);
    let days = swept.simulated.as_secs_f64() / 86_400.0;
    eprintln!(
        "{what}: {} seeds, {days:.1} simulated days in {:.1} s",
        swept.runs,
        began.elapsed().as_secs_f64()
    );
}
