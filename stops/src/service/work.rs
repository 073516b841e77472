//! The two scenarios: requests that increment a counter later, and a job that refreshes a cache.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use redis::aio::MultiplexedConnection;
use rusqlite::{Connection, OpenFlags};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

use super::{Ledger, Settings};

/// Time between the end of a refresh and the next.
pub(crate) const REFRESH_DELAY: Duration = Duration::from_millis(100);
/// What a database over a network would add to a query.
const QUERY: Duration = Duration::from_millis(20);

/// What `GET /cached` serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache(Arc<Mutex<Vec<String>>>);

impl Cache {
    /// Serves `rows` from now on.
    pub(crate) fn store(&self, rows: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

/// The tasks of async contenders: at most `workers` of them work at once, the others wait in memory.
#[derive(Clone, Debug)]
pub(crate) struct Increments {
    redis: MultiplexedConnection,
    workers: Arc<Semaphore>,
    work: Duration,
    ledger: Ledger,
}

impl Increments {
    /// Connects to Redis.
    ///
    /// # Errors
    /// When Redis is not there.
    pub(crate) async fn connect(settings: &Settings, ledger: &Ledger) -> Result<Self, redis::RedisError> {
        let client = redis::Client::open(settings.redis.as_str())?;
        Ok(Self {
            redis: client.get_multiplexed_async_connection().await?,
            workers: Arc::new(Semaphore::new(settings.workers)),
            work: settings.work,
            ledger: ledger.clone(),
        })
    }

    /// One increment, when it is its turn.
    pub(crate) async fn one(mut self) {
        // Nobody closes the semaphore.
        let Ok(_turn) = self.workers.acquire().await else { return };
        tokio::time::sleep(self.work).await;
        let done: Result<u64, _> = redis::cmd("INCR").arg("counter").query_async(&mut self.redis).await;
        if let Err(error) = done {
            self.ledger.increment_failed(&error.to_string());
        }
    }
}

/// The job: loads a table into the cache.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    database: PathBuf,
    /// Where its runs are written down.
    pub(crate) ledger: Ledger,
    /// Where what it loads is served from.
    pub(crate) cache: Cache,
}

impl Refresh {
    /// A job that has not run yet.
    pub(crate) fn new(settings: &Settings, ledger: &Ledger) -> Self {
        Self { database: settings.database.clone(), ledger: ledger.clone(), cache: Cache::default() }
    }

    /// Loads the table; blocks.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn load(&self) -> Result<Vec<String>, rusqlite::Error> {
        let database = Connection::open_with_flags(&self.database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        #[expect(clippy::disallowed_methods, reason = "plays a query that takes its time")]
        std::thread::sleep(QUERY);
        let mut query = database.prepare("SELECT name FROM items ORDER BY id")?;
        query.query_map([], |row| row.get(0))?.collect()
    }

    /// One run of it in an async program.
    pub(crate) async fn run(&self) {
        self.ledger.begin();
        let job = self.clone();
        match tokio::task::spawn_blocking(move || job.load()).await {
            Ok(Ok(rows)) => {
                self.cache.store(rows);
                self.ledger.end();
            }
            Ok(Err(error)) => self.ledger.failed(&error.to_string()),
            Err(error) => self.ledger.failed(&error.to_string()),
        }
    }
}

impl Refresh {
    /// One run of it on a thread.
    pub(crate) fn run_blocking(&self) -> Result<(), rusqlite::Error> {
        self.ledger.begin();
        match self.load() {
            Ok(rows) => {
                self.cache.store(rows);
                self.ledger.end();
                Ok(())
            }
            Err(error) => {
                self.ledger.failed(&error.to_string());
                Err(error)
            }
        }
    }
}

/// `POST /incr` answers 202 once `accept` has taken an increment, and 503 when it did not. `GET /cached` serves the cache.
pub(crate) fn router(cache: Cache, accept: impl Fn() -> bool + Clone + Send + Sync + 'static) -> Router {
    let incr = async move || if accept() { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE };
    Router::new().route("/incr", post(incr)).route("/cached", get(async move || cache.text()))
}

/// Ready when SIGTERM came.
///
/// # Errors
/// When signals cannot be listened to.
pub(crate) fn terminated() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = signal(SignalKind::terminate())?;
    Ok(async move {
        signals.recv().await;
    })
}

/// Tells the harness that the service can be used.
pub(crate) fn ready() {
    println!("READY");
}
