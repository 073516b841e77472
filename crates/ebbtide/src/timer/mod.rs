//! The one thread that waits: grace periods, timeouts, deadlines and renewals of all pools.

mod alarm;
#[cfg(not(any(shuttle, loom)))]
mod clockwork;
#[cfg(feature = "cron")]
pub(crate) mod cron;

pub(crate) use alarm::Alarm;
