//! The service that every contender stops: what it does is the same for all of them, how it ends is their own.

mod ledger;
mod settings;
mod work;

pub(crate) use ledger::Ledger;
pub(crate) use settings::Settings;
pub(crate) use work::{Increments, REFRESH_DELAY, Refresh, ready, router, terminated};
