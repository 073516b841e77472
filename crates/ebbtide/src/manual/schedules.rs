//! # Schedules
//!
//! A *job* submits tasks into a pool by time. Each run is a task like any other: it waits in the queue, runs on a worker with the worker's state,
//! is decorated, counted and timed, and ends in one of the nine ways.
//!
//! ```
//! # use std::time::Duration;
//! # use ebbtide::{Pool, Shutdown};
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let pool = Pool::builder().workers(1..=2).state(|_| Vec::new()).build()?;
//! let job = pool.every(Duration::from_millis(1)).delay().start(|cache: &mut Vec<u64>, _| cache.push(1))?;
//! let once = pool.after(Duration::from_millis(5)).start(|cache: &mut Vec<u64>, _| cache.len())?;
//! println!("{} entries; {} runs", once.wait()?, job.stats().runs);
//! pool.shutdown(Shutdown::drain()).wait()?; // stops the clock first
//! # Ok(()) }
//! ```
//!
//! | | the next run is due | first |
//! |---|---|---|
//! | `every(d).delay()` | `d` after the end of the run before | at once, or [`first_after`](crate::Schedule::first_after) |
//! | `every(d).rate()` | at the next point of a grid of `d` that does not drift | the same |
//! | `cron(line).zone(zone)` (feature `cron`) | at the next time of the line in that zone | its next time |
//! | `after(d)`, `at(time)` | once; gives a [`OneShot`](crate::OneShot) whose value can be waited for | |
//!
//! ## Missed, skipped, failed
//!
//! A job does not overlap with itself, unless it is started with [`start_overlapping`](crate::Schedule#method.start_overlapping). Points that pass while its run is
//! under way are *missed*, and [`missed`](crate::Schedule::missed) says what becomes of them: [`Skip`](crate::MissedTicks::Skip) goes on with the next one,
//! [`Delay`](crate::MissedTicks::Delay) runs once for all of them, [`Burst`](crate::MissedTicks::Burst) makes up for each. When the queue is full, a run waits for
//! room without holding up the clock (the others are then missed); under a policy that rejects, it is missed itself. Points that
//! pass while the job is paused are *skipped*. Both are counted in [`JobStats`](crate::JobStats), and missed ones are events.
//!
//! A run that fails or panics is an outcome, an event ([`TaskEnded`](crate::Event::TaskEnded)) and in the job's statistics; the job goes on. With
//! [`give_up_after`](crate::Schedule::give_up_after) it ends after so many failures in a row: its state says
//! [`GaveUp`](crate::JobEnd::GaveUp), and an event does. A run that was abandoned still holds its place until its body has ended.
//!
//! ## On worker processes
//!
//! There a job is a request, and `start` takes what makes it: `pool.every(d).start(|| Refresh { all: false })`; a single run takes the request itself and gives its
//! reply, and [`function`](crate::Schedule#method.function) names another function of the worker. A run has begun once it is sent, for from then on the pool cannot say alone
//! whether it has; one that comes back unbegun waits again, and if its job has ended meanwhile it ends without having run.
//!
//! ## Ending
//!
//! | | timer | a run that waits | a run that runs |
//! |---|---|---|---|
//! | [`Job::stop`](crate::Job::stop) | gone | `Returned` (not due) | ends undisturbed |
//! | [`Job::cancel`](crate::Job::cancel) | gone | `Cancelled` | is asked to cancel |
//! | a shutdown of the pool | gone | `Returned` (not due) | as the mode says: undisturbed under drain and stop |
//! | a restart of the pool | stays | as the restart says | as the restart says |
//! | dropping the `Job` | stays | – | – |
//!
//! A shutdown stops its jobs before anything else: once it has been asked for, no run begins. A [`OneShot`](crate::OneShot) was accepted when
//! it was started, so it counts as queued ([`Stats::not_due`](crate::Stats::not_due)); one that is not due does not keep the pool: it ends `Returned` with the
//! reason [`NotDue`](crate::ReturnReason::NotDue), and its closure is in `take_returned`. One that is due waits for room under every policy, because what was
//! accepted cannot be rejected any more.
//!
//! ## Time
//!
//! Delays and rates go by the monotonic clock; it stands still while the machine sleeps. Cron lines and dates go by the calendar, looked at once a
//! minute at least, so a clock that is set or a machine that wakes up is noticed. In the hour a zone leaves out, a job at a fixed time runs when that
//! hour is over; in the one it repeats, once. One that recurs within the hour keeps to real time. A clock set back by less than
//! an hour runs nothing twice.
//!
//! *Not* promised: punctuality. A run begins when it is due, the timer's thread has woken (about 0.1 ms), and a worker is free.
