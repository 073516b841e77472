//! One pool whose workers are processes, a few callers, and faults; then the faults stop, and it has to end with every process it started.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use bytesize::ByteSize;

use super::{
    child::{self, Deed},
    director::{Dice, Machine, World},
    promises::{self, Last},
    town::Town,
};
use crate::{
    clock::{Moment, simulated},
    error::RejectReason,
    policy::Priority,
    pool::{Closing, Event, Pool, Restart, Retirement, Shutdown},
    sync,
    worker::remote::{Memory, Processes, WorkerCommand, machine::simulated as machine},
};

const SECOND: Duration = Duration::from_secs(1);
/// Whoever was told to end needs no longer for it than this, once the pool has ended.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// What a caller does to a pool.
#[derive(Clone, Debug)]
enum Op {
    Submit {
        deeds: [Deed; 2],
        idempotent: bool,
        waits: bool,
        timed: Option<Duration>,
        dies: Option<Duration>,
        level: usize,
    },
    Cancel(usize),
    LetGo(usize),
    Pause,
    Resume,
    Resize {
        min: usize,
        max: usize,
    },
    Warm(usize),
    Restart(Restart),
    Shutdown(Shutdown),
    Sleep(Duration),
    /// The machine sleeps.
    Suspend(Duration),
    Look,
}

pub(super) struct Stage {
    pub(super) pool: Pool<Processes<u64, u64>>,
    pub(super) town: Arc<Town>,
}

pub(super) fn run(world: World) {
    let World { mut dice, machine, verbose } = world;
    let capped = dice.once_in(2);
    let town = Town::new(dice.fork(), capped, verbose);
    let starts = Arc::clone(&town);
    let room = 64 << dice.below(8);
    machine::begin(Arc::new(move |pid| child::start(&starts, pid)), room, dice.once_in(2));
    let stage = Arc::new(Stage::new(&mut dice, &town));
    let callers: Vec<_> = (0..1 + dice.below(3))
        .map(|number| {
            let (stage, mut dice) = (Arc::clone(&stage), dice.fork());
            let ops = 4 + dice.below(20);
            let body = move || (0..ops).for_each(|_| stage.step(number, roll(&mut dice)));
            sync::spawn("caller".to_owned(), None, body).expect("a thread of the model's")
        })
        .collect();
    sync::park_timeout(dice.span());
    let last = stage.finish_with(&mut dice);
    stage.hold_to_the_deadline(last, machine);
    // Whoever waited for room has been refused by now, and there is nothing more to wait for.
    town.faults.store(false, SeqCst);
    for caller in callers {
        caller.join().expect("a caller does not panic");
    }
    stage.settle();
    assert_eq!(machine::end(), 0, "processes are alive");
}

fn mode(dice: &mut Dice) -> Shutdown {
    let shutdown = dice.pick(&[Shutdown::drain(), Shutdown::stop(), Shutdown::abort()]);
    let shutdown = if dice.once_in(2) { shutdown.within(dice.span()) } else { shutdown };
    if dice.once_in(3) { shutdown.grace(dice.span() / 4) } else { shutdown }
}

fn restart(dice: &mut Dice) -> Restart {
    let restart = dice.pick(&[Restart::drain(), Restart::stop(), Restart::abort(), Restart::rolling()]);
    let restart = if dice.once_in(3) { restart.within(dice.span()) } else { restart };
    if dice.once_in(3) { restart.grace(dice.span() / 4) } else { restart }
}

fn roll(dice: &mut Dice) -> Op {
    match dice.below(56) {
        0..=30 => Op::Submit {
            deeds: [Deed::roll(dice), Deed::roll(dice)],
            idempotent: dice.once_in(3),
            waits: dice.once_in(3),
            timed: dice.once_in(6).then(|| dice.span() / 8),
            dies: dice.once_in(8).then(|| dice.span() / 8),
            level: dice.below(5),
        },
        31..=34 => Op::Cancel(dice.below(64)),
        35 => Op::LetGo(dice.below(64)),
        36 => Op::Pause,
        37 | 38 => Op::Resume,
        39 | 40 => {
            let min = dice.below(3);
            Op::Resize { min, max: min + dice.below(3) }
        }
        41 => Op::Warm(dice.below(4)),
        42..=44 => Op::Restart(restart(dice)),
        45 if dice.once_in(2) => Op::Shutdown(mode(dice)),
        46 if dice.once_in(2) => Op::Suspend(dice.span()),
        47..=53 => Op::Sleep(dice.span() / 8),
        _ => Op::Look,
    }
}

impl Stage {
    fn new(dice: &mut Dice, town: &Arc<Town>) -> Self {
        let hears = Arc::clone(town);
        let min = dice.below(3);
        let mut builder = Pool::processes(WorkerCommand::program(child::LINE[0]).arg(child::LINE[1]))
            .name("simulated")
            .workers(min..=(min + dice.below(3)).max(1))
            .queue(1 + dice.below(6))
            .deadline(9 * SECOND + dice.span())
            .grace(dice.span() / 8)
            .surge(1 + dice.below(2))
            .restart_intensity(2 + dice.below(6) as u32, 10 * SECOND)
            .credits(1 + dice.below(8))
            .spares(if dice.once_in(4) { 1 + dice.below(2) } else { 0 })
            .start_timeout(SECOND / 10 + dice.span() / 4);
        if dice.once_in(2) {
            builder = builder.on_event(move |event| {
                if matches!(event, Event::Broken { .. }) {
                    hears.breaks.store(true, SeqCst);
                }
            });
        } else {
            // Nobody hears of it, and nobody tells.
            town.breaks.store(true, SeqCst);
        }
        builder = if dice.once_in(3) { builder.no_idle_timeout() } else { builder.idle_timeout(dice.span()) };
        if town.capped {
            let hard = ByteSize::b(1 << (21 + dice.below(8)));
            builder = builder.memory(Memory::retire_at(ByteSize::kib(1500)).kill_at(hard));
        } else if dice.once_in(2) {
            builder = builder.memory(Memory::retire_at(ByteSize::b(1 << (21 + dice.below(8)))));
        }
        if dice.once_in(2) {
            builder = builder.snapshots().snapshot_timeout(dice.span() / 8);
        }
        if dice.once_in(2) {
            builder = builder.retire(
                Retirement::new().after_tasks(1 + dice.below(6) as u64).older_than(dice.span() + SECOND / 10),
            );
        }
        if dice.once_in(4) {
            builder = builder.warm();
        }
        let pool = builder.build().expect("the options are right");
        Self { pool, town: Arc::clone(town) }
    }

    fn step(&self, caller: usize, op: Op) {
        let (pool, town) = (&self.pool, &self.town);
        if town.verbose {
            eprintln!("{:>14?} caller {caller}: {op:?}", Moment::now());
        }
        match op {
            Op::Submit { deeds, idempotent, waits, timed, dies, level } => {
                let leaf = town.leaf(deeds, idempotent, timed.is_some() || dies.is_some());
                let level = [Priority::Low, Priority::High].get(level).copied().unwrap_or_default();
                let mut task = pool.task("simulated").priority(level);
                task = if idempotent { task.idempotent() } else { task };
                task = timed.into_iter().fold(task, |task, timed| task.timeout(timed));
                task = dies.into_iter().fold(task, |task, dies| task.deadline(dies));
                let accepted = if waits { task.submit(leaf.number) } else { task.try_submit(leaf.number) };
                match accepted {
                    Ok(handle) => town.accept(leaf, handle),
                    Err(error) => {
                        let shut =
                            matches!(error.reason(), RejectReason::ShuttingDown | RejectReason::Terminated);
                        assert!(!shut || pool.core().control.lock().shut, "refused as shut, and it is open");
                        town.reject();
                    }
                }
            }
            Op::Cancel(number) => town.disturb(number, true),
            Op::LetGo(number) => town.disturb(number, false),
            Op::Pause => pool.pause(),
            Op::Resume => pool.resume(),
            Op::Resize { min, max } => assert_eq!(pool.resize(min..=max).is_ok(), max > 0),
            Op::Warm(count) => {
                pool.warm_up(count);
            }
            Op::Restart(restart) => {
                town.stops.store(true, SeqCst);
                drop(pool.restart(restart));
            }
            Op::Shutdown(shutdown) => drop(self.shutdown(shutdown)),
            Op::Sleep(span) => sync::park_timeout(span),
            Op::Suspend(span) => simulated::sleep_through(span),
            Op::Look => {}
        }
        self.look();
    }

    pub(super) fn shutdown(&self, shutdown: Shutdown) -> Closing {
        self.town.stops.store(true, SeqCst);
        self.pool.shutdown(shutdown)
    }

    /// What holds at any time.
    fn look(&self) {
        promises::law(&self.pool, &self.town.resolved());
    }

    /// The last request, after which there is a deadline by which it is over.
    fn finish_with(&self, dice: &mut Dice) -> Last {
        if dice.once_in(2) {
            self.town.faults.store(false, SeqCst);
        }
        Last::ask(dice, self.town.verbose, |shutdown| self.shutdown(shutdown))
    }

    fn hold_to_the_deadline(&self, last: Last, machine: Machine) {
        last.hold_to(&self.pool, machine, self.town.verbose);
        assert!(self.pool.try_submit(0).is_err(), "accepted after the end");
        self.town.reject();
    }

    /// The books are closed, and nobody is left.
    pub(super) fn settle(&self) {
        let (pool, town) = (&self.pool, &self.town);
        let until = Moment::now().plus(LAST_BREATH);
        while machine::alive() > 0 && Moment::now() < until {
            sync::park_timeout(SECOND / 10);
        }
        assert_eq!(machine::alive(), 0, "processes outlive their pool");
        while pool.stats().workers.abandoned > 0 || pool.stats().workers.alive > 0 {
            sync::park_timeout(SECOND);
        }
        self.look();
        let stats = pool.stats();
        assert_eq!(stats.outcomes, town.outcomes(), "the pool's counters and the books: {stats:?}");
        assert_eq!((stats.queued, stats.running), (0, 0), "{stats:?}");
        assert_eq!(stats.rejected, town.rejected.load(SeqCst), "{stats:?}");
        assert_eq!(
            pool.take_returned().len() as u64,
            stats.outcomes.returned,
            "what was returned can be taken"
        );
    }
}
