//! An application: components that start in order, serve, and stop in the reverse order.

mod builder;
mod order;
mod parts;
mod plan;
mod run;
mod status;

pub use builder::{AppBuilder, Part};
pub use parts::Closed;
pub use run::{App, Running, StopHandle};
pub use status::{AppState, Status};
