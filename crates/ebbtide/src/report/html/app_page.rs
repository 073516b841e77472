//! The page of an application: the conclusion first, then the picture, then the figures.

use super::{
    super::{
        app::{AppReport, AppTurn, ComponentReport, ForcedBy, SignalMeaning, StopReason},
        text::words::{counted, duration},
    },
    app_picture,
    ink::{Ink, Safe, ink},
    parts::{ENTRIES, NAME, REASON, end, is_bad, meaning, more, outcomes, page as shell},
    pool_picture,
};

/// Components that are listed.
const LISTED: usize = 200;
/// Pools whose workers are drawn.
const POOLS: usize = 20;
/// Room for what a component has to say, in columns.
const DETAIL: usize = 4_000;

pub(super) fn page(report: &AppReport) -> String {
    shell(&format!("{}: {}", report.app, headline(report)), |ink| {
        top(ink, report);
        ink!(ink, "<figure>\n{}</figure>", app_picture::picture(report));
        critical(ink, report);
        pools(ink, report);
        components(ink, report);
        warnings(ink, report);
        timeline(ink, report);
        workers(ink, report);
        details(ink, report);
    })
}

fn headline(report: &AppReport) -> String {
    let took = duration(report.duration);
    match (&report.reason, report.exit_code) {
        (StopReason::Refused { .. }, _) => "was put together wrongly, nothing was started".to_owned(),
        (StopReason::StartFailed { .. }, _) => format!("did not start; what had started stopped in {took}"),
        (_, 0) => format!("stopped in {took}, nothing was lost"),
        (_, code) => format!("stopped in {took}: {}", meaning(code)),
    }
}

fn top(ink: &mut Ink, report: &AppReport) {
    ink!(ink, r#"<p class="kicker">ebbtide · how an application stopped</p>"#);
    ink!(ink, "<h1><bdi>{}</bdi> {}</h1>", Safe(&report.app, NAME), headline(report));
    let (class, sign) = if report.exit_code == 0 { ("good", "✓") } else { ("bad", "✕") };
    ink!(
        ink,
        r#"<ul class="facts"><li><span class="badge {class}">{sign} exit code {}</span></li>"#,
        report.exit_code
    );
    ink!(ink, "<li>{}</li>", reason(&report.reason));
    ink!(
        ink,
        "<li>ready {}</li>",
        report.ready.map_or("never".to_owned(), |ready| format!("after {}", duration(ready)))
    );
    ink!(ink, "<li>stopped after {}</li>", duration(report.uptime));
    ink!(
        ink,
        "<li>deadline {}, {} of it in reserve</li>",
        duration(report.deadline),
        duration(report.reserve)
    );
    if !report.delay.is_zero() {
        ink!(ink, "<li>deregistration delay {}</li>", duration(report.delay));
    }
    // The first of one is the reason, and said above.
    let signals = if report.signals.len() > 1 { &report.signals[..] } else { &[] };
    for signal in signals.iter().take(8) {
        let did = match signal.meaning {
            SignalMeaning::Stop => "began the stop",
            SignalMeaning::Force => "forced it",
            SignalMeaning::End => "ended the process",
        };
        ink!(ink, "<li>{} at {} {did}</li>", Safe(&signal.signal, 24), duration(signal.at));
    }
    ink!(ink, "</ul>");
    if let Some(sentence) = sentence(report) {
        ink!(
            ink,
            r#"<p class="verdict">{}</p>"#,
            Safe(
                &sentence.replacen("without ", "Without ", usize::from(sentence.starts_with("without "))),
                REASON
            )
        );
    }
}

fn reason(reason: &StopReason) -> String {
    match reason {
        StopReason::Signal { signal } => format!("stopped by {}", Safe(signal, 24)),
        StopReason::Asked => "the program asked for it".to_owned(),
        StopReason::ComponentEnded { component, error } => {
            let why = error.as_deref().map(|error| format!(": {}", Safe(error, REASON))).unwrap_or_default();
            format!("<bdi>{}</bdi> ended while it served{why}", Safe(component, NAME))
        }
        StopReason::StartFailed { component, error } => {
            format!("<bdi>{}</bdi> did not start: {}", Safe(component, NAME), Safe(error, REASON))
        }
        StopReason::Refused { problem } => format!("refused: {}", Safe(problem, REASON)),
    }
}

/// The critical path in a sentence: as the report has it, or what follows from its costliest step.
fn sentence(report: &AppReport) -> Option<String> {
    if report.critical_path.is_some() {
        return report.critical_path.clone();
    }
    let step = report.critical.iter().max_by_key(|step| step.cost).filter(|step| !step.cost.is_zero())?;
    let who = step.because.as_deref().or(step.component.as_deref()).unwrap_or("the deregistration delay");
    let without = duration(report.duration.saturating_sub(step.cost));
    Some(format!("without {who} it would have been {without}"))
}

fn critical(ink: &mut Ink, report: &AppReport) {
    if report.critical.is_empty() {
        return;
    }
    ink!(ink, "<h2>Who held up the end</h2>\n<ol class=\"steps\">");
    for step in report.critical.iter().take(LISTED) {
        let who = step.component.as_deref().unwrap_or("deregistration delay");
        let (took, from) = (duration(step.to.saturating_sub(step.from)), duration(step.from));
        ink!(ink, "<li><b><bdi>{}</bdi></b>{took}, from {from} on", Safe(who, NAME));
        if let Some(because) = &step.because {
            ink!(ink, "<br>{}", Safe(because, REASON));
        }
        if !step.cost.is_zero() {
            ink!(ink, r#"<br><span class="muted">cost {}</span>"#, duration(step.cost));
        }
        ink!(ink, "</li>");
    }
    ink!(ink, "</ol>");
    more(ink, report.critical.len(), LISTED, "step");
}

fn pools(ink: &mut Ink, report: &AppReport) {
    let pools: Vec<_> = report.components.iter().filter_map(|component| component.pool.as_ref()).collect();
    if pools.is_empty() {
        return;
    }
    ink!(ink, "<h2>What became of the tasks</h2>\n<div class=\"scroll\"><table>");
    ink!(
        ink,
        r#"<tr><th>pool</th><th class="n">accepted</th><th>in its life</th><th>during the stop</th></tr>"#
    );
    for pool in pools.iter().take(LISTED) {
        ink!(ink, r#"<tr><td class="t"><b><bdi>{}</bdi></b>"#, Safe(&pool.pool, NAME));
        if !pool.law_holds() {
            ink!(ink, r#"<br><span class="wrong">THE LAW IS BROKEN</span>"#);
        }
        ink!(ink, r#"</td><td class="n">{}</td><td>"#, counted(pool.accepted.into(), "task"));
        outcomes(ink, &pool.outcomes);
        ink!(ink, "</td><td>");
        outcomes(ink, &pool.during);
        ink!(ink, "</td></tr>");
    }
    ink!(ink, "</table></div>");
    more(ink, pools.len(), LISTED, "pool");
}

fn components(ink: &mut Ink, report: &AppReport) {
    ink!(ink, "<h2>Components, in the order of their start</h2>\n<div class=\"scroll\"><table>");
    ink!(
        ink,
        r#"<tr><th>component</th><th>depends on</th><th class="n">started in</th><th class="n">stop</th><th class="n">took</th><th class="n">budget</th><th>waited for</th><th>end</th></tr>"#
    );
    for component in report.components.iter().take(LISTED) {
        row(ink, component);
    }
    ink!(ink, "</table></div>");
    more(ink, report.components.len(), LISTED, "component");
}

fn row(ink: &mut Ink, component: &ComponentReport) {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let started = or_dash(component.start.and_then(|span| span.took()).map(duration));
    let stop = component.stop.map(|stop| {
        let to = stop.to.map_or_else(|| "…".to_owned(), duration);
        format!("{} → {to}", duration(stop.from))
    });
    let took = or_dash(component.stop.and_then(|span| span.took()).map(duration));
    let budget = or_dash(component.budget.map(duration));
    let (name, what) = (Safe(&component.name, NAME), component.kind.as_str());
    ink!(ink, r#"<tr><td class="t"><b><bdi>{name}</bdi></b><br><span class="muted">{what}</span></td>"#);
    ink!(ink, r#"<td class="t">{}</td><td class="n">{started}</td>"#, names(&component.depends_on));
    ink!(ink, r#"<td class="n">{}</td><td class="n">{took}</td><td class="n">{budget}</td>"#, or_dash(stop));
    let waited = component.waited_for.as_deref().map(|name| format!("<bdi>{}</bdi>", Safe(name, NAME)));
    ink!(ink, r#"<td class="t">{}</td><td class="t">"#, or_dash(waited));
    let class = if is_bad(component.end) { "wrong" } else { "" };
    ink!(ink, r#"<span class="{class}">{}</span>"#, end(component.end));
    if let Some(forced) = component.forced {
        ink!(ink, "<br>told to cancel and kill at {}", duration(forced));
    }
    if !component.held_by.is_empty() {
        ink!(ink, "<br>held by {}", names(&component.held_by));
    }
    for said in [&component.error, &component.progress].into_iter().flatten() {
        ink!(ink, "<br>{}", Safe(said, REASON));
    }
    ink!(ink, "</td></tr>");
}

fn names(names: &[std::sync::Arc<str>]) -> String {
    const MOST: usize = 8;
    let mut shown: Vec<String> =
        names.iter().take(MOST).map(|name| format!("<bdi>{}</bdi>", Safe(name, NAME))).collect();
    if names.len() > MOST {
        shown.push(format!("{} more", names.len() - MOST));
    }
    if shown.is_empty() { "–".to_owned() } else { shown.join(", ") }
}

fn warnings(ink: &mut Ink, report: &AppReport) {
    const MOST: usize = 20;
    if report.warnings.is_empty() {
        return;
    }
    ink!(ink, "<h2>Warnings</h2>\n<ul>");
    for warning in report.warnings.iter().take(MOST) {
        ink!(ink, "<li>{}</li>", Safe(warning, REASON));
    }
    ink!(ink, "</ul>");
    more(ink, report.warnings.len(), MOST, "warning");
}

fn timeline(ink: &mut Ink, report: &AppReport) {
    let all = counted(report.timeline.len() as u128, "entry").replace("entrys", "entries");
    ink!(ink, "<h2>What happened</h2>\n<details><summary>{all}</summary><table>",);
    for entry in report.timeline.iter().take(ENTRIES) {
        ink!(
            ink,
            r#"<tr><td class="n">{}</td><td class="t">{}</td></tr>"#,
            duration(entry.at),
            told(&entry.turn)
        );
    }
    ink!(ink, "</table>");
    more(ink, report.timeline.len(), ENTRIES, "row");
    ink!(ink, "</details>");
}

fn told(turn: &AppTurn) -> String {
    let name = |name: &str| format!("<bdi>{}</bdi>", Safe(name, NAME));
    match turn {
        AppTurn::Asked => "asked to stop; readiness says no from here on".to_owned(),
        AppTurn::DelayOver => "the deregistration delay is over".to_owned(),
        AppTurn::StopBegan { component } => format!("{} is told to stop", name(component)),
        AppTurn::StopEnded { component, end: how } => format!("{}: {}", name(component), end(*how)),
        AppTurn::Forced { component, why: ForcedBy::Caller } => {
            format!("{} is told to cancel and kill: forced", name(component))
        }
        AppTurn::Forced { component, why: ForcedBy::Budget } => {
            format!("{} is told to cancel and kill: its budget is used up", name(component))
        }
        AppTurn::Stood { span } => format!("the process had stood still for {}", duration(*span)),
        AppTurn::Over => "over".to_owned(),
    }
}

/// What each pool did, as its own picture.
fn workers(ink: &mut Ink, report: &AppReport) {
    let pools: Vec<_> = report.components.iter().filter_map(|component| component.pool.as_ref()).collect();
    if pools.is_empty() {
        return;
    }
    ink!(ink, "<h2>Workers</h2>");
    for pool in pools.iter().take(POOLS) {
        let (name, many) = (Safe(&pool.pool, NAME), counted(pool.workers.len() as u128, "worker"));
        ink!(ink, "<details><summary><bdi>{name}</bdi>: {many}, {}</summary>", duration(pool.duration));
        ink!(ink, "<figure>\n{}</figure>\n</details>", pool_picture::picture(pool));
    }
    more(ink, pools.len(), POOLS, "pool");
}

/// What components of other kinds had to say.
fn details(ink: &mut Ink, report: &AppReport) {
    let said = report.components.iter().filter_map(|component| Some((component, component.detail.as_ref()?)));
    let mut any = false;
    for (component, detail) in said.take(POOLS) {
        if !any {
            ink!(ink, "<h2>In their own words</h2>");
            any = true;
        }
        let text = serde_json::to_string_pretty(detail).unwrap_or_default();
        ink!(ink, "<details><summary><bdi>{}</bdi></summary><pre>", Safe(&component.name, NAME));
        let mut room = DETAIL;
        for line in text.lines() {
            if room < line.len() {
                ink!(ink, "…");
                break;
            }
            room -= line.len();
            ink!(ink, "{}", Safe(line, DETAIL));
        }
        ink!(ink, "</pre></details>");
    }
}
