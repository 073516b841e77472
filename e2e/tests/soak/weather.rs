//! The weather, and the soak in it: tasks come from several threads, while others resize, restart, pause, end and reopen the pool, and hit
//! its workers.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ebbtide::{Handle, Outcome, Pool, Report, Restart, Shutdown, WaitError};

use crate::books::{Books, Log};
use crate::dice::Dice;
use crate::measure::Course;
use crate::population::Population;
use crate::term::Term;
use crate::tools::{LONG, now, pause};

const SUBMITTERS: u64 = 3;
/// No task takes so long, on a machine on which the start of a worker takes a quarter of a minute.
const HANGS: Duration = Duration::from_mins(5);
/// Between two looks at what it costs.
const LOOK: Duration = Duration::from_millis(250);

struct Weather<P: Population> {
    population: P,
    pool: RwLock<Arc<Pool<P::Isolation>>>,
    books: Books,
    log: Arc<Log>,
    over: AtomicBool,
}

/// Where one thread fails the others need not go on.
struct EndsAll<'w>(&'w AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

impl<P: Population> Weather<P> {
    fn new(population: P, seed: u64) -> Self {
        let log = Arc::<Log>::default();
        let pool = RwLock::new(Arc::new(population.pool(&log, &mut Dice(seed))));
        Self { population, pool, books: Books::default(), log, over: AtomicBool::new(false) }
    }

    fn pool(&self) -> Arc<Pool<P::Isolation>> {
        Arc::clone(&self.pool.read().unwrap())
    }

    /// Does something again and again, until it is over.
    fn often(&self, seed: u64, mut something: impl FnMut(&mut Dice)) {
        let _ends = EndsAll(&self.over);
        let mut dice = Dice(seed);
        while !self.over.load(SeqCst) {
            something(&mut dice);
        }
    }

    /// Submits, cancels some of it, and waits for all.
    fn submit(&self, dice: &mut Dice) {
        let pool = self.pool();
        let tasks: Vec<_> =
            (0..1 + dice.below(200)).filter_map(|_| self.population.submit(&pool, dice)).collect();
        for (deed, handle) in tasks {
            if dice.below(50) == 0 {
                handle.cancel();
            }
            self.end(deed, handle);
        }
        pause(Duration::from_millis(dice.below(P::REST)));
    }

    /// Waits for the end of a task, and writes it down.
    fn end(&self, deed: P::Deed, mut handle: Handle<P::Value>) {
        let end = match handle.wait_timeout(HANGS) {
            Ok(value) => Ok(value),
            Err(WaitError::Task(error)) => Err(error),
            Err(other) => {
                let now = self.pool().stats();
                panic!("task {} does not end: {other}; {:?}, {now:?}", handle.id(), handle.state());
            }
        };
        let outcome = end.as_ref().map_or_else(|error| error.outcome(), |_| Outcome::Completed);
        assert_eq!(handle.outcome(), Some(outcome), "task {}", handle.id());
        assert!(!matches!(handle.try_take(), Some(Ok(_))), "task {} was resolved twice", handle.id());
        self.books.end(outcome);
        if let Err(wrong) = self.population.judge(deed, end) {
            panic!("task {} ended {outcome}: {wrong}", handle.id());
        }
    }

    /// Does something to the pool.
    fn blow(&self, dice: &mut Dice) {
        let pool = self.pool();
        let small = |dice: &mut Dice, below| usize::try_from(dice.below(below)).unwrap();
        match dice.below(12) {
            0 | 1 => self.reopen(dice),
            2 | 3 => restart(&pool, Restart::rolling(), dice),
            4 => restart(&pool, Restart::drain(), dice),
            5 => restart(&pool, Restart::stop(), dice),
            6 => restart(&pool, Restart::abort(), dice),
            7 | 8 => {
                let min = small(dice, 3);
                pool.resize(min..=min + 1 + small(dice, 2)).unwrap();
            }
            9 => {
                pool.pause();
                pause(Duration::from_millis(dice.below(3)));
                pool.resume();
            }
            _ => pause(Duration::from_millis(dice.below(20))),
        }
        drop(pool.take_returned());
        let stats = pool.stats();
        assert_eq!(stats.accepted, stats.queued + stats.running + stats.outcomes.total(), "{stats:?}");
        if stats.broken.is_some() {
            restart(&pool, Restart::drain(), dice);
        }
    }

    /// Ends the pool, and puts another in its place.
    fn reopen(&self, dice: &mut Dice) {
        let next = Arc::new(self.population.pool(&self.log, dice));
        let pool = std::mem::replace(&mut *self.pool.write().unwrap(), next);
        let mode = [Shutdown::drain(), Shutdown::stop(), Shutdown::abort()];
        self.close(&pool, mode[usize::try_from(dice.below(3)).unwrap()]);
    }

    fn close(&self, pool: &Pool<P::Isolation>, mode: Shutdown) {
        // Its own deadline is shorter; this is for a pool that misses it.
        let report: Report =
            pool.shutdown(mode).wait_timeout(2 * LONG).unwrap_or_else(|still| panic!("{still}"));
        assert!(report.law_holds() && report.queued + report.running == 0, "{report}");
        let stats = pool.stats();
        assert_eq!(stats.outcomes, report.outcomes, "the pool's counters and its report's");
        assert_eq!((stats.workers.alive, stats.accepted), (0, report.accepted), "{stats:?}");
        self.log.over(&stats);
        drop(pool.take_returned());
    }

    /// As many tasks as there should be, and of every end.
    fn is_enough(&self, term: &Term) -> bool {
        let ends = self.books.ends();
        self.books.sum() >= term.tasks && P::ENDS.iter().all(|end| ends[*end as usize] > 0)
    }

    /// Until the time is over and it is enough; a slow machine gets more time.
    fn watch(&self, term: &Term) -> Course {
        let begun = now();
        let looks = term.at_most().as_millis() / LOOK.as_millis() + 8;
        let mut course = Course::with_room(usize::try_from(looks).unwrap());
        let done = || begun.elapsed() >= term.time && self.is_enough(term);
        while !self.over.load(SeqCst) && !done() && begun.elapsed() < term.at_most() {
            pause(LOOK);
            course.take(begun.elapsed());
        }
        self.over.store(true, SeqCst);
        course
    }

    fn blows(&self, term: &Term) -> Course {
        std::thread::scope(|scope| {
            let seed = |number| term.seed.wrapping_mul(31).wrapping_add(number);
            for number in 0..SUBMITTERS {
                scope.spawn(move || self.often(seed(number), |dice| self.submit(dice)));
            }
            scope.spawn(move || {
                self.often(seed(98), |dice| {
                    self.blow(dice);
                    pause(Duration::from_millis(dice.below(P::CALM)));
                });
            });
            scope.spawn(move || {
                self.often(seed(99), |dice| {
                    pause(Duration::from_millis(dice.below(600)));
                    self.population.hurt(dice);
                });
            });
            self.watch(term)
        })
    }
}

/// Restarts, and mostly waits for the end of it: else the next thing happens on top of it.
fn restart<I: ebbtide::Isolation>(pool: &Pool<I>, how: Restart, dice: &mut Dice) {
    let _ = pool.restart(how).wait_timeout(Duration::from_millis(dice.below(1_500)));
}

/// Puts a population under the weather and holds it to the books.
#[expect(clippy::print_stderr, reason = "what came of it is said")]
pub(crate) fn soak<P: Population>(population: P, term: Term) {
    let name = population.name();
    eprintln!("{name}: to repeat it with the same dice: {}", term.command());
    let weather = Weather::new(population, term.seed);
    let begun = now();
    let course = weather.blows(&term);
    let took = begun.elapsed();
    // The faults have stopped, what they have left has not been mended: some workers are stopped for good.
    let ending = now();
    weather.close(&weather.pool(), Shutdown::drain());
    let (ends, told, (costs, grown)) = (weather.books.ends(), weather.log.told(), course.growth());
    let by: Vec<_> = Outcome::ALL.iter().map(|one| format!("{} {one}", ends[*one as usize])).collect();
    eprintln!("{name}: {} tasks in {took:.0?}: {}", weather.books.sum(), by.join(", "));
    eprintln!(
        "{name}: {} pools, {} workers started, retired {:?}, {} outputs, {} times broken, {} tried again, unstarted {:?}",
        told.pools, told.started, told.retired, told.lines, told.broken, told.quarantined, told.unstarted
    );
    eprintln!("{name}: deaths {:?}", told.deaths);
    eprintln!(
        "{name}: {costs}; slope of the memory {:+.1} %/h; the last drain took {:.0?}",
        course.slope(),
        ending.elapsed()
    );
    assert_eq!((ends, weather.books.sum()), (told.ends, told.accepted), "our books and the pools'");
    assert!(grown.is_empty(), "has grown: {grown:?}");
    assert!(!term.is_long() || course.slope() < 1.0, "the memory grows by {:.2} % an hour", course.slope());
    let (tasks, ends_wanted) = (term.tasks, P::ENDS);
    assert!(weather.is_enough(&term), "not {tasks} tasks in {took:?}, or not each of {ends_wanted:?}");
    if let Err(wrong) = weather.population.judge_all(ends, &told.deaths) {
        panic!("{wrong}");
    }
}
