//! An application's report for a person: why it stopped, who took how long, what went wrong, in what order.

use std::{fmt, time::Duration};

use super::{
    app::{AppReport, ComponentEnd, ComponentReport, StopReason},
    exit,
    text::words::{duration, padded, plain},
    value::LongRun,
};

/// The columns of the picture of a stop.
const PICTURE: usize = 32;
/// At most so much of a name or an error is shown.
const NAME: usize = 28;
const ERROR: usize = 300;
/// At most so many components are shown; what went wrong is said for all.
const ROWS: usize = 40;

impl fmt::Display for AppReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = duration(self.duration);
        writeln!(f, "{}: {}", plain(&self.app, NAME), self.reason)?;
        if let StopReason::Refused { .. } = self.reason {
            return writeln!(f, "exit code {}: {}", self.exit_code, exit::meaning(self.exit_code));
        }
        write!(f, "stopped in {took} of {}", duration(self.deadline))?;
        if let Some(forced) = self.forced {
            write!(f, ", forced after {}", duration(forced))?;
        }
        writeln!(f, "; exit code {}: {}", self.exit_code, exit::meaning(self.exit_code))?;
        for component in self.components.iter().rev().take(ROWS) {
            self.row(f, component)?;
        }
        if let Some(more) = self.components.len().checked_sub(ROWS).filter(|more| *more > 0) {
            writeln!(f, "  and {more} more")?;
        }
        for component in &self.components {
            trouble(f, component)?;
        }
        if let Some(sentence) = &self.critical_path {
            writeln!(f, "{}", plain(sentence, ERROR))?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {}", plain(warning, ERROR))?;
        }
        Ok(())
    }
}

impl AppReport {
    fn row(&self, f: &mut fmt::Formatter<'_>, component: &ComponentReport) -> fmt::Result {
        let widest = self.components.iter().map(|one| plain(&one.name, NAME).chars().count()).max();
        let name = padded(&plain(&component.name, NAME), widest.unwrap_or_default());
        let picture = self.picture(component);
        let took = component.stop.and_then(|stop| stop.took()).map(duration).unwrap_or_default();
        writeln!(f, "  {name}  {picture}  {:>8}  {}", took, words(component.end))
    }

    /// `·` before its stop began, `█` while it stopped; one that hung stops to the end.
    fn picture(&self, component: &ComponentReport) -> String {
        let Some(stop) = component.stop else { return " ".repeat(PICTURE) };
        let column = |at: Duration| {
            let part = at.as_secs_f64() / self.duration.as_secs_f64().max(1e-9);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to the picture"
            )]
            let column = (part * PICTURE as f64).round().clamp(0.0, PICTURE as f64) as usize;
            column
        };
        let from = column(stop.from).min(PICTURE - 1);
        let to = column(stop.to.unwrap_or(self.duration)).max(from + 1);
        format!("{}{}{}", "·".repeat(from), "█".repeat(to - from), " ".repeat(PICTURE - to))
    }
}

/// What a person has to know about one component.
fn trouble(f: &mut fmt::Formatter<'_>, component: &ComponentReport) -> fmt::Result {
    let name = plain(&component.name, NAME);
    if let Some(error) = &component.error {
        writeln!(f, "{name} {}: {}", words(component.end), plain(error, ERROR))?;
    }
    if component.end == ComponentEnd::Hung
        && let Some(progress) = &component.progress
    {
        writeln!(f, "{name} last said: {}", plain(progress, ERROR))?;
    }
    let Some(pool) = &component.pool else { return Ok(()) };
    for worker in pool.abandoned() {
        let ran = worker.ran.as_ref().map_or_else(|| "outside of a task".to_owned(), task);
        writeln!(f, "{name}: worker {} was abandoned with {ran}", plain(&worker.name, NAME))?;
    }
    let outcomes = [
        ("failed", pool.outcomes.failed),
        ("panicked", pool.outcomes.panicked),
        ("crashed", pool.outcomes.crashed),
        ("timed out", pool.outcomes.timed_out),
        ("cancelled in the stop", pool.during.cancelled),
        ("killed in the stop", pool.during.killed),
        ("returned in the stop", pool.during.returned),
    ];
    let counted: Vec<_> = outcomes.iter().filter(|(_, count)| *count > 0).collect();
    if !counted.is_empty() {
        let said: Vec<_> = counted.iter().map(|(what, count)| format!("{count} {what}")).collect();
        writeln!(f, "{name}: of {} tasks {}", pool.accepted, said.join(", "))?;
    }
    Ok(())
}

fn task(run: &LongRun) -> String {
    let name = run.name.as_ref().map(|name| format!(" \"{}\"", plain(name, NAME))).unwrap_or_default();
    format!("task {}{name}, which ran for {}", run.task, duration(run.ran))
}

const fn words(end: ComponentEnd) -> &'static str {
    match end {
        ComponentEnd::NotStarted => "was not started",
        ComponentEnd::StartFailed => "did not start",
        ComponentEnd::StartHung => "hung in its start",
        ComponentEnd::Stopped => "stopped",
        ComponentEnd::StopFailed => "failed to stop",
        ComponentEnd::StopPanicked => "panicked in its stop",
        ComponentEnd::Hung => "hung in its stop",
        ComponentEnd::KeptOpen => "was kept open",
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal { signal } => write!(f, "stopped by {signal}"),
            Self::Asked => f.write_str("stopped by a call"),
            Self::ComponentEnded { component, error: None } => write!(f, "stopped because {component} ended"),
            Self::ComponentEnded { component, error: Some(error) } => {
                write!(f, "stopped because {component} failed: {}", plain(error, ERROR))
            }
            Self::StartFailed { component, error } => {
                write!(f, "{component} did not start: {}", plain(error, ERROR))
            }
            Self::Refused { problem } => write!(f, "cannot be run: {}", plain(problem, ERROR)),
        }
    }
}
