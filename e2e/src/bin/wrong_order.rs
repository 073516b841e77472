//! The counter service as it should not be: Redis is closed first. The control of the tests that find nothing wrong with the right one.

use std::{
    io::{self, Write as _},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use counter_service::{counter::Counter, options::Options};
use ebbtide::{
    Pool, Shutdown, Stateless,
    http::{Health, bind},
};
use tokio::signal::unix::{SignalKind, signal};

/// An option, since it is closed under its users.
type Closable = Arc<Mutex<Option<Counter>>>;

#[derive(Clone)]
struct Shared {
    pool: Arc<Pool<Stateless>>,
    counter: Closable,
    work: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let options = <Options as clap::Parser>::parse();
    let counter = Arc::new(Mutex::new(Some(Counter::open(&options.store)?)));
    let pool = Arc::new(Pool::builder().workers(1..=options.workers).queue(options.queue).build()?);
    let shared = Shared { pool: Arc::clone(&pool), counter: Arc::clone(&counter), work: options.work };
    let router = Router::new().route("/incr", post(increment)).with_state(shared);
    let listener = tokio::net::TcpListener::bind(&options.listen).await?;
    let health = Health::start(bind(&options.health)?)?;
    let (at, health_at) = (listener.local_addr()?, health.local_addr());
    let mut terminate = signal(SignalKind::terminate())?;
    health.state().ready();
    writeln!(io::stdout(), "listening on http://{at}, health on http://{health_at}")?;
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        terminate.recv().await;
        // Here is the fault: the pool still has tasks that need it.
        drop(counter.lock().ok().and_then(|mut counter| counter.take()));
    });
    server.await?;
    pool.shutdown(Shutdown::drain()).await;
    Ok(())
}

async fn increment(State(Shared { pool, counter, work }): State<Shared>) -> StatusCode {
    let submitted = pool.submit_fallible_async(move |_| {
        thread::park_timeout(work);
        let counter = counter.lock().map_err(|error| error.to_string())?;
        let counter = counter.as_ref().ok_or_else(|| "Redis was closed".to_owned())?;
        counter.increment().map(drop).map_err(|error| error.to_string())
    });
    match submitted.await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
