//! An application: components that start in order, serve, and stop in the reverse order.
//!
//! [`order`] and [`plan`] decide; [`conduct`] is their hands; [`hooks`] calls what belongs to components.

mod board;
mod builder;
mod conduct;
mod draft;
mod environment;
mod forecast;
mod hooks;
#[cfg(all(feature = "http", not(any(shuttle, loom))))]
mod http;
mod notify;
mod order;
mod parts;
mod plan;
mod run;
mod runtime;
mod signal;
mod status;
#[cfg(feature = "tokio")]
mod tasks;
mod watchdog;

pub use builder::{AppBuilder, Part};
pub use forecast::{AppPlan, PlanStep};
pub use parts::Closed;
pub use run::{App, Running, StopHandle};
pub use status::{AppState, Status};
#[cfg(feature = "tokio")]
pub use tasks::Tasks;
