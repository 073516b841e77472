//! The roster's invariants in random walks.

use super::*;

/// A world for the roster to decide in: what it started and told to leave does so at some random time.
struct World {
    roster: Roster,
    bits: u64,
    now: u32,
    starting: Vec<WorkerId>,
    serving: Vec<WorkerId>,
    leaving: Vec<WorkerId>,
    asked: Vec<WorkerId>,
    rolls: usize,
}

impl World {
    fn new(seed: u64, handover: Handover) -> Self {
        let settings =
            Settings { handover, abandoned_cap: Some(usize::MAX), max_age: Some(30 * SECOND), ..settings() };
        let (starting, serving, leaving, asked) = Default::default();
        let roster = Roster::new(settings, 1, 3);
        Self { roster, bits: seed, now: 1, starting, serving, leaving, asked, rolls: 0 }
    }

    fn dice(&mut self, bound: usize) -> usize {
        self.bits = self.bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.bits >> 33).expect("31 bits") % bound
    }

    fn pick(&mut self, from: fn(&mut Self) -> &mut Vec<WorkerId>) -> Option<WorkerId> {
        let count = from(self).len();
        if count == 0 {
            return None;
        }
        let place = self.dice(count);
        Some(from(self).swap_remove(place))
    }

    fn step(&mut self) {
        let waiting = self.dice(4);
        let unserved: Unserved<'_> = &|_| waiting;
        let now = at(self.now);
        let actions = match self.dice(10) {
            0 | 1 => match self.pick(|world| &mut world.starting) {
                Some(id) => {
                    self.serving.push(id);
                    let mut actions = self.roster.ready(id, now);
                    actions.extend(self.roster.review(unserved));
                    actions
                }
                None => self.roster.review(unserved),
            },
            2 if self.dice(4) == 0 => match self.pick(|world| &mut world.starting) {
                Some(id) => self.roster.start_failed(id, &"no".into(), now),
                None => Vec::new(),
            },
            3 | 4 => match self.pick(|world| &mut world.leaving) {
                Some(id) => self.roster.ended(id, unserved),
                None => Vec::new(),
            },
            5 if self.dice(4) == 0 => match self.serving.first() {
                Some(id) => self.roster.due_now(*id, RetireReason::Size, unserved),
                None => Vec::new(),
            },
            5 => match self.serving.first() {
                Some(id) => self.roster.due(*id, RetireReason::Tasks, unserved),
                None => Vec::new(),
            },
            6 => match self.pick(|world| &mut world.serving) {
                Some(id) => {
                    self.leaving.push(id);
                    self.roster.leaves(id, RetireReason::Panicked);
                    self.roster.review(unserved)
                }
                None => Vec::new(),
            },
            7 => match self.asked.pop() {
                Some(id) => self.roster.snapshot_taken(id),
                None => self.roster.roll(unserved),
            },
            8 => {
                self.now += 1;
                self.roster.tick(at(self.now), unserved)
            }
            _ => match self.serving.last() {
                Some(id) => self.roster.idle_expired(*id),
                None => Vec::new(),
            },
        };
        self.perform(actions);
        self.check();
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { id, .. } => self.starting.push(id),
                Action::Snapshot { id } => self.asked.push(id),
                Action::Retire { id, .. } => {
                    let place = self.serving.iter().position(|other| *other == id);
                    self.serving.remove(place.expect("only who serves is told to leave, and once"));
                    self.leaving.push(id);
                }
                Action::Break { .. } => {
                    let _ = self.roster.begin_generation(1);
                    self.roster.end_generation(1);
                }
                Action::RollOver { .. } => self.rolls += 1,
            }
        }
    }

    fn check(&self) {
        let members = self.starting.len() + self.serving.len() + self.leaving.len();
        assert_eq!(members, self.roster.members.len());
        let replaced = self.roster.members.values().filter(|member| member.handing_over).count();
        let (_, max) = self.roster.limits();
        let counted = members - replaced;
        assert!(counted <= max, "{counted} of at most {max}: {:#?}", self.roster);
        assert!(self.serving.len() <= max + self.roster.settings.surge);
    }

    /// Lets everything that was begun come to its end; the minimum must be there then, and a rolling restart over.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.now += 1;
            let mut actions = self.roster.tick(at(self.now), NOBODY);
            if let Some(id) = self.starting.pop() {
                self.serving.push(id);
                actions.extend(self.roster.ready(id, at(0)));
            } else if let Some(id) = self.leaving.pop() {
                actions.extend(self.roster.ended(id, NOBODY));
            } else if let Some(id) = self.asked.pop() {
                actions.extend(self.roster.snapshot_taken(id));
            }
            self.perform(actions);
            self.check();
        }
        assert!(
            self.starting.is_empty() && self.leaving.is_empty(),
            "it never comes to rest: {:#?}",
            self.roster
        );
        assert!(!self.roster.rolling, "a rolling restart without an end: {:#?}", self.roster);
        assert!(self.serving.len() >= self.roster.floor, "{:#?}", self.roster);
    }
}

#[test]
fn no_walk_leads_above_the_maximum_or_to_a_standstill() {
    let mut rolls = 0;
    for handover in [Handover::NewFirst, Handover::NewFirstFromSnapshot, Handover::OldFirst] {
        for seed in 0..100 {
            let mut world = World::new(seed, handover);
            for _ in 0..200 {
                world.step();
            }
            // Nobody gets old any more, so that it can come to rest.
            world.roster.settings.max_age = None;
            world.roster.members.values_mut().for_each(|member| member.old_at = None);
            world.settle();
            rolls += world.rolls;
        }
    }
    assert!(rolls > 300, "only {rolls} rolling restarts came to an end");
}
