//! Asynchronous tasks in an application: told, waited for, dropped when forced; what goes wrong in one stops it in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use ebbtide::{App, BoxError, ComponentEnd, Running, Status, StopReason};

const SECOND: Duration = Duration::from_secs(1);

async fn ready(status: &Status) {
    while !status.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn tasks_are_told_and_waited_for_before_what_they_captured_is_closed() {
    let app = App::builder("consumers").embedded();
    let (ended, closed_at) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (seen, at) = (Arc::clone(&ended), Arc::clone(&closed_at));
    app.resource("redis", || Ok::<_, BoxError>(()), move |()| at.store(seen.load(SeqCst), SeqCst));
    let tasks = app.tasks("consumers");
    for _ in 0..5 {
        let (token, ended) = (tasks.token().clone(), Arc::clone(&ended));
        tasks.spawn(async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            ended.fetch_add(1, SeqCst);
        });
    }
    let status = app.status();
    let running: Running = app.run();
    ready(&status).await;
    running.stop_handle().stop();
    let report = running.await;
    assert_eq!((report.exit_code, closed_at.load(SeqCst)), (0, 5), "{report}");
    let detail = report.component("consumers").unwrap().detail.as_ref().unwrap();
    assert_eq!((&detail["spawned"], &detail["ended"]), (&5.into(), &5.into()));
    // Nobody would wait for it, and what it uses is closed.
    let (begun, tell) = (Arc::new(AtomicU32::new(0)), Arc::clone(&ended));
    let late = Arc::clone(&begun);
    tasks.spawn(async move {
        late.fetch_add(1, SeqCst);
        drop(tell);
    });
    while Arc::strong_count(&ended) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(begun.load(SeqCst), 0, "it was dropped");
}

#[tokio::test]
async fn what_went_wrong_before_the_start_is_the_reason_that_there_is_none() {
    for panics in [false, true] {
        let app = App::builder("failing").embedded();
        let tasks = app.tasks("consumers");
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        tasks.try_spawn(async move {
            let _told = tell;
            assert!(!panics, "on purpose");
            Err("lost the broker")
        });
        let _gone = told.await;
        // It is over; that this has been noted is a matter of microseconds.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let report = app.run().await;
        let why = if panics { "a task panicked: on purpose" } else { "lost the broker" };
        assert!(report.to_string().contains(why), "{report}");
        assert_ne!(report.exit_code, 0);
    }
}

#[tokio::test]
async fn a_task_that_fails_or_panics_is_an_ordered_stop_with_its_reason() {
    for panics in [false, true] {
        let app = App::builder("failing").embedded();
        let tasks = app.tasks("consumers");
        let status = app.status();
        tasks.try_spawn(async move {
            ready(&status).await;
            assert!(!panics, "on purpose");
            Err("lost the broker")
        });
        let report = app.run().await;
        let error = if panics { "a task panicked: on purpose" } else { "lost the broker" };
        let reason = StopReason::ComponentEnded { component: "consumers".into(), error: Some(error.into()) };
        assert_eq!((report.reason, report.exit_code), (reason, 1));
    }
}

#[tokio::test]
async fn tasks_that_do_not_end_are_dropped_at_the_end_of_their_time() {
    let app = App::builder("endless").embedded().deadline(SECOND);
    let tasks = app.tasks("consumers");
    tasks.spawn(std::future::pending());
    let status = app.status();
    let running = app.run();
    ready(&status).await;
    running.stop_handle().stop();
    let report = running.await;
    assert_eq!(report.component("consumers").unwrap().end, ComponentEnd::Stopped, "{report}");
    assert_eq!(report.exit_code, 11);
}
