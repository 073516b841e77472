//! Random programs against a small model of what must hold after every step: the law in every snapshot, counters that only grow, starts
//! in order on one worker, nothing started while paused, and for every task one outcome that fits what its body saw.
//!
//! 1 000 programs of up to 60 operations; `EBBTIDE_LONG=1` runs 100 000.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use ebbtide::{
    Cancelled, Closing, Context, Handle, Outcome, Phase, Pool, RejectReason, Restart, Shutdown, Stateless,
    Stats, Watch,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

const QUEUE: usize = 6;
/// Longer than anything that is not a hang.
const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Op {
    Submit { holds: bool },
    Execute,
    Cancel(usize),
    DropHandle(usize),
    Pause,
    Resume,
    Resize { min: usize, more: usize },
    RestartDrain,
    RestartStop,
    RestartAbort,
    Roll,
    Release(usize),
    ReleaseAll,
    Breathe,
    Shutdown(Mode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Drain,
    Stop,
    Abort,
}

/// A task as the model knows it.
struct Known {
    handle: Option<Handle<()>>,
    /// None for one that was executed without a handle.
    watch: Option<Watch>,
    facts: Arc<Facts>,
    asked: bool,
    /// It was accepted while nothing may start.
    must_wait: bool,
}

#[derive(Default)]
struct Facts {
    open: AtomicBool,
    starts: AtomicU64,
    ends: AtomicU64,
}

struct World {
    pool: Pool<Stateless>,
    tasks: Vec<Known>,
    rejected: u64,
    order: Arc<Mutex<Vec<usize>>>,
    /// Starts come in order: one worker, and never a second beside it.
    strict: bool,
    paused: bool,
    procedures: Vec<Closing>,
    aborts: bool,
    stops: bool,
    shut: bool,
    last: Option<Stats>,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let task = 0_usize..64;
    let mode = prop_oneof![Just(Mode::Drain), Just(Mode::Stop), Just(Mode::Abort)];
    let op = prop_oneof![
        12 => any::<bool>().prop_map(|holds| Op::Submit { holds }),
        4 => Just(Op::Execute),
        4 => task.clone().prop_map(Op::Cancel),
        2 => task.clone().prop_map(Op::DropHandle),
        2 => Just(Op::Pause),
        2 => Just(Op::Resume),
        2 => (0_usize..3, 0_usize..3).prop_map(|(min, more)| Op::Resize { min, more }),
        1 => Just(Op::RestartDrain),
        1 => Just(Op::RestartStop),
        1 => Just(Op::RestartAbort),
        1 => Just(Op::Roll),
        6 => task.prop_map(Op::Release),
        2 => Just(Op::ReleaseAll),
        4 => Just(Op::Breathe),
        1 => mode.prop_map(Op::Shutdown),
    ];
    prop::collection::vec(op, 1..60)
}

#[test]
fn no_program_breaks_a_promise() {
    let long = std::env::var_os("EBBTIDE_LONG").is_some();
    let config =
        Config { cases: if long { 100_000 } else { 1_000 }, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&(1_usize..4, ops()), |(workers, ops)| {
        let mut world = World::new(workers);
        for op in ops {
            world.step(op);
            world.check();
        }
        world.end();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

impl World {
    fn new(workers: usize) -> Self {
        let pool = Pool::builder()
            .workers(1..=workers)
            .queue(QUEUE)
            .deadline(LONG)
            .grace(LONG / 2)
            .build()
            .expect("the options are right");
        Self {
            pool,
            tasks: Vec::new(),
            rejected: 0,
            order: Arc::default(),
            strict: workers == 1,
            paused: false,
            procedures: Vec::new(),
            aborts: false,
            stops: false,
            shut: false,
            last: None,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Submit { holds } => self.submit(holds),
            Op::Execute => self.execute(),
            Op::Cancel(task) => self.cancel(task),
            Op::DropHandle(task) => {
                if let Some(known) = self.pick(task) {
                    known.handle = None;
                }
            }
            Op::Pause => {
                self.pool.pause();
                self.paused = true;
            }
            Op::Resume => {
                self.pool.resume();
                self.paused = false;
                self.let_start();
            }
            Op::Resize { min, more } => {
                let asked = min..=min + more;
                assert_eq!(self.pool.resize(asked.clone()).is_ok(), *asked.end() > 0);
                self.strict = false;
            }
            Op::RestartDrain => self.restart(Restart::drain()),
            Op::RestartStop => {
                self.stops = true;
                self.restart(Restart::stop());
            }
            Op::RestartAbort => {
                (self.stops, self.aborts) = (true, true);
                self.restart(Restart::abort());
            }
            Op::Roll => {
                self.strict = false;
                self.restart(Restart::rolling());
            }
            Op::Release(task) => {
                if let Some(known) = self.pick(task) {
                    known.facts.open.store(true, SeqCst);
                }
            }
            Op::ReleaseAll => self.tasks.iter().for_each(|known| known.facts.open.store(true, SeqCst)),
            Op::Breathe => std::thread::park_timeout(Duration::from_micros(300)),
            Op::Shutdown(mode) => self.shutdown(mode),
        }
    }

    fn pick(&mut self, task: usize) -> Option<&mut Known> {
        let count = self.tasks.len();
        (count > 0).then(|| &mut self.tasks[task % count])
    }

    fn submit(&mut self, holds: bool) {
        let before = self.pool.stats();
        let facts = Arc::new(Facts { open: AtomicBool::new(!holds), ..Facts::default() });
        let body = body(Arc::clone(&facts), Arc::clone(&self.order), self.tasks.len());
        match self.pool.try_submit_fallible(body) {
            Ok(handle) => {
                let watch = Some(handle.watch());
                self.accept(Known { handle: Some(handle), watch, facts, asked: false, must_wait: false });
            }
            Err(error) => self.reject(error.reason(), &before),
        }
    }

    fn execute(&mut self) {
        let before = self.pool.stats();
        let facts = Arc::new(Facts { open: AtomicBool::new(true), ..Facts::default() });
        let body = body(Arc::clone(&facts), Arc::clone(&self.order), self.tasks.len());
        match self.pool.try_execute(move |task| body(task).unwrap_or_default()) {
            Ok(_) => self.accept(Known { handle: None, watch: None, facts, asked: false, must_wait: false }),
            Err(error) => self.reject(error.reason(), &before),
        }
    }

    fn accept(&mut self, mut known: Known) {
        assert!(!self.shut, "accepted after the shutdown");
        known.must_wait = self.paused;
        self.tasks.push(known);
    }

    fn reject(&mut self, reason: &RejectReason, before: &Stats) {
        self.rejected += 1;
        match reason {
            RejectReason::Full => assert!(!self.shut && before.queued >= QUEUE as u64, "{before:?}"),
            other => assert!(self.shut, "{other}: {before:?}"),
        }
    }

    fn cancel(&mut self, task: usize) {
        let Some(known) = self.pick(task) else { return };
        if let Some(handle) = &known.handle {
            known.asked |= handle.cancel();
        }
    }

    fn restart(&mut self, restart: Restart) {
        self.let_start();
        self.procedures.push(self.pool.restart(restart));
    }

    fn shutdown(&mut self, mode: Mode) {
        self.let_start();
        self.shut = true;
        self.stops |= mode != Mode::Drain;
        self.aborts |= mode == Mode::Abort;
        let shutdown = match mode {
            Mode::Drain => Shutdown::drain(),
            Mode::Stop => Shutdown::stop(),
            Mode::Abort => Shutdown::abort(),
        };
        self.procedures.push(self.pool.shutdown(shutdown));
    }

    /// From now on those that had to wait may start.
    fn let_start(&mut self) {
        self.tasks.iter_mut().for_each(|known| known.must_wait = false);
    }

    /// What holds after every step.
    fn check(&mut self) {
        let stats = self.pool.stats();
        let sum = stats.queued + stats.running + stats.outcomes.total();
        assert_eq!(stats.accepted, sum, "the law: {stats:?}");
        assert_eq!((stats.accepted, stats.rejected), (self.tasks.len() as u64, self.rejected), "{stats:?}");
        assert!(stats.queued <= QUEUE as u64, "{stats:?}");
        if let Some(last) = &self.last {
            let grown = Outcome::ALL.iter().all(|one| stats.outcomes.get(*one) >= last.outcomes.get(*one));
            assert!(grown, "an outcome was taken back: {last:?} then {stats:?}");
            assert!(stats.generation >= last.generation && stats.workers.started >= last.workers.started);
        }
        self.last = Some(stats);
        for known in &self.tasks {
            let (starts, ends) = (known.facts.starts.load(SeqCst), known.facts.ends.load(SeqCst));
            assert!(starts <= 1 && ends <= 1, "a task runs at most once");
            assert!(!known.must_wait || starts == 0, "it started while the pool was paused");
        }
        if self.strict {
            let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(order.is_sorted(), "started out of order on one worker: {order:?}");
        }
    }

    /// Ends the pool, and holds every outcome against what the body saw.
    fn end(mut self) {
        if !self.shut {
            self.shutdown(Mode::Drain);
        }
        self.step(Op::ReleaseAll);
        for closing in &self.procedures {
            let report =
                closing.wait_timeout(LONG).unwrap_or_else(|still| panic!("{still}: {:?}", self.pool.stats()));
            assert!(report.law_holds(), "{report}");
        }
        self.check();
        let stats = self.pool.stats();
        assert_eq!((stats.phase, stats.queued, stats.running), (Phase::Terminated, 0, 0), "{stats:?}");
        assert_eq!(self.pool.take_returned().len() as u64, stats.outcomes.returned);
        let mut sums = [0_u64; 9];
        for known in self.tasks {
            sums[known.outcome(self.aborts, self.stops) as usize] += 1;
        }
        assert_eq!(sums, Outcome::ALL.map(|one| stats.outcomes.get(one)), "{stats:?}");
    }
}

impl Known {
    fn outcome(self, aborts: bool, stops: bool) -> Outcome {
        let (starts, ends) = (self.facts.starts.load(SeqCst), self.facts.ends.load(SeqCst));
        let Some(watch) = self.watch else {
            // Without a handle only the body tells.
            assert!(starts == ends && (starts == 1 || stops));
            return if starts == 1 { Outcome::Completed } else { Outcome::Returned };
        };
        let outcome = watch.outcome().expect("every handle has resolved");
        if let Some(handle) = self.handle {
            let told =
                handle.wait().map_or_else(|error| error.task().map(ebbtide::TaskError::outcome), |()| None);
            assert_eq!(told.unwrap_or(Outcome::Completed), outcome);
        }
        match outcome {
            Outcome::Completed => assert_eq!((starts, ends), (1, 1)),
            Outcome::Cancelled => assert!(ends == 0 && (self.asked || aborts && starts == 1)),
            Outcome::Returned => assert!(starts == 0 && stops),
            other => panic!("nothing in the program leads to {other}"),
        }
        outcome
    }
}

fn body(
    facts: Arc<Facts>,
    order: Arc<Mutex<Vec<usize>>>,
    number: usize,
) -> impl FnOnce(&Context<'_, Stateless>) -> Result<(), Cancelled> + Send + 'static {
    move |task| {
        order.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        facts.starts.fetch_add(1, SeqCst);
        while !facts.open.load(SeqCst) {
            task.sleep(Duration::from_millis(1))?;
        }
        facts.ends.fetch_add(1, SeqCst);
        Ok(())
    }
}
