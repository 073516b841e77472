//! Workers that know something: warm state, resources, retirement, snapshots, restarts.
//!
//! # State
//!
//! [`state`](PoolBuilder::state) builds a value on each worker; its tasks get it as `&mut`. It never leaves its thread, so it need not be `Send`.
//! Where building can fail use [`try_state`](PoolBuilder::try_state): a failed start is tried again after a pause, and past the
//! [restart intensity](PoolBuilder::restart_intensity), when nobody is left who serves, the pool is *broken*: what waits is returned with the
//! cause, submits are rejected with it, and a restart repairs it.
//!
//! ```
//! use std::{collections::HashMap, rc::Rc};
//! use ebbtide::{Pool, Retirement, Shutdown};
//!
//! let pool = Pool::builder()
//!     .name("squares")
//!     .workers(1..=2)
//!     .state(|_worker| Rc::new(HashMap::<u64, u64>::new())) // an `Rc` is fine: it stays on its thread
//!     .size(|cache| (cache.len() * 16) as u64)
//!     .retire(Retirement::new().after_tasks(10_000).larger_than(1 << 20))
//!     .on_retire(|cache, why| println!("retired ({why}) with {} entries", cache.len()))
//!     .build()?;
//! let square = pool.submit(|cache, _task| {
//!     *Rc::make_mut(cache).entry(12).or_insert_with(|| 12 * 12)
//! })?;
//! assert_eq!(square.wait()?, 144);
//! pool.shutdown(Shutdown::drain()).wait()?;
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! A task that panics leaves a state nobody can trust, so its worker is replaced; [`after_panic`](PoolBuilder::after_panic) changes that.
//!
//! # Resources
//!
//! What tasks use but do not own (a connection pool, a client) is a [`Resource`]. A pool built with [`using`](PoolBuilder#method.using) gives each worker a
//! [`Lease`] as its state and holds one itself until it has terminated: the owner gets the value back only then, and is told who holds
//! it before. One that is moved in with [`owning`](PoolBuilder#method.owning) comes back through [`Pool::into_resource`].
//!
//! ```
//! use ebbtide::{Pool, Resource, Shutdown};
//!
//! let (tide, boats) = (Resource::new("tide", "ebb"), Resource::new("boats", vec!["dinghy", "punt"]));
//! let pool = Pool::builder().using((&tide, &boats)).build()?;
//! let said = pool.submit(|(tide, boats), _task| format!("{} for {}", **tide, boats.join(" and ")))?;
//! assert_eq!(said.wait()?, "ebb for dinghy and punt");
//! pool.shutdown(Shutdown::drain()).wait()?;
//! assert_eq!(boats.into_inner().unwrap().len(), 2);
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # Retirement
//!
//! A worker retires after so many tasks, at an age, at a size its state reports, or after failures in a row ([`Retirement`]); always between two
//! tasks, and only the worker concerned. Its replacement is warm before it leaves, so capacity does not drop; until then it serves on.
//! Limits are spread by a [jitter](Retirement::jitter), so that workers do not go together. State that must be exclusive (a lock on a file) asks
//! for [`old_first`](PoolBuilder::old_first): then capacity drops by one meanwhile.
//!
//! # Snapshots
//!
//! With [`snapshot`](PoolBuilder::snapshot) a replacement is built from what the old worker knew. It is asked between two of its tasks; what it learns
//! after that and before its end is lost. After a panic there is no snapshot, and where the old one does not answer within the
//! [time for it](PoolBuilder::snapshot_timeout) the new one is built afresh.
//!
//! ```
//! use ebbtide::{Pool, Restart};
//!
//! let pool = Pool::builder()
//!     .workers(1..=1)
//!     .state(|_| Vec::<u32>::new())
//!     .snapshot(|seen| seen.clone(), |_worker, seen| Ok(seen))
//!     .build()?;
//! pool.submit(|seen, _| seen.push(7))?.wait()?;
//! pool.restart(Restart::rolling()).wait()?;
//! let (seen, generation) = pool.submit(|seen, task| (seen.clone(), task.generation()))?.wait()?;
//! assert_eq!((seen, generation), (vec![7], 2));
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # Restarts
//!
//! | restart | the queue as it stands | what runs | capacity |
//! |---|---|---|---|
//! | [`Restart::rolling`] | is shared by old and new | is not disturbed | never drops |
//! | [`Restart::drain`] | is finished by the old workers | is finished | the new start as the old leave |
//! | [`Restart::stop`] | is returned | is finished | the new start as the old leave |
//! | [`Restart::abort`] | is returned | is asked to cancel, after the grace abandoned | the new start as the old leave |
//!
//! In all of them the pool takes tasks throughout, and the minimum is there again, warm, when it is over. What is
//! submitted during a drain, stop or abort belongs to the next [generation](crate::Context::generation).
//!
//! [`Renew`] makes a pool restart itself: every so often, when its states grow past a total, when an event asks for it, or (feature
//! `cron`) on a cron line. What building a state costs is in [`WorkerStats`](crate::WorkerStats): `build` and `build_memory`.

#[cfg(doc)]
use crate::{Lease, Pool, PoolBuilder, Renew, Resource, Restart, Retirement};
