//! Contender: axum's graceful shutdown and tokio's tasks, as axum's documentation has it.
//!
//! axum 0.8.9, <https://docs.rs/axum/0.8.9/axum/serve/struct.Serve.html#method.with_graceful_shutdown> and the example
//! `graceful-shutdown` in its repository; work after the answer with `tokio::spawn`, as in
//! <https://docs.rs/tokio/1.54.1/tokio/task/index.html#spawning>.

use std::{error::Error, process::ExitCode};

use crate::service::{Increments, Ledger, REFRESH_DELAY, Refresh, Settings, ready, router, terminated};
use tokio::net::TcpListener;

#[tokio::main]
pub(crate) async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let ledger = Ledger::open(&settings.ledger)?;
    let increments = Increments::connect(&settings, &ledger).await?;
    let refresh = Refresh::new(&settings, &ledger);
    let cache = refresh.cache.clone();
    let stop = terminated()?;

    tokio::spawn(async move {
        loop {
            refresh.run().await;
            tokio::time::sleep(REFRESH_DELAY).await;
        }
    });
    let app = router(cache, move || {
        tokio::spawn(increments.clone().one());
        true
    });

    let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
    ready();
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(ExitCode::SUCCESS)
}
