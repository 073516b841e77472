//! The race itself: every contender runs a lap of a scenario, then everybody the next, so that a slow minute of the machine hits all of them.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    args::Peers,
    contenders::{self, Entry, Home, OURS},
    foreign::{self, Ready},
    hogs::Hogs,
    lap::{Group, Kind, Language, Lap},
    noise::Watch,
    processes::{self, cpu},
    results::{Absent, Results, Row},
    runner::{Miss, Runner},
    scenario::{self, Scenario, Size, Unit},
    stats::Stats,
};

/// JavaScript's pools are slower by three orders of magnitude; they run so many times fewer tasks.
const NODE_SLOWNESS: usize = 10;
/// Of each kind, in a new JVM.
const WARM_UP_LAPS: usize = 10;
const ROUNDS: u32 = 11;
const ROUNDS_QUICK: u32 = 5;
/// What a quick race aims at, with a reserve for the last scenario.
const QUICK_BUDGET: Duration = Duration::from_secs(100);
/// The same for processes, whose starts are not in the shares.
const QUICK_BUDGET_PROCESSES: Duration = Duration::from_secs(110);

/// Who races where, for how long.
pub(crate) struct Race {
    size: Size,
    rounds: u32,
    lap_timeout: Duration,
    /// Rounds beyond the first stop when a scenario has used its share.
    until: Option<Instant>,
    contenders: Vec<Entry>,
    scenarios: Vec<Scenario>,
    homes: Homes,
    /// The JVMs and node processes, which outlive scenarios.
    resident: BTreeMap<&'static str, Runner>,
    results: Results,
    watch: Watch,
}

/// What must be there for those that are not this program.
struct Homes {
    jdk: Ready,
    node: Ready,
    node_pools: Ready,
    python: Ready,
    commands: Result<(), String>,
}

/// A contender in one scenario.
struct Lane {
    entry: Entry,
    runner: Option<Runner>,
    /// One list per row of the scenario.
    values: Vec<Vec<f64>>,
    miss: Option<Miss>,
}

impl Race {
    /// Picks who runs what.
    ///
    /// # Errors
    /// A name that is not known, with those that are.
    pub(crate) fn new(args: &Peers, group: Group) -> Result<Self, String> {
        let scenarios = pick_scenarios(&args.only, group)?;
        let contenders = pick_contenders(&args.contender)?;
        let homes = Homes::of(&scenarios, &contenders);
        let budget = if group == Group::Threads { QUICK_BUDGET } else { QUICK_BUDGET_PROCESSES };
        let (size, rounds) = if args.quick { (Size::Quick, ROUNDS_QUICK) } else { (Size::Full, ROUNDS) };
        Ok(Self {
            size,
            rounds: args.rounds.unwrap_or(rounds),
            lap_timeout: Duration::from_secs(if args.quick && group == Group::Threads { 10 } else { 60 }),
            until: (args.quick && args.rounds.is_none()).then(|| Instant::now() + budget),
            contenders,
            scenarios,
            homes,
            resident: BTreeMap::new(),
            results: Results::default(),
            watch: Watch::begin(),
        })
    }

    /// Runs everything; says on standard error where it is.
    pub(crate) fn run(mut self) -> Results {
        let scenarios = std::mem::take(&mut self.scenarios);
        for (number, scenario) in scenarios.iter().enumerate() {
            eprintln!(
                "[{}/{}] {}: {}",
                number + 1,
                scenarios.len(),
                scenario.rows.join(", "),
                scenario.about
            );
            let left = u32::try_from(scenarios.len() - number).unwrap_or(u32::MAX);
            let share = self.until.map(|until| until.saturating_duration_since(Instant::now()) / left);
            self.scenario(scenario, share);
        }
        // Ended and waited for, so that their time counts as ours.
        self.resident.clear();
        self.results.finish(self.watch.end());
        self.results
    }

    fn scenario(&mut self, scenario: &Scenario, share: Option<Duration>) {
        let mut lanes: Vec<Lane> =
            self.takers(scenario).into_iter().map(|entry| self.lane(entry, scenario)).collect();
        if lanes.is_empty() {
            return;
        }
        // After the JVMs are warm: the first scenario should not pay for that with its rounds.
        let until = share.map(|share| Instant::now() + share);
        let _others = scenario.busy.then(Hogs::start);
        for round in 0..self.rounds.min(scenario.rounds_max) {
            if round > 0 && until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            self.watch.calibrate();
            // Everybody has another neighbour each time.
            let first = round as usize * 7 % lanes.len();
            lanes.rotate_left(first);
            for lane in &mut lanes {
                if scenario.unit == Unit::Bytes && round > 0 {
                    self.renew(lane, scenario);
                }
                self.lap(lane, scenario);
            }
        }
        for lane in lanes {
            self.finish(lane, scenario);
        }
    }

    fn takers(&self, scenario: &Scenario) -> Vec<Entry> {
        self.contenders.iter().filter(|entry| (entry.takes)(scenario.kind)).copied().collect()
    }

    fn lane(&mut self, entry: Entry, scenario: &Scenario) -> Lane {
        let mut lane =
            Lane { entry, runner: None, values: vec![Vec::new(); scenario.rows.len()], miss: None };
        match self.runner(entry, scenario) {
            Ok(runner) => lane.runner = Some(runner),
            Err(miss) => lane.miss = Some(miss),
        }
        if lane.entry.home != Home::Rust && scenario.kind.warms_up() {
            // A lap that does not count: their compilers learn the scenario, and pools of processes start.
            self.lap(&mut lane, scenario);
            lane.values.iter_mut().for_each(Vec::clear);
        }
        lane
    }

    /// A new process, where memory that was used before would be used again unseen.
    fn renew(&mut self, lane: &mut Lane, scenario: &Scenario) {
        if lane.miss.is_none() && matches!(lane.entry.home, Home::Rust | Home::Processes) {
            match self.runner(lane.entry, scenario) {
                Ok(runner) => lane.runner = Some(runner),
                Err(miss) => lane.miss = Some(miss),
            }
        }
    }

    fn runner(&mut self, entry: Entry, scenario: &Scenario) -> Result<Runner, Miss> {
        if let Some(runner) = self.resident.remove(entry.name) {
            return Ok(runner);
        }
        let ready = match entry.home {
            Home::Rust => {
                let program = std::env::current_exe().map_err(|error| Miss::Failed(error.to_string()))?;
                let mut command = Command::new(program);
                let workers = scenario.lap(self.size, 1).workers.to_string();
                command
                    .args(["contender", entry.name])
                    .env("BLOCKING_MAX_THREADS", workers)
                    .env("RUST_BACKTRACE", "0");
                return Runner::start(command);
            }
            Home::Processes => {
                if let (Err(missing), Kind::Commands, OURS) =
                    (&self.homes.commands, scenario.kind, entry.name)
                {
                    return Err(Miss::NotOffered(format!("not on this machine: {missing}")));
                }
                let program = std::env::current_exe().map_err(|error| Miss::Failed(error.to_string()))?;
                let mut command = Command::new(program);
                command.args(["process-contender", entry.name]);
                return Runner::lead(command);
            }
            Home::Jvm => &self.homes.jdk,
            Home::Node => &self.homes.node,
            Home::NodePools => &self.homes.node_pools,
            Home::PythonPools => &self.homes.python,
        };
        let command = match ready {
            Ok(command) => command(entry.name),
            Err(missing) => return Err(Miss::NotOffered(format!("not on this machine: {missing}"))),
        };
        if matches!(entry.home, Home::NodePools | Home::PythonPools) {
            return Runner::lead(command);
        }
        let mut runner = Runner::start(command)?;
        if entry.home == Home::Jvm {
            self.warm_up(&mut runner)?;
        }
        Ok(runner)
    }

    /// A JVM that has just been started interprets; after these it has compiled what every scenario needs. One that does not offer them has
    /// the lap that does not count.
    fn warm_up(&self, runner: &mut Runner) -> Result<(), Miss> {
        for kind in [Kind::Fire, Kind::Handle] {
            for workers in [1, 2] {
                let lap = Lap { kind, producers: 1, workers, size: 100_000 };
                for _ in 0..WARM_UP_LAPS {
                    match runner.lap(lap, self.lap_timeout) {
                        Ok(_) | Err(Miss::NotOffered(_)) => {}
                        Err(failed) => return Err(failed),
                    }
                }
            }
        }
        Ok(())
    }

    fn lap(&mut self, lane: &mut Lane, scenario: &Scenario) {
        let (Some(runner), None) = (&mut lane.runner, &lane.miss) else { return };
        let slowness = if lane.entry.home == Home::Node { NODE_SLOWNESS } else { 1 };
        let lap = scenario.lap(self.size, slowness);
        match runner.lap(lap, self.lap_timeout) {
            Ok(values) if values.len() == scenario.rows.len() => {
                lane.values.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
            }
            Ok(values) => lane.miss = Some(Miss::Failed(format!("answered {} values", values.len()))),
            Err(miss) => {
                if matches!(miss, Miss::Failed(_)) {
                    // What it is in now nobody knows; it gets a new process where it has another scenario to run.
                    lane.runner = None;
                }
                lane.miss = Some(miss);
            }
        }
    }

    fn finish(&mut self, lane: Lane, scenario: &Scenario) {
        if let (Some(runner), Home::Processes) = (&lane.runner, lane.entry.home) {
            self.watch.add_unwaited(cpu::below(runner.pid()));
        }
        if let (Some(runner), Home::Jvm | Home::Node) = (lane.runner, lane.entry.home) {
            self.resident.insert(lane.entry.name, runner);
        }
        for (name, values) in scenario.rows.iter().zip(&lane.values) {
            if let Some(miss) = &lane.miss {
                self.results.absent.push(Absent::new(name, lane.entry.name, miss, values.len()));
            } else if !values.is_empty() {
                let (stats, rounds) = (Stats::of(values), values.len());
                self.results.add(scenario, Row::new(name, lane.entry.name, stats, rounds));
            }
        }
    }
}

impl Homes {
    /// Installs and compiles what those that were picked need, and nothing else.
    fn of(scenarios: &[Scenario], contenders: &[Entry]) -> Self {
        let wanted = |home| {
            let takes = |entry: &Entry| scenarios.iter().any(|scenario| (entry.takes)(scenario.kind));
            contenders.iter().any(|entry| entry.home == home && takes(entry))
        };
        let if_wanted = |home, prepare: fn() -> Ready| {
            if wanted(home) { prepare() } else { Err("not asked for".to_owned()) }
        };
        // Ours needs the files of its workers, which are put where the peers find them.
        let ours = wanted(Home::Processes);
        let speaks =
            |language| ours && scenarios.iter().any(|scenario| scenario.kind.language() == Some(language));
        let if_spoken = |language, home, prepare: fn() -> Ready| {
            if speaks(language) { prepare() } else { if_wanted(home, prepare) }
        };
        let commands = ours && scenarios.iter().any(|scenario| scenario.kind == Kind::Commands);
        Self {
            jdk: if_wanted(Home::Jvm, foreign::jdk),
            node: if_wanted(Home::Node, foreign::node),
            node_pools: if_spoken(Language::Node, Home::NodePools, foreign::node_pools),
            python: if_spoken(Language::Python, Home::PythonPools, foreign::python),
            commands: if commands { foreign::commands().map(drop) } else { Ok(()) },
        }
    }
}

/// Those of the group, or those that are asked for by name, of whatever group.
fn pick_scenarios(only: &[String], group: Group) -> Result<Vec<Scenario>, String> {
    let all: Vec<_> = scenario::ALL.into_iter().chain(processes::SCENARIOS).collect();
    let known: Vec<_> = all.iter().flat_map(|scenario| scenario.rows).copied().collect();
    // A whole name means that one only: `fire-2to2` is not `fire-2to256` as well.
    let means = |asked: &str, row: &str| row == asked || (!known.contains(&asked) && row.starts_with(asked));
    if let Some(wrong) = only.iter().find(|asked| !known.iter().any(|row| means(asked, row))) {
        return Err(format!("--only {wrong}: there is no such scenario; there are {}", known.join(", ")));
    }
    let chosen = |scenario: &Scenario| {
        (only.is_empty() && scenario.kind.group() == group)
            || only.iter().any(|asked| scenario.rows.iter().any(|row| means(asked, row)))
    };
    Ok(all.into_iter().filter(chosen).collect())
}

fn pick_contenders(names: &[String]) -> Result<Vec<Entry>, String> {
    let all: Vec<_> = contenders::ALL.into_iter().chain(processes::CONTENDERS).collect();
    if let Some(wrong) = names.iter().find(|name| !all.iter().any(|entry| entry.name == **name)) {
        let known: Vec<_> = all.iter().map(|entry| entry.name).collect();
        let known = known.join(", ");
        return Err(format!("--contender \"{wrong}\": there is no such contender; there are {known}"));
    }
    let chosen = |entry: &Entry| names.is_empty() || names.iter().any(|name| name == entry.name);
    let mut entries: Vec<_> = all.into_iter().filter(chosen).collect();
    entries.sort_by_key(|entry| entry.name != OURS);
    Ok(entries)
}
