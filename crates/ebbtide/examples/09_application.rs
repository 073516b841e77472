//! An application: a store that is closed only after every accepted increment was applied to it. `--plan` prints the order and starts nothing.
//! Without `--serve` it stops by itself after a moment; with it, by Ctrl-C or SIGTERM.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use ebbtide::{App, BoxError, Pool};

struct Store(AtomicU64);

fn main() -> Result<ExitCode, BoxError> {
    let option = std::env::args().nth(1);
    let app = App::builder("counter").deadline(Duration::from_secs(5));
    let open = || Ok::<_, BoxError>(Store(AtomicU64::new(0)));
    let store = app.resource("store", open, |store| println!("closed at {}", store.0.into_inner()));
    // Uses the store, so it is drained before the store is closed.
    let pool = app.pool("increments", Pool::builder().workers(1..=4).queue(256).using(&store))?;
    let every = pool.every(Duration::from_millis(20)).delay();
    let show = |store: &mut ebbtide::Lease<Store>, _: &ebbtide::Context<'_, _>| {
        println!("now at {}", store.0.load(Ordering::Relaxed));
    };
    app.schedule("show", every.start(show)?);

    if option.as_deref() == Some("--plan") {
        let plan = app.build()?.plan();
        print!("{plan}");
        return Ok(ExitCode::from(plan.exit_code()));
    }

    let (submitter, status) = (pool.submitter(), app.status());
    let producer = thread::Builder::new().spawn(move || {
        let mut accepted = 0;
        // Rejected from the moment the pool drains.
        while submitter.submit(|store, _| store.0.fetch_add(1, Ordering::Relaxed)).is_ok() {
            accepted += 1;
            let _ = status.stopping().wait_timeout(Duration::from_millis(1));
        }
        accepted
    })?;
    let running = app.run();
    if option.as_deref() != Some("--serve") {
        let handle = running.stop_handle();
        thread::Builder::new().spawn(move || {
            thread::park_timeout(Duration::from_millis(200));
            handle.stop();
        })?;
    }
    let report = running.wait();
    let accepted = producer.join().map_err(|_| "the producer panicked")?;
    println!("{accepted} were accepted\n\n{report}");
    let applied = report.component("increments").and_then(|one| one.pool.as_ref()).map(|pool| pool.outcomes);
    assert!(applied.is_some_and(|outcomes| outcomes.completed >= accepted), "something accepted was lost");
    Ok(report.code())
}
