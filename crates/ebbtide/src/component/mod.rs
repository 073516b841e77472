//! What tasks use and what must not be closed under them: resources and the counted right to use them.
//!
//! Knows neither pools nor applications.

mod resource;

pub use resource::{Lease, Resource, StillHeld};
