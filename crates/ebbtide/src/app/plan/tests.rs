//! The plan walked through: every graph of up to four components, every way each of them can behave, a signal at every step.

use std::collections::BTreeMap;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// How a component behaves; the plan sees a panic as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Good,
    StartFails,
    StartHangs,
    StopHangs,
    /// Both take long; it obeys when it is forced or called off.
    Slow,
}

const WAYS: [Way; 5] = [Way::Good, Way::StartFails, Way::StartHangs, Way::StopHangs, Way::Slow];

/// Invented time, and hands that do what the plan says to components that behave as they were told.
struct World {
    plan: Plan,
    ways: Vec<Way>,
    now: Moment,
    /// What will happen, by moment.
    due: BTreeMap<(Moment, usize), Event>,
    number: usize,
    seen: Vec<(Moment, Action)>,
    /// What each component is, as the world sees it: not what the plan believes.
    real: Vec<Real>,
    asked_at: Option<Moment>,
    forced_at: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Real {
    Never,
    Starting,
    Up,
    Stopping,
    Down,
}

impl World {
    fn new(order: Order, limits: Vec<Limits>, ways: &[Way]) -> Self {
        let count = limits.len();
        Self {
            plan: Plan::new(order, limits, DEADLINE, Duration::from_secs(2)),
            ways: ways.to_vec(),
            now: Moment::from_nanos(1),
            due: BTreeMap::new(),
            number: 0,
            seen: Vec::new(),
            real: vec![Real::Never; count],
            asked_at: None,
            forced_at: None,
        }
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.due.insert((self.now.plus(after), self.number), event);
    }

    fn feed(&mut self, event: Event) {
        match event {
            Event::Started(who) => self.real[who] = Real::Up,
            Event::StartFailed(who) | Event::Stopped(who) => self.real[who] = Real::Down,
            Event::Force => {
                self.forced_at.get_or_insert(self.now);
            }
            _ => {}
        }
        for action in self.plan.step(event, self.now) {
            self.obey(action);
            self.seen.push((self.now, action));
        }
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Start { who, .. } => {
                assert_eq!(self.real[who], Real::Never, "started twice");
                for &need in &self.plan.order.needs[who] {
                    assert_eq!(self.real[need], Real::Up, "{who} started before what it needs");
                }
                self.real[who] = Real::Starting;
                match self.ways[who] {
                    Way::Good | Way::StopHangs => self.later(STEP, Event::Started(who)),
                    Way::StartFails => self.later(STEP, Event::StartFailed(who)),
                    Way::Slow => self.later(Duration::from_secs(5), Event::Started(who)),
                    Way::StartHangs => {}
                }
            }
            // A slow start ends soon when it is called off, with or without success.
            Action::CallOff(who) if self.ways[who] == Way::Slow => {
                self.cancel_due(Event::Started(who));
                let how = if who % 2 == 0 { Event::Started(who) } else { Event::StartFailed(who) };
                self.later(STEP, how);
            }
            Action::Stop { who, within, .. } => {
                assert_eq!(self.real[who], Real::Up, "{who} is stopped and is not up");
                for &user in &self.plan.order.users[who] {
                    let left = matches!(self.plan.stages[user], Stage::Gone(Gone::Left));
                    let gone = matches!(self.real[user], Real::Never | Real::Down);
                    let resource = self.plan.limits[who].kind == ComponentKind::Resource;
                    assert!(gone || (left && !resource), "{who} is stopped under {user}");
                }
                self.real[who] = Real::Stopping;
                match self.ways[who] {
                    Way::StopHangs => {}
                    Way::Slow => self.later(within.min(Duration::from_secs(5)), Event::Stopped(who)),
                    _ => self.later(STEP.min(within), Event::Stopped(who)),
                }
            }
            Action::Force { who, .. } if self.ways[who] == Way::Slow => {
                self.cancel_due(Event::Stopped(who));
                self.later(Duration::ZERO, Event::Stopped(who));
            }
            Action::Tell => self.asked_at = Some(self.now),
            _ => {}
        }
    }

    fn cancel_due(&mut self, event: Event) {
        self.due.retain(|_, due| *due != event);
    }

    /// Runs to the end; `signals` come after so many events each.
    fn run(&mut self, signals: &[(usize, Event)]) {
        self.feed(Event::Begin);
        for count in 0..200 {
            if self.seen.last().is_some_and(|(_, action)| *action == Action::Over) {
                return;
            }
            for (_, event) in signals.iter().filter(|(after, _)| *after == count) {
                self.feed(*event);
            }
            let tick = self.plan.next_tick();
            let due = self.due.first_key_value().map(|(&(at, number), &event)| (at, number, event));
            match (due, tick) {
                (Some((at, number, event)), tick) if tick.is_none_or(|tick| at <= tick) => {
                    self.now = self.now.max(at);
                    self.due.remove(&(at, number));
                    self.feed(event);
                }
                (_, Some(tick)) => {
                    self.now = self.now.max(tick);
                    self.feed(Event::Tick);
                }
                // Serving, and nobody has asked for a stop.
                _ => self.feed(Event::Stop(Delay::Keep)),
            }
        }
        panic!("no end: {:?}", self.seen);
    }

    fn check(&self, what: &str) {
        let count = |wanted: Action| self.seen.iter().filter(|(_, action)| *action == wanted).count();
        assert_eq!(count(Action::Tell), 1, "{what}: told once");
        assert_eq!(count(Action::Over), 1, "{what}: over once");
        let asked = self.asked_at.expect("a stop was asked for");
        assert!(self.now.since(asked) <= DEADLINE, "{what}: over after {:?}", self.now.since(asked));
        if let Some(forced) = self.forced_at {
            let took = self.now.since(forced.max(asked));
            assert!(took < Duration::from_secs(1), "{what}: forced, and over after {took:?}");
        }
        for (who, way) in self.ways.iter().enumerate() {
            let stops = |(_, action): &&(_, Action)| matches!(action, Action::Stop { who: other, .. } if *other == who);
            let keeps = |(_, action): &&(_, Action)| matches!(action, Action::Keep { who: other, .. } if *other == who);
            let (stops, keeps) =
                (self.seen.iter().filter(stops).count(), self.seen.iter().filter(keeps).count());
            assert!(stops + keeps <= 1, "{what}: {who} is stopped {stops} times, kept {keeps} times");
            match self.real[who] {
                Real::Up => assert_eq!(keeps, 1, "{what}: {who} is up and was not kept"),
                Real::Starting => assert_eq!(count(Action::LeaveStart(who)), 1, "{what}: {who}"),
                Real::Stopping => {
                    assert_eq!((*way, count(Action::LeaveStop(who))), (Way::StopHangs, 1), "{what}: {who}");
                }
                Real::Never | Real::Down => {}
            }
        }
    }
}

fn limits(kind: ComponentKind) -> Limits {
    Limits {
        kind,
        start_within: Duration::from_secs(20),
        stop_within: None,
        under_users: UnderUsers::KeepOpen,
    }
}

/// Every graph of `count` components whose edges go from later to earlier ones; any other is one of these renumbered.
fn graphs(count: usize) -> impl Iterator<Item = Order> {
    let pairs: Vec<_> = (0..count).flat_map(|user| (0..user).map(move |used| (user, used))).collect();
    (0..1_usize << pairs.len()).map(move |bits| {
        let mut needs = vec![Vec::new(); count];
        for (bit, &(user, used)) in pairs.iter().enumerate() {
            if bits >> bit & 1 == 1 {
                needs[user].push(used);
            }
        }
        Order::complete(needs)
    })
}

fn ways(count: usize) -> impl Iterator<Item = Vec<Way>> {
    (0..WAYS.len().pow(u32::try_from(count).unwrap())).map(move |code| {
        (0..count).map(|who| WAYS[code / WAYS.len().pow(u32::try_from(who).unwrap()) % WAYS.len()]).collect()
    })
}

/// The lowest is a resource, the highest ingress, so that both classes and the keeping are met.
fn kinds(count: usize) -> Vec<Limits> {
    let kinds =
        [ComponentKind::Resource, ComponentKind::Resource, ComponentKind::Pool, ComponentKind::Ingress];
    (0..count).map(|who| limits(if count == 1 { ComponentKind::Pool } else { kinds[who] })).collect()
}

fn walk(count: usize, signals: &[&[(usize, Event)]]) -> usize {
    let mut walks = 0;
    for order in graphs(count) {
        for ways in ways(count) {
            for signals in signals {
                let mut world = World::new(order.clone(), kinds(count), &ways);
                world.run(signals);
                world.check(&format!("{:?} {ways:?} {signals:?}", order.needs));
                walks += 1;
            }
        }
    }
    walks
}

const STOP: Event = Event::Stop(Delay::Keep);

#[test]
fn every_graph_of_up_to_three_ends_in_order_whenever_signals_come() {
    let mut signals: Vec<Vec<(usize, Event)>> = vec![Vec::new()];
    for first in 0..12 {
        signals.push(vec![(first, STOP)]);
        signals.push(vec![(first, STOP), (first, STOP)]);
        for second in first..12 {
            signals.push(vec![(first, STOP), (second, Event::Force)]);
        }
    }
    let signals: Vec<&[_]> = signals.iter().map(|signals| &signals[..]).collect();
    let walks: usize = (1..=3).map(|count| walk(count, &signals)).sum();
    assert!(walks > 100_000, "{walks}");
}

#[test]
fn every_graph_of_four_ends_in_order() {
    let early: &[_] = &[(2, STOP)];
    let forced: &[_] = &[(4, STOP), (6, Event::Force)];
    let walks = walk(4, &[&[], early, forced]);
    assert_eq!(walks, 64 * 625 * 3);
}

fn budgets(needs: Vec<Vec<usize>>, limits: Vec<Limits>) -> Vec<(usize, Duration)> {
    let ways = vec![Way::Good; limits.len()];
    let mut world = World::new(Order::complete(needs), limits, &ways);
    world.run(&[]);
    let stops = world.seen.iter().filter_map(|(_, action)| match action {
        Action::Stop { who, within, .. } => Some((*who, *within)),
        _ => None,
    });
    stops.collect()
}

#[test]
fn a_deadline_is_cut_into_fair_shares_and_what_is_saved_goes_to_those_below() {
    use ComponentKind::{Ingress, Pool, Resource};
    // 30 s less 2 s of delay less 3 s of reserve.
    let chain = vec![vec![], vec![0], vec![1]];
    let shares = budgets(chain.clone(), vec![limits(Resource), limits(Pool), limits(Ingress)]);
    let seconds = |who: usize| shares.iter().find(|(one, _)| *one == who).unwrap().1.as_secs_f64();
    assert!((seconds(2) - 12.5).abs() < 0.1, "{shares:?}");
    assert!((seconds(1) - 25.0).abs() < 0.1, "the ingress was quick: {shares:?}");
    assert!((seconds(0) - 27.4).abs() < 0.1, "most of the reserve: {shares:?}");

    let mut modest = limits(Pool);
    modest.stop_within = Some(Duration::from_secs(20));
    let shares = budgets(chain.clone(), vec![limits(Resource), modest, limits(Ingress)]);
    assert!(
        (shares[0].1.as_secs_f64() - 12.5).abs() < 0.1,
        "more than its share is nobody's to give: {shares:?}"
    );
    modest.stop_within = Some(Duration::from_secs(1));
    let shares = budgets(chain, vec![limits(Resource), modest, limits(Ingress)]);
    assert!((shares[0].1.as_secs_f64() - 24.0).abs() < 0.1, "the pool needs 1 s only: {shares:?}");
    assert_eq!(shares[1], (1, Duration::from_secs(1)));
}

#[test]
fn independent_ones_stop_at_the_same_time() {
    use ComponentKind::Pool;
    let mut world =
        World::new(Order::complete(vec![vec![], vec![]]), vec![limits(Pool), limits(Pool)], &[Way::Slow; 2]);
    world.run(&[]);
    let took = world.now.since(world.asked_at.unwrap());
    assert_eq!(took, Duration::from_secs(2 + 5), "the delay, and both at once");
}

#[test]
fn a_resource_is_closed_under_one_who_was_left_only_if_that_was_chosen() {
    use ComponentKind::{Pool, Resource};
    for (chosen, kept) in [(UnderUsers::KeepOpen, 1), (UnderUsers::Close, 0)] {
        let resource = Limits { under_users: chosen, ..limits(Resource) };
        let order = Order::complete(vec![vec![], vec![0]]);
        let mut plan = Plan::new(order, vec![resource, limits(Pool)], DEADLINE, Duration::ZERO);
        let at = |millis: u64| Moment::from_nanos(1).plus(Duration::from_millis(millis));
        let _ = plan.step(Event::Begin, at(0));
        let _ = plan.step(Event::Started(0), at(0));
        let _ = plan.step(Event::Started(1), at(0));
        let _ = plan.step(STOP, at(0));
        assert!(matches!(
            plan.step(Event::Tick, at(27_150))[..],
            [Action::Force { who: 1, why: Why::Budget }]
        ));
        let actions = plan.step(Event::Tick, at(27_300));
        let keeps = actions.iter().filter(|action| matches!(action, Action::Keep { who: 0, user: 1 }));
        assert_eq!(keeps.count(), kept, "{actions:?}");
    }
}

#[test]
fn one_that_starts_after_it_was_given_up_is_stopped_while_there_is_time() {
    let items = [0, 1].map(|_| limits(ComponentKind::Component));
    let order = Order { needs: vec![vec![]; 2], users: vec![vec![]; 2], sequence: vec![0, 1] };
    let mut plan = Plan::new(order, items.into(), DEADLINE, Duration::ZERO);
    let mut now = Moment::from_nanos(1);
    let _ = plan.step(Event::Begin, now);
    let _ = plan.step(Event::Started(0), now);
    let _ = plan.step(Event::Stop(Delay::Skip), now);
    // The other one takes its time to stop, and this one is given up meanwhile.
    now = now.plus(GRACE);
    assert!(plan.step(Event::Tick, now).contains(&Action::LeaveStart(1)));
    let actions = plan.step(Event::Started(1), now);
    assert!(matches!(actions[..], [Action::Stop { who: 1, .. }]), "{actions:?}");
    assert!(
        !plan.step(Event::Stopped(0), now).contains(&Action::Over),
        "it ends before the late one has stopped"
    );
    assert!(plan.step(Event::Stopped(1), now).contains(&Action::Over));
}

/// Independent components of the user's own, of whom nothing has begun yet.
fn fresh(count: usize, deadline: Duration) -> Plan {
    let order = Order::complete(vec![vec![]; count]);
    Plan::new(order, vec![limits(ComponentKind::Component); count], deadline, Duration::from_secs(2))
}

fn millis(millis: u64) -> Moment {
    Moment::from_nanos(1).plus(Duration::from_millis(millis))
}

#[test]
fn a_short_deadline_is_cut_to_the_millisecond() {
    let mut plan = fresh(2, Duration::from_secs(10));
    let _ = plan.step(Event::Begin, millis(0));
    assert_eq!(plan.next_tick(), Some(millis(20_000)), "until then a start may take");
    let _ = plan.step(Event::Started(0), millis(0));
    assert_eq!((plan.is_stopping(), plan.deadline_at()), (false, None));
    let within = Duration::from_secs(9);
    assert_eq!(
        plan.step(STOP, millis(0)),
        [
            Action::Tell,
            Action::CallOff(1),
            Action::DelayOver,
            Action::Stop { who: 0, within, how: How::Orderly, after: None },
        ],
        "nobody is served yet, so there is no delay"
    );
    assert_eq!((plan.is_stopping(), plan.deadline_at()), (true, Some(millis(10_000))));
    let mut seen = Vec::new();
    while let Some(tick) = plan.next_tick() {
        assert_eq!(plan.step(Event::Tick, tick.minus(Duration::from_nanos(1))), []);
        seen.push((tick, plan.step(Event::Tick, tick)));
        assert!(seen.len() <= 3, "no end: {seen:?}");
    }
    let expected = [
        (millis(4_500), vec![Action::LeaveStart(1)]),
        (millis(9_050), vec![Action::Force { who: 0, why: Why::Budget }]),
        (millis(9_100), vec![Action::LeaveStop(0), Action::Over]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_start_that_takes_too_long_is_why_it_stops() {
    let mut plan = fresh(1, DEADLINE);
    let _ = plan.step(Event::Begin, millis(0));
    assert_eq!(plan.step(Event::Tick, millis(19_999)), []);
    let actions = plan.step(Event::Tick, millis(20_000));
    assert_eq!(actions, [Action::Late(0), Action::Tell, Action::CallOff(0), Action::DelayOver]);
}

#[test]
fn what_comes_twice_changes_nothing_and_a_delay_that_is_not_kept_is_none() {
    let mut plan = fresh(1, DEADLINE);
    let _ = plan.step(Event::Begin, millis(0));
    assert_eq!(plan.step(Event::Started(0), millis(0)), [Action::Ready]);
    assert_eq!(plan.step(Event::Begin, millis(1)), []);
    let actions = plan.step(Event::Stop(Delay::Skip), millis(2));
    assert!(
        matches!(actions[..], [Action::Tell, Action::DelayOver, Action::Stop { who: 0, .. }]),
        "{actions:?}"
    );
    assert_eq!(plan.step(Event::Started(0), millis(3)), [], "it is stopped already");
    assert_eq!(plan.step(STOP, millis(4)), []);
    assert_eq!(plan.step(Event::Stopped(0), millis(5)), [Action::Over]);
    assert_eq!(plan.next_tick(), None);
}

#[test]
fn who_went_last_before_one_is_named_and_who_never_began_is_not() {
    let order = Order::complete(vec![vec![], vec![0], vec![1]]);
    let mut plan = Plan::new(order, vec![limits(ComponentKind::Component); 3], DEADLINE, Duration::ZERO);
    let after = |actions: Vec<Action>| match actions[..] {
        [Action::Stop { who, after, .. }] => (who, after),
        _ => panic!("{actions:?}"),
    };
    let _ = plan.step(Event::Begin, millis(0));
    let _ = plan.step(Event::Started(0), millis(0));
    assert_eq!(plan.step(STOP, millis(0)), [Action::Tell, Action::CallOff(1), Action::DelayOver]);
    assert_eq!(after(plan.step(Event::Started(1), millis(1))), (1, None), "the third had not begun");
    assert_eq!(after(plan.step(Event::Stopped(1), millis(2))), (0, Some(1)));
}
