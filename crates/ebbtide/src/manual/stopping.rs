//! How a pool ends: modes, deadlines, reports.
//!
//! # Three modes
//!
//! | mode | new tasks | what waits | what runs |
//! |---|---|---|---|
//! | [`Shutdown::drain`] | rejected; children of running tasks are accepted | is run | is left alone |
//! | [`Shutdown::stop`] | rejected | is returned | is left alone |
//! | [`Shutdown::abort`] | rejected | is returned | is asked to cancel; after the grace abandoned |
//!
//! [`Pool::shutdown`] starts the procedure and returns a [`Closing`] at once. That is a future; a thread can
//! [`wait`](Closing::wait) on it, or [`wait_timeout`](Closing::wait_timeout), which says who still runs. Dropping it changes nothing.
//! Any number of callers are one shutdown and get the same report: a stronger mode escalates, a weaker one changes nothing, an
//! earlier deadline counts.
//!
//! ```
//! use std::time::Duration;
//! use ebbtide::{Mode, Outcome, Pool, Shutdown};
//!
//! let pool = Pool::builder().workers(1..=1).build()?;
//! let long = pool.task("long").submit_fallible(|task| task.sleep(Duration::from_secs(3_600)))?;
//! while pool.stats().running == 0 {
//!     std::thread::yield_now();
//! }
//! let waiting = pool.submit(|_| "never started")?;
//!
//! let closing = pool.shutdown(Shutdown::stop());
//! assert_eq!(waiting.wait().unwrap_err().task().map(|error| error.outcome()), Some(Outcome::Returned));
//!
//! let still = closing.wait_timeout(Duration::from_millis(10)).unwrap_err();
//! assert!(still.to_string().contains("long"), "{still}");
//!
//! // Enough waited: the same shutdown, made stronger.
//! pool.shutdown(Shutdown::abort());
//! let report = closing.wait()?;
//! assert_eq!((report.asked, report.mode), (Some(Mode::Stop), Some(Mode::Abort)));
//! assert_eq!(long.outcome(), Some(Outcome::Cancelled));
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # The deadline and the grace
//!
//! Both always exist: the pool's ([30 s and 5 s](crate#defaults) unless it was built otherwise), or those of the call
//! ([`within`](Shutdown::within), [`grace`](Shutdown::grace)). With a deadline of 30 s and a grace of 5 s:
//!
//! ```text
//! 0 s        drain or stop: bodies are left alone
//! 22 s       what is left becomes an abort: everything that runs is asked to cancel   (30 s − 10 % − 5 s)
//! 27 s       what has not obeyed is abandoned, its handles resolve                    (the grace is over)
//! 30 s       the deadline: whoever is still there is given up, and `wait` has returned
//! ```
//! A grace that would eat more than half of a short deadline is cut to half, so that a drain gets the other half.
//!
//! # Asking, obeying, abandoning
//!
//! A thread cannot be ended from outside. A body looks: [`check`](crate::Context::check)`()?`, [`sleep`](crate::Context::sleep)`(…)?` or
//! [`is_cancelled`](crate::Context::is_cancelled), or it hands its [`token`](crate::Context::token) on. The outcome names how the body ended, not what was asked:
//! one that returns its value all the same is `Completed`.
//!
//! A body that never looks is `Abandoned` at the end of the grace. Its handle resolves, its worker is replaced if the pool goes on, the
//! thread runs on and is named in [`Stats`](crate::Stats) and in the report. Put such work into a process: see
//! [`process`](crate::process).
//!
//! # What came back
//!
//! A returned task's handle says so at once. The closures leave once, through [`Pool::take_returned`]; [`Pool::resubmit`] makes a new task of one,
//! in this pool after a restart or in another pool of the same kind.
//!
//! ```
//! use ebbtide::{Pool, Shutdown};
//!
//! let (old, new) = (Pool::new(1), Pool::new(1));
//! old.pause();
//! let handle = old.submit(|_| println!("ran after all"))?;
//! old.shutdown(Shutdown::stop()).wait()?;
//! assert!(handle.wait().unwrap_err().task().is_some_and(|error| error.is_returned()));
//!
//! for task in old.take_returned() {
//!     new.resubmit(task)?.wait()?;
//! }
//! assert_eq!(old.take_returned().len(), 0, "they leave once");
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # The report
//!
//! [`Report`] is plain data: `Display` shows it to a person, [`to_json`](Report::to_json) gives it to a program. It says how many tasks ended in
//! which way, what each worker did and when it had ended, who held the stop up and for how long, and who was abandoned.
//! [`is_clean`](Report::is_clean) is true if it did what was asked and left nothing behind; [`law_holds`](Report::law_holds) checks
//! the accounting.
//!
//! # Looking at a report
//!
//! `to_html` of a [`Report`] and of an [`AppReport`](crate::AppReport) makes one page: no scripts, no fonts, nothing from the network, light or dark as
//! its reader likes it. A pool's shows a bar per worker and what it ran. An application's shows a bar per component in its steps: it starts, serves, drains or
//! closes, and where it had to, was told to cancel and kill, or did not end. An arrow says who waited for whom. The critical path, who held up the end, is
//! drawn in ink and said in a sentence: what it would have taken without. Names are shown as text whatever is in them; of very long reports the part that
//! mattered is drawn, and the rest counted.
//!
//! ```
//! # use ebbtide::{Pool, Shutdown};
//! # let pool = Pool::builder().name("jobs").workers(1..=2).build()?;
//! let report = pool.shutdown(Shutdown::drain()).wait()?;
//! let page = report.to_html();
//! assert!(page.starts_with("<!doctype html>") && !page.contains("<script"));
//! # let file = std::env::temp_dir().join(format!("ebbtide-manual-{}.json", std::process::id()));
//! std::fs::write(&file, report.to_json())?; // and later: ebbtide report FILE --html OUT
//! # std::fs::remove_file(file)?;
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # Stopping and starting again
//!
//! [`Pool::restart`] is the same procedure for the present workers only; the pool stays open throughout. See [`state`](super::state).
//!
//! # Without a shutdown
//!
//! Dropping a pool starts a drain with its deadline and does not block. Accepted work runs on for as long as the process lives, so at the
//! end of `main` shut down and wait.

#[cfg(doc)]
use crate::{Closing, Pool, Report, Shutdown};
