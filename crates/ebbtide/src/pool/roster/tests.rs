//! The roster's decisions, one by one; its invariants in random walks are in `walks`. No thread, no clock.

mod walks;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NOBODY: Unserved<'static> = &|_| 0;

fn settings() -> Settings {
    Settings {
        surge: 1,
        intensity: 3,
        period: 10 * SECOND,
        backoff_min: SECOND / 10,
        backoff_max: 10 * SECOND,
        handover: Handover::NewFirst,
        max_age: None,
        jitter: 0.0,
        abandoned_cap: None,
    }
}

fn roster(min: usize, max: usize) -> Roster {
    Roster::new(settings(), min, max)
}

fn at(seconds: u32) -> Moment {
    Moment::from_nanos(1).plus(SECOND * seconds)
}

fn started(actions: &[Action]) -> Vec<u32> {
    let start = |action: &Action| if let Action::Start { id, .. } = action { Some(id.0) } else { None };
    actions.iter().filter_map(start).collect()
}

fn retired(actions: &[Action]) -> Vec<(u32, RetireReason)> {
    let retire =
        |action: &Action| if let Action::Retire { id, why } = action { Some((id.0, *why)) } else { None };
    actions.iter().filter_map(retire).collect()
}

fn rolled(actions: &[Action]) -> Option<bool> {
    actions.iter().find_map(|action| match action {
        Action::RollOver { failed } => Some(failed.is_none()),
        _ => None,
    })
}

/// A roster whose minimum serves.
fn serving(min: usize, max: usize, settings: Settings) -> Roster {
    let mut roster = Roster::new(settings, min, max);
    for id in started(&roster.warm(min, NOBODY).1) {
        assert_eq!(roster.ready(WorkerId(id), at(0)), []);
    }
    roster
}

#[test]
fn it_starts_nobody_until_somebody_is_needed() {
    let mut roster = roster(2, 4);
    assert_eq!(roster.review(NOBODY), [], "an unused pool has no workers");
    assert_eq!(started(&roster.review(&|_| 1)), [1]);
    assert_eq!(roster.review(&|_| 1), [], "one is on its way for it");
    assert_eq!(started(&roster.review(&|_| 9)), [2, 3, 4], "never more than the maximum");
    assert_eq!(roster.review(&|_| 9), []);
}

/// What `warm_up` and a restart wait for.
#[test]
fn it_is_warm_when_its_minimum_serves_in_the_present_generation() {
    let mut roster = roster(2, 4);
    assert!(roster.is_warm(), "nobody was asked for");
    assert_eq!((roster.generation(), started(&roster.warm(2, NOBODY).1)), (1, vec![1, 2]));
    assert!(!roster.is_warm());
    assert_eq!(roster.ready(WorkerId(1), at(0)), []);
    assert!(!roster.is_warm(), "one of two");
    assert_eq!(roster.ready(WorkerId(2), at(0)), []);
    assert!(roster.is_warm());
    assert_eq!(roster.begin_generation(2), []);
    assert!(roster.generation() == 2 && !roster.is_warm(), "those are of the old one");
    for id in started(&roster.review(NOBODY)) {
        assert_eq!(roster.ready(WorkerId(id), at(1)), []);
    }
    assert!(roster.is_warm());
}

#[test]
fn a_broken_pool_says_why() {
    let mut roster = roster(1, 1);
    assert_eq!(started(&roster.warm(1, NOBODY).1), [1]);
    for _ in 0..3 {
        assert_eq!(roster.died_young(WorkerId(1), &"no".into(), at(1)), []);
    }
    assert_eq!(
        roster.died_young(WorkerId(1), &"it is ill".into(), at(1)),
        [Action::Break { cause: "it is ill".into() }]
    );
    assert_eq!(roster.broken().map(|cause| &**cause), Some("it is ill"));
    assert_eq!(roster.tick(at(9), NOBODY), []);
    assert!(!roster.is_warm() && !roster.may_grow(1));
    // Who died is still on its way out, which does not make the pool one that is served.
    let mut roster = serving(1, 1, settings());
    roster.leaves(WorkerId(1), RetireReason::Crashed);
    let broke = [1; 4].map(|_| !roster.died_young(WorkerId(1), &"no".into(), at(1)).is_empty());
    assert_eq!(broke, [false, false, false, true]);
    // As many as it bears, and one at the far end of its period, which counts still.
    let mut roster = self::roster(1, 1);
    let times = [at(0), at(1), at(10), at(10)];
    let broke = times.map(|now| {
        roster
            .died_young(WorkerId(1), &"no".into(), now)
            .iter()
            .any(|one| matches!(one, Action::Break { .. }))
    });
    assert_eq!(broke, [false, false, false, true]);
}

#[test]
fn nobody_goes_for_a_replacement_that_cannot_be_had() {
    for handover in [Handover::NewFirst, Handover::OldFirst] {
        let roster = || serving(1, 1, Settings { handover, ..settings() });
        let due = |roster: &mut Roster| roster.due(WorkerId(1), RetireReason::Tasks, NOBODY);
        let mut pausing = roster();
        assert_eq!(pausing.died_young(WorkerId(1), &"no".into(), at(1)), []);
        assert_eq!(due(&mut pausing), [], "{handover:?}: it pauses");
        assert_ne!(pausing.tick(at(2), NOBODY), [], "{handover:?}: after the pause it goes");
        let mut broken = roster();
        (0..4).for_each(|_| drop(broken.died_young(WorkerId(1), &"no".into(), at(1))));
        assert_eq!(broken.tick(at(2), NOBODY), []);
        assert_eq!(due(&mut broken), [], "{handover:?}: it is broken");
        let mut shut = roster();
        assert_eq!(shut.shut(), []);
        assert_eq!(due(&mut shut), [], "{handover:?}: it shuts down");
    }
}

#[test]
fn whoever_leaves_keeps_its_place_until_it_is_gone_unless_its_replacement_serves() {
    let exclusive = Settings { handover: Handover::OldFirst, ..settings() };
    let mut roster = serving(1, 1, exclusive);
    let left = [(1, RetireReason::Tasks)];
    assert_eq!(retired(&roster.due(WorkerId(1), RetireReason::Tasks, NOBODY)), left);
    assert_eq!(roster.review(&|_| 9), [], "its successor must not meet it");
    let mut roster = serving(1, 1, settings());
    roster.leaves(WorkerId(1), RetireReason::Panicked);
    assert_eq!(roster.review(&|_| 9), [], "its thread is still there");
    let mut roster = serving(1, 2, settings());
    assert_eq!(started(&roster.due(WorkerId(1), RetireReason::Tasks, NOBODY)), [2]);
    assert_eq!(started(&roster.review(&|_| 9)), [3], "it serves on, and its replacement is one too many");
    assert_eq!(roster.review(&|_| 9), []);
    assert_eq!(retired(&roster.ready(WorkerId(2), at(1))), left);
    assert_eq!(roster.review(&|_| 9), [], "two are there beside the one that leaves");
    assert_eq!(roster.start_failed(WorkerId(3), &"no".into(), at(1)), []);
    assert_eq!(started(&roster.tick(at(2), &|_| 9)), [4], "the one that leaves has no place any more");
}

#[test]
fn no_more_are_replaced_at_a_time_than_the_surge() {
    let mut roster = serving(3, 3, settings());
    assert_eq!(started(&roster.due(WorkerId(1), RetireReason::Tasks, NOBODY)), [4]);
    assert_eq!(roster.due(WorkerId(2), RetireReason::Tasks, NOBODY), [], "one at a time");
    // The one that is replaced is gone before its replacement is there.
    roster.leaves(WorkerId(1), RetireReason::Panicked);
    assert_eq!(roster.ended(WorkerId(1), NOBODY), [], "its replacement is still on the way");
    assert_eq!(roster.ready(WorkerId(4), at(1)), []);
    assert_eq!(started(&roster.review(NOBODY)), [5], "now the next");
}

/// Whoever takes over an exclusive state gets it, and nobody is started who is not needed.
#[test]
fn who_comes_after_an_exclusive_worker_is_built_from_it() {
    let exclusive = || Settings { handover: Handover::OldFirst, ..settings() };
    let successor = |id| Action::Start { id: WorkerId(id), lane: 1, generation: 1, from: Some(WorkerId(1)) };
    let due = |roster: &mut Roster| assert_eq!(roster.due(WorkerId(1), RetireReason::Tasks, NOBODY).len(), 1);
    let mut alone = serving(1, 1, exclusive());
    due(&mut alone);
    assert_eq!(alone.ended(WorkerId(1), NOBODY), [successor(2)], "for the minimum");
    let two = || {
        let mut roster = serving(1, 2, exclusive());
        assert_eq!(started(&roster.review(&|_| 1)), [2]);
        assert_eq!(roster.ready(WorkerId(2), at(0)), []);
        due(&mut roster);
        roster
    };
    assert_eq!(two().ended(WorkerId(1), &|_| 1), [successor(3)], "for what waits");
    assert_eq!(two().ended(WorkerId(1), NOBODY), [], "the minimum is there, and nothing waits");
}

/// Ages are spread, so that workers that were started together do not go together.
#[test]
fn whoever_gets_old_is_replaced_at_its_own_time() {
    let limit = 100 * SECOND;
    let ages: Vec<_> = (1..=50).map(|id| spread(limit, 0.1, WorkerId(id))).collect();
    assert!(ages.iter().all(|age| *age > 90 * SECOND && *age <= limit), "{ages:?}");
    assert!(ages.iter().max() > ages.iter().min().map(|least| least.saturating_add(5 * SECOND)).as_ref());
    assert_eq!(spread(limit, 0.0, WorkerId(7)), limit);
    assert_eq!(spread(Duration::MAX, 0.0, WorkerId(7)), Duration::MAX, "as good as no limit");
    assert!(spread(Duration::MAX, 0.1, WorkerId(7)) > Duration::MAX / 100 * 89);

    let aging = Settings { max_age: Some(limit), surge: 2, ..settings() };
    let mut roster = serving(1, 3, aging);
    assert_eq!(started(&roster.review(&|_| 1)), [2]);
    assert_eq!(roster.ready(WorkerId(2), at(50)), []);
    assert_eq!(roster.next_tick(), Some(at(100)));
    assert_eq!(roster.tick(at(99), NOBODY), []);
    assert_eq!(started(&roster.tick(at(100), NOBODY)), [3]);
    assert_eq!(roster.next_tick(), Some(at(150)), "one that is due is not waited for");
    roster.leaves(WorkerId(2), RetireReason::Panicked);
    assert_eq!(roster.next_tick(), None, "nor is one that leaves");
    assert_eq!(roster.tick(at(151), NOBODY), []);
}

/// Found by the simulation (seed 64167): the look that warms up may let somebody go who is one too many.
#[test]
fn warming_up_a_pool_that_was_made_smaller_counts_only_those_it_started() {
    let mut roster = serving(2, 2, settings());
    assert!(roster.begin_wait());
    assert_eq!(roster.resize(0, 1, NOBODY), [], "one waits for a task of its own pool: two may stay");
    roster.blocked = 0;
    let (count, actions) = roster.warm(2, NOBODY);
    assert_eq!((count, retired(&actions)), (0, vec![(2, RetireReason::Resized)]));
}

#[test]
fn the_floor_is_what_was_ever_started_of_the_minimum() {
    let mut roster = serving(2, 4, settings());
    assert_eq!(roster.idle_expired(WorkerId(1)), [], "the minimum stays");
    assert_eq!(started(&roster.review(&|_| 1)), [3]);
    let _ = roster.ready(WorkerId(3), at(1));
    assert_eq!(retired(&roster.idle_expired(WorkerId(1))), [(1, RetireReason::Idle)]);
    assert_eq!(roster.ended(WorkerId(1), NOBODY), []);
    assert_eq!(started(&roster.ended(WorkerId(2), NOBODY)), [4], "below the floor somebody is started");
}

#[test]
fn a_replacement_is_warm_before_its_predecessor_leaves() {
    let mut roster = serving(1, 1, settings());
    assert_eq!(
        started(&roster.due(WorkerId(1), RetireReason::Tasks, NOBODY)),
        [2],
        "above the maximum for that"
    );
    assert_eq!(roster.due(WorkerId(1), RetireReason::Age, NOBODY), [], "once");
    assert_eq!(retired(&roster.ready(WorkerId(2), at(1))), [(1, RetireReason::Tasks)]);
    assert_eq!(roster.review(&|_| 5), [], "both together are the maximum");
    assert_eq!(roster.ended(WorkerId(1), &|_| 5), []);
}

#[test]
fn an_exclusive_state_leaves_before_its_replacement_starts() {
    let mut roster = serving(1, 1, Settings { handover: Handover::OldFirst, ..settings() });
    let actions = roster.due(WorkerId(1), RetireReason::Size, NOBODY);
    assert_eq!((started(&actions), retired(&actions)), (vec![], vec![(1, RetireReason::Size)]));
    assert_eq!(roster.review(&|_| 3), [], "its place is taken until it is gone");
    let start = Action::Start { id: WorkerId(2), lane: 1, generation: 1, from: Some(WorkerId(1)) };
    assert_eq!(roster.ended(WorkerId(1), NOBODY), [start]);
}

#[test]
fn a_replacement_is_built_from_a_snapshot() {
    let mut roster = serving(1, 1, Settings { handover: Handover::NewFirstFromSnapshot, ..settings() });
    let id = WorkerId(1);
    assert_eq!(roster.due(id, RetireReason::Tasks, NOBODY), [Action::Snapshot { id }]);
    assert_eq!(started(&roster.snapshot_taken(id)), [2]);
    assert_eq!(roster.snapshot_taken(id), [], "a snapshot that comes late changes nothing");
    assert_eq!(retired(&roster.ready(WorkerId(2), at(1))), [(1, RetireReason::Tasks)]);
}

#[test]
fn one_that_panics_while_its_replacement_starts_is_replaced_once() {
    let mut roster = serving(1, 1, settings());
    assert_eq!(started(&roster.due(WorkerId(1), RetireReason::Tasks, NOBODY)), [2]);
    roster.leaves(WorkerId(1), RetireReason::Panicked);
    assert_eq!(roster.review(&|_| 3), [], "the replacement has the place now");
    assert_eq!(roster.ended(WorkerId(1), &|_| 3), []);
    assert_eq!(roster.ready(WorkerId(2), at(1)), []);
    assert_eq!(roster.review(&|_| 3), []);
}

#[test]
fn a_rolling_restart_goes_by_the_surge_and_is_over_when_the_last_old_one_is_gone() {
    for surge in [1, 2] {
        let mut roster = serving(3, 3, Settings { surge, ..settings() });
        let mut actions = roster.roll(NOBODY);
        let (mut steps, mut over) = (0, None);
        while over.is_none() {
            let new = started(&actions);
            assert!(!new.is_empty() && new.len() <= surge, "surge {surge}: {actions:?}");
            actions.clear();
            for id in new {
                let left = retired(&roster.ready(WorkerId(id), at(1)));
                for (old, why) in left {
                    assert_eq!(why, RetireReason::Rolling);
                    assert_eq!(over, None);
                    actions.extend(roster.ended(WorkerId(old), NOBODY));
                }
            }
            over = rolled(&actions);
            steps += 1;
        }
        assert_eq!((over, steps), (Some(true), 3_usize.div_ceil(surge)));
        assert_eq!(rolled(&roster.review(NOBODY)), None, "once");
    }
}

#[test]
fn replacements_that_do_not_start_leave_the_old_ones_serving() {
    let mut roster = serving(2, 2, settings());
    let mut actions = roster.roll(NOBODY);
    let mut now = 1;
    while rolled(&actions).is_none() {
        let [id] = started(&actions)[..] else { panic!("one at a time: {actions:?}") };
        actions = roster.start_failed(WorkerId(id), &"no such file".into(), at(now));
        assert!(roster.broken().is_none(), "two still serve");
        assert_eq!(roster.review(NOBODY), [], "it backs off");
        if rolled(&actions).is_none() {
            now += 1;
            actions = roster.tick(at(now), NOBODY);
        }
    }
    assert_eq!(rolled(&actions), Some(false));
    assert_eq!(roster.tick(at(now + 20), NOBODY), [], "nobody is replaced any more");
    let serve = roster.members.values().filter(|member| member.stage == Stage::Serving);
    assert_eq!(serve.count(), 2);
}

#[test]
fn a_failed_start_backs_off_longer_each_time_and_then_breaks_the_pool() {
    let mut roster = roster(1, 1);
    let (mut now, mut actions, mut pauses) = (at(1), roster.review(&|_| 1), Vec::new());
    for _ in 0..3 {
        let [id] = started(&actions)[..] else { panic!("{actions:?}") };
        assert_eq!(roster.start_failed(WorkerId(id), &"no".into(), now), []);
        assert!(!roster.may_grow(1) && roster.is_warm());
        let until = roster.next_tick().expect("it tries again");
        pauses.push(until.since(now));
        assert_eq!(roster.tick(now, &|_| 1), [], "not before its time");
        now = until;
        actions = roster.tick(now, &|_| 1);
    }
    assert_eq!(pauses, [SECOND / 10, SECOND / 5, SECOND / 10 * 4]);
    let [id] = started(&actions)[..] else { panic!("{actions:?}") };
    let actions = roster.start_failed(WorkerId(id), &"no".into(), now);
    assert_eq!(actions, [Action::Break { cause: "no".into() }]);
    assert_eq!(roster.tick(now.plus(60 * SECOND), &|_| 1), [], "a broken pool starts nobody");
    assert_eq!(roster.begin_generation(2), []);
    assert!(roster.broken().is_none(), "a restart repairs it");
    assert_eq!(started(&roster.review(&|_| 1)), [5]);
}

#[test]
fn failures_long_past_are_forgotten() {
    let mut roster = roster(1, 1);
    for failure in 0..20 {
        let now = at(1 + failure * 11);
        let [id] = started(&roster.tick(now, &|_| 1))[..] else { panic!("failure {failure}") };
        assert_eq!(roster.start_failed(WorkerId(id), &"no".into(), now), []);
    }
}

#[test]
fn more_abandoned_threads_than_the_cap_break_the_pool() {
    let mut roster = serving(2, 2, settings());
    assert_eq!(started(&roster.abandoned(WorkerId(1), NOBODY)), [3], "its worker is replaced");
    let _ = roster.ready(WorkerId(3), at(1));
    assert_eq!(started(&roster.abandoned(WorkerId(2), NOBODY)), [4]);
    roster.abandoned_gone();
    assert_eq!(started(&roster.abandoned(WorkerId(3), NOBODY)), [5], "one had ended after all");
    let actions = roster.abandoned(WorkerId(4), NOBODY);
    assert!(actions.iter().any(|action| matches!(action, Action::Break { .. })), "{actions:?}");
}

#[test]
fn a_resize_lets_the_newest_go_and_makes_up_for_a_higher_minimum() {
    let mut roster = serving(4, 4, settings());
    let actions = roster.resize(1, 2, NOBODY);
    assert_eq!(retired(&actions), [(4, RetireReason::Resized), (3, RetireReason::Resized)]);
    assert_eq!(roster.limits(), (1, 2));
    let actions = roster.resize(4, 4, NOBODY);
    assert_eq!(started(&actions), [] as [u32; 0], "those that leave keep their places");
    let _ = roster.warm(4, NOBODY);
    assert_eq!(started(&roster.ended(WorkerId(3), NOBODY)), [5]);
    assert_eq!(started(&roster.ended(WorkerId(4), NOBODY)), [6]);
}

#[test]
fn a_resize_counts_those_that_are_still_starting() {
    let mut roster = roster(3, 3);
    assert_eq!(started(&roster.warm(3, NOBODY).1), [1, 2, 3]);
    assert_eq!(roster.resize(1, 1, NOBODY), [], "nobody serves yet who could leave");
    let mut left = Vec::new();
    for id in 1..=3 {
        left.extend(retired(&roster.ready(WorkerId(id), at(1))));
        left.extend(retired(&roster.review(NOBODY)));
    }
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn blocked_workers_leave_one_to_run_what_they_wait_for() {
    let mut roster = serving(3, 3, settings());
    assert!(roster.begin_wait() && roster.begin_wait());
    assert!(!roster.begin_wait(), "the last one may not");
    assert_eq!(roster.resize(1, 1, NOBODY), [], "all three are needed for now");
    assert!(roster.end_wait());
    assert_eq!(retired(&roster.review(NOBODY)), [(3, RetireReason::Resized)]);
    assert!(roster.end_wait());
    assert_eq!(retired(&roster.review(NOBODY)), [(2, RetireReason::Resized)]);
    assert!(!roster.begin_wait());
}

#[test]
fn an_old_generation_may_have_a_helper_of_its_own() {
    let mut roster = serving(1, 1, settings());
    assert_eq!(roster.begin_generation(2), []);
    assert_eq!(roster.review(&|_| 0), [], "the old one has the only place");
    roster.leaves(WorkerId(1), RetireReason::Panicked);
    let actions = roster.ended(WorkerId(1), &|lane| usize::from(lane == 1));
    let [Action::Start { id, lane: 1, generation: 1, .. }] = actions[..] else { panic!("{actions:?}") };
    assert_eq!(roster.ready(id, at(1)), []);
    roster.end_generation(1);
    let actions = roster.ended(id, NOBODY);
    assert!(matches!(actions[..], [Action::Start { lane: 2, generation: 2, .. }]), "{actions:?}");
}

#[test]
fn one_that_was_starting_when_its_generation_ended_is_not_replaced() {
    let mut roster = roster(1, 1);
    assert_eq!(started(&roster.warm(1, NOBODY).1), [1]);
    assert_eq!(roster.begin_generation(2), []);
    assert_eq!(roster.ready(WorkerId(1), at(1)), []);
    assert_eq!(roster.review(&|_| 1), [], "the old one works its queue off, with the only place there is");
    assert!(matches!(roster.ended(WorkerId(1), NOBODY)[..], [Action::Start { lane: 2, .. }]));
}

#[test]
fn one_that_was_starting_when_a_rolling_restart_began_is_replaced() {
    let mut roster = roster(1, 1);
    assert_eq!(started(&roster.warm(1, NOBODY).1), [1]);
    assert_eq!(roster.roll(NOBODY), []);
    assert_eq!(roster.ready(WorkerId(1), at(1)), []);
    assert_eq!(started(&roster.review(NOBODY)), [2]);
}

#[test]
fn a_stronger_restart_and_a_shutdown_end_a_rolling_one() {
    let mut roster = serving(2, 2, settings());
    let _ = roster.roll(NOBODY);
    assert_eq!(rolled(&roster.begin_generation(2)), Some(false));
    let mut roster = serving(2, 2, settings());
    let _ = roster.roll(NOBODY);
    assert_eq!(rolled(&roster.shut()), Some(false));
    assert_eq!(roster.review(NOBODY), [], "nobody is started for the minimum's sake");
    assert_eq!(started(&roster.ended(WorkerId(1), &|_| 1)), [] as [u32; 0], "two are at work already");
}

/// Whoever is about to be ended for its memory goes first, unless nobody could take its place.
#[test]
fn a_worker_leaves_before_its_replacement_is_ready_unless_replacements_do_not_start() {
    let leaves = |why| Action::Retire { id: WorkerId(1), why };
    let mut roster = serving(1, 1, settings());
    let [id] = started(&roster.due(WorkerId(1), RetireReason::Size, NOBODY))[..] else {
        panic!("{roster:?}")
    };
    assert_eq!(roster.due_now(WorkerId(id), RetireReason::Size, NOBODY), [], "that one does not serve");
    let mut failing = serving(1, 1, settings());
    let _ = failing.due(WorkerId(1), RetireReason::Size, NOBODY);
    let _ = failing.start_failed(WorkerId(id), &"no".into(), at(1));
    assert_eq!(failing.due_now(WorkerId(1), RetireReason::Size, NOBODY), [], "nobody would serve");
    // It is only slow.
    assert_eq!(roster.due_now(WorkerId(1), RetireReason::Size, NOBODY), [leaves(RetireReason::Size)]);
    assert_eq!(roster.due_now(WorkerId(1), RetireReason::Size, NOBODY), [], "once");
    assert_eq!(roster.ready(WorkerId(id), at(1)), [], "and not once more for its replacement");
}
