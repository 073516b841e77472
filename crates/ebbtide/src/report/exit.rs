//! The exit code of an application: one table for every command, and the one rule that picks from it.

use super::{
    app::{AppReport, ComponentEnd, ComponentKind, ComponentReport, StopReason},
    value::{Mode, Report},
};

/// Everything that was accepted ended completed.
const OK: u8 = 0;
/// Some task failed, panicked, crashed or timed out; or a component the application cannot be without did.
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
        outcomes.failed + outcomes.panicked + outcomes.crashed + outcomes.timed_out > 0
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
        (FAILED, matches!(report.reason, StopReason::ComponentEnded { error: Some(_), .. })),
    ];
    table.iter().find(|(_, applies)| *applies).map_or(OK, |(code, _)| *code)
}

/// Runs of schedules that had been fired and not begun when their clock was stopped: nobody has to resume those.
fn firings_returned(report: &AppReport) -> u64 {
    let schedules = report.components.iter().filter(|component| component.kind == ComponentKind::Schedule);
    let details = schedules.filter_map(|component| component.detail.as_ref());
    details.filter_map(|detail| detail.get("outcomes")?.get("returned")?.as_u64()).sum()
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
