//! What the harness tells a contender, by its environment.

use std::{env, fmt::Display, path::PathBuf, str::FromStr, time::Duration};

/// Where a contender listens, what it works with and how slow that is.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `PORT`, on the loopback interface.
    pub(crate) port: u16,
    /// `REDIS_URL`: where the counter is, under the key `counter`.
    pub(crate) redis: String,
    /// `DATABASE`: the SQLite file with the table `items`.
    pub(crate) database: PathBuf,
    /// `LEDGER`: where runs of the refresh job are written down.
    pub(crate) ledger: PathBuf,
    /// `WORKERS`: so many increments at once.
    pub(crate) workers: usize,
    /// `WORK_MS`: how long an increment takes before it reaches Redis.
    pub(crate) work: Duration,
    /// `DELAY_MS`: how long to serve on after the signal; for those who have that.
    pub(crate) delay: Duration,
    /// `DEADLINE_MS`: how long a stop may take; for those who have that.
    pub(crate) deadline: Duration,
    /// `REPORT`: where to write a report of the stop; for those who have one.
    pub(crate) report: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or wrong.
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            port: read("PORT")?,
            redis: read("REDIS_URL")?,
            database: read("DATABASE")?,
            ledger: read("LEDGER")?,
            workers: read("WORKERS")?,
            work: Duration::from_millis(read("WORK_MS")?),
            delay: Duration::from_millis(read("DELAY_MS")?),
            deadline: Duration::from_millis(read("DEADLINE_MS")?),
            report: env::var_os("REPORT").map(PathBuf::from),
        })
    }
}

fn read<T: FromStr<Err: Display>>(name: &str) -> Result<T, String> {
    let text = env::var(name).map_err(|error| format!("{name}: {error}"))?;
    text.parse().map_err(|error| format!("{name}: `{text}`: {error}"))
}
