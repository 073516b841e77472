//! What a run of an application was, as plain data: its components' starts and stops, who held up whom, and the exit code.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::value::{Marked, Report, as_millis, as_some_millis};

/// What an application did from its start to its end. Every waiter gets the same.
///
/// Times of the start (`start` of a component, `ready`, `uptime`) count from the call of `run`; all others count from the request to stop.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct AppReport {
    /// The application's name.
    pub app: Arc<str>,
    /// Why it stopped.
    pub reason: StopReason,
    /// What the process should exit with: the table of exit codes.
    pub exit_code: u8,
    /// When all components had started, from the call of `run`; none if that never came.
    #[serde(rename = "ready_ms", with = "as_some_millis")]
    pub ready: Option<Duration>,
    /// From the call of `run` to the request to stop.
    #[serde(rename = "uptime_ms", with = "as_millis")]
    pub uptime: Duration,
    /// From the request to stop to the end.
    #[serde(rename = "duration_ms", with = "as_millis")]
    pub duration: Duration,
    /// What the stop was allowed to take.
    #[serde(rename = "deadline_ms", with = "as_millis")]
    pub deadline: Duration,
    /// The end of the deadline that was kept for resources and this report.
    #[serde(rename = "reserve_ms", with = "as_millis")]
    pub reserve: Duration,
    /// How long everything was served after the request: the deregistration delay that was really kept.
    #[serde(rename = "delay_ms", with = "as_millis")]
    pub delay: Duration,
    /// When a second signal (or a call) forced the stop.
    #[serde(rename = "forced_ms", with = "as_some_millis")]
    pub forced: Option<Duration>,
    /// The signals that counted; those within 250 ms of another are one.
    pub signals: Vec<SignalMark>,
    /// The components, in the order of their start: what is depended on comes first.
    pub components: Vec<ComponentReport>,
    /// The stop, in order.
    pub timeline: Vec<AppEntry>,
    /// Who held up the end, first to last: each step began when the one before it ended.
    pub critical: Vec<CriticalStep>,
    /// The critical path in a sentence: "without task 88090 it would have been 5.9 s".
    pub critical_path: Option<String>,
    /// What was wrong without being an error: a deadline that the plan does not fit into, for example.
    pub warnings: Vec<String>,
}

/// Why an application stopped; the first reason is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// A signal came.
    Signal {
        /// Its name, `SIGTERM`.
        signal: Arc<str>,
    },
    /// The program called `stop`.
    Asked,
    /// A component that the application cannot be without ended, failed or panicked while it served.
    ComponentEnded {
        /// Which.
        component: Arc<str>,
        /// What it said; none if it just ended.
        error: Option<String>,
    },
    /// A component did not start; this is the first one's error.
    StartFailed {
        /// Which.
        component: Arc<str>,
        /// What it said, or that the time was up.
        error: String,
    },
    /// The application was put together wrongly; nothing was started.
    Refused {
        /// What is wrong.
        problem: String,
    },
}

/// A signal that counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct SignalMark {
    /// When, from the request to stop.
    #[serde(rename = "at_ms", with = "as_millis")]
    pub at: Duration,
    /// Its name, `SIGTERM`.
    pub signal: Arc<str>,
    /// What it did.
    pub meaning: SignalMeaning,
}

/// What a signal means after those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalMeaning {
    /// The first: an ordered stop.
    Stop,
    /// The second: cancel and kill now, still in order.
    Force,
    /// The third: the process ends.
    End,
}

/// What a component is; it says where it stands in the order where nobody said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComponentKind {
    /// Answers whether the application lives and is ready: starts before all others and outlives them.
    Probe,
    /// Something that others use.
    Resource,
    /// Workers and a queue.
    Pool,
    /// Asynchronous tasks of the user.
    Tasks,
    /// A component of the user's own.
    Component,
    /// Brings work in from outside: stops before what does the work.
    Ingress,
    /// Brings work in by the clock: starts last and stops first.
    Schedule,
}

/// How a component was at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComponentEnd {
    /// It was never started: the start had failed, or was called off, before its turn.
    NotStarted,
    /// Its start gave an error, panicked, or was called off; there was nothing to stop.
    StartFailed,
    /// Its start was waited for in vain; its thread still runs.
    StartHung,
    /// It stopped.
    Stopped,
    /// Its stop gave an error; it counts as stopped.
    StopFailed,
    /// Its stop panicked; it counts as stopped.
    StopPanicked,
    /// Its stop did not end in its time and was left behind.
    Hung,
    /// A resource that was not closed, because somebody still used it.
    KeptOpen,
}

/// From when to when; open if the end was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Span {
    /// Its begin.
    #[serde(rename = "from_ms", with = "as_millis")]
    pub from: Duration,
    /// Its end.
    #[serde(rename = "to_ms", with = "as_some_millis")]
    pub to: Option<Duration>,
}

/// What one component did.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ComponentReport {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: ComponentKind,
    /// The names of those it depends on: they start before it and stop after it.
    pub depends_on: Vec<Arc<str>>,
    /// How it ended.
    pub end: ComponentEnd,
    /// What its start or its stop said that went wrong.
    pub error: Option<String>,
    /// Its start, from the call of `run`.
    pub start: Option<Span>,
    /// Its stop, from the request.
    pub stop: Option<Span>,
    /// What its stop was allowed to take.
    #[serde(rename = "budget_ms", with = "as_some_millis")]
    pub budget: Option<Duration>,
    /// When it was told to cancel and kill, from the request.
    #[serde(rename = "forced_ms", with = "as_some_millis")]
    pub forced: Option<Duration>,
    /// The last of its dependants to stop: its own stop began then.
    pub waited_for: Option<Arc<str>>,
    /// Who held it: of a resource that was kept open.
    pub held_by: Vec<Arc<str>>,
    /// What it last said about its progress.
    pub progress: Option<String>,
    /// What a pool did.
    pub pool: Option<Report>,
    /// What a component of another kind has to say, as data.
    pub detail: Option<serde_json::Value>,
}

/// Something that happened during the stop.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct AppEntry {
    /// When, from the request.
    #[serde(rename = "at_ms", with = "as_millis")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub turn: AppTurn,
}

/// The turns a stop can take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AppTurn {
    /// It was asked for; readiness says no from here on.
    Asked,
    /// The deregistration delay was over (or skipped): from here on less is served.
    DelayOver,
    /// A component's stop began.
    StopBegan {
        /// Which.
        component: Arc<str>,
    },
    /// A component's stop ended.
    StopEnded {
        /// Which.
        component: Arc<str>,
        /// How.
        end: ComponentEnd,
    },
    /// A component was told to cancel and kill.
    Forced {
        /// Which.
        component: Arc<str>,
        /// By whom.
        why: ForcedBy,
    },
    /// The process was not running for a while: stopped by a signal, or the machine slept.
    Stood {
        /// How long.
        #[serde(rename = "for_ms", with = "as_millis")]
        span: Duration,
    },
    /// It was over.
    Over,
}

/// Who told a component to cancel and kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForcedBy {
    /// A second signal, or a call of `force`.
    Caller,
    /// Its budget was used up.
    Budget,
}

/// One step of the critical path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct CriticalStep {
    /// The component; none for the deregistration delay.
    pub component: Option<Arc<str>>,
    /// When it began, from the request.
    #[serde(rename = "from_ms", with = "as_millis")]
    pub from: Duration,
    /// When it was over.
    #[serde(rename = "to_ms", with = "as_millis")]
    pub to: Duration,
    /// The task or reason within it that took longest.
    pub because: Option<String>,
    /// How much sooner the whole stop would have been over without that.
    #[serde(rename = "cost_ms", with = "as_millis")]
    pub cost: Duration,
}

impl ComponentKind {
    /// The word used in reports and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Resource => "resource",
            Self::Pool => "pool",
            Self::Tasks => "tasks",
            Self::Component => "component",
            Self::Ingress => "ingress",
            Self::Schedule => "schedule",
        }
    }
}

impl AppReport {
    /// The field `format` of its JSON.
    pub const FORMAT: &'static str = "ebbtide-application-report";
    /// The field `version` of its JSON. It grows when a field is renamed, goes away or changes its meaning; new ones may come without.
    pub const VERSION: u32 = 1;

    /// True if everything started, served, and stopped as it should.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.exit_code == 0
    }

    /// The report of one component.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&ComponentReport> {
        self.components.iter().find(|component| &*component.name == name)
    }

    /// Of an application that could not be run.
    pub(crate) fn refused(app: &Arc<str>, problem: String) -> Self {
        let zero = Duration::ZERO;
        let mut report = Self {
            app: Arc::clone(app),
            reason: StopReason::Refused { problem },
            exit_code: 0,
            ready: None,
            uptime: zero,
            duration: zero,
            deadline: zero,
            reserve: zero,
            delay: zero,
            forced: None,
            signals: Vec::new(),
            components: Vec::new(),
            timeline: Vec::new(),
            critical: Vec::new(),
            critical_path: None,
            warnings: Vec::new(),
        };
        report.conclude();
        report
    }

    /// Writes down what follows from the rest: the critical path and the exit code.
    pub(crate) fn conclude(&mut self) {
        super::critical::fill(self);
        self.exit_code = super::exit::code(self);
    }

    /// The whole report as one JSON object, with [`FORMAT`](Self::FORMAT) and [`VERSION`](Self::VERSION). Durations are milliseconds with fractions, in fields that end in `_ms`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let marked = Marked { format: Self::FORMAT, version: Self::VERSION, report: self };
        serde_json::to_string(&marked).expect("plain data always serialises")
    }
}

impl Span {
    pub(crate) fn new(from: Duration, to: Option<Duration>) -> Self {
        Self { from, to }
    }

    /// How long it took, if it ended.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.to.map(|to| to.saturating_sub(self.from))
    }
}
