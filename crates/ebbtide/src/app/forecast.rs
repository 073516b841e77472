//! What would happen: the order of start and stop and the worst-case time, without starting anything.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use super::{plan, run::App};
use crate::report::{ComponentKind, as_some_millis, exit::CONFIGURATION, millis};

/// The plan of an application: what starts and stops after what, and how long a stop can take. From [`App::plan`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppPlan {
    /// The application's name.
    pub app: Arc<str>,
    /// The deadline of a stop: the application's own, or what the environment allows it.
    #[serde(rename = "deadline_ms", serialize_with = "millis")]
    pub deadline: Duration,
    /// How long everything is served on after the request to stop.
    #[serde(rename = "delay_ms", serialize_with = "millis")]
    pub delay: Duration,
    /// The end of the deadline that is kept for resources and the report.
    #[serde(rename = "reserve_ms", serialize_with = "millis")]
    pub reserve: Duration,
    /// The components in the order of their start.
    pub steps: Vec<PlanStep>,
    /// What a stop takes at most. Known if every component says what it may take; otherwise the deadline.
    #[serde(rename = "worst_ms", serialize_with = "millis")]
    pub worst: Duration,
    /// What those that say so may take together, one after the other where they must.
    #[serde(rename = "needed_ms", serialize_with = "millis")]
    pub needed: Duration,
    /// Those that do not say what they may take.
    pub unknown: Vec<Arc<str>>,
    /// What the surroundings grant: `EBBTIDE_STOP_TIMEOUT`.
    #[serde(rename = "granted_ms", serialize_with = "as_some_millis::serialize")]
    pub granted: Option<Duration>,
    /// What does not fit.
    pub warnings: Vec<String>,
}

/// One component in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanStep {
    /// Its name.
    pub component: Arc<str>,
    /// What it is.
    pub kind: ComponentKind,
    /// It starts when these have started, and they stop when it has stopped.
    pub depends_on: Vec<Arc<str>>,
    /// In which wave it stops; those of one wave may stop at the same time. The first is 1.
    pub wave: usize,
    /// What its start may take.
    #[serde(rename = "start_within_ms", serialize_with = "millis")]
    pub start_within: Duration,
    /// What its stop may take, if it says so.
    #[serde(rename = "stop_within_ms", serialize_with = "as_some_millis::serialize")]
    pub stop_within: Option<Duration>,
}

impl App {
    /// What would happen: order and worst-case time. Starts nothing.
    #[must_use]
    pub fn plan(&self) -> AppPlan {
        let count = self.parts.len();
        let (mut waves, mut ends) = (vec![1; count], vec![self.options.deregistration_delay; count]);
        for &who in self.order.sequence.iter().rev() {
            for &user in &self.order.users[who] {
                waves[who] = waves[who].max(waves[user] + 1);
                ends[who] = ends[who].max(ends[user]);
            }
            // Who says `Duration::MAX` means that there is no limit.
            ends[who] = ends[who].saturating_add(self.parts[who].worst_stop().unwrap_or_default());
        }
        let name = |&who: &usize| Arc::clone(&self.parts[who].name);
        let steps = self.order.sequence.iter().map(|&who| {
            let part = &self.parts[who];
            PlanStep {
                component: Arc::clone(&part.name),
                kind: part.kind,
                depends_on: self.order.needs[who].iter().map(name).collect(),
                wave: waves[who],
                start_within: part.start_within,
                stop_within: part.worst_stop(),
            }
        });
        let needed = ends.into_iter().max().unwrap_or_default();
        let unknown = self.parts.iter().filter(|part| part.worst_stop().is_none());
        let unknown: Vec<_> = unknown.map(|part| Arc::clone(&part.name)).collect();
        let own = self.options.own_deadline;
        let mut warnings = Vec::new();
        let (own_delay, delay) = (self.options.own_delay, self.options.deregistration_delay);
        if let Some(granted) = self.options.granted.filter(|_| delay < own_delay) {
            warnings.push(format!(
                "EBBTIDE_STOP_TIMEOUT grants {granted:?}, which a deregistration delay of {own_delay:?} would use up: it is cut to {delay:?}"
            ));
        }
        let worst = if unknown.is_empty() { needed.min(own) } else { own };
        AppPlan {
            app: Arc::clone(&self.options.name),
            deadline: self.options.deadline,
            delay: self.options.deregistration_delay,
            reserve: plan::reserve(self.options.deadline),
            steps: steps.collect(),
            worst,
            needed,
            unknown,
            granted: self.options.granted,
            warnings,
        }
        .judged()
    }
}

impl AppPlan {
    /// True if the worst case fits into the deadline and into what the surroundings grant.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.warnings.is_empty()
    }

    /// 0 if it fits, 78 if it does not: for a program that offers to print its plan.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.fits() { 0 } else { CONFIGURATION }
    }

    /// As one JSON object. Durations are milliseconds with fractions, in fields that end in `_ms`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data always serialises")
    }

    fn judged(mut self) -> Self {
        let usable = self.deadline.saturating_sub(self.reserve / 5);
        if self.needed > usable {
            self.warnings.push(format!(
                "the stop may need {:?} and has {usable:?} of its deadline of {:?}: what is not done by then is cancelled; \
                 raise the deadline or lower `stop_within`",
                self.needed, self.deadline
            ));
        }
        if let Some(granted) = self.granted.filter(|granted| *granted < self.worst) {
            self.warnings.push(format!(
                "EBBTIDE_STOP_TIMEOUT grants {granted:?} and the stop may take {:?}: it is cut to what is granted",
                self.worst
            ));
        }
        self
    }
}

impl fmt::Display for AppPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components = self.steps.len();
        writeln!(f, "{}: {components} components, a stop takes at most {:?}", self.app, self.worst)?;
        writeln!(f, "starts")?;
        for step in &self.steps {
            let after = step.depends_on.join(", ");
            let after = if after.is_empty() { String::new() } else { format!(", after {after}") };
            writeln!(
                f,
                "  {} ({}), within {:?}{after}",
                step.component,
                step.kind.as_str(),
                step.start_within
            )?;
        }
        writeln!(f, "stops, within {:?}", self.deadline)?;
        if !self.delay.is_zero() {
            writeln!(f, "  0. all is served on for {:?}", self.delay)?;
        }
        let mut steps: Vec<_> = self.steps.iter().rev().collect();
        steps.sort_by_key(|step| step.wave);
        for step in steps {
            let within = match step.stop_within {
                Some(Duration::ZERO) => "at once".to_owned(),
                Some(within) => format!("within {within:?}"),
                None => "in what the deadline leaves it".to_owned(),
            };
            writeln!(f, "  {}. {}, {within}", step.wave, step.component)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}
