//! The waiting tasks of one generation: first come first served within a priority, priorities aged.
//!
//! A task that is cancelled while it waits leaves a tombstone: it stops counting at once, and is swept when it
//! reaches the front or when tombstones outnumber the living.

use std::collections::VecDeque;

use crate::{
    policy::{AGE_AFTER, Priority},
    sync,
    task::{entry::Entry, id::WorkerId, isolation::Isolation},
};

/// Below so many tombstones sweeping is not worth it.
const SWEEP_FROM: usize = 64;
/// After tasks of another level came, so many are taken one by one before trays are used again.
const SINGLY_AFTER: u32 = 1024;

/// Who may still put tasks into a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LaneIntake {
    Open,
    ChildrenOnly,
    Closed,
}

pub(crate) struct Lane<I: Isolation> {
    pub(crate) number: u32,
    pub(crate) intake: LaneIntake,
    /// Workers of this lane that were woken and have not come yet, the one that watches among them.
    pub(crate) waking: usize,
    /// One of them looks whether something comes before it sleeps: it must hear the bell.
    pub(super) watched: bool,
    /// Tasks that have left the queue and are not yet where the pool looks for them: on their way back to their owner, or
    /// to a caller that runs its own. Until then the lane is not quiet.
    pub(crate) under_way: usize,
    /// New workers of this lane that are ready and have not come yet.
    pub(crate) coming: usize,
    /// The roster would start a worker for this lane if it were told that one is missing.
    pub(crate) may_grow: bool,
    /// Workers of this lane that have a tray.
    pub(super) trays: usize,
    /// The level of what lies on trays, if anything may lie there.
    pub(super) on_trays: Option<usize>,
    /// So many tasks more are taken one by one, for several levels are in use.
    singly: u32,
    levels: [Level<I>; Priority::LEVELS],
    live: usize,
    dead: usize,
}

struct Level<I: Isolation> {
    entries: VecDeque<Entry<I>>,
    live: usize,
    /// How often more urgent tasks went before since one of this level did.
    passed_over: u32,
}

impl<I: Isolation> Lane<I> {
    pub(crate) fn new(number: u32) -> Self {
        let levels = std::array::from_fn(|_| Level { entries: VecDeque::new(), live: 0, passed_over: 0 });
        Self {
            number,
            intake: LaneIntake::Open,
            waking: 0,
            watched: false,
            under_way: 0,
            coming: 0,
            may_grow: true,
            trays: 0,
            on_trays: None,
            singly: 0,
            levels,
            live: 0,
            dead: 0,
        }
    }

    /// How many wait, tombstones not counted.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn push(&mut self, level: usize, entry: Entry<I>) {
        let level = &mut self.levels[level];
        level.entries.push_back(entry);
        level.live += 1;
        self.live += 1;
    }

    /// Puts a task back that was taken and has not begun.
    pub(crate) fn push_front(&mut self, level: usize, entry: Entry<I>) {
        let level = &mut self.levels[level];
        level.entries.push_front(entry);
        level.live += 1;
        self.live += 1;
    }

    /// Takes the task whose turn it is, and makes it `worker`'s.
    pub(crate) fn pop(&mut self, worker: WorkerId) -> Option<(usize, Entry<I>)> {
        self.singly = self.singly.saturating_sub(1);
        while let Some(level) = self.whose_turn() {
            while let Some(entry) = self.levels[level].entries.pop_front() {
                if entry.start(worker) {
                    self.left(level);
                    return Some((level, entry));
                }
                self.dead = self.dead.saturating_sub(1);
            }
            // Only tasks that are being ended by their owners at this moment: nothing to take here.
            if !self.has_other_than(level) {
                return None;
            }
        }
        None
    }

    /// The level to take from, by urgency, unless a lower one was passed over often enough.
    fn whose_turn(&mut self) -> Option<usize> {
        let first = self.levels.iter().position(|level| !level.entries.is_empty())?;
        let mut turn = first;
        for (index, level) in self.levels.iter_mut().enumerate().skip(first + 1) {
            if level.live == 0 || level.entries.is_empty() {
                level.passed_over = 0;
            } else {
                level.passed_over += 1;
                if level.passed_over > AGE_AFTER {
                    turn = index;
                }
            }
        }
        self.levels[turn].passed_over = 0;
        Some(turn)
    }

    /// How many of a level each worker may have at once, if they may have more than one: not while there are other levels to
    /// choose from, or a worker is missing. No more of them work at once than there are cores, and who comes later takes from the trays.
    pub(super) fn share(&self, level: usize) -> usize {
        let alone = self.may_grow || self.singly > 0;
        if alone || self.has_other_than(level) {
            0
        } else {
            self.levels[level].entries.len() / self.trays.min(sync::cores()).max(1)
        }
    }

    /// Where a level's tasks wait, to be put onto a tray from the front; they go on counting as waiting.
    pub(super) fn waiting(&mut self, level: usize) -> &mut VecDeque<Entry<I>> {
        &mut self.levels[level].entries
    }

    /// Puts back what lay on a tray, in its order, before everything else.
    pub(super) fn put_back(
        &mut self,
        level: usize,
        entries: impl IntoIterator<Item = Entry<I>, IntoIter: DoubleEndedIterator>,
    ) {
        for entry in entries.into_iter().rev() {
            self.levels[level].entries.push_front(entry);
        }
    }

    /// So many do not wait any more: they were started from trays, or returned.
    pub(super) fn gone(&mut self, level: usize, tasks: usize) {
        self.levels[level].live -= tasks;
        self.live -= tasks;
    }

    /// Tasks of several levels came: for a while each is chosen by itself.
    pub(super) fn mixed(&mut self) {
        self.singly = SINGLY_AFTER;
    }

    fn has_other_than(&self, level: usize) -> bool {
        self.levels.iter().enumerate().any(|(index, other)| index != level && !other.entries.is_empty())
    }

    /// Takes the oldest waiting task of the lowest level that is not above `priority`, for shedding.
    pub(crate) fn shed(&mut self, priority: Priority) -> Option<Entry<I>> {
        for level in (priority.level()..Priority::LEVELS).rev() {
            while let Some(entry) = self.levels[level].entries.pop_front() {
                if entry.claim() {
                    self.left(level);
                    return Some(entry);
                }
                self.dead = self.dead.saturating_sub(1);
            }
        }
        None
    }

    /// Takes everything that waits, tombstones too, level by level. It goes on counting as waiting until it is [`gone`](Self::gone).
    pub(crate) fn take_all(&mut self) -> Vec<(usize, VecDeque<Entry<I>>)> {
        self.dead = 0;
        let levels = self.levels.iter_mut().enumerate();
        levels.map(|(number, level)| (number, std::mem::take(&mut level.entries))).collect()
    }

    /// A task was ended by its owner: it counts no more, its tombstone stays for now.
    pub(crate) fn ended(&mut self, level: usize) {
        self.left(level);
        self.dead += 1;
        if self.dead > SWEEP_FROM && self.dead > self.live {
            for level in &mut self.levels {
                level.entries.retain(Entry::is_live);
            }
            self.dead = 0;
        }
    }

    /// Those that wait, in the order of their levels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<I>> {
        self.levels.iter().flat_map(|level| level.entries.iter().filter(|entry| entry.is_live()))
    }

    fn left(&mut self, level: usize) {
        self.levels[level].live -= 1;
        self.live -= 1;
    }
}
