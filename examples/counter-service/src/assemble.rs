//! Who uses what. The order of the stop follows from it.

use std::{error::Error, net::TcpListener};

use ebbtide::{App, AppBuilder, BoxError, Pool, http::Ingress};

use crate::{
    counter::Counter,
    options::Options,
    router::{Shared, router},
    table::{Cache, Database},
};

/// Puts the application together; nothing is started.
///
/// # Errors
/// An option is out of range.
pub fn assemble(
    options: &Options,
    api: TcpListener,
    health: TcpListener,
) -> Result<AppBuilder, Box<dyn Error + Send + Sync>> {
    let app = App::builder("counter").deadline(options.deadline).deregistration_delay(options.delay);
    app.health(health);

    let store = options.store.clone();
    let counter = app.resource("store", move || Counter::open(&store), Counter::close);
    let increments = Pool::builder().workers(1..=options.workers).queue(options.queue).using(&counter);
    let increments = app.pool("increments", increments)?;

    let (url, query) = (options.database.clone(), options.query.clone());
    let database = app.resource("database", move || Database::open(&url, &query), Database::close);
    let loads = app.pool("loads", Pool::builder().workers(1..=1).using(&database))?;
    let cache = Cache::default();
    let filled = cache.clone();
    let refresh = loads.every(options.refresh).delay().start_fallible(move |database, _| {
        filled.put(database.load()?);
        Ok::<_, BoxError>(())
    });
    app.schedule("refresh", refresh?);

    let shared = Shared { increments, cache, work: options.work };
    app.http(Ingress::builder("api"), api, move || router(shared));
    Ok(app)
}
