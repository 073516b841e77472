//! The pool: workers, one bounded queue, one lifecycle.
//!
//! [`phase`], [`ledger`] and [`roster`] decide; [`drive`] and [`request`] are their hands; [`core`] is the task path, which
//! passes through none of them.

mod builder;
mod carry;
pub(crate) mod clocks;
mod closing;
mod control;
pub(crate) mod core;
mod draft;
mod drive;
mod events;
mod express;
mod force;
mod gather;
mod ledger;
mod lend;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod outbox;
mod phase;
mod pools;
#[cfg(all(target_os = "linux", not(loom)))]
mod processes;
mod reaper;
mod renew;
mod request;
#[cfg(all(target_os = "linux", not(loom)))]
mod requests;
mod retirement;
mod roster;
mod scope;
mod shelf;
mod stats;
mod submit;
mod submitter;
mod timing;
mod trace;

pub use builder::PoolBuilder;
pub use closing::Closing;
pub use events::{Event, Events, JobEnd, MissedBecause};
pub use gather::{Completions, Finished, FirstError, join_all};
pub use lend::{IntoResourceError, Using};
pub use phase::Phase;
pub use pools::Pool;
pub use renew::Renew;
pub use request::{Restart, Shutdown};
pub use retirement::Retirement;
pub use scope::{Scope, ScopedHandle};
pub use stats::{Stats, WorkerStats};
pub use submitter::Submitter;
pub use timing::{Quantiles, Timings};
