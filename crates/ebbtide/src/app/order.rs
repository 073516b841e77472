//! Decision: in which order components start and stop. Edges come from what was given to whom; where nobody said anything, from what a
//! component is.
//!
//! Start: what is depended on first. Stop: the exact reverse, so one graph is enough. To the edges that were declared these are added, each
//! unless it would close a circle with those that are there:
//!
//! | kind | depends on | so that |
//! |---|---|---|
//! | everything | every probe | probes answer from before the start until after the end |
//! | tasks | every resource and pool | nothing is stopped under a task, whatever it captured |
//! | ingress | everything but ingress and schedules | nothing is stopped under a request |
//! | schedule | everything but schedules | clocks stop first, before the ingress closes |

use std::{collections::BTreeMap, sync::Arc};

use crate::{error::AppError, report::ComponentKind};

/// A component as far as the order is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ComponentKind,
    /// What it depends on, by name.
    pub(crate) needs: Vec<Arc<str>>,
}

/// The graph: for each component what it depends on and who depends on it, by index; and one order that respects it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) needs: Vec<Vec<usize>>,
    pub(crate) users: Vec<Vec<usize>>,
    /// Everything once, what is depended on first; otherwise as it was declared.
    pub(crate) sequence: Vec<usize>,
}

impl Order {
    pub(crate) fn of(items: &[Item]) -> Result<Self, AppError> {
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, item) in items.iter().enumerate() {
            if index.insert(&item.name, place).is_some() {
                return Err(AppError::Duplicate { name: Arc::clone(&item.name) });
            }
        }
        let mut needs = vec![Vec::new(); items.len()];
        for (place, item) in items.iter().enumerate() {
            for name in &item.needs {
                let Some(&other) = index.get(&**name) else {
                    let known = items.iter().map(|item| Arc::clone(&item.name)).collect();
                    return Err(AppError::Unknown {
                        name: Arc::clone(name),
                        by: Arc::clone(&item.name),
                        known,
                    });
                };
                if !needs[place].contains(&other) {
                    needs[place].push(other);
                }
            }
        }
        if let Some(circle) = circle(&needs) {
            let circle = circle.into_iter().map(|place| Arc::clone(&items[place].name)).collect();
            return Err(AppError::Cycle { circle });
        }
        let kinds: Vec<_> = items.iter().map(|item| item.kind).collect();
        imply(&mut needs, &kinds);
        Ok(Self::complete(needs))
    }

    /// From edges that form no circle.
    pub(crate) fn complete(needs: Vec<Vec<usize>>) -> Self {
        let mut users = vec![Vec::new(); needs.len()];
        for (place, others) in needs.iter().enumerate() {
            others.iter().for_each(|&other| users[other].push(place));
        }
        let mut sequence: Vec<usize> = Vec::new();
        let mut placed = vec![false; needs.len()];
        while sequence.len() < needs.len() {
            let before = sequence.len();
            for (place, others) in needs.iter().enumerate() {
                if !placed[place] && others.iter().all(|&other| placed[other]) {
                    placed[place] = true;
                    sequence.push(place);
                }
            }
            assert!(sequence.len() > before, "a circle that was not refused");
        }
        Self { needs, users, sequence }
    }
}

fn imply(needs: &mut [Vec<usize>], kinds: &[ComponentKind]) {
    use ComponentKind::{Ingress, Pool, Probe, Resource, Schedule, Tasks};
    let wanted = |user: ComponentKind, used: ComponentKind| match (user, used) {
        (Probe, _) => false,
        (_, Probe) => true,
        (Ingress, Ingress | Schedule) | (Schedule, Schedule) => false,
        (Ingress | Schedule, _) | (Tasks, Resource | Pool) => true,
        _ => false,
    };
    for user in 0..kinds.len() {
        for used in 0..kinds.len() {
            let new = user != used && wanted(kinds[user], kinds[used]) && !needs[user].contains(&used);
            if new && !reaches(needs, used, user) {
                needs[user].push(used);
            }
        }
    }
}

/// Whether `from` depends on `to`, over any number of edges.
fn reaches(needs: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; needs.len()];
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        if place == to {
            return true;
        }
        if !std::mem::replace(&mut seen[place], true) {
            open.extend(&needs[place]);
        }
    }
    false
}

/// A circle, if there is one: each depends on the next, the first is repeated at the end.
fn circle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let place =
        (0..needs.len()).find(|&place| needs[place].iter().any(|&next| reaches(needs, next, place)))?;
    let mut path = vec![place];
    let mut last = place;
    loop {
        let next = needs[last].iter().copied().find(|&next| reaches(needs, next, place))?;
        path.push(next);
        if next == place {
            return Some(path);
        }
        // A shorter circle within the path would do as well.
        if let Some(begin) = path[..path.len() - 1].iter().position(|&before| before == next) {
            return Some(path[begin..].to_vec());
        }
        last = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, kind: ComponentKind, needs: &[&str]) -> Item {
        Item { name: name.into(), kind, needs: needs.iter().map(|&name| name.into()).collect() }
    }

    fn names(items: &[Item]) -> Vec<&str> {
        let order = Order::of(items).expect("an order");
        order.sequence.iter().map(|&place| &*items[place].name).collect()
    }

    #[test]
    fn kinds_give_the_order_that_nobody_wrote_down() {
        use ComponentKind::{Component, Ingress, Pool, Probe, Resource, Schedule};
        let items = [
            item("refresh", Schedule, &["increments"]),
            item("api", Ingress, &[]),
            item("increments", Pool, &["redis"]),
            item("redis", Resource, &[]),
            item("mailer", Component, &[]),
            item("health", Probe, &[]),
        ];
        assert_eq!(names(&items), ["health", "redis", "mailer", "increments", "api", "refresh"]);
    }

    #[test]
    fn what_was_declared_wins_over_what_a_kind_implies() {
        use ComponentKind::{Component, Ingress, Probe, Resource};
        let items = [
            item("after-api", Component, &["api"]),
            item("api", Ingress, &[]),
            item("redis", Resource, &[]),
            item("health", Probe, &["redis"]),
        ];
        assert_eq!(names(&items), ["redis", "health", "api", "after-api"]);
    }

    #[test]
    fn those_of_one_kind_do_not_wait_for_each_other() {
        use ComponentKind::{Ingress, Probe, Schedule};
        let items = [
            item("live", Probe, &[]),
            item("ready", Probe, &[]),
            item("web", Ingress, &[]),
            item("admin", Ingress, &[]),
            item("hourly", Schedule, &[]),
            item("nightly", Schedule, &[]),
        ];
        let order = Order::of(&items).expect("an order");
        let (probes, all) = (vec![0, 1], vec![0, 1, 2, 3]);
        assert_eq!(order.needs, [vec![], vec![], probes.clone(), probes, all.clone(), all]);
    }

    #[test]
    fn what_cannot_be_ordered_is_named() {
        use ComponentKind::Component;
        let twice = [item("a", Component, &[]), item("a", Component, &[])];
        assert_eq!(
            Order::of(&twice).unwrap_err().to_string(),
            "two components are named \"a\"; give each a name of its own"
        );
        let unknown = [item("a", Component, &["b"]), item("c", Component, &[])];
        assert_eq!(
            Order::of(&unknown).unwrap_err().to_string(),
            "\"a\" names \"b\", which is not a component of this application; there are a, c"
        );
        let circle = [
            item("x", Component, &["a"]),
            item("a", Component, &["b"]),
            item("b", Component, &["c"]),
            item("c", Component, &["a"]),
        ];
        assert_eq!(
            Order::of(&circle).unwrap_err().to_string(),
            "components depend on each other in a circle: a -> b -> c -> a"
        );
        let own = [item("a", Component, &["a"])];
        assert_eq!(
            Order::of(&own).unwrap_err().to_string(),
            "components depend on each other in a circle: a -> a"
        );
    }
}
