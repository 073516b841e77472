//! The table that is cached: where it comes from, and the cache.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// The database. Not `Clone`, like the counter.
pub struct Database {
    url: String,
    query: String,
    connection: Mutex<Connection>,
}

/// What was loaded last. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    rows: Arc<RwLock<Loaded>>,
}

/// A table, and how often it was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Names and values.
    pub rows: Vec<(String, String)>,
    /// How many loads there were.
    pub loads: u64,
}

/// What went wrong, where.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is of neither kind.
    #[error("--database {0}: give postgres://USER@HOST:PORT/NAME or sqlite:FILE")]
    Unknown(String),
    /// PostgreSQL did not answer, or not what was hoped for.
    #[error("PostgreSQL at {0}: {1:?}. Is it running, and is this its address?")]
    Postgres(String, postgres::Error),
    /// The file could not be used.
    #[error("SQLite file {0}: {1}")]
    Sqlite(String, rusqlite::Error),
}

enum Connection {
    Postgres(postgres::Client),
    Sqlite(rusqlite::Connection),
}

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// The database cannot be reached or used.
    pub fn open(url: &str, query: &str) -> Result<Self, DatabaseError> {
        let connection = if let Some(file) = url.strip_prefix("sqlite:") {
            open_file(file).map_err(|error| DatabaseError::Sqlite(file.to_owned(), error))?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let wrong = |error| DatabaseError::Postgres(url.to_owned(), error);
            let mut config: postgres::Config = url.parse().map_err(wrong)?;
            config.connect_timeout(PATIENCE).application_name("counter-service");
            Connection::Postgres(config.connect(postgres::NoTls).map_err(wrong)?)
        } else {
            return Err(DatabaseError::Unknown(url.to_owned()));
        };
        Ok(Self { url: url.to_owned(), query: query.to_owned(), connection: Mutex::new(connection) })
    }

    /// Loads the table.
    ///
    /// # Errors
    /// The database did not answer, or with other columns.
    pub fn load(&self) -> Result<Vec<(String, String)>, DatabaseError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *connection {
            Connection::Postgres(client) => {
                let wrong = |error| DatabaseError::Postgres(self.url.clone(), error);
                let rows = client.query(&self.query, &[]).map_err(wrong)?;
                rows.iter()
                    .map(|row| Ok((row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?)))
                    .collect()
            }
            Connection::Sqlite(connection) => {
                let wrong = |error| DatabaseError::Sqlite(self.url.clone(), error);
                let mut statement = connection.prepare_cached(&self.query).map_err(wrong)?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(wrong)?;
                rows.map(|row| row.map_err(wrong)).collect()
            }
        }
    }

    /// Closes it, properly: the server is told.
    ///
    /// # Errors
    /// The server did not hear it.
    pub fn close(self) -> Result<(), DatabaseError> {
        match self.connection.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Connection::Postgres(client) => {
                client.close().map_err(|error| DatabaseError::Postgres(self.url, error))
            }
            Connection::Sqlite(connection) => {
                connection.close().map_err(|(_, error)| DatabaseError::Sqlite(self.url, error))
            }
        }
    }
}

impl Cache {
    /// What there is now.
    #[must_use]
    pub fn get(&self) -> Loaded {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a newly loaded table in the place of the last one.
    pub fn put(&self, rows: Vec<(String, String)>) {
        let mut loaded = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        loaded.rows = rows;
        loaded.loads += 1;
    }
}

fn open_file(file: &str) -> rusqlite::Result<Connection> {
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, value TEXT NOT NULL);
         INSERT OR IGNORE INTO items VALUES ('ebb', 'out'), ('flood', 'in'), ('slack', 'still');",
    )?;
    Ok(Connection::Sqlite(connection))
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("url", &self.url).finish_non_exhaustive()
    }
}
