//! The way out to `tracing`, where the feature of that name is on; nothing otherwise.

use super::events::Event;

#[cfg(feature = "tracing")]
pub(crate) fn event(event: &Event) {
    match event {
        Event::Broken { .. } | Event::WorkerAbandoned { .. } | Event::WorkerStartFailed { .. } => {
            tracing::warn!(target: "ebbtide", ?event);
        }
        _ => tracing::debug!(target: "ebbtide", ?event),
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn event(_: &Event) {}
