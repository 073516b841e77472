//! What a stop or a restart was: who did what, how long it took, which outcomes, and who held it up.

mod app;
mod app_text;
mod critical;
pub(crate) mod exit;
mod html;
mod text;
mod value;

pub use app::{
    AppEntry, AppReport, AppTurn, ComponentEnd, ComponentKind, ComponentReport, CriticalStep, ForcedBy,
    SignalMark, SignalMeaning, Span, StopReason,
};
pub use value::{
    LongRun, Mode, Procedure, Report, RunningTask, TimelineEntry, Turn, WorkerEnd, WorkerReport,
};
pub(crate) use value::{as_some_millis, millis};
