//! The same service, stopped the way each library's documentation tells its users to.

mod axum_tokio;
mod list;
mod ours;
mod task_tracker;
mod tokio_graceful_shutdown;

pub(crate) use list::ALL;
