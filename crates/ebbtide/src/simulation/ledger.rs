//! The simulation's own books: what was accepted, what each body saw, how each handle resolved. The pool's counters are held against them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
};

use super::director::Dice;
use crate::{
    schedule::{Job, OneShot},
    sync::{self, Thread},
    task::{
        handle::{Handle, Watch},
        outcome::{Outcome, Outcomes},
    },
};

/// How a body ended, as it saw it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    NotYet,
    Value,
    Error,
    Obeyed,
    Panic,
}

const ENDS: [End; 5] = [End::NotYet, End::Value, End::Error, End::Obeyed, End::Panic];

/// One body.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) number: u64,
    starts: AtomicU32,
    end: AtomicU32,
    drops: AtomicU32,
    /// Somebody may have asked it to cancel.
    pub(super) asked: AtomicBool,
    /// It has a timeout or a deadline of its own.
    pub(super) timed: AtomicBool,
}

/// How its end is heard of.
pub(super) enum Ticket {
    Handle(Option<Handle<()>>, Watch),
    Timer(OneShot<()>),
    /// Executed without a handle: only the body tells.
    Nobody,
}

struct Known {
    page: Arc<Page>,
    ticket: Ticket,
}

/// A body's presence: its drop is counted.
pub(super) struct Work {
    pub(super) ledger: Arc<Ledger>,
    pub(super) page: Arc<Page>,
}

/// Locks of std, because nothing that shuttle could preempt at happens under them.
pub(super) struct Ledger {
    known: Mutex<Vec<Known>>,
    /// Those whose outcome was taken.
    pages: Mutex<Vec<Arc<Page>>>,
    jobs: Mutex<Vec<Job>>,
    pub(super) rejected: AtomicU64,
    number: AtomicU64,
    runs_of_jobs: AtomicU64,
    /// Worker states that exist.
    states: AtomicU64,
    built: AtomicU64,
    /// Closed while bodies and builders that stick are to stick.
    open: AtomicBool,
    stuck: Mutex<Vec<Thread>>,
    pub(super) faults: AtomicBool,
    dice: Mutex<Dice>,
    pub(super) aborts: AtomicBool,
    pub(super) stops: AtomicBool,
    pub(super) sheds: AtomicBool,
    /// Whatever waited may have been returned for another reason: the pool broke.
    pub(super) breaks: AtomicBool,
}

impl Ledger {
    pub(super) fn new(dice: Dice) -> Arc<Self> {
        Arc::new(Self {
            known: Mutex::default(),
            pages: Mutex::default(),
            jobs: Mutex::default(),
            rejected: AtomicU64::new(0),
            number: AtomicU64::new(0),
            runs_of_jobs: AtomicU64::new(0),
            states: AtomicU64::new(0),
            built: AtomicU64::new(0),
            open: AtomicBool::new(false),
            stuck: Mutex::default(),
            faults: AtomicBool::new(true),
            dice: Mutex::new(dice),
            aborts: AtomicBool::new(false),
            stops: AtomicBool::new(false),
            sheds: AtomicBool::new(false),
            breaks: AtomicBool::new(false),
        })
    }

    pub(super) fn work(self: &Arc<Self>) -> Work {
        let number = self.number.fetch_add(1, SeqCst);
        let page = Arc::new(Page { number, ..Page::default() });
        Work { ledger: Arc::clone(self), page }
    }

    pub(super) fn roll<R>(&self, roll: impl FnOnce(&mut Dice) -> R) -> R {
        roll(&mut self.dice.lock().expect("not poisoned"))
    }

    pub(super) fn accept(&self, page: Arc<Page>, ticket: Ticket) {
        self.known.lock().expect("not poisoned").push(Known { page, ticket });
    }

    pub(super) fn accept_job(&self, job: Job) {
        self.jobs.lock().expect("not poisoned").push(job);
    }

    pub(super) fn run_of_job(&self) {
        self.runs_of_jobs.fetch_add(1, SeqCst);
    }

    pub(super) fn reject(&self) {
        self.rejected.fetch_add(1, SeqCst);
    }

    /// Asks one of those with a handle to cancel, or lets go of its handle.
    pub(super) fn disturb(&self, number: usize, cancel: bool) {
        let (watch, dropped) = {
            let mut known = self.known.lock().expect("not poisoned");
            if known.is_empty() {
                return;
            }
            let place = number % known.len();
            let Known { page, ticket } = &mut known[place];
            match ticket {
                Ticket::Handle(_, watch) if cancel => {
                    page.asked.store(true, SeqCst);
                    (Some(watch.clone()), None)
                }
                Ticket::Handle(handle, _) => (None, handle.take()),
                Ticket::Timer(timer) if cancel => {
                    page.asked.store(true, SeqCst);
                    let job = timer.job().clone();
                    drop(known);
                    job.cancel();
                    return;
                }
                _ => return,
            }
        };
        if let Some(watch) = watch {
            watch.cancel();
        }
        drop(dropped);
    }

    /// A job, to do something to it.
    pub(super) fn job(&self, number: usize) -> Option<Job> {
        let jobs = self.jobs.lock().expect("not poisoned");
        (!jobs.is_empty()).then(|| jobs[number % jobs.len()].clone())
    }

    /// Waits until the door opens, whatever is asked.
    pub(super) fn stick(&self) {
        while !self.open.load(SeqCst) {
            self.stuck.lock().expect("not poisoned").push(sync::current());
            sync::park();
        }
    }

    pub(super) fn open_the_door(&self) {
        self.open.store(true, SeqCst);
        let stuck = std::mem::take(&mut *self.stuck.lock().expect("not poisoned"));
        stuck.iter().for_each(Thread::unpark);
    }

    pub(super) fn state_built(&self) {
        self.built.fetch_add(1, SeqCst);
        self.states.fetch_add(1, SeqCst);
    }

    pub(super) fn state_dropped(&self) {
        self.states.fetch_sub(1, SeqCst);
    }

    pub(super) fn states(&self) -> u64 {
        self.states.load(SeqCst)
    }

    /// What holds at any time: a handle that says how its body ended says so after it, and nothing runs twice.
    pub(super) fn look(&self) {
        let watch = |ticket: &Ticket| match ticket {
            Ticket::Handle(_, watch) => Some(watch.clone()),
            _ => None,
        };
        // Copied out: whoever looks at an outcome may be preempted.
        let known: Vec<_> = {
            let known = self.known.lock().expect("not poisoned");
            known.iter().map(|one| (Arc::clone(&one.page), watch(&one.ticket))).collect()
        };
        for (page, watch) in known {
            assert!(page.starts.load(SeqCst) <= 1, "body {} ran twice", page.number);
            assert!(page.drops.load(SeqCst) <= 1, "body {} was dropped twice", page.number);
            // Why it was returned may be told after it was.
            if let Some(outcome) = watch.and_then(|watch| watch.outcome())
                && outcome != Outcome::Returned
            {
                page.fits(outcome, self);
            }
        }
    }

    /// How those handles say their tasks ended that say so.
    pub(super) fn resolved(&self) -> Outcomes {
        let watches: Vec<Watch> = {
            let known = self.known.lock().expect("not poisoned");
            let watch = |one: &Known| {
                if let Ticket::Handle(_, watch) = &one.ticket { Some(watch.clone()) } else { None }
            };
            known.iter().filter_map(watch).collect()
        };
        let mut sums = Outcomes::default();
        watches.iter().filter_map(Watch::outcome).for_each(|outcome| sums.add(outcome, 1));
        sums
    }

    /// At the end every handle has resolved: how many ended how. `all` is what the pool counted, runs of jobs not among them; it has the
    /// last word only on tasks without a handle, and only where their bodies leave two ways open.
    pub(super) fn outcomes(&self, all: &Outcomes) -> Outcomes {
        let mut sums = Outcomes::default();
        let mut alone = Outcomes::default();
        for Known { page, ticket } in self.take_known() {
            let outcome = match ticket {
                Ticket::Handle(handle, watch) => {
                    // It may be told a moment after the pool's end: whoever ended it in the queue had counted it, and was preempted.
                    let outcome = watch.wait(None).ok();
                    let told = handle.and_then(|mut handle| handle.try_take());
                    if let (Some(told), Some(outcome)) = (told, outcome) {
                        let told = told.map_or_else(|error| error.outcome(), |()| Outcome::Completed);
                        assert_eq!(told, outcome, "a handle says one thing and then another");
                    }
                    outcome
                }
                Ticket::Timer(timer) => timer.outcome(),
                Ticket::Nobody => {
                    alone.add(page.own_outcome(), 1);
                    self.pages.lock().expect("not poisoned").push(page);
                    continue;
                }
            };
            let outcome = outcome.unwrap_or_else(|| panic!("body {} has no outcome", page.number));
            page.fits(outcome, self);
            sums.add(outcome, 1);
            self.pages.lock().expect("not poisoned").push(page);
        }
        // One that ended may have been abandoned before; one that never began may have been shed.
        for (seen, or) in [
            (Outcome::Completed, Outcome::Abandoned),
            (Outcome::Panicked, Outcome::Abandoned),
            (Outcome::Returned, Outcome::Cancelled),
        ] {
            let count = alone.get(seen);
            let certain = count.min(all.get(seen).saturating_sub(sums.get(seen)));
            sums.add(seen, certain);
            sums.add(or, count - certain);
        }
        sums.add(Outcome::Abandoned, alone.get(Outcome::Abandoned));
        assert_eq!(alone.get(Outcome::Failed) + alone.get(Outcome::Cancelled), 0, "no such body is executed");
        sums
    }

    fn take_known(&self) -> Vec<Known> {
        std::mem::take(&mut self.known.lock().expect("not poisoned"))
    }

    pub(super) fn take_jobs(&self) -> Vec<Job> {
        std::mem::take(&mut self.jobs.lock().expect("not poisoned"))
    }

    pub(super) fn runs_of_jobs(&self) -> u64 {
        self.runs_of_jobs.load(SeqCst)
    }

    /// Every body that was ever made has been dropped, once.
    pub(super) fn all_dropped(&self) {
        for page in self.pages.lock().expect("not poisoned").iter() {
            assert_eq!(page.drops.load(SeqCst), 1, "drops of body {}", page.number);
        }
    }
}

impl Page {
    pub(super) fn start(&self) {
        self.starts.fetch_add(1, SeqCst);
    }

    pub(super) fn end(&self, end: End) {
        let code = ENDS.iter().position(|one| *one == end).expect("one of them");
        let before = self.end.swap(code as u32, SeqCst);
        assert_eq!(before, 0, "body {} ended twice", self.number);
    }

    fn own_outcome(&self) -> Outcome {
        match ENDS[self.end.load(SeqCst) as usize] {
            End::Value => Outcome::Completed,
            End::Panic => Outcome::Panicked,
            End::Error => Outcome::Failed,
            End::Obeyed => Outcome::Cancelled,
            // It sticks, or never began.
            End::NotYet if self.starts.load(SeqCst) == 1 => Outcome::Abandoned,
            End::NotYet => Outcome::Returned,
        }
    }

    /// Whether an outcome is the truth about this body.
    fn fits(&self, outcome: Outcome, ledger: &Ledger) {
        let (starts, end) = (self.starts.load(SeqCst), ENDS[self.end.load(SeqCst) as usize]);
        let (asked, timed) = (self.asked.load(SeqCst), self.timed.load(SeqCst));
        let said = |flag: &AtomicBool| flag.load(SeqCst);
        let why = match outcome {
            Outcome::Completed => end == End::Value,
            Outcome::Failed => end == End::Error,
            Outcome::Panicked => end == End::Panic,
            Outcome::Cancelled if starts == 0 => asked || said(&ledger.sheds),
            Outcome::Cancelled => end == End::Obeyed && (asked || said(&ledger.aborts)),
            Outcome::TimedOut => timed && (starts == 0 || end == End::Obeyed),
            Outcome::Returned => starts == 0 && (said(&ledger.stops) || said(&ledger.breaks)),
            Outcome::Abandoned => starts == 1,
            Outcome::Killed | Outcome::Crashed => false,
        };
        let number = self.number;
        assert!(
            why,
            "body {number}: {outcome}, and it started {starts} times and ended {end:?}; asked {asked}, timed {timed}"
        );
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.page.drops.fetch_add(1, SeqCst);
    }
}
