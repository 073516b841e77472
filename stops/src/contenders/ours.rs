//! Contender: ebbtide, as its documentation has it: parts are declared, the order follows from what uses what.

use std::{
    error::Error,
    fs,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use ebbtide::{
    App, Pool,
    http::{Ingress, bind},
};
use redis::{Client, Connection, RedisError};

use crate::service::{Ledger, REFRESH_DELAY, Refresh, Settings, ready, router};

/// So many increments may wait: more than the clients can bring.
const QUEUE: usize = 10_000;

/// Redis over blocking connections, one for each worker that needs it at the same time.
struct Redis {
    client: Client,
    idle: Mutex<Vec<Connection>>,
}

impl Redis {
    fn open(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let first = client.get_connection()?;
        Ok(Self { client, idle: Mutex::new(vec![first]) })
    }

    fn increment(&self) -> Result<(), RedisError> {
        let idle = self.idle().pop();
        let mut connection = idle.map_or_else(|| self.client.get_connection(), Ok)?;
        redis::cmd("INCR").arg("counter").query::<u64>(&mut connection)?;
        self.idle().push(connection);
        Ok(())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let ledger = Ledger::open(&settings.ledger)?;
    let refresh = Refresh::new(&settings, &ledger);
    let cache = refresh.cache.clone();

    let app = App::builder("counter").deadline(settings.deadline).deregistration_delay(settings.delay);
    let url = settings.redis.clone();
    let redis = app.resource("redis", move || Redis::open(&url), drop);
    let workers = Pool::builder().workers(settings.workers..=settings.workers).queue(QUEUE);
    let increments = app.pool("increments", workers.using(&redis))?;
    let jobs = app.pool("jobs", Pool::builder().workers(1..=1))?;
    let job = jobs.every(REFRESH_DELAY).delay().start_fallible(move |_| refresh.run_blocking())?;
    app.schedule("refresh", job);

    let (pool, work) = (Arc::clone(&increments), settings.work);
    let accept = move || {
        let ledger = ledger.clone();
        let task = pool.try_execute(move |redis, _| {
            #[expect(clippy::disallowed_methods, reason = "plays work that takes its time")]
            std::thread::sleep(work);
            if let Err(error) = redis.increment() {
                ledger.increment_failed(&error.to_string());
            }
        });
        task.is_ok()
    };
    let listener = bind(format!("127.0.0.1:{}", settings.port))?;
    app.http(Ingress::builder("api"), listener, move || {
        ready();
        router(cache, accept)
    })
    .depends_on("increments");

    let report = app.run().await;
    if let Some(path) = &settings.report {
        fs::write(path, report.to_json())?;
    }
    if !report.is_clean() {
        return Err(format!("{report}").into());
    }
    Ok(report.code())
}
