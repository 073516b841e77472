//! The way out to `tracing`, where the feature of that name is on; nothing otherwise.

use super::events::Event;

#[cfg(feature = "tracing")]
pub(crate) fn event(event: &Event) {
    match event {
        Event::Broken { .. }
        | Event::WorkerAbandoned { .. }
        | Event::WorkerStartFailed { .. }
        | Event::JobOver { why: super::events::JobEnd::GaveUp | super::events::JobEnd::Refused, .. } => {
            tracing::warn!(target: "ebbtide", ?event);
        }
        _ => tracing::debug!(target: "ebbtide", ?event),
    }
}

/// Runs a task in a span of its own, a child of the submitter's, where anybody listens.
#[cfg(feature = "tracing")]
pub(crate) fn span(pool: &str, task: &crate::task::gate::TaskInfo<'_>) -> Option<crate::task::header::Wrap> {
    let span = tracing::debug_span!(target: "ebbtide", "task", pool, name = task.name, key = task.key);
    (!span.is_disabled()).then(|| -> crate::task::header::Wrap { Box::new(move |run| span.in_scope(run)) })
}

/// True if a span would be seen.
#[cfg(feature = "tracing")]
pub(crate) fn spans() -> bool {
    tracing::enabled!(target: "ebbtide", tracing::Level::DEBUG)
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn span(_: &str, _: &crate::task::gate::TaskInfo<'_>) -> Option<crate::task::header::Wrap> {
    None
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn spans() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn event(_: &Event) {}
