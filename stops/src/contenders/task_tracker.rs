//! Contender: axum with tokio-util's `TaskTracker` and `CancellationToken`, the way tokio's own guide to shutting down has it.
//!
//! tokio-util 0.7.20, <https://docs.rs/tokio-util/0.7.20/tokio_util/task/task_tracker/struct.TaskTracker.html>;
//! <https://tokio.rs/tokio/topics/shutdown>: tell everybody by the token, close the tracker, wait for it.

use std::{error::Error, process::ExitCode};

use crate::service::{Increments, Ledger, REFRESH_DELAY, Refresh, Settings, ready, router, terminated};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[tokio::main]
pub(crate) async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let ledger = Ledger::open(&settings.ledger)?;
    let increments = Increments::connect(&settings, &ledger).await?;
    let refresh = Refresh::new(&settings, &ledger);
    let cache = refresh.cache.clone();
    let (tracker, token) = (TaskTracker::new(), CancellationToken::new());

    let (stop, told) = (terminated()?, token.clone());
    tokio::spawn(async move {
        stop.await;
        told.cancel();
    });
    let told = token.clone();
    tracker.spawn(async move {
        loop {
            refresh.run().await;
            tokio::select! {
                () = told.cancelled() => break,
                () = tokio::time::sleep(REFRESH_DELAY) => {}
            }
        }
    });
    let tasks = tracker.clone();
    let app = router(cache, move || {
        tasks.spawn(increments.clone().one());
        true
    });

    let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
    ready();
    axum::serve(listener, app).with_graceful_shutdown(token.cancelled_owned()).await?;
    tracker.close();
    tracker.wait().await;
    Ok(ExitCode::SUCCESS)
}
