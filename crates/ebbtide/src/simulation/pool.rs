//! One pool, a few callers who do everything that can be done to it, and faults; then the faults stop, and it has to end.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use super::{
    bodies::{self, Deed, Here},
    director::{Dice, Machine, World},
    ledger::{Ledger, Ticket},
    promises::{self, Last},
};
use crate::{
    clock::{Moment, simulated},
    error::RejectReason,
    policy::{Priority, WhenFull},
    pool::{Closing, Event, Pool, Renew, Restart, Retirement, Shutdown},
    schedule::MissedTicks,
    sync::{self, atomic::AtomicUsize},
    task::outcome::{Outcome, Outcomes},
    worker::craft::AfterPanic,
};

const SECOND: Duration = Duration::from_secs(1);

/// What a caller does to a pool.
#[derive(Clone, Debug)]
enum Op {
    Submit {
        deed: Deed,
        waits: bool,
        timed: Option<Duration>,
        dies: Option<Duration>,
        level: usize,
    },
    Execute(Deed),
    Cancel(usize),
    LetGo(usize),
    Pause,
    Resume,
    Resize {
        min: usize,
        max: usize,
    },
    Warm(usize),
    Restart(Restart, bool),
    Shutdown(Shutdown),
    Every {
        period: Duration,
        missed: MissedTicks,
    },
    After(Duration, Deed),
    Job(usize, usize),
    WhenFull(WhenFull),
    TakeReturned,
    Sleep(Duration),
    /// The machine sleeps.
    Suspend(Duration),
    Calendar(Duration, Duration),
    Look,
}

/// The pool and all that is known of it.
struct Stage {
    pool: Pool<Here>,
    ledger: Arc<Ledger>,
    returned: AtomicUsize,
    verbose: bool,
}

pub(super) fn run(world: World) {
    let World { mut dice, machine, verbose } = world;
    let ledger = Ledger::new(dice.fork());
    let stage = Arc::new(Stage::new(&mut dice, &ledger, verbose));
    let callers: Vec<_> = (0..1 + dice.below(3))
        .map(|number| {
            let (stage, mut dice) = (Arc::clone(&stage), dice.fork());
            let ops = 4 + dice.below(20);
            let body = move || (0..ops).for_each(|_| stage.step(number, roll(&mut dice)));
            sync::spawn("caller".to_owned(), None, body).expect("a thread of the model's")
        })
        .collect();
    sync::park_timeout(dice.span());
    let closing = stage.finish_with(&mut dice);
    stage.hold_to_the_deadline(closing, machine);
    // Whoever waited for room has been refused by now, and there is nothing more to wait for.
    ledger.faults.store(false, SeqCst);
    ledger.open_the_door();
    for caller in callers {
        caller.join().expect("a caller does not panic");
    }
    stage.settle();
}

fn mode(dice: &mut Dice) -> Shutdown {
    let shutdown = dice.pick(&[Shutdown::drain(), Shutdown::stop(), Shutdown::abort()]);
    let shutdown = if dice.once_in(2) { shutdown.within(dice.span()) } else { shutdown };
    if dice.once_in(3) { shutdown.grace(dice.span() / 4) } else { shutdown }
}

fn restart(dice: &mut Dice) -> Restart {
    let restart = dice.pick(&[
        Restart::drain(),
        Restart::stop(),
        Restart::abort(),
        Restart::rolling(),
        Restart::rolling(),
    ]);
    let restart = if dice.once_in(3) { restart.within(dice.span()) } else { restart };
    if dice.once_in(3) { restart.grace(dice.span() / 4) } else { restart }
}

fn roll(dice: &mut Dice) -> Op {
    match dice.below(64) {
        0..=24 => Op::Submit {
            deed: Deed::roll(dice),
            waits: dice.once_in(3),
            timed: dice.once_in(6).then(|| dice.span() / 8),
            dies: dice.once_in(8).then(|| dice.span() / 8),
            level: dice.below(5),
        },
        25..=29 => Op::Execute(dice.pick(&[Deed::Plain, Deed::Panic, Deed::Stubborn(SECOND / 50)])),
        30..=33 => Op::Cancel(dice.below(64)),
        34 => Op::LetGo(dice.below(64)),
        35 => Op::Pause,
        36 | 37 => Op::Resume,
        38..=40 => {
            let min = dice.below(3);
            Op::Resize { min, max: min + dice.below(3) }
        }
        41 => Op::Warm(dice.below(4)),
        42..=45 => Op::Restart(restart(dice), dice.once_in(4)),
        46 if dice.once_in(2) => Op::Shutdown(mode(dice)),
        47 => Op::Every {
            period: dice.span() / 4 + SECOND / 100,
            missed: dice.pick(&[MissedTicks::Skip, MissedTicks::Delay, MissedTicks::Burst]),
        },
        48 | 49 => Op::After(dice.span() / 4, Deed::roll(dice)),
        50 | 51 => Op::Job(dice.below(8), dice.below(5)),
        52 => Op::WhenFull(dice.pick(&[WhenFull::Wait, WhenFull::Reject, WhenFull::ShedOldest])),
        53 => Op::TakeReturned,
        54 if dice.once_in(2) => Op::Suspend(dice.span()),
        55 => Op::Calendar(dice.span() * 60, dice.span() * 60),
        56..=61 => Op::Sleep(dice.span() / 8),
        _ => Op::Look,
    }
}

impl Stage {
    fn new(dice: &mut Dice, ledger: &Arc<Ledger>, verbose: bool) -> Self {
        let (make, again, hears) = (Arc::clone(ledger), Arc::clone(ledger), Arc::clone(ledger));
        let min = dice.below(3);
        let mut builder = Pool::builder()
            .name("simulated")
            .workers(min..=(min + dice.below(3)).max(1))
            .queue(1 + dice.below(6))
            .children_reserve(dice.below(4))
            .deadline(9 * SECOND + dice.span())
            .grace(dice.span() / 8)
            .surge(1 + dice.below(2))
            .restart_intensity(1 + dice.below(4) as u32, 10 * SECOND)
            .try_state(move |worker| bodies::build(&make, worker))
            .on_retire(bodies::retire)
            .size(|state| state.learnt)
            .on_event(move |event| {
                if matches!(event, Event::Broken { .. }) {
                    hears.breaks.store(true, SeqCst);
                }
            });
        builder = if dice.once_in(3) { builder.no_idle_timeout() } else { builder.idle_timeout(dice.span()) };
        if dice.once_in(2) {
            builder = builder
                .snapshot(|state| state.learnt, move |_, learnt| bodies::restore(&again, learnt))
                .snapshot_timeout(dice.span() / 8);
        }
        if dice.once_in(4) {
            builder = builder.old_first();
        }
        if dice.once_in(3) {
            builder = builder.after_panic(AfterPanic::Keep);
        }
        if dice.once_in(2) {
            builder = builder.retire(
                Retirement::new().after_tasks(1 + dice.below(6) as u64).older_than(dice.span() + SECOND / 10),
            );
        }
        if dice.once_in(4) {
            builder = builder.renew(Renew::new().every(dice.span() + SECOND / 10));
        }
        if dice.once_in(2) {
            builder = builder.abandoned_cap(dice.below(8));
        }
        if dice.once_in(4) {
            builder = builder.warm();
        }
        let pool = builder.build().expect("the options are right");
        Self { pool, ledger: Arc::clone(ledger), returned: AtomicUsize::new(0), verbose }
    }

    fn step(&self, caller: usize, op: Op) {
        if self.verbose {
            eprintln!("{:>14?} caller {caller}: {op:?}", Moment::now());
        }
        let (pool, ledger) = (&self.pool, &self.ledger);
        match op {
            Op::Submit { deed, waits, timed, dies, level } => self.submit(deed, waits, timed, dies, level),
            Op::Execute(deed) => self.execute(deed),
            Op::Cancel(number) => ledger.disturb(number, true),
            Op::LetGo(number) => ledger.disturb(number, false),
            Op::Pause => pool.pause(),
            Op::Resume => pool.resume(),
            Op::Resize { min, max } => {
                let asked = pool.resize(min..=max);
                assert_eq!(asked.is_ok(), max > 0);
            }
            Op::Warm(count) => {
                pool.warm_up(count);
            }
            Op::Restart(restart, waits) => {
                // Which kind it is, it keeps to itself: what may follow from any is allowed.
                ledger.stops.store(true, SeqCst);
                ledger.aborts.store(true, SeqCst);
                let closing = pool.restart(restart);
                if waits && let Ok(report) = closing.wait_timeout(SECOND) {
                    assert!(report.law_holds(), "{report}");
                }
            }
            Op::Shutdown(shutdown) => drop(self.shutdown(shutdown)),
            Op::Every { period, missed } => self.every(period, missed),
            Op::After(delay, deed) => {
                let work = ledger.work();
                let page = Arc::clone(&work.page);
                match pool.after(delay).start_fallible(bodies::body(work, deed)) {
                    Ok(timer) => ledger.accept(page, Ticket::Timer(timer)),
                    Err(_) => ledger.reject(),
                }
            }
            Op::Job(number, what) => {
                if let Some(job) = ledger.job(number) {
                    match what {
                        0 => job.pause(),
                        1 => job.resume(),
                        2 => job.cancel(),
                        3 => job.stop(),
                        _ => drop(job.run_now()),
                    }
                }
            }
            Op::WhenFull(when_full) => {
                ledger.sheds.store(true, SeqCst);
                pool.set_when_full(when_full).expect("none that runs on the caller");
            }
            Op::TakeReturned => {
                let taken = pool.take_returned();
                self.returned.fetch_add(taken.len(), std::sync::atomic::Ordering::SeqCst);
            }
            Op::Sleep(span) => sync::park_timeout(span),
            Op::Suspend(span) => simulated::sleep_through(span),
            Op::Calendar(forward, back) => simulated::set_calendar(forward, back),
            Op::Look => {}
        }
        self.look();
    }

    fn submit(&self, deed: Deed, waits: bool, timed: Option<Duration>, dies: Option<Duration>, level: usize) {
        let ledger = &self.ledger;
        let work = ledger.work();
        let page = Arc::clone(&work.page);
        page.timed.store(timed.is_some() || dies.is_some(), SeqCst);
        let level = [Priority::Low, Priority::High].get(level).copied().unwrap_or_default();
        let mut task = self.pool.task("simulated").priority(level);
        if let Some(timed) = timed {
            task = task.timeout(timed);
        }
        if let Some(dies) = dies {
            task = task.deadline(dies);
        }
        let body = bodies::body(work, deed);
        let accepted = if waits { task.submit_fallible(body) } else { task.try_submit_fallible(body) };
        match accepted {
            Ok(handle) => {
                let watch = handle.watch();
                ledger.accept(page, Ticket::Handle(Some(handle), watch));
            }
            Err(error) => {
                self.check_refusal(error.reason());
                ledger.reject();
            }
        }
    }

    fn execute(&self, deed: Deed) {
        let work = self.ledger.work();
        let page = Arc::clone(&work.page);
        let body = bodies::body(work, deed);
        match self.pool.try_execute(move |state, task| drop(body(state, task))) {
            Ok(_) => self.ledger.accept(page, Ticket::Nobody),
            Err(_) => self.ledger.reject(),
        }
    }

    fn check_refusal(&self, reason: &RejectReason) {
        match reason {
            RejectReason::ShuttingDown | RejectReason::Terminated => {
                assert!(self.pool.core().control.lock().shut, "refused as shut, and it is open");
            }
            RejectReason::WouldDeadlock => panic!("a caller is nobody's worker"),
            RejectReason::Full
            | RejectReason::Broken(_)
            | RejectReason::TimedOut
            | RejectReason::Cancelled => {}
        }
    }

    fn every(&self, period: Duration, missed: MissedTicks) {
        let ledger = Arc::clone(&self.ledger);
        let body = move |_: &mut bodies::State, task: &crate::task::context::Context<'_, Here>| {
            ledger.run_of_job();
            match ledger.roll(|dice| (dice.below(6), dice.span())) {
                (0, _) => Err("on purpose".into()),
                (1, span) => task.sleep(span / 8).map_err(crate::task::error::BoxError::from),
                _ => Ok(()),
            }
        };
        match self.pool.every(period).missed(missed).start_fallible(body) {
            Ok(job) => self.ledger.accept_job(job),
            Err(_) => self.ledger.reject(),
        }
    }

    fn shutdown(&self, shutdown: Shutdown) -> Closing {
        self.ledger.stops.store(true, SeqCst);
        self.ledger.aborts.store(true, SeqCst);
        self.pool.shutdown(shutdown)
    }

    /// What holds at any time. That phases only go forward and nobody is one too many, the pool's own watch sees under its lock.
    fn look(&self) {
        promises::law(&self.pool, &self.ledger.resolved());
        self.ledger.look();
    }

    /// The last request, after which there is a deadline by which it is over.
    fn finish_with(&self, dice: &mut Dice) -> Last {
        match dice.below(4) {
            // The faults stop first.
            0 | 1 => {
                self.ledger.faults.store(false, SeqCst);
                self.ledger.open_the_door();
            }
            // They go on.
            _ => {}
        }
        Last::ask(dice, self.verbose, |shutdown| self.shutdown(shutdown))
    }

    fn hold_to_the_deadline(&self, last: Last, machine: Machine) {
        last.hold_to(&self.pool, machine, self.verbose);
        let late = self.pool.try_submit(|_, _| ());
        assert!(late.is_err(), "accepted after the end");
        self.ledger.reject();
    }

    /// The books are closed.
    fn settle(&self) {
        let (pool, ledger) = (&self.pool, &self.ledger);
        let jobs = ledger.take_jobs();
        for job in &jobs {
            job.wait_idle(None).expect("not on a worker");
        }
        // Those that were given up find out, and go.
        while pool.stats().workers.abandoned > 0 || ledger.states() > 0 {
            sync::park_timeout(SECOND);
        }
        self.look();
        let stats = pool.stats();
        assert_eq!((stats.workers.alive, stats.workers.abandoned, ledger.states()), (0, 0, 0), "{stats:?}");
        let (mut fired, mut others) = (Outcomes::default(), Outcomes::default());
        jobs.iter().for_each(|job| fired.merge(&job.stats().outcomes));
        for outcome in Outcome::ALL {
            let rest = stats.outcomes.get(outcome).checked_sub(fired.get(outcome));
            others.add(outcome, rest.expect("a job has more outcomes than its pool"));
        }
        let mut outcomes = ledger.outcomes(&others);
        let runs: u64 = jobs.iter().map(|job| job.stats().runs).sum();
        assert_eq!(runs, ledger.runs_of_jobs(), "runs of jobs");
        outcomes.merge(&fired);
        assert_eq!(stats.outcomes, outcomes, "the pool's counters and the ledger's: {stats:?}");
        assert_eq!((stats.queued, stats.running, stats.not_due), (0, 0, 0), "{stats:?}");
        // A firing that the pool does not take is a refusal that nobody but the pool sees.
        let refused = stats.rejected.checked_sub(ledger.rejected.load(SeqCst));
        assert!(refused.is_some_and(|firings| firings == 0 || !jobs.is_empty()), "{stats:?}");
        drop(jobs);
        let untaken = pool.take_returned();
        let returned = untaken.len() + self.returned.load(std::sync::atomic::Ordering::SeqCst);
        // A run of a job is its job's, and not handed out.
        assert_eq!(
            returned as u64 + fired.returned,
            outcomes.returned,
            "what was returned can be taken, once"
        );
        drop(untaken);
        ledger.all_dropped();
    }
}
