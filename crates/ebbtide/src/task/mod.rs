//! A task's life: what is submitted, how it is run once, how it ends and who learns of it.
//!
//! Knows nothing of queues, workers or pools: children and cancels leave through the two small traits
//! of [`gate`].

pub(crate) mod cancel;
pub(crate) mod cell;
pub(crate) mod context;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod header;
pub(crate) mod id;
pub(crate) mod inline;
pub(crate) mod isolation;
#[cfg(all(test, loom))]
mod loom_models;
pub(crate) mod options;
pub(crate) mod outcome;
pub(crate) mod panics;
pub(crate) mod post;
pub(crate) mod returned;
pub(crate) mod seat;
pub(crate) mod spin;
pub(crate) mod wait;
