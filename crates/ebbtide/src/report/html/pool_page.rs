//! The page of a pool: what its shutdown or restart was, as a picture and as text.

use super::{
    super::{
        text::words::{counted, duration},
        value::{Procedure, Report, Turn},
    },
    ink::{Ink, Safe, ink},
    parts::{ENTRIES, NAME, REASON, more, outcomes, page as shell},
    pool_picture,
};

pub(super) fn page(report: &Report) -> String {
    let deed = match report.procedure {
        Procedure::Shutdown => "shut down",
        Procedure::Restart => "restarted",
        Procedure::RollingRestart => "restarted one by one",
    };
    let head = match report.failed {
        Some(_) => format!("was not {deed} as asked, after {}", duration(report.duration)),
        None => format!("{deed} in {}", duration(report.duration)),
    };
    shell(&format!("pool {}: {head}", report.pool), |ink| {
        ink!(ink, r#"<p class="kicker">ebbtide · how a pool stopped</p>"#);
        ink!(ink, "<h1>Pool <bdi>{}</bdi> {head}</h1>", Safe(&report.pool, NAME));
        facts(ink, report);
        ink!(ink, "<figure>\n{}</figure>", pool_picture::picture(report));
        tasks(ink, report);
        ink!(ink, "<h2>As text</h2>\n<pre>");
        for line in report.to_string().lines() {
            ink!(ink, "{}", Safe(line, 200));
        }
        ink!(ink, "</pre>");
        timeline(ink, report);
    })
}

fn facts(ink: &mut Ink, report: &Report) {
    let (class, text) = if report.is_clean() && report.law_holds() {
        ("good", "✓ as asked, nothing left behind")
    } else {
        ("bad", "✕ not as asked")
    };
    ink!(ink, r#"<ul class="facts"><li><span class="badge {class}">{text}</span></li>"#);
    ink!(ink, "<li>deadline {}</li><li>grace {}</li>", duration(report.deadline), duration(report.grace));
    ink!(ink, "<li>generation {}</li>", report.generation);
    ink!(
        ink,
        "<li>{} accepted in its life, {} refused</li></ul>",
        counted(report.accepted.into(), "task"),
        report.rejected
    );
    if !report.law_holds() {
        let (waiting, running) = (report.queued, report.running);
        ink!(
            ink,
            r#"<p class="verdict alarm">The law is broken: {} accepted, {waiting} waiting, {running} running, {} ended. This is a bug in ebbtide; please report it.</p>"#,
            report.accepted,
            report.outcomes.total()
        );
    }
    if let Some(failed) = &report.failed {
        ink!(ink, r#"<p class="verdict alarm">{}</p>"#, Safe(failed, REASON));
    }
    if let Some(sentence) = sentence(report) {
        ink!(ink, r#"<p class="verdict">{}</p>"#, Safe(&sentence, REASON));
    }
}

/// Who held it up.
fn sentence(report: &Report) -> Option<String> {
    let run = report.slowest.as_ref()?;
    let worker = report.workers.iter().find(|worker| worker.id == run.worker);
    let on = worker.map_or_else(|| format!("worker {}", run.worker), |worker| worker.name.to_string());
    let name = run.name.as_ref().map(|name| format!(" “{name}”")).unwrap_or_default();
    let who = format!("Task {}{name} on {on}", run.task);
    let without = duration(report.duration.saturating_sub(run.cost));
    Some(match run.ended {
        None => format!("{who} did not end and was abandoned: without it {without}"),
        Some(_) if run.cost.is_zero() => format!("{who} was the last to end and held nothing up"),
        Some(_) => {
            format!("Without {who} it would have been {without}").replace("Without Task", "Without task")
        }
    })
}

fn tasks(ink: &mut Ink, report: &Report) {
    ink!(ink, "<h2>What became of the tasks</h2>\n<div class=\"scroll\"><table>");
    ink!(ink, "<tr><th>meanwhile</th><td>");
    outcomes(ink, &report.during);
    ink!(ink, "</td></tr><tr><th>in its life</th><td>");
    outcomes(ink, &report.outcomes);
    ink!(ink, "</td></tr></table></div>");
}

fn timeline(ink: &mut Ink, report: &Report) {
    ink!(
        ink,
        "<h2>What happened</h2>\n<details><summary>{}</summary><table>",
        counted(report.timeline.len() as u128, "turn")
    );
    for entry in report.timeline.iter().take(ENTRIES) {
        ink!(
            ink,
            r#"<tr><td class="n">{}</td><td class="t">{}</td></tr>"#,
            duration(entry.at),
            told(&entry.turn)
        );
    }
    ink!(ink, "</table>");
    more(ink, report.timeline.len(), ENTRIES, "turn");
    ink!(ink, "</details>");
}

fn told(turn: &Turn) -> String {
    match turn {
        Turn::Asked { mode, queued, running } => {
            let mode = mode.map_or("rolling restart".to_owned(), |mode| format!("{mode:?}").to_lowercase());
            format!("asked: {mode}; {queued} waiting, {running} running")
        }
        Turn::Escalated { mode, why } => {
            format!("came to {}: {}", format!("{mode:?}").to_lowercase(), Safe(why, REASON))
        }
        Turn::Returned { tasks } => format!("{} returned", counted((*tasks).into(), "task")),
        Turn::Started { worker } => format!("worker {worker} serves"),
        Turn::StartFailed { worker, cause } => {
            format!("worker {worker} did not start: {}", Safe(cause, REASON))
        }
        Turn::Ended { worker } => format!("worker {worker} has ended"),
        Turn::Abandoned { worker, task: Some(task) } => {
            format!("worker {worker} was given up with task {task}")
        }
        Turn::Abandoned { worker, task: None } => format!("worker {worker} was given up outside of any task"),
        Turn::Over => "over".to_owned(),
    }
}
