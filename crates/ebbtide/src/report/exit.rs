//! The exit code of an application: one table for every command, and the one rule that picks from it.

use super::{
    app::{AppReport, ComponentEnd, ComponentKind, ComponentReport, StopReason},
    value::{Mode, Report},
};

/// Everything that was accepted ended completed.
const OK: u8 = 0;
/// Some task failed, panicked, crashed, timed out or was killed before the stop; or a component the application cannot be without did.
const FAILED: u8 = 1;
/// Something is left to resume.
const LEFT: u8 = 10;
/// The deadline passed and tasks were cancelled.
const DEADLINE: u8 = 11;
/// A worker was killed.
const KILLED: u8 = 12;
/// The law was broken.
const LAW: u8 = 13;
/// It did not start.
const START: u8 = 14;
/// Something was abandoned.
const ABANDONED: u8 = 15;
/// Forced by a second signal.
pub(crate) const FORCED: u8 = 16;
/// A stop hook failed or hung.
pub(crate) const HOOK: u8 = 17;
/// It was put together wrongly.
pub(crate) const CONFIGURATION: u8 = 78;

/// The first that applies.
pub(super) fn code(report: &AppReport) -> u8 {
    if let StopReason::Refused { .. } = report.reason {
        return CONFIGURATION;
    }
    let pools = || report.components.iter().filter_map(|component| component.pool.as_ref());
    let ends = |wanted: &dyn Fn(&ComponentReport) -> bool| report.components.iter().any(wanted);
    let failed = |pool: &Report| {
        let outcomes = &pool.outcomes;
        outcomes.failed + outcomes.panicked + outcomes.crashed + outcomes.timed_out + outcomes.killed > 0
    };
    let deadline = |pool: &Report| {
        pool.mode == Some(Mode::Abort) && pool.asked != pool.mode && pool.during.cancelled > 0
    };
    let table = [
        (LAW, pools().any(|pool| !pool.law_holds())),
        (FORCED, report.forced.is_some()),
        (ABANDONED, pools().any(|pool| pool.outcomes.abandoned > 0 || pool.abandoned().next().is_some())),
        (ABANDONED, ends(&|one| one.kind == ComponentKind::Tasks && one.end == ComponentEnd::Hung)),
        (KILLED, pools().any(|pool| pool.during.killed > 0)),
        (DEADLINE, pools().any(deadline)),
        (DEADLINE, ends(&|one| one.forced.is_some() && one.end == ComponentEnd::Stopped)),
        (DEADLINE, ends(&|one| number(one, ComponentKind::Ingress, "/connections/cut_requests") > 0)),
        (LEFT, pools().map(|pool| pool.during.returned).sum::<u64>() > firings_returned(report)),
        (HOOK, ends(&|one| hook_failed(one.end))),
        // Kept open for one that hung in its start: that is what went wrong.
        (
            HOOK,
            ends(&|one| one.end == ComponentEnd::KeptOpen)
                && !ends(&|one| one.end == ComponentEnd::StartHung),
        ),
        (START, report.ready.is_none()),
        (FAILED, pools().any(failed)),
        (FAILED, ends(&|one| number(one, ComponentKind::Tasks, "/failed") > 0)),
        (FAILED, ends(&|one| number(one, ComponentKind::Tasks, "/panicked") > 0)),
        (FAILED, matches!(report.reason, StopReason::ComponentEnded { error: Some(_), .. })),
    ];
    table.iter().find(|(_, applies)| *applies).map_or(OK, |(code, _)| *code)
}

/// Whether somebody was cut off who ran on the caller's runtime, or may have: what they had handed to its blocking threads runs on, and such
/// a runtime does not let go of `main`.
pub(crate) fn cut_off(report: &AppReport) -> bool {
    report.components.iter().any(|one| {
        (one.forced.is_some() && one.kind != ComponentKind::Pool)
            || number(one, ComponentKind::Ingress, "/connections/cut_requests") > 0
            || number(one, ComponentKind::Ingress, "/connections/cut_streams") > 0
    })
}

/// A number out of what a component of a kind has to say; zero where it says none.
fn number(component: &ComponentReport, kind: ComponentKind, at: &str) -> u64 {
    let detail = component.detail.as_ref().filter(|_| component.kind == kind);
    detail.and_then(|detail| detail.pointer(at)?.as_u64()).unwrap_or_default()
}

/// Runs of schedules that had been fired and not begun when their clock was stopped: nobody has to resume those.
fn firings_returned(report: &AppReport) -> u64 {
    report.components.iter().map(|one| number(one, ComponentKind::Schedule, "/during/returned")).sum()
}

/// What a person is told about a code.
pub(super) fn meaning(code: u8) -> &'static str {
    match code {
        OK => "everything ended as it should",
        FAILED => "something failed",
        LEFT => "something is left to resume",
        DEADLINE => "the deadline passed and tasks were cancelled",
        KILLED => "a worker was killed",
        LAW => "the accounting does not add up; please report it",
        START => "it did not start",
        ABANDONED => "something was abandoned",
        FORCED => "forced by a second signal",
        HOOK => "a stop failed or hung",
        CONFIGURATION => "it was put together wrongly",
        _ => "unknown",
    }
}

fn hook_failed(end: ComponentEnd) -> bool {
    matches!(end, ComponentEnd::StopFailed | ComponentEnd::StopPanicked | ComponentEnd::Hung)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A clean report of an application with a pool and a resource, changed at some places.
    fn code_of(changes: &[(&str, Value)]) -> u8 {
        let outcomes = json!({
            "completed": 3, "failed": 0, "panicked": 0, "cancelled": 0, "timed_out": 0, "killed": 0, "crashed": 0,
            "abandoned": 0, "returned": 0,
        });
        let component = |name: &str, kind: &str, pool: Value| {
            json!({
                "name": name, "kind": kind, "depends_on": [], "end": "stopped", "error": null, "start": null,
                "stop": null, "budget_ms": null, "forced_ms": null, "waited_for": null, "held_by": [],
                "progress": null, "pool": pool, "detail": null,
            })
        };
        let pool = json!({
            "pool": "work", "procedure": "shutdown", "mode": "drain", "asked": "drain", "generation": 1,
            "duration_ms": 1, "deadline_ms": 1, "grace_ms": 1, "failed": null, "accepted": 3, "queued": 0,
            "running": 0, "rejected": 0, "outcomes": outcomes, "during": outcomes, "workers": [], "timeline": [],
            "slowest": null,
        });
        let mut report = json!({
            "app": "a", "reason": { "why": "asked" }, "exit_code": 0, "ready_ms": 1, "uptime_ms": 1,
            "duration_ms": 1, "deadline_ms": 1, "reserve_ms": 1, "delay_ms": 0, "forced_ms": null, "signals": [],
            "components": [component("redis", "resource", Value::Null), component("work", "pool", pool)],
            "timeline": [], "critical": [], "critical_path": null, "warnings": [],
        });
        for (path, value) in changes {
            *report.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value.clone();
        }
        code(&serde_json::from_value(report).expect("a report"))
    }

    const POOL: &str = "/components/1/pool";

    #[test]
    fn each_row_of_the_table_and_the_first_that_applies() {
        let outcome = |which: &str, count: u64| (format!("{POOL}/{which}"), json!(count));
        let end = |end: &str| ("/components/0/end".to_owned(), json!(end));
        // From the last row of the table to the first: each is added to those before it, and wins.
        let accepted = outcome("accepted", 4);
        let rows = [
            (0, vec![]),
            (1, vec![outcome("outcomes/failed", 1), accepted]),
            (14, vec![("/ready_ms".to_owned(), Value::Null)]),
            (17, vec![end("stop_failed")]),
            (10, vec![outcome("during/returned", 1)]),
            (11, vec![(format!("{POOL}/mode"), json!("abort")), outcome("during/cancelled", 1)]),
            (12, vec![outcome("during/killed", 1)]),
            (15, vec![outcome("outcomes/abandoned", 1), outcome("accepted", 5)]),
            (16, vec![("/forced_ms".to_owned(), json!(5))]),
            (13, vec![outcome("accepted", 9)]),
            (78, vec![("/reason".to_owned(), json!({ "why": "refused", "problem": "x" }))]),
        ];
        let mut so_far: Vec<(String, Value)> = Vec::new();
        for (expected, changes) in rows {
            so_far.extend(changes);
            let changes: Vec<_> = so_far.iter().map(|(path, value)| (&**path, value.clone())).collect();
            assert_eq!(code_of(&changes), expected, "{changes:?}");
            assert_ne!(meaning(expected), "unknown");
        }
    }

    /// Its own timeout ended one long ago: no worker was killed at the stop, but not everything completed.
    #[test]
    fn who_was_killed_before_the_stop_has_failed() {
        let killed = |which: &str| (format!("{POOL}/{which}/killed"), json!(1));
        let (all, during) = (killed("outcomes"), killed("during"));
        let accepted = (format!("{POOL}/accepted"), json!(4));
        let code = |changes: &[(String, Value)]| {
            let changes: Vec<_> = changes.iter().map(|(path, value)| (&**path, value.clone())).collect();
            code_of(&changes)
        };
        assert_eq!(code(&[all.clone(), accepted.clone()]), FAILED);
        assert_eq!(code(&[all, during, accepted]), KILLED);
    }

    #[test]
    fn only_firings_that_this_stop_returned_are_not_something_left() {
        let job = |all: u64, during: u64| {
            let detail = json!({ "outcomes": { "returned": all }, "during": { "returned": during } });
            let kind = ("/components/0/kind", json!("schedule"));
            let returned = ("/components/1/pool/during/returned", json!(1));
            code_of(&[kind, ("/components/0/detail", detail), returned])
        };
        assert_eq!(job(1, 1), OK);
        assert_eq!(job(2, 0), LEFT, "a restart before returned firings, and this stop a task");
    }

    #[test]
    fn what_is_kept_open_for_one_that_hung_in_its_start_is_not_a_failed_stop() {
        let kept = ("/components/0/end", json!("kept_open"));
        assert_eq!(code_of(std::slice::from_ref(&kept)), HOOK);
        let hung = ("/components/1/end", json!("start_hung"));
        assert_eq!(code_of(&[kept, hung, ("/ready_ms", Value::Null)]), START);
    }
}
