//! The simulation's own books where workers are processes: what each task's workers saw, and whether what its handle says is the truth.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use super::{child::Deed, director::Dice};
use crate::task::{
    handle::{Handle, Watch},
    outcome::{Outcome, Outcomes},
};

/// How a task ended, as its worker said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Value,
    Error,
    Obeyed,
    /// It answered with what it must not answer with.
    Wrong,
}

/// What one process saw of a task, in the order in which it was written to the socket. After it broke the protocol only what it began.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) pid: u32,
    pub(super) started: bool,
    pub(super) end: Option<End>,
    /// It gave it back.
    pub(super) returned: bool,
}

/// A task.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) number: u64,
    /// What happens at its first attempt, and at its second.
    pub(super) deeds: [Deed; 2],
    pub(super) idempotent: bool,
    /// It has a timeout or a deadline of its own.
    pub(super) timed: bool,
    /// Somebody may have asked it to cancel.
    asked: AtomicBool,
    tries: Mutex<Vec<Try>>,
}

struct Known {
    leaf: Arc<Leaf>,
    handle: Option<Handle<u64>>,
    watch: Watch,
}

/// Locks of std, because nothing that shuttle could preempt at happens under them.
pub(super) struct Town {
    leaves: Mutex<Vec<Arc<Leaf>>>,
    known: Mutex<Vec<Known>>,
    pub(super) rejected: AtomicU64,
    pub(super) faults: AtomicBool,
    /// Somebody may have been ended for memory.
    pub(super) capped: bool,
    pub(super) stops: AtomicBool,
    pub(super) breaks: AtomicBool,
    pub(super) sheds: AtomicBool,
    pub(super) verbose: bool,
    dice: Mutex<Dice>,
}

impl Town {
    pub(super) fn new(dice: Dice, capped: bool, verbose: bool) -> Arc<Self> {
        Arc::new(Self {
            leaves: Mutex::default(),
            known: Mutex::default(),
            rejected: AtomicU64::new(0),
            faults: AtomicBool::new(true),
            capped,
            stops: AtomicBool::new(false),
            breaks: AtomicBool::new(false),
            sheds: AtomicBool::new(false),
            verbose,
            dice: Mutex::new(dice),
        })
    }

    pub(super) fn roll<R>(&self, roll: impl FnOnce(&mut Dice) -> R) -> R {
        roll(&mut self.dice.lock().expect("not poisoned"))
    }

    pub(super) fn has_faults(&self) -> bool {
        self.faults.load(SeqCst)
    }

    pub(super) fn leaf(&self, deeds: [Deed; 2], idempotent: bool, timed: bool) -> Arc<Leaf> {
        let mut leaves = self.leaves.lock().expect("not poisoned");
        let (asked, tries) = (AtomicBool::new(false), Mutex::default());
        let leaf = Leaf { number: leaves.len() as u64, deeds, idempotent, timed, asked, tries };
        leaves.push(Arc::new(leaf));
        Arc::clone(&leaves[leaves.len() - 1])
    }

    pub(super) fn find(&self, number: u64) -> Arc<Leaf> {
        let leaves = self.leaves.lock().expect("not poisoned");
        Arc::clone(&leaves[usize::try_from(number).expect("a number of ours")])
    }

    pub(super) fn accept(&self, leaf: Arc<Leaf>, handle: Handle<u64>) {
        let watch = handle.watch();
        self.known.lock().expect("not poisoned").push(Known { leaf, handle: Some(handle), watch });
    }

    pub(super) fn reject(&self) {
        self.rejected.fetch_add(1, SeqCst);
    }

    /// Asks one of them to cancel, or lets go of its handle.
    pub(super) fn disturb(&self, number: usize, cancel: bool) {
        let (watch, dropped) = {
            let mut known = self.known.lock().expect("not poisoned");
            if known.is_empty() {
                return;
            }
            let place = number % known.len();
            let Known { leaf, handle, watch } = &mut known[place];
            if cancel {
                leaf.asked.store(true, SeqCst);
                (Some(watch.clone()), None)
            } else {
                (None, handle.take())
            }
        };
        if let Some(watch) = watch {
            watch.cancel();
        }
        drop(dropped);
    }

    fn watches(&self) -> Vec<(Arc<Leaf>, Watch)> {
        let known = self.known.lock().expect("not poisoned");
        known.iter().map(|one| (Arc::clone(&one.leaf), one.watch.clone())).collect()
    }

    /// How those handles say their tasks ended that say so; what they say is the truth.
    pub(super) fn resolved(&self) -> Outcomes {
        let mut sums = Outcomes::default();
        for (leaf, watch) in self.watches() {
            if let Some(outcome) = watch.outcome() {
                // Why it was returned may be told after it was.
                if outcome != Outcome::Returned {
                    leaf.fits(outcome, self);
                }
                sums.add(outcome, 1);
            }
        }
        sums
    }

    /// At the end every handle has resolved, once, and a value is its own.
    pub(super) fn outcomes(&self) -> Outcomes {
        let mut sums = Outcomes::default();
        for Known { leaf, handle, watch } in std::mem::take(&mut *self.known.lock().expect("not poisoned")) {
            // It may be told a moment after the pool's end: whoever ended it in the queue had counted it, and was preempted.
            let outcome = watch.wait(None).expect("not on a worker");
            if let Some(told) = handle.and_then(|mut handle| handle.try_take()) {
                let said = match told {
                    Ok(value) => {
                        assert_eq!(value, leaf.number, "the reply of another");
                        Outcome::Completed
                    }
                    Err(error) => error.outcome(),
                };
                assert_eq!(said, outcome, "a handle says one thing and then another");
            }
            leaf.fits(outcome, self);
            sums.add(outcome, 1);
        }
        sums
    }
}

impl Leaf {
    /// A process reads its TASK.
    pub(super) fn arrives(&self, pid: u32, attempt: u32) {
        let mut tries = self.tries.lock().expect("not poisoned");
        let number = self.number;
        let begun = tries.iter().filter(|one| one.started).count();
        assert!(
            attempt == 1 && begun == 0 || attempt == 2 && begun == 1 && self.idempotent,
            "task {number} comes to process {pid} as attempt {attempt}, idempotent {}, after {tries:?}",
            self.idempotent
        );
        tries.push(Try { pid, started: false, end: None, returned: false });
    }

    /// Writes down what the process that has it does with it.
    pub(super) fn note(&self, pid: u32, note: impl FnOnce(&mut Try)) {
        let mut tries = self.tries.lock().expect("not poisoned");
        let last = tries.iter_mut().rev().find(|one| one.pid == pid).expect("it came there");
        note(last);
        let (starts, number) = (tries.iter().filter(|one| one.started).count(), self.number);
        assert!(starts <= 1 + usize::from(self.idempotent), "task {number} began {starts} times: {tries:?}");
    }

    /// Whether an outcome is the truth about this task.
    fn fits(&self, outcome: Outcome, town: &Town) {
        let tries = self.tries.lock().expect("not poisoned").clone();
        let (asked, stops) = (self.asked.load(SeqCst), town.stops.load(SeqCst));
        let starts = tries.iter().filter(|one| one.started).count();
        let last = tries.iter().rfind(|one| one.started || one.end.is_some());
        let end = last.and_then(|last| last.end);
        let open = starts > 0 && end.is_none();
        let fits = match outcome {
            Outcome::Completed => starts > 0 && end == Some(End::Value),
            Outcome::Failed => matches!(end, Some(End::Error | End::Wrong | End::Obeyed)),
            Outcome::Cancelled if end == Some(End::Obeyed) => asked || stops,
            // One whose worker died under it and that was asked before it began once more.
            Outcome::Cancelled if open => self.idempotent && (asked || stops),
            Outcome::Cancelled => starts == 0 && (asked || stops || town.sheds.load(SeqCst)),
            Outcome::TimedOut => {
                self.timed && (starts == 0 || end == Some(End::Obeyed) || open && self.idempotent)
            }
            Outcome::Returned => starts == 0 && (stops || town.breaks.load(SeqCst)),
            Outcome::Killed => open && (asked || stops || self.timed || town.capped),
            Outcome::Crashed => open,
            // Whoever was sent may have begun, for all the pool knew.
            Outcome::Abandoned => stops,
            Outcome::Panicked => false,
        };
        let (number, timed, idempotent) = (self.number, self.timed, self.idempotent);
        assert!(
            fits,
            "task {number}: {outcome}, and its workers saw {tries:?}; asked {asked}, timed {timed}, idempotent {idempotent}, stops {stops}"
        );
    }
}
