//! The report as plain data: cloneable, serialisable, and the same for everybody who asked.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, Serializer};

use crate::task::{
    id::{TaskId, WorkerId},
    outcome::Outcomes,
};

/// How a pool (or its present workers) is to end; from gentle to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// No new work; everything accepted is finished.
    Drain,
    /// No new work; what runs is finished, what waits is returned.
    Stop,
    /// What runs is asked to cancel, what waits is returned; after the grace what does not obey is abandoned.
    Abort,
}

/// Which procedure a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Procedure {
    /// The pool's end.
    Shutdown,
    /// The present workers' end; the pool stays open.
    Restart,
    /// The present workers' replacement, one after the other.
    RollingRestart,
}

/// What a shutdown or restart did. From `wait` on its handle; everybody who waits gets the same.
///
/// `Display` shows it to a person on one screen; [`to_json`](Self::to_json) gives it to a program.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The pool's name.
    pub pool: Arc<str>,
    /// Shutdown or restart.
    pub procedure: Procedure,
    /// The strongest mode it came to; a rolling restart has none.
    pub mode: Option<Mode>,
    /// The mode that was asked for first.
    pub asked: Option<Mode>,
    /// The generation that ended.
    pub generation: u32,
    /// From the request to the end.
    #[serde(rename = "duration_ms", with = "as_millis")]
    pub duration: Duration,
    /// What it was allowed to take.
    #[serde(rename = "deadline_ms", with = "as_millis")]
    pub deadline: Duration,
    /// Time between asking and abandoning: what was asked for, and at most half of the deadline less its reserve.
    #[serde(rename = "grace_ms", with = "as_millis")]
    pub grace: Duration,
    /// Why it did not do what was asked: superseded by something stronger, or replacements that did not start.
    pub failed: Option<String>,
    /// Tasks accepted in the pool's life so far.
    pub accepted: u64,
    /// Tasks that waited when the report was made: zero after a shutdown.
    pub queued: u64,
    /// Tasks that ran when the report was made: zero after a shutdown.
    pub running: u64,
    /// Submits that were refused in the pool's life so far; never a part of `accepted`.
    pub rejected: u64,
    /// How tasks ended in the pool's life so far. `accepted = queued + running + Σ outcomes`.
    pub outcomes: Outcomes,
    /// How tasks ended during this procedure.
    pub during: Outcomes,
    /// The workers that were there when it began or came later, in the order of their numbers.
    pub workers: Vec<WorkerReport>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry>,
    /// The task that ended last among those that ran when it began (or were abandoned): who held it up.
    pub slowest: Option<LongRun>,
}

/// What one worker did.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its number.
    pub id: WorkerId,
    /// Its name, and its thread's.
    pub name: Arc<str>,
    /// Its generation.
    pub generation: u32,
    /// How it ended, or that it did not.
    pub end: WorkerEnd,
    /// When it had ended, from the request.
    #[serde(rename = "ended_ms", with = "as_some_millis")]
    pub ended: Option<Duration>,
    /// How many tasks it began in its life.
    pub tasks: u64,
    /// What it ran when the procedure began, or what it was abandoned with.
    pub ran: Option<LongRun>,
}

/// How a worker was at the end of a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerEnd {
    /// Its thread has ended and was joined.
    Joined,
    /// Its task ignored the request to cancel past its grace; its thread still runs.
    Abandoned,
    /// It serves on: it belongs to a newer generation, or its replacement did not start.
    Serving,
}

/// A run that took long enough to be seen, or was under way when a procedure began.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct LongRun {
    /// The task.
    pub task: TaskId,
    /// Its name, if it was given one.
    pub name: Option<Arc<str>>,
    /// Who ran it.
    pub worker: WorkerId,
    /// When it ended, from the request; `None` if it was abandoned.
    #[serde(rename = "ended_ms", with = "as_some_millis")]
    pub ended: Option<Duration>,
    /// How long it ran, at least.
    #[serde(rename = "ran_ms", with = "as_millis")]
    pub ran: Duration,
    /// How much sooner the procedure would have been over without it.
    #[serde(rename = "cost_ms", with = "as_millis")]
    pub cost: Duration,
}

/// A task that runs now.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RunningTask {
    /// The task.
    pub task: TaskId,
    /// Its name, if it was given one.
    pub name: Option<Arc<str>>,
    /// What it last said about its progress.
    pub progress: Option<String>,
    /// Of a worker process that runs it for a second and more: whether it answers meanwhile. One that does not may compute; it need not hang.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsive: Option<bool>,
    /// Who runs it.
    pub worker: WorkerId,
    /// That one's name.
    pub worker_name: Arc<str>,
    /// It has run for so long, at least.
    #[serde(rename = "running_ms", with = "as_millis")]
    pub running_for: Duration,
}

/// Something that happened during a procedure.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct TimelineEntry {
    /// When, from the request.
    #[serde(rename = "at_ms", with = "as_millis")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub turn: Turn,
}

/// The turns a procedure can take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Turn {
    /// It was asked for.
    Asked {
        /// The mode; none for a rolling restart.
        mode: Option<Mode>,
        /// How many tasks waited.
        queued: u64,
        /// How many ran.
        running: u64,
    },
    /// It became stronger: somebody asked, or the deadline came near.
    Escalated {
        /// To this mode.
        mode: Mode,
        /// By whom.
        why: Cow<'static, str>,
    },
    /// Waiting tasks were handed back.
    Returned {
        /// So many.
        tasks: u64,
    },
    /// A worker started, ready to serve.
    Started {
        /// Its number.
        worker: WorkerId,
    },
    /// A worker could not be started.
    StartFailed {
        /// Its number.
        worker: WorkerId,
        /// Why.
        cause: Arc<str>,
    },
    /// A worker has ended.
    Ended {
        /// Its number.
        worker: WorkerId,
    },
    /// A worker was given up with the task it ran.
    Abandoned {
        /// Its number.
        worker: WorkerId,
        /// The task; none if it hung outside of one.
        task: Option<TaskId>,
    },
    /// It was over.
    Over,
}

/// What says in JSON which kind of report it is.
#[derive(Serialize)]
pub(super) struct Marked<'r, T> {
    pub(super) format: &'static str,
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) report: &'r T,
}

impl Report {
    /// The field `format` of its JSON.
    pub const FORMAT: &'static str = "ebbtide-pool-report";
    /// The field `version` of its JSON. It grows when a field is renamed, goes away or changes its meaning; new ones may come without.
    pub const VERSION: u32 = 1;

    /// True if it did what was asked, in the mode that was asked, and left nothing behind.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_none() && self.mode == self.asked && self.abandoned().next().is_none()
    }

    /// The workers that were given up.
    pub fn abandoned(&self) -> impl Iterator<Item = &WorkerReport> {
        self.workers.iter().filter(|worker| worker.end == WorkerEnd::Abandoned)
    }

    /// The law: every accepted task has ended in exactly one way, or waits, or runs.
    #[must_use]
    pub fn law_holds(&self) -> bool {
        self.accepted == self.queued + self.running + self.outcomes.total()
    }

    /// The whole report as one JSON object, with [`FORMAT`](Self::FORMAT) and [`VERSION`](Self::VERSION). Durations are milliseconds with fractions, in fields that end in `_ms`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let marked = Marked { format: Self::FORMAT, version: Self::VERSION, report: self };
        serde_json::to_string(&marked).expect("plain data always serialises")
    }
}

pub(crate) fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1_000.0)
}

/// Durations as milliseconds with fractions, there and back.
pub(crate) mod as_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de::Error};

    pub(crate) use super::millis as serialize;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(millis / 1_000.0)
            .map_err(|error| D::Error::custom(format!("{millis} ms: {error}")))
    }
}

/// The same where there may be none.
pub(crate) mod as_some_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::millis(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Millis(#[serde(with = "super::as_millis")] Duration);
        Ok(Option::<Millis>::deserialize(deserializer)?.map(|millis| millis.0))
    }
}
