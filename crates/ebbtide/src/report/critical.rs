//! Decision: who held up the end of a stop, and how much sooner it would have been over without him.
//!
//! Backwards from the component that ended last, each step is the one whose end let the next begin. What a step cost is found by walking
//! the whole graph again without it: another branch may have taken nearly as long.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::app::{AppReport, ComponentReport, CriticalStep};

/// Whoever cost less did not hold anybody up.
const WORTH_A_WORD: Duration = Duration::from_millis(20);

/// Writes the critical path into a report whose components are in the order of their start.
pub(super) fn fill(report: &mut AppReport) {
    let mut steps = Vec::new();
    let mut next = last(&report.components);
    while let Some(component) = next {
        let (from, to) = stop(component, report.duration).unwrap_or_default();
        let (because, saved) = culprit(component, to.saturating_sub(from));
        let cost = report.duration.saturating_sub(without(report, &component.name, saved));
        steps.push(CriticalStep { component: Some(Arc::clone(&component.name)), from, to, because, cost });
        let before = component.waited_for.as_deref();
        next = before.and_then(|name| report.components.iter().find(|one| &*one.name == name));
    }
    if report.delay > Duration::ZERO {
        let cost = report.delay;
        steps.push(CriticalStep {
            component: None,
            from: Duration::ZERO,
            to: report.delay,
            because: None,
            cost,
        });
    }
    steps.reverse();
    report.critical_path = sentence(&steps, report.duration);
    report.critical = steps;
}

fn last(components: &[ComponentReport]) -> Option<&ComponentReport> {
    let stopped = components.iter().filter(|one| one.stop.is_some());
    stopped.max_by_key(|one| one.stop.and_then(|stop| stop.to).unwrap_or(Duration::MAX))
}

/// From when to when; one that hung, until the end.
fn stop(component: &ComponentReport, end: Duration) -> Option<(Duration, Duration)> {
    component.stop.map(|stop| (stop.from, stop.to.unwrap_or(end)))
}

/// What took longest within a component's stop, and what would be saved without it.
fn culprit(component: &ComponentReport, took: Duration) -> (Option<String>, Duration) {
    let Some(run) = component.pool.as_ref().and_then(|pool| pool.slowest.as_ref()) else {
        return (component.progress.clone(), took);
    };
    let name = run.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    (Some(format!("task {}{name}", run.task)), run.cost.min(took))
}

/// How long the stop would have taken if one component's had been so much shorter.
fn without(report: &AppReport, name: &str, saved: Duration) -> Duration {
    let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
    // Who depends on others comes after them, and stops before them.
    for component in report.components.iter().rev() {
        let Some((from, to)) = stop(component, report.duration) else { continue };
        let users = report.components.iter().filter(|user| user.depends_on.contains(&component.name));
        let begin = users.filter_map(|user| ends.get(&*user.name)).max().copied().unwrap_or(report.delay);
        let mut took = to.saturating_sub(from);
        if &*component.name == name {
            took = took.saturating_sub(saved);
        }
        ends.insert(&component.name, begin + took);
    }
    // What came after the last of them (the report) would have come all the same.
    let really =
        report.components.iter().filter_map(|one| stop(one, report.duration)).map(|(_, to)| to).max();
    let rest = report.duration.saturating_sub(really.unwrap_or_default());
    ends.values().max().copied().unwrap_or_default() + rest
}

fn sentence(steps: &[CriticalStep], duration: Duration) -> Option<String> {
    let worst = steps.iter().max_by_key(|step| step.cost).filter(|step| step.cost >= WORTH_A_WORD)?;
    let shorter = seconds(duration.saturating_sub(worst.cost));
    let who = match (&worst.component, &worst.because) {
        (None, _) => "the deregistration delay".to_owned(),
        (Some(component), Some(because)) if because.starts_with("task ") => {
            format!("{because} of {component}")
        }
        (Some(component), _) => format!("the stop of {component}"),
    };
    Some(format!("without {who} it would have been {shorter} instead of {}", seconds(duration)))
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn component(
        name: &str,
        needs: &[&str],
        from: u64,
        to: u64,
        waited_for: Option<&str>,
    ) -> serde_json::Value {
        json!({
            "name": name, "kind": "component", "depends_on": needs, "end": "stopped", "error": null, "start": null,
            "stop": { "from_ms": from, "to_ms": to }, "budget_ms": null, "forced_ms": null, "waited_for": waited_for,
            "held_by": [], "progress": null, "pool": null, "detail": null,
        })
    }

    fn report(delay: u64, duration: u64, components: &[serde_json::Value]) -> AppReport {
        let report = json!({
            "app": "a", "reason": { "why": "asked" }, "exit_code": 0, "ready_ms": 1, "uptime_ms": 1,
            "duration_ms": duration, "deadline_ms": 30_000, "reserve_ms": 3_000, "delay_ms": delay, "forced_ms": null,
            "signals": [], "components": components, "timeline": [], "critical": [], "critical_path": null,
            "warnings": [],
        });
        let mut report = serde_json::from_value(report).expect("a report");
        fill(&mut report);
        report
    }

    /// What a pool says that one task held up.
    fn held_up(cost: u64) -> serde_json::Value {
        let outcomes = json!({
            "completed": 1, "failed": 0, "panicked": 0, "cancelled": 0, "timed_out": 0, "killed": 0, "crashed": 0,
            "abandoned": 0, "returned": 0,
        });
        json!({
            "pool": "work", "procedure": "shutdown", "mode": "drain", "asked": "drain", "generation": 1,
            "duration_ms": 1, "deadline_ms": 1, "grace_ms": 1, "failed": null, "accepted": 1, "queued": 0,
            "running": 0, "rejected": 0, "outcomes": outcomes, "during": outcomes, "workers": [], "timeline": [],
            "slowest": { "task": 7, "name": "import", "worker": 1, "ended_ms": 1, "ran_ms": 1, "cost_ms": cost },
        })
    }

    #[test]
    fn the_path_goes_back_from_the_last_to_the_first_and_the_worst_is_named() {
        let components = [
            component("base", &[], 2_400, 2_500, Some("slow")),
            component("slow", &["base"], 500, 2_400, Some("quick")),
            component("beside", &["base"], 0, 700, None),
            component("quick", &["slow"], 0, 500, None),
        ];
        let report = report(0, 2_500, &components);
        let path: Vec<_> = report.critical.iter().map(|step| step.component.as_deref().unwrap()).collect();
        assert_eq!(path, ["quick", "slow", "base"]);
        let costs: Vec<_> = report.critical.iter().map(|step| step.cost.as_millis()).collect();
        // Without `slow` the one beside it would have held `base` up until 0.7 s.
        assert_eq!(costs, [500, 1_700, 100]);
        let said = "without the stop of slow it would have been 800 ms instead of 2.5 s";
        assert_eq!(report.critical_path.as_deref(), Some(said));
    }

    #[test]
    fn a_task_is_named_and_what_a_component_last_said_is_not() {
        let mut pool = component("work", &[], 0, 1_900, None);
        pool["pool"] = held_up(900);
        // The last 100 ms are nobody's.
        let by_task = report(0, 2_000, &[pool]);
        let said = "without task 7 \"import\" of work it would have been 1.1 s instead of 2.0 s";
        assert_eq!(by_task.critical_path.as_deref(), Some(said));
        let mut talks = component("mailer", &[], 0, 1_000, None);
        talks["progress"] = "3 of 5".into();
        let by_stop = report(0, 2_000, &[talks]);
        assert_eq!(by_stop.critical[0].because.as_deref(), Some("3 of 5"));
        let said = "without the stop of mailer it would have been 1.0 s instead of 2.0 s";
        assert_eq!(by_stop.critical_path.as_deref(), Some(said));
    }

    #[test]
    fn a_branch_that_took_as_long_leaves_nobody_to_blame() {
        let components = [component("left", &[], 0, 400, None), component("right", &[], 0, 395, None)];
        let report = report(0, 400, &components);
        assert_eq!(report.critical[0].cost, Duration::from_millis(5));
        assert_eq!(report.critical_path, None);
    }

    #[test]
    fn the_delay_is_a_step_and_one_that_hung_took_until_the_end() {
        let mut hung = component("hung", &[], 2_000, 0, None);
        hung["stop"]["to_ms"] = serde_json::Value::Null;
        let report = report(2_000, 9_000, &[hung]);
        let steps: Vec<_> = report.critical.iter().map(|step| (step.component.is_some(), step.to)).collect();
        assert_eq!(steps, [(false, Duration::from_secs(2)), (true, Duration::from_secs(9))]);
        let said = "without the stop of hung it would have been 2.0 s instead of 9.0 s";
        assert_eq!(report.critical_path.as_deref(), Some(said));
    }
}
