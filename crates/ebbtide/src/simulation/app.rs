//! One application: components that hang, fail, panic and end by themselves, resources, pools and jobs, stops and forced stops at any moment.
//! What each hook sees is written down here, and held against the order that was declared and against the report.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use super::{
    bodies::{self, Deed, Here},
    director::{Dice, Machine, World},
    ledger::{Ledger, Ticket},
};
use crate::{
    app::{App, AppBuilder},
    clock::{Moment, simulated},
    component::{Component, Monitor, Starting, Stopping},
    pool::Pool,
    report::{AppReport, ComponentEnd},
    sync,
    task::error::BoxError,
};

const SECOND: Duration = Duration::from_secs(1);

/// What a hook does.
#[derive(Clone, Copy, Debug)]
enum Way {
    Well,
    Slow(Duration),
    /// Takes long, and ends when it is called off or forced.
    Obeys,
    Fails,
    Panics,
    Hangs,
}

/// Where a component is, as its own hooks saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Real {
    Never,
    Starting,
    Up,
    /// Its start failed: there was nothing to stop.
    Failed,
    Stopping,
    Down,
}

const REALS: [Real; 6] = [Real::Never, Real::Starting, Real::Up, Real::Failed, Real::Stopping, Real::Down];

/// A component's entry in the simulation's books.
struct Entry {
    name: String,
    needs: Vec<usize>,
    real: AtomicU32,
    /// The conductor may have gone on without it: it hung, or took too long.
    late: AtomicBool,
    is_resource: bool,
}

struct Books {
    entries: Vec<Entry>,
    ledger: Arc<Ledger>,
    machine: Machine,
    /// Those that something they need was stopped under.
    left: std::sync::Mutex<Vec<String>>,
    /// Those that say that something ended by itself.
    threads: std::sync::Mutex<Vec<sync::JoinHandle<()>>>,
}

/// A component of the simulation's.
struct Thing {
    books: Arc<Books>,
    who: usize,
    start: Way,
    stop: Way,
    ends: Option<(Duration, bool)>,
}

pub(super) fn run(world: World) {
    let World { mut dice, machine, verbose } = world;
    let ledger = Ledger::new(dice.fork());
    let deadline = 2 * SECOND + dice.span();
    let delay = if dice.once_in(3) { dice.span() / 64 } else { Duration::ZERO };
    let app = App::builder("simulated").embedded().deadline(deadline).deregistration_delay(delay);
    let (books, pools) = declare(&app, &mut dice, &ledger, (machine, verbose));
    let handle = app.stop_handle();
    let stopper = {
        let mut dice = dice.fork();
        let body = move || {
            for _ in 0..1 + dice.below(3) {
                sync::park_timeout(dice.span());
                match dice.below(6) {
                    0 => handle.force(),
                    1 => simulated::sleep_through(dice.span() / 4),
                    _ => handle.stop(),
                }
            }
            handle.stop();
        };
        sync::spawn("stopper".to_owned(), None, body).expect("a thread of the model's")
    };
    let callers: Vec<_> = pools.iter().map(|pool| call(pool, &ledger, dice.fork())).collect();
    let slept = simulated::slept();
    let report = app.run().wait();
    let slept = simulated::slept() - slept;
    if verbose {
        eprintln!("{report}");
    }
    assert!(
        machine == Machine::Slow || report.duration <= deadline + slept,
        "the stop took {:?} of {deadline:?}: {report}",
        report.duration
    );
    books.hold(&report);
    ledger.faults.store(false, SeqCst);
    ledger.open_the_door();
    stopper.join().expect("it does not panic");
    callers.into_iter().for_each(|caller| caller.join().expect("it does not panic"));
    settle(pools, &ledger);
    // Those that were left behind come to their end, and what starts too late does not stay.
    while books.entries.iter().any(|entry| entry.is_under_way(&report)) {
        sync::park_timeout(SECOND);
    }
    let threads = std::mem::take(&mut *books.threads.lock().expect("not poisoned"));
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}

fn way(dice: &mut Dice, faults: usize) -> Way {
    if !dice.once_in(faults) {
        return if dice.once_in(3) { Way::Slow(dice.span() / 16) } else { Way::Well };
    }
    let slow = Way::Slow(dice.span());
    dice.pick(&[slow, Way::Obeys, Way::Obeys, Way::Fails, Way::Panics, Way::Hangs])
}

/// Declares up to seven components and pools, each of which may need any that was declared before.
fn declare(
    app: &AppBuilder,
    dice: &mut Dice,
    ledger: &Arc<Ledger>,
    (machine, verbose): (Machine, bool),
) -> (Arc<Books>, Vec<Arc<Pool<Here>>>) {
    let (things, resources) = (dice.below(6), dice.below(3));
    let mut entries = Vec::new();
    for who in 0..resources + things {
        let needs = (0..who).filter(|_| dice.once_in(3)).collect();
        let is_resource = who < resources;
        let kind = if is_resource { "resource" } else { "thing" };
        let (real, late) = (AtomicU32::new(0), AtomicBool::new(false));
        entries.push(Entry { name: format!("{kind}-{who}"), needs, real, late, is_resource });
    }
    let (left, threads) = (std::sync::Mutex::default(), std::sync::Mutex::default());
    let books = Arc::new(Books { entries, ledger: Arc::clone(ledger), machine, left, threads });
    for (who, entry) in books.entries.iter().enumerate() {
        let (start, stop) = (way(dice, 8), way(dice, 4));
        let ends = dice.once_in(10).then(|| (dice.span() / 4, dice.once_in(2)));
        if verbose {
            eprintln!(
                "{} needs {:?}: starts {start:?}, stops {stop:?}, ends {ends:?}",
                entry.name, entry.needs
            );
        }
        let thing = Thing { books: Arc::clone(&books), who, start, stop, ends };
        if entry.is_resource {
            declare_resource(app, thing);
        } else if dice.once_in(4) {
            let _ = app.ingress(&entry.name, thing);
        } else {
            let _ = app.component(&entry.name, thing);
        }
        for need in &entry.needs {
            let _ = app.part(&entry.name).depends_on(&books.entries[*need].name);
        }
        if dice.once_in(4) {
            let _ = app.part(&entry.name).significant();
        }
        if dice.once_in(4) {
            let _ = app.part(&entry.name).stop_within(dice.span());
        }
        if dice.once_in(4) {
            let _ = app.part(&entry.name).start_within(dice.span());
        }
    }
    let pools = (0..dice.below(3)).map(|number| declare_pool(app, dice, &books, number)).collect();
    (books, pools)
}

/// A pool that needs some of the components, and may have a job.
fn declare_pool(app: &AppBuilder, dice: &mut Dice, books: &Books, number: usize) -> Arc<Pool<Here>> {
    let make = Arc::clone(&books.ledger);
    let builder = Pool::builder()
        .workers(0..=1 + dice.below(2))
        .queue(1 + dice.below(4))
        .grace(dice.span() / 64)
        .try_state(move |worker| bodies::build(&make, worker));
    let name = format!("pool-{number}");
    let pool = app.pool(&name, builder).expect("the options are right");
    for entry in books.entries.iter().filter(|_| dice.once_in(4)) {
        let _ = app.part(&name).depends_on(&entry.name);
    }
    if dice.once_in(2) {
        let ledger = Arc::clone(&books.ledger);
        let body = move |_: &mut bodies::State, _: &crate::task::context::Context<'_, Here>| {
            ledger.run_of_job();
        };
        if let Ok(job) = pool.every(dice.span() + SECOND / 20).start(body) {
            let _ = app.schedule(&format!("job-{number}"), job.clone());
            books.ledger.accept_job(job);
        }
    }
    pool
}

fn declare_resource(app: &AppBuilder, thing: Thing) {
    let thing = Arc::new(thing);
    let (opens, closes) = (Arc::clone(&thing), thing);
    let name = opens.books.entries[opens.who].name.clone();
    let _ = app.resource::<_, BoxError, _>(
        &name,
        move || {
            opens.begin();
            if matches!(opens.start, Way::Panics) {
                opens.began(false);
            }
            let how = opens.go(opens.start, &|| false);
            opens.began(how.is_ok());
            how
        },
        move |()| {
            closes.end();
            if matches!(closes.stop, Way::Panics) {
                closes.ended();
            }
            // Whoever closes a resource in vain has closed it: there is no second way.
            let how = closes.go(closes.stop, &|| false);
            closes.ended();
            how
        },
    );
}

impl Thing {
    fn entry(&self) -> &Entry {
        &self.books.entries[self.who]
    }

    fn begin(&self) {
        let before = self.entry().set(Real::Starting);
        assert_eq!(before, Real::Never, "{} started twice", self.entry().name);
        for need in &self.entry().needs {
            let need = &self.books.entries[*need];
            assert_eq!(need.real(), Real::Up, "{} starts and {} is not up", self.entry().name, need.name);
        }
    }

    fn began(&self, well: bool) {
        self.entry().set(if well { Real::Up } else { Real::Failed });
    }

    fn end(&self) {
        let before = self.entry().set(Real::Stopping);
        assert_eq!(before, Real::Up, "{} is stopped", self.entry().name);
        for user in self.books.users(self.who) {
            let over = !matches!(user.real(), Real::Starting | Real::Up | Real::Stopping);
            // What was left behind holds up nobody but the resources that it may still use.
            let slow = self.books.machine == Machine::Slow || simulated::slept() > Duration::ZERO;
            if over || !self.entry().is_resource && (slow || user.late.load(SeqCst)) {
                continue;
            }
            assert!(!self.entry().is_resource, "{} is closed under {}", self.entry().name, user.name);
            // Allowed only if it was left behind, as the report must say: the time may have been up before its stop began.
            self.books.left.lock().expect("not poisoned").push(user.name.clone());
        }
    }

    fn ended(&self) {
        self.entry().set(Real::Down);
    }

    fn go(&self, way: Way, called_off: &dyn Fn() -> bool) -> Result<(), BoxError> {
        let nap = |span: Duration| {
            let until = Moment::now().plus(span);
            while Moment::now() < until && !called_off() {
                sync::park_timeout(until.since(Moment::now()).min(SECOND / 100));
            }
        };
        match way {
            Way::Well => Ok(()),
            Way::Slow(span) => {
                self.entry().late.store(true, SeqCst);
                let until = Moment::now().plus(span);
                while Moment::now() < until {
                    sync::park_timeout(until.since(Moment::now()));
                }
                Ok(())
            }
            Way::Obeys => {
                self.entry().late.store(true, SeqCst);
                nap(2 * SECOND);
                if called_off() { Err("called off".into()) } else { Ok(()) }
            }
            Way::Fails => Err("on purpose".into()),
            Way::Panics => resume_unwind(Box::new("on purpose")),
            Way::Hangs => {
                self.entry().late.store(true, SeqCst);
                self.books.ledger.stick();
                Ok(())
            }
        }
    }

    /// It ends by itself, some time.
    fn leave(&self, monitor: &Monitor) {
        if let Some((after, well)) = self.ends {
            let monitor = monitor.clone();
            let body = move || {
                sync::park_timeout(after);
                monitor.ended(if well { Ok(()) } else { Err("on purpose".into()) });
            };
            let thread = sync::spawn("ends".to_owned(), None, body).expect("a thread of the model's");
            self.books.threads.lock().expect("not poisoned").push(thread);
        }
    }
}

impl Component for Thing {
    fn start(&self, starting: &Starting) -> Result<(), BoxError> {
        self.begin();
        if matches!(self.start, Way::Panics) {
            self.began(false);
        }
        let how = self.go(self.start, &|| starting.is_cancelled());
        self.began(how.is_ok());
        self.leave(starting.monitor());
        how
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        self.end();
        if matches!(self.stop, Way::Panics) {
            self.ended();
        }
        let how = self.go(self.stop, &|| stopping.is_forced());
        self.ended();
        how
    }
}

impl Entry {
    fn real(&self) -> Real {
        REALS[self.real.load(SeqCst) as usize]
    }

    fn is_under_way(&self, report: &AppReport) -> bool {
        let end = || report.component(&self.name).map(|one| one.end);
        match self.real() {
            Real::Starting | Real::Stopping => true,
            // Its start came too late, or its stop was asked for and has not begun.
            Real::Up => matches!(end(), Some(ComponentEnd::StartHung | ComponentEnd::Hung)),
            Real::Never | Real::Failed | Real::Down => false,
        }
    }

    fn set(&self, real: Real) -> Real {
        let code = REALS.iter().position(|one| *one == real).expect("one of them");
        REALS[self.real.swap(code as u32, SeqCst) as usize]
    }
}

impl Books {
    fn users(&self, who: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.needs.contains(&who))
    }

    /// What the report says of each is what its hooks saw.
    fn hold(&self, report: &AppReport) {
        for entry in &self.entries {
            let said =
                report.components.iter().find(|one| &*one.name == entry.name).expect("it was declared");
            let real = entry.real();
            let fits = match said.end {
                ComponentEnd::NotStarted => real == Real::Never,
                ComponentEnd::StartFailed => matches!(real, Real::Failed | Real::Starting),
                ComponentEnd::Stopped => real == Real::Down,
                ComponentEnd::StopFailed | ComponentEnd::StopPanicked => {
                    matches!(real, Real::Down | Real::Stopping)
                }
                // Its thread runs on, and may have come to its end since.
                ComponentEnd::StartHung | ComponentEnd::Hung => real != Real::Never,
                ComponentEnd::KeptOpen => entry.is_resource && real == Real::Up,
            };
            let under = self.left.lock().expect("not poisoned").contains(&entry.name);
            let left = matches!(said.end, ComponentEnd::Hung | ComponentEnd::StartHung);
            assert!(left || !under, "what {} needs was stopped under it: {report}", entry.name);
            assert!(fits, "{} is said to be {:?}, and is {real:?}: {report}", entry.name, said.end);
        }
        for pool in report.components.iter().filter_map(|one| one.pool.as_ref()) {
            assert!(pool.law_holds(), "{pool}");
        }
    }
}

/// Somebody who submits until the pool takes nothing more.
fn call(pool: &Arc<Pool<Here>>, ledger: &Arc<Ledger>, mut dice: Dice) -> sync::JoinHandle<()> {
    let (pool, ledger) = (Arc::clone(pool), Arc::clone(ledger));
    ledger.stops.store(true, SeqCst);
    ledger.aborts.store(true, SeqCst);
    ledger.breaks.store(true, SeqCst);
    let body = move || {
        for _ in 0..dice.below(12) {
            let work = ledger.work();
            let page = Arc::clone(&work.page);
            match pool.try_submit_fallible(bodies::body(work, Deed::roll(&mut dice))) {
                Ok(handle) => {
                    let watch = handle.watch();
                    ledger.accept(page, Ticket::Handle(Some(handle), watch));
                }
                Err(_) => ledger.reject(),
            }
            sync::park_timeout(dice.span() / 16);
        }
    };
    sync::spawn("caller".to_owned(), None, body).expect("a thread of the model's")
}

/// Every task of every pool has ended in one way, and nothing of it is left.
fn settle(pools: Vec<Arc<Pool<Here>>>, ledger: &Arc<Ledger>) {
    let jobs = ledger.take_jobs();
    let settled = |pool: &Arc<Pool<Here>>| {
        let stats = pool.stats();
        stats.workers.alive == 0 && stats.workers.abandoned == 0 && stats.queued + stats.running == 0
    };
    while !pools.iter().all(settled) || ledger.states() > 0 {
        sync::park_timeout(SECOND);
    }
    let (mut all, mut accepted) = (crate::task::outcome::Outcomes::default(), 0);
    for pool in &pools {
        let stats = pool.stats();
        all.merge(&stats.outcomes);
        accepted += stats.accepted;
    }
    let mut outcomes = ledger.outcomes(&all);
    jobs.iter().for_each(|job| outcomes.merge(&job.stats().outcomes));
    assert_eq!((all, accepted), (outcomes, outcomes.total()), "the pools' counters and the ledger's");
    pools.iter().for_each(|pool| drop(pool.take_returned()));
    drop((jobs, pools));
    ledger.all_dropped();
}
