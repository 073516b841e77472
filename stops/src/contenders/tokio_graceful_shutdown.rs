//! Contender: tokio-graceful-shutdown, a subsystem each for the server and the job.
//!
//! tokio-graceful-shutdown 0.20.0, <https://docs.rs/tokio-graceful-shutdown/0.20.0/tokio_graceful_shutdown/> and its examples
//! `hyper` (which sends users to a `TaskTracker` for many small tasks) and `09_task_cancellation`.

use std::{error::Error, io, process::ExitCode};

use crate::service::{Increments, Ledger, REFRESH_DELAY, Refresh, Settings, ready, router};
use tokio::net::TcpListener;
use tokio_graceful_shutdown::{FutureExt as _, SubsystemBuilder, SubsystemHandle, Toplevel};
use tokio_util::task::TaskTracker;

#[tokio::main]
pub(crate) async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let ledger = Ledger::open(&settings.ledger)?;
    let increments = Increments::connect(&settings, &ledger).await?;
    let refresh = Refresh::new(&settings, &ledger);
    let cache = refresh.cache.clone();
    let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;

    let top = Toplevel::<io::Error>::new(async move |top: &mut SubsystemHandle<io::Error>| {
        top.start(SubsystemBuilder::new("refresh", async move |subsys: &mut SubsystemHandle<io::Error>| {
            loop {
                refresh.run().await;
                if tokio::time::sleep(REFRESH_DELAY).cancel_on_shutdown(subsys).await.is_err() {
                    return Ok::<_, io::Error>(());
                }
            }
        }));
        top.start(SubsystemBuilder::new("web", async move |subsys: &mut SubsystemHandle<io::Error>| {
            let tracker = TaskTracker::new();
            let tasks = tracker.clone();
            let app = router(cache, move || {
                tasks.spawn(increments.clone().one());
                true
            });
            let told = subsys.create_cancellation_token();
            ready();
            axum::serve(listener, app).with_graceful_shutdown(told.cancelled_owned()).await?;
            tracker.close();
            tracker.wait().await;
            Ok::<_, io::Error>(())
        }));
    });
    top.catch_signals().handle_shutdown_requests(settings.deadline).await?;
    Ok(ExitCode::SUCCESS)
}
