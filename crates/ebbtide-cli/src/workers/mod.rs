//! Lines as requests to warm worker processes: what they are, how they are sent, what comes back, what is heard beside.

mod answer;
mod heard;
mod hire;
mod json;
mod requests;
mod spec;
mod tries;

pub(crate) use answer::{Answer, Request};
pub(crate) use heard::{Beginning, Heard};
pub(crate) use hire::{hire, state_folder};
pub(crate) use requests::{Requests, Seen};
pub(crate) use spec::WorkerSpec;
pub(crate) use tries::Tries;
