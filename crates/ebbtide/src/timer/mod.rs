//! The one thread that waits: grace periods, timeouts, deadlines and renewals of all pools.
mod alarm;
pub(crate) use alarm::Alarm;
