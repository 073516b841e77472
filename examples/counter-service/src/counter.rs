//! The counter: in Redis, or in a SQLite file so that the example runs alone.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::Commands as _;

const KEY: &str = "ebbtide:counter";
/// A store that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the counter is. Cannot be cloned, so whoever has it can close it: nobody else has it.
#[derive(Debug)]
pub struct Counter {
    store: Store,
}

/// What went wrong, where.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The URL is of neither kind.
    #[error("--store {0}: give redis://HOST:PORT/DB or sqlite:FILE")]
    Unknown(String),
    /// Redis did not answer.
    #[error("Redis at {0}: {1}. Is it running, and is this its address?")]
    Redis(String, redis::RedisError),
    /// The file could not be used.
    #[error("SQLite file {0}: {1}")]
    Sqlite(String, rusqlite::Error),
}

enum Store {
    Redis(Redis),
    Sqlite { file: String, connection: Mutex<rusqlite::Connection> },
}

struct Redis {
    url: String,
    client: redis::Client,
    /// Those that nobody uses just now; at most as many as there are workers.
    idle: Mutex<Vec<redis::Connection>>,
}

impl Counter {
    /// Connects, so that a store that is not there is known at once.
    ///
    /// # Errors
    /// The store cannot be reached or used.
    pub fn open(url: &str) -> Result<Self, CounterError> {
        let store = if let Some(file) = url.strip_prefix("sqlite:") {
            Store::open_file(file).map_err(|error| CounterError::Sqlite(file.to_owned(), error))?
        } else if url.starts_with("redis://") {
            let wrong = |error| CounterError::Redis(url.to_owned(), error);
            let client = redis::Client::open(url).map_err(wrong)?;
            let redis = Redis { url: url.to_owned(), client, idle: Mutex::default() };
            let first = redis.connect()?;
            redis.give_back(first);
            Store::Redis(redis)
        } else {
            return Err(CounterError::Unknown(url.to_owned()));
        };
        Ok(Self { store })
    }

    /// Adds one. Never tried twice: it might count twice.
    ///
    /// # Errors
    /// The store did not confirm; it may have counted all the same.
    pub fn increment(&self) -> Result<u64, CounterError> {
        match &self.store {
            Store::Redis(redis) => redis.with(|connection| connection.incr(KEY, 1)),
            Store::Sqlite { file, connection } => {
                let add = "UPDATE counter SET value = value + 1 RETURNING value";
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                connection.query_one(add, [], number).map_err(|error| sqlite(file, error))
            }
        }
    }

    /// The counter.
    ///
    /// # Errors
    /// The store did not answer.
    pub fn value(&self) -> Result<u64, CounterError> {
        match &self.store {
            Store::Redis(redis) => {
                redis.with(|connection| connection.get::<_, Option<u64>>(KEY)).map(Option::unwrap_or_default)
            }
            Store::Sqlite { file, connection } => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let value = connection.query_one("SELECT value FROM counter", [], number);
                value.map_err(|error| sqlite(file, error))
            }
        }
    }

    /// Closes it. Takes the counter itself, so nobody can use it afterwards.
    ///
    /// # Errors
    /// What SQLite had not written could not be.
    pub fn close(self) -> Result<(), CounterError> {
        match self.store {
            Store::Redis(redis) => {
                drop(redis);
                Ok(())
            }
            Store::Sqlite { file, connection } => {
                let connection = connection.into_inner().unwrap_or_else(PoisonError::into_inner);
                connection.close().map_err(|(_, error)| sqlite(&file, error))
            }
        }
    }
}

impl Store {
    fn open_file(file: &str) -> rusqlite::Result<Self> {
        let connection = rusqlite::Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS counter (only INTEGER PRIMARY KEY CHECK (only = 0), value INTEGER NOT NULL);
             INSERT OR IGNORE INTO counter VALUES (0, 0);",
        )?;
        Ok(Self::Sqlite { file: file.to_owned(), connection: Mutex::new(connection) })
    }
}

impl Redis {
    fn connect(&self) -> Result<redis::Connection, CounterError> {
        let wrong = |error| CounterError::Redis(self.url.clone(), error);
        // No time-out for reads and writes: with one, a process that was suspended and goes on (SIGSTOP, SIGCONT) has its reads interrupted,
        // and an increment that was counted would look as if it had failed. A Redis that hangs is what the deadline is for.
        self.client.get_connection_with_timeout(PATIENCE).map_err(wrong)
    }

    fn give_back(&self, connection: redis::Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// On a connection of its own; one that failed is not used again, so that a Redis that comes back is found.
    fn with<T>(
        &self,
        ask: impl FnOnce(&mut redis::Connection) -> redis::RedisResult<T>,
    ) -> Result<T, CounterError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = ask(&mut connection).map_err(|error| CounterError::Redis(self.url.clone(), error))?;
        self.give_back(connection);
        Ok(answer)
    }
}

fn number(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, i64>(0).map(i64::cast_unsigned)
}

fn sqlite(file: &str, error: rusqlite::Error) -> CounterError {
    CounterError::Sqlite(file.to_owned(), error)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(redis) => f.debug_tuple("Redis").field(&redis.url).finish(),
            Self::Sqlite { file, .. } => f.debug_tuple("Sqlite").field(file).finish(),
        }
    }
}
