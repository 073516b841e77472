//! Worker processes of one language: their tasks fail, die, obey and do not, eat memory, print, and write into their own socket; and they are
//! hit from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::process::Processes;
use ebbtide::{ByteSize, Handle, Memory, Outcome, Pool, Retirement, TaskError};
use serde_json::{Value, json};

use crate::books::Log;
use crate::dice::Dice;
use crate::kinds::Kind;
use crate::notes::Notes;
use crate::population::Population;
use crate::tools::LONG;
use crate::victims::Victims;

/// The most that are at a worker at a time.
const SENT: usize = 16;

pub(crate) struct OfProcesses {
    kind: Kind,
    notes: Notes,
    victims: Victims,
}

pub(crate) fn of(kind: Kind) -> OfProcesses {
    OfProcesses { kind, notes: Notes::new(), victims: Victims::default() }
}

/// What a task was to do.
pub(crate) enum Deed {
    /// Complete with this value.
    Gives(Value),
    /// The same, and write itself down.
    Notes(usize),
    /// Complete with the number of its process.
    Shows,
    /// Fail, with that text.
    Fails(&'static str),
    /// Complete with some number.
    Counts,
    /// The same, or be refused the memory by its own allocator.
    Eats,
    /// Not complete, and not fail either.
    Doomed,
}

/// A task on its way to the pool.
struct Plan {
    deed: Deed,
    tool: &'static str,
    argument: Value,
    timeout: u64,
    twice: bool,
}

impl Plan {
    /// Every task has a time: its worker may be stopped for good.
    fn new(deed: Deed, tool: &'static str, argument: impl Into<Value>) -> Self {
        Self { deed, tool, argument: argument.into(), timeout: 1_000, twice: false }
    }

    fn gives(tool: &'static str, argument: impl Into<Value>) -> Self {
        let argument = argument.into();
        Self::new(Deed::Gives(argument.clone()), tool, argument)
    }

    fn doomed(tool: &'static str, argument: impl Into<Value>) -> Self {
        Self::new(Deed::Doomed, tool, argument)
    }

    fn within(mut self, timeout: u64) -> Self {
        self.timeout = timeout;
        self
    }

    fn twice(mut self) -> Self {
        self.twice = true;
        self
    }
}

impl OfProcesses {
    fn plan(&self, dice: &mut Dice) -> Plan {
        const NOWHERE: &str = "/no/such/gate";
        match dice.below(40_000) {
            0..=2 => Plan::doomed("kill", 0),
            3..=4 => Plan::doomed("kill", 0).twice(),
            5..=7 => Plan::doomed("exit", 3),
            8..=11 => Plan::doomed("garbage", 0),
            12..=15 => Plan::doomed("half", 0),
            16..=17 => Plan::doomed("busy", 0).within(20),
            18 => Plan::doomed("stubborn", 0).within(20),
            19..=20 => Plan::doomed("deaf", NOWHERE).within(20),
            21..=30 => Plan::doomed("gate", NOWHERE).within(20),
            31..=33 => Plan::new(Deed::Gives(json!("returned")), "exit_after", 4),
            34..=45 => Plan::new(Deed::Eats, "hog", 10),
            46 => Plan::new(Deed::Eats, "hog", 400),
            47..=50 => Plan::gives("flood", 100_000),
            51..=70 => Plan::new(Deed::Gives(Value::Null), "say", "what is to be said"),
            71..=150 => Plan::new(Deed::Fails("it does not fit"), "fail", "it does not fit"),
            151..=160 => Plan::gives("spin", 3),
            161..=165 => Plan::new(Deed::Gives(json!(2)), "kill_first", 0).twice(),
            166..=175 => Plan::gives("echo", "x".repeat(150_000)),
            176 => Plan::new(Deed::Counts, "orphan", 0),
            177..=275 => Plan::new(Deed::Shows, "pid", 0),
            276..=1_075 => match self.notes.next() {
                Some(number) => Plan::new(Deed::Notes(number), "note", json!([self.notes.path(), number])),
                None => Plan::gives("echo", Value::Null),
            },
            what if what % 2 == 0 => Plan::gives("echo", what).twice(),
            what => Plan::gives("echo", what),
        }
    }
}

impl Population for OfProcesses {
    type Isolation = Processes<Value, Value>;
    type Value = Value;
    type Deed = Deed;

    const REST: u64 = 1;
    const CALM: u64 = 600;
    const ENDS: &[Outcome] = &[
        Outcome::Completed,
        Outcome::Failed,
        Outcome::Cancelled,
        Outcome::TimedOut,
        Outcome::Killed,
        Outcome::Crashed,
        Outcome::Returned,
    ];

    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn pool(&self, log: &Arc<Log>, dice: &mut Dice) -> Pool<Self::Isolation> {
        let log = Arc::clone(log);
        // Above what an idle one of this language uses.
        let soft = if self.kind.name == "node" { 110 } else { 60 };
        let pool = Pool::processes(self.kind.command.clone())
            .name(self.kind.name)
            .workers(1..=3)
            .queue(64)
            .grace(Duration::from_millis(60))
            .deadline(LONG)
            .start_timeout(Duration::from_secs(30))
            .restart_intensity(1_000, Duration::from_secs(10))
            .retire(Retirement::new().after_tasks(500 + dice.below(5_000)))
            .memory(Memory::retire_at(ByteSize::mib(soft)).kill_at(ByteSize::mib(soft + 60)))
            .spares(usize::try_from(dice.below(2)).unwrap())
            .credits([1, SENT][usize::try_from(dice.below(2)).unwrap()])
            .on_event(move |event| log.hear(event));
        let pool = if dice.below(2) == 0 { pool.snapshots() } else { pool };
        let pool = if dice.below(2) == 0 { pool.warm() } else { pool };
        pool.build().unwrap()
    }

    fn submit(&self, pool: &Pool<Self::Isolation>, dice: &mut Dice) -> Option<(Deed, Handle<Value>)> {
        let Plan { deed, tool, argument, timeout, twice } = self.plan(dice);
        let task = pool.task(tool).timeout(Duration::from_millis(timeout));
        let task = if twice { task.idempotent() } else { task };
        match task.submit(json!([tool, argument])) {
            Ok(handle) => Some((deed, handle)),
            Err(_) => {
                if let Deed::Notes(number) = deed {
                    self.notes.refused(number);
                }
                None
            }
        }
    }

    fn judge(&self, deed: Deed, end: Result<Value, TaskError>) -> Result<(), String> {
        if let Deed::Notes(number) = deed {
            self.notes.end(number, end.as_ref().map_or_else(TaskError::outcome, |_| Outcome::Completed));
        }
        let pid = |value: &Value| value.as_i64().and_then(|pid| i32::try_from(pid).ok());
        if let (Deed::Shows, Ok(Some(pid))) = (&deed, end.as_ref().map(pid)) {
            self.victims.sees(pid);
        }
        let right = match (&deed, &end) {
            (Deed::Gives(expected), Ok(value)) => value == expected,
            (Deed::Notes(number), Ok(value)) => *value == json!(number),
            (Deed::Counts | Deed::Eats | Deed::Shows, Ok(value)) => value.is_u64(),
            (Deed::Fails(_) | Deed::Doomed, Ok(_)) => false,
            (_, Err(error)) => match error.outcome() {
                Outcome::Failed => match deed {
                    Deed::Fails(text) => error.to_string().contains(text),
                    Deed::Eats => true,
                    _ => false,
                },
                Outcome::Completed | Outcome::Panicked | Outcome::Abandoned => false,
                // Whoever it was, its worker may be hit, its pool ended, and it may be cancelled; and everything takes its time.
                _ => true,
            },
        };
        if right { Ok(()) } else { Err(format!("{end:?}")) }
    }

    fn hurt(&self, dice: &mut Dice) {
        self.victims.hit(dice);
    }

    fn judge_all(&self, ends: [u64; 9], deaths: &BTreeMap<String, u64>) -> Result<(), String> {
        // A worker runs one task at a time, so its death is the end of one at most: those that were only sent are not to blame. One that wrote
        // garbage may have gone on until it was ended, with all that had been sent.
        let lost = ends[Outcome::Crashed as usize] + ends[Outcome::Killed as usize];
        let may = |(how, count): (&String, &u64)| {
            if how.contains("protocol") { count * SENT as u64 } else { *count }
        };
        let may: u64 = deaths.iter().map(may).sum();
        if lost > may {
            return Err(format!("{lost} tasks were lost by {deaths:?}"));
        }
        // Only who was told to breaks the protocol. Half a frame may be made whole by what another thread of its worker has to say.
        let on_purpose = |how: &str| how.contains("a frame of … bytes") || how.contains("end of task 65535");
        if let Some(how) = deaths.keys().find(|how| how.contains("protocol") && !on_purpose(how)) {
            return Err(format!("a worker {how}"));
        }
        self.notes.judge()
    }
}
