//! What the pages have in common: the shell, outcomes, words for ends.

use super::{
    super::{
        app::ComponentEnd,
        text::words::{counted, number},
    },
    ink::{Ink, Safe, ink},
    style,
};
use crate::task::outcome::{Outcome, Outcomes};

/// Room for a name in running text.
pub(super) const NAME: usize = 80;
/// Room for a reason or an error.
pub(super) const REASON: usize = 600;
/// So many entries of a timeline are shown.
pub(super) const ENTRIES: usize = 500;

/// A whole page. It asks the browser to load and run nothing.
pub(super) fn page(title: &str, body: impl FnOnce(&mut Ink)) -> String {
    let mut ink = Ink::default();
    ink!(ink, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    ink!(ink, r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#);
    ink!(
        ink,
        r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"#
    );
    ink!(ink, r#"<meta name="generator" content="ebbtide {}">"#, env!("CARGO_PKG_VERSION"));
    ink!(
        ink,
        "<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>",
        Safe(title, 200),
        style::PAGE
    );
    body(&mut ink);
    ink!(ink, "</main>\n</body>\n</html>");
    ink.finish()
}

/// The line under a table that was cut.
pub(super) fn more(ink: &mut Ink, all: usize, shown: usize, what: &str) {
    if all > shown {
        ink!(ink, r#"<p class="muted">… and {} more</p>"#, counted((all - shown) as u128, what));
    }
}

/// Outcomes as a bar and as numbers.
pub(super) fn outcomes(ink: &mut Ink, outcomes: &Outcomes) {
    let total: u128 = Outcome::ALL.iter().map(|outcome| u128::from(outcomes.get(*outcome))).sum();
    if total == 0 {
        ink!(ink, r#"<span class="muted">none</span>"#);
        return;
    }
    let some = || Outcome::ALL.into_iter().filter(|outcome| outcomes.get(*outcome) > 0);
    ink!(ink, r#"<div class="bar" aria-hidden="true">"#);
    for outcome in some() {
        let part = outcomes.get(outcome) as f64 * 100.0 / total as f64;
        ink!(ink, r#"<i class="o-{}" style="width:{part:.2}%"></i>"#, outcome.as_str());
    }
    ink!(ink, r#"</div><div class="counts">"#);
    for outcome in some() {
        let count = number(outcomes.get(outcome).into());
        ink!(ink, r#"<span><span class="dot o-{}"></span>{count} {outcome}</span>"#, outcome.as_str());
    }
    ink!(ink, "</div>");
}

pub(super) const fn end(end: ComponentEnd) -> &'static str {
    match end {
        ComponentEnd::NotStarted => "not started",
        ComponentEnd::StartFailed => "START FAILED",
        ComponentEnd::StartHung => "START HUNG",
        ComponentEnd::Stopped => "stopped",
        ComponentEnd::StopFailed => "STOP FAILED",
        ComponentEnd::StopPanicked => "STOP PANICKED",
        ComponentEnd::Hung => "HUNG",
        ComponentEnd::KeptOpen => "KEPT OPEN",
    }
}

pub(super) const fn is_bad(end: ComponentEnd) -> bool {
    !matches!(end, ComponentEnd::NotStarted | ComponentEnd::Stopped)
}

/// What an exit code says, in the order of the table of exit codes.
pub(super) const fn meaning(code: u8) -> &'static str {
    match code {
        0 => "everything accepted has completed",
        1 => "some task failed, panicked, crashed or ran out of time",
        10 => "something is left to resume",
        11 => "the deadline passed and tasks were cancelled",
        12 => "a worker was killed at the stop",
        13 => "the law was broken; this is a bug in ebbtide, please report it",
        14 => "the start failed",
        15 => "something was abandoned",
        16 => "forced by a second signal",
        17 => "a stop hook failed or hung",
        74 => "input or output failed",
        78 => "wrong configuration",
        _ => "see the table of exit codes",
    }
}
