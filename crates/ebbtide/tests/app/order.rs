//! An application starts what is depended on first and stops it last.

use std::sync::{Arc, Mutex};

use ebbtide::{App, ComponentEnd, Pool};

#[test]
fn a_resource_outlives_the_pool_that_uses_it() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (opened, closed) = (Arc::clone(&log), Arc::clone(&log));
    let app = App::builder("counter").embedded();
    let redis = app.resource(
        "redis",
        move || {
            opened.lock().unwrap().push("open");
            Ok::<_, ebbtide::BoxError>(41)
        },
        move |value| {
            assert_eq!(value, 41);
            closed.lock().unwrap().push("close");
        },
    );
    let pool = app.pool("increments", Pool::builder().workers(1..=2).using(&redis)).unwrap();
    let handle = pool.submit(|redis, _| **redis + 1).unwrap();
    let running = app.run();
    assert_eq!(handle.wait().unwrap(), 42);
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(*log.lock().unwrap(), ["open", "close"]);
    assert_eq!(report.component("redis").unwrap().end, ComponentEnd::Stopped);
    assert!(report.component("increments").unwrap().pool.as_ref().unwrap().law_holds());
}
