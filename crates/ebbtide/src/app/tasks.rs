//! Asynchronous tasks of the user as a component: tracked, told, waited for, and dropped when the stop is forced.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::builder::AppBuilder;
use crate::{
    component::{Component, Detail, Monitor, Progress, Starting, Stopping},
    report::ComponentKind,
    sync::Mutex,
    task::error::{BoxError, panic_message},
};

/// Asynchronous tasks that an application waits for. From [`AppBuilder::tasks`]; cheap to clone.
///
/// At the stop their [`token`](Self::token) is cancelled: it asks, and each ends in its own way. Those that have not ended when the stop is
/// forced are dropped at their next `await`. One that blocks its thread cannot be ended; it is left behind, and the watchdog ends the
/// process.
#[derive(Clone, Debug)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    tracker: TaskTracker,
    asked: CancellationToken,
    forced: CancellationToken,
    ear: Mutex<Ear>,
    spawned: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
    panicked: AtomicU64,
}

/// Who is told what went wrong: nobody until the start, and then first of all what the first to fail before had to say.
#[derive(Debug, Default)]
struct Ear {
    monitor: Option<Monitor>,
    before: Option<BoxError>,
}

impl AppBuilder {
    /// Declares a group of asynchronous tasks, on the runtime this is called in.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    pub fn tasks(&self, name: &str) -> Tasks {
        let shared = Arc::new(Shared {
            runtime: Handle::current(),
            tracker: TaskTracker::new(),
            asked: CancellationToken::new(),
            forced: CancellationToken::new(),
            ear: Mutex::new(Ear::default()),
            spawned: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
        });
        let tasks = Tasks { shared };
        self.add(name, ComponentKind::Tasks, Arc::new(tasks.clone()));
        tasks
    }
}

impl Tasks {
    /// Starts a task. A panic in it stops the application in order. It begins at once, also before the application has started;
    /// once these tasks have been stopped, it is dropped and never begins.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.try_spawn(async {
            task.await;
            Ok::<_, BoxError>(())
        });
    }

    /// Starts a task that may fail; a failure nobody else handles stops the application in order.
    pub fn try_spawn<E: Into<BoxError>>(&self, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let forced = shared.forced.clone();
        shared.spawned.fetch_add(1, Ordering::Relaxed);
        let body = async move { forced.run_until_cancelled(task).await.map(|how| how.map_err(Into::into)) };
        let running = shared.tracker.spawn_on(body, &shared.runtime);
        let watched = Arc::clone(&shared);
        let watch = async move {
            match running.await {
                Ok(Some(Err(error))) => watched.went_wrong(&watched.failed, error),
                Ok(_) => {}
                Err(error) => {
                    let text = match error.try_into_panic() {
                        Ok(payload) => format!("a task panicked: {}", panic_message(&*payload)),
                        Err(error) => error.to_string(),
                    };
                    watched.went_wrong(&watched.panicked, text.into());
                }
            }
            watched.ended.fetch_add(1, Ordering::Relaxed);
        };
        shared.tracker.spawn_on(watch, &shared.runtime);
    }

    /// Cancelled when the tasks should end; hand it to whatever waits for events for ever.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.shared.asked
    }
}

impl Shared {
    fn went_wrong(&self, counter: &AtomicU64, error: BoxError) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut ear = self.ear.lock();
        match ear.monitor.clone() {
            Some(monitor) => {
                drop(ear);
                monitor.ended(Err(error));
            }
            None if ear.before.is_none() => ear.before = Some(error),
            None => {}
        }
    }

    fn numbers(&self) -> [u64; 4] {
        [&self.spawned, &self.ended, &self.failed, &self.panicked]
            .map(|number| number.load(Ordering::Relaxed))
    }
}

impl Component for Tasks {
    fn start(&self, starting: &Starting) -> Result<(), BoxError> {
        let mut ear = self.shared.ear.lock();
        ear.monitor = Some(starting.monitor().clone());
        // They begin before the start; who failed until now had nobody to tell.
        ear.before
            .take()
            .map_or(Ok(()), |error| Err(format!("a task ended before the start: {error}").into()))
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        self.shared.asked.cancel();
        self.shared.tracker.close();
        let ended = stopping.wait_for(self.shared.tracker.wait());
        // Forced: each is dropped at its next await. And what comes later does not begin: what it would use is being closed.
        self.shared.forced.cancel();
        if ended.is_ok() {
            return Ok(());
        }
        while !self.shared.tracker.is_empty() {
            crate::sync::park_timeout(std::time::Duration::from_millis(2));
        }
        Ok(())
    }

    fn force(&self) {
        self.shared.forced.cancel();
    }

    fn progress(&self) -> Option<Progress> {
        let [spawned, ended, ..] = self.shared.numbers();
        let text = format!("{} of {spawned} tasks still run", spawned.saturating_sub(ended));
        Some(Progress { done: ended, text })
    }

    fn report(&self) -> Option<Detail> {
        let [spawned, ended, failed, panicked] = self.shared.numbers();
        let numbers = json!({ "spawned": spawned, "ended": ended, "failed": failed, "panicked": panicked });
        Some(Detail::Json(numbers))
    }
}
