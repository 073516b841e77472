//! The contract of anything with start and stop, and what tasks use and what must not be closed under them: resources and the counted
//! right to use them.
//!
//! Knows neither pools nor applications.

mod contract;
mod resource;

pub(crate) use contract::Said;
pub use contract::{Component, Detail, Monitor, Progress, Starting, Stopping};
pub(crate) use resource::ResourceId;
pub use resource::{Declared, Lease, Resource, Source, StillHeld};
