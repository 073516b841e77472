//! What the service stands on: a Redis server of our own on a free port of the loopback interface, and a database file.

use std::{
    error::Error,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Rows of the table that the job loads.
const ITEMS: u32 = 100;
/// So long may Redis take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends with it.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) url: String,
    pub(crate) database: PathBuf,
    pub(crate) folder: TempDir,
    connection: MultiplexedConnection,
    /// Killed when dropped.
    _redis: Child,
}

impl Servers {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let folder = TempDir::with_prefix("ebbtide-stops-")?;
        let database = folder.path().join("items.sqlite");
        fill(&database)?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("redis.log"))?;
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let redis = command.kill_on_drop(true).spawn().map_err(|error| {
            format!("redis-server does not start: {error}; on Debian: apt-get install redis-server")
        })?;
        let url = format!("redis://127.0.0.1:{port}/");
        let client = redis::Client::open(url.as_str())?;
        let connection = tokio::time::timeout(PATIENCE, async {
            loop {
                match client.get_multiplexed_async_connection().await {
                    Ok(connection) => break connection,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let connection = connection.await.map_err(|_| format!("redis-server does not answer at {url}"))?;
        Ok(Self { url, database, folder, connection, _redis: redis })
    }

    /// Sets the counter to zero.
    pub(crate) async fn reset(&self) -> Result<(), redis::RedisError> {
        redis::cmd("FLUSHALL").query_async(&mut self.connection.clone()).await
    }

    /// What has been applied.
    pub(crate) async fn counter(&self) -> Result<u64, redis::RedisError> {
        let counter: Option<u64> =
            redis::cmd("GET").arg("counter").query_async(&mut self.connection.clone()).await?;
        Ok(counter.unwrap_or(0))
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn fill(path: &Path) -> Result<(), rusqlite::Error> {
    let mut database = rusqlite::Connection::open(path)?;
    let all = database.transaction()?;
    all.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL)", [])?;
    for item in 0..ITEMS {
        all.execute("INSERT INTO items (name) VALUES (?1)", [format!("item {item}")])?;
    }
    all.commit()
}
