//! An application that stops in the right order.
//!
//! On SIGTERM, pools and schedules must finish *before* the Redis and the database they use are closed. An [`App`](crate::App) is given its parts,
//! knows from what was lent to whom in which order they start and stop, and ends by a deadline, whatever hangs.
//!
//! ```no_run
//! use std::time::Duration;
//! use ebbtide::{App, AppReport, BoxError, Pool};
//! # struct Redis;
//! # impl Redis {
//! #     fn connect(_: &str) -> Result<Self, BoxError> { Ok(Self) }
//! #     fn close(self) -> Result<(), BoxError> { Ok(()) }
//! #     fn refresh(&self) {}
//! # }
//!
//! fn main() -> Result<AppReport, BoxError> {
//!     let app = App::builder("counter").deadline(Duration::from_secs(25)).deregistration_delay(Duration::from_secs(2));
//!     let redis = app.resource("redis", || Redis::connect("redis://localhost"), Redis::close);
//!     let pool = app.pool("increments", Pool::builder().workers(1..=4).queue(10_000).using(&redis))?;
//!     app.schedule("refresh", pool.every(Duration::from_millis(100)).delay().start(|redis, _| redis.refresh())?);
//!     Ok(app.run().wait()) // or `.await`; the report decides the exit code
//! }
//! ```
//!
//! # Parts and their order
//!
//! | part | from | it depends on |
//! |---|---|---|
//! | resource | [`resource`](crate::AppBuilder::resource), [`resource_async`](crate::AppBuilder::resource_async) | what [`part`](crate::AppBuilder::part)`.depends_on` says |
//! | pool | [`pool`](crate::AppBuilder::pool) | the resources it is `using` |
//! | asynchronous tasks | `tasks`, feature `tokio` | every resource and pool: what a task captured cannot be seen |
//! | a component of your own | [`component`](crate::AppBuilder::component) | what [`depends_on`](crate::Part::depends_on) and [`using`](crate::Part::using) say |
//! | ingress | [`ingress`](crate::AppBuilder::ingress), `http` (feature `http`) | everything that is neither ingress nor schedule |
//! | schedule | [`schedule`](crate::AppBuilder::schedule) | everything but schedules |
//!
//! What is depended on starts first and stops last; what does not depend on each other does both at the same time. A circle, a name that is
//! given twice or is not there, and a deadline that leaves no time are refused before anything starts, with exit code 78.
//!
//! A start that fails, panics or takes too long stops what has started, in reverse; its error is the reason that is kept. A start that is called off,
//! by that or by a signal, is waited for at most 5 s (and half of a short deadline), then left behind. A pool takes tasks from its
//! declaration on and begins to run them when it is started; if that never comes they are handed back.
//!
//! # The stop
//!
//! It begins with SIGTERM, SIGINT or SIGHUP, with [`StopHandle::stop`](crate::StopHandle::stop), or when a component fails, or
//! [`significant`](crate::Part::significant) ones end. Then:
//!
//! 1. [`Status::is_ready`](crate::Status::is_ready) says no, a supervisor is told (`STOPPING=1`), and everything is served on for the deregistration delay;
//! 2. schedules stop firing; 3. ingress stops; 4. pools drain, dependants first; 5. resources close, each only when no lease of it is out;
//! 6. the report is written.
//!
//! One **deadline** covers it all. A tenth of it is kept for resources and the report; the rest is shared along the longest chain of those that stop one after the
//! other, and who is quick leaves his share to the next. Who does not stop in his time is told to cancel and kill
//! ([`Component::force`](crate::Component::force), [`Stopping::is_forced`](crate::Stopping::is_forced)), then left behind. A resource is **not**
//! closed under one who was left behind; the report says who held it.
//!
//! **Signals** within 250 ms are one. A second one forces: cancel and kill now, still in order, in less than a second. A third ends the process.
//! Shortly after the deadline a watchdog thread ends the process, whatever hangs. It needs neither locks nor runtime of yours.
//!
//! `EBBTIDE_STOP_TIMEOUT` (`25s`, `500ms`, `2m`, or seconds) shortens the deadline to what the surroundings grant: set it to a container's grace period. A
//! deregistration delay that would use that up is cut, with a warning. Under
//! systemd's `Type=notify`, `READY`, `STOPPING`, `STATUS` and `WATCHDOG` are sent, and `EXTEND_TIMEOUT_USEC` for as long as progress is made: tasks end, or a
//! component says so with [`Stopping::progress`](crate::Stopping::progress).
//!
//! As process number 1, in a container, call [`init`](crate::init) in the first line of `main`: it forwards signals and reaps what lost its
//! parent.
//!
//! # What it says afterwards
//!
//! [`AppReport`](crate::AppReport) has for each component when and how long it stopped, what it waited for and what went wrong, the reports of pools, the
//! signals, the reason, and who held it up, in one sentence: "without task 88090 of increments it would have been 5.9 s instead of 12.1 s".
//! It is printed by `main` if it is returned from there and is not clean.
//!
//! | exit code | the first of these that applies, in this order |
//! |---|---|
//! | 78 | it was put together wrongly; nothing was started |
//! | 13 | the accounting does not add up (never) |
//! | 16 | forced by a second signal |
//! | 15 | a task was abandoned, or asynchronous tasks were left behind |
//! | 12 | a worker was killed in the stop |
//! | 11 | the deadline passed and something was cancelled |
//! | 10 | something is left to resume: returned tasks |
//! | 17 | a stop failed, panicked or hung, or a resource was kept open |
//! | 14 | it never served: a start failed, or was called off |
//! | 1 | some task failed, panicked, crashed, timed out or was killed before the stop, or a component did |
//! | 0 | everything ended as it should |
//!
//! [`App::plan`](crate::App::plan) tells the order and the worst-case time without starting anything; offer it as `--plan`.
//!
//! # While it runs
//!
//! A pool of an application is an ordinary [`Pool`](crate::Pool) behind an `Arc`: `pool.restart(…)` and `pool.pause()` concern that pool only.
//!
//! # What does not compile
//!
//! To use a resource before it is open, or close it by hand:
//! ```compile_fail,E0599
//! # use ebbtide::App;
//! let app = App::builder("counter");
//! let numbers = app.resource("numbers", || std::io::Result::Ok(vec![1]), drop);
//! println!("{}", numbers.len());
//! ```
//!
//! To lend a resource that was taken back and may have been closed:
//! ```compile_fail,E0382
//! # use ebbtide::{Pool, Resource};
//! let numbers = Resource::new("numbers", vec![1]);
//! drop(numbers.into_inner());
//! let pool = Pool::builder().using(&numbers).build().unwrap();
//! ```
//!
//! To keep in a task what it was lent:
//! ```compile_fail,E0521
//! # use ebbtide::{Pool, Resource};
//! let numbers = Resource::new("numbers", vec![1]);
//! let pool = Pool::builder().using(&numbers).build().unwrap();
//! let kept = std::sync::Mutex::new(None::<&'static Vec<i32>>);
//! let _ = pool.submit(move |numbers, _| *kept.lock().unwrap() = Some(&**numbers));
//! ```
//!
//! To declare parts of an application that runs already:
//! ```compile_fail,E0382
//! # use ebbtide::{App, Pool};
//! let app = App::builder("counter");
//! let running = app.run();
//! let late = app.pool("late", Pool::builder());
//! ```
//!
//! # What it does not do
//!
//! It does not end a thread by force: a task or hook that ignores every request is named and left behind, and ends with the process. It does not see
//! what a closure captured: a client that was cloned out of a lease is not counted. It does not know a pool's users that only hold a
//! `Submitter`; say `depends_on` where one pool hands work to another.
