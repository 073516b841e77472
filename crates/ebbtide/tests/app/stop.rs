//! How an application stops: in the reverse order, each within its budget, whatever the hooks do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::steps::{LONG, Log, Step, until};
use ebbtide::{
    App, AppState, AppTurn, BoxError, Component, ComponentEnd, ForcedBy, Monitor, Pool, Starting, Status,
    StopReason, Stopping,
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn l_46_a_stop_with_nothing_to_do_takes_no_time() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let app = App::builder("idle").embedded();
        let redis = app.resource("redis", || Ok::<_, BoxError>(7), drop);
        let pool = app.pool("increments", Pool::builder().workers(1..=4).using(&redis)).unwrap();
        app.schedule("refresh", pool.every(3_600 * SECOND).delay().start(|_, _| ()).unwrap());
        let status = app.status();
        let running = app.run();
        until(|| status.is_ready());
        let begin = Instant::now();
        running.stop_handle().stop();
        let report = running.wait();
        took.push(begin.elapsed());
        assert_eq!(report.exit_code, 0, "{report}");
    }
    took.sort_unstable();
    // Without a fixed sleep anywhere it is a few milliseconds; the slowest of five on a busy machine is not asserted.
    assert!(took[0] < 50 * MILLI, "{took:?}");
}

#[test]
fn l_22_a_resource_that_fails_to_close_is_in_the_report_and_the_others_are_closed() {
    let log = Log::new();
    let app = App::builder("three").embedded();
    for name in ["left", "bad", "right"] {
        let log = log.clone();
        let close = move |()| {
            log.add(format!("close {name}"));
            if name == "bad" { Err("the disk is full") } else { Ok(()) }
        };
        app.resource(name, || Ok::<_, BoxError>(()), close);
    }
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    let mut lines = log.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["close bad", "close left", "close right"]);
    let bad = report.component("bad").unwrap();
    assert_eq!((bad.end, bad.error.as_deref()), (ComponentEnd::StopFailed, Some("the disk is full")));
    assert_eq!(report.exit_code, 17);
    assert!(report.to_string().contains("the disk is full"), "{report}");
}

/// What a user hangs on the stop runs on the thread that conducts it.
#[test]
fn l_24_an_action_on_the_stop_that_panics_does_not_end_the_stop() {
    let log = Log::new();
    let app = App::builder("mined").embedded();
    app.component("part", log.part("part"));
    let status = app.status();
    let mine = status.stopping().on_cancel(|_| panic!("in an action on the stop"));
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(
        (report.exit_code, report.component("part").unwrap().end),
        (0, ComponentEnd::Stopped),
        "{report}"
    );
    assert_eq!(log.lines().last().map(String::as_str), Some("stop part"), "{:?}", log.lines());
    drop(mine);
}

/// One that hangs is the watchdog's. This test runs itself in a process of its own, which is then ended.
#[test]
fn l_10_an_action_on_the_stop_that_hangs_does_not_hold_the_process() {
    const CHILD: &str = "EBBTIDE_TEST_HANGING_ACTION";
    if std::env::var_os(CHILD).is_some() {
        let app = App::builder("hanging").deadline(200 * MILLI);
        let hang = app.status().stopping().on_cancel(|_| {
            loop {
                thread::park();
            }
        });
        app.stop_handle().stop();
        let _never = app.run().wait();
        drop(hang);
    }
    let name = "stop::l_10_an_action_on_the_stop_that_hangs_does_not_hold_the_process";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let mut child = child.args(["--exact", name]).env(CHILD, "1").spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < LONG {
        thread::sleep(5 * MILLI);
    }
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    assert_eq!(ended.and_then(|ended| ended.code()), Some(17), "by the watchdog");
}

#[test]
fn l_24_hooks_that_panic_also_in_drops_are_recorded_and_the_rest_goes_on() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop of a resource");
        }
    }
    let log = Log::new();
    let app = App::builder("mines").embedded();
    app.component("last", log.part("last"));
    app.resource("bomb", || Ok::<_, BoxError>(Bomb), drop);
    app.component("twice", log.part("twice").stop(Step::PanicTwice)).depends_on("last").depends_on("bomb");
    app.component("once", log.part("once").stop(Step::Panic("on purpose"))).depends_on("twice");
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(log.lines()[2..], ["start once", "stop once", "stop twice", "stop last"]);
    let end = |name| report.component(name).unwrap().end;
    assert_eq!(["once", "twice", "bomb"].map(end), [ComponentEnd::StopPanicked; 3]);
    assert_eq!(end("last"), ComponentEnd::Stopped);
    assert_eq!(report.component("once").unwrap().error.as_deref(), Some("it panicked: on purpose"));
    assert_eq!(report.exit_code, 17);
}

#[test]
fn a_stop_hook_that_hangs_is_left_behind_and_the_rest_stops() {
    let log = Log::new();
    let app = App::builder("hung").embedded().deadline(SECOND);
    let base = app.resource("base", || Ok::<_, BoxError>(1), drop);
    app.component("hung", log.part("hung").stop(Step::Hang)).using(&base);
    app.component("slow", log.part("slow").stop(Step::UntilCancelled));
    app.component("quick", log.part("quick"));
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    let end = |name| report.component(name).unwrap().end;
    assert_eq!(end("hung"), ComponentEnd::Hung);
    assert_eq!(end("slow"), ComponentEnd::Stopped, "it obeyed when it was forced");
    assert_eq!(end("quick"), ComponentEnd::Stopped);
    assert_eq!(end("base"), ComponentEnd::KeptOpen);
    assert_eq!(report.component("base").unwrap().held_by, ["hung".into()]);
    let forced =
        |entry: &&ebbtide::AppEntry| matches!(entry.turn, AppTurn::Forced { why: ForcedBy::Budget, .. });
    assert_eq!(report.timeline.iter().filter(forced).count(), 2);
    assert!(log.lines().contains(&"force hung".to_owned()));
    assert!(report.exit_code == 11, "tasks were cancelled by the deadline: {report}");
    let text = report.to_string();
    assert!(text.contains("hung hung in its stop"), "{text}");
}

#[test]
fn stops_from_everywhere_are_one() {
    let log = Log::new();
    let app = App::builder("once").embedded();
    app.component("part", log.part("part").stop(Step::Take(20 * MILLI)));
    let status = app.status();
    let handle = app.stop_handle();
    let running = app.run();
    until(|| status.is_ready());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let handle = handle.clone();
            thread::spawn(move || (0..50).for_each(|_| handle.stop()))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let report = running.wait();
    assert_eq!(log.lines(), ["start part", "stop part"]);
    assert_eq!((report.exit_code, status.state()), (0, AppState::Ended));
    handle.stop();
}

#[test]
fn a_forced_stop_cancels_and_still_keeps_the_order() {
    let log = Log::new();
    let app = App::builder("forced").embedded().deregistration_delay(10 * SECOND);
    let (opened, closed) = (log.clone(), log.clone());
    let open = move || {
        opened.add("open");
        Ok::<_, BoxError>(1)
    };
    let redis = app.resource("redis", open, move |_| closed.add("close"));
    let pool = app.pool("work", Pool::builder().workers(1..=1).using(&redis)).unwrap();
    let task = |_: &mut _, task: &ebbtide::Context<'_, _>| task.sleep(Duration::from_secs(60));
    let handle = pool.task("sleeper").submit_fallible(task).unwrap();
    app.component("hung", log.part("hung").stop(Step::Hang));
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready() && pool.stats().running == 1);
    running.stop_handle().stop();
    running.stop_handle().force();
    let report = running.wait();
    assert_eq!(report.exit_code, 16, "{report}");
    assert!(report.forced.is_some() && report.duration < 10 * SECOND, "{:?}", report.duration);
    assert!(handle.wait().unwrap_err().task().unwrap().is_cancelled());
    // Which of the two started first is nobody's promise.
    assert_eq!(log.lines()[2..], ["stop hung", "close"]);
    assert_eq!(report.component("redis").unwrap().end, ComponentEnd::Stopped);
    assert_eq!(report.component("hung").unwrap().end, ComponentEnd::Hung);
}

#[test]
fn everything_is_served_during_the_deregistration_delay() {
    let app = App::builder("delay").embedded().deregistration_delay(300 * MILLI);
    let pool = app.pool("work", Pool::builder().workers(1..=2)).unwrap();
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    until(|| status.state() == AppState::Stopping);
    assert!(!status.is_ready() && status.stopping().is_cancelled());
    assert_eq!(pool.submit(|_| 5).unwrap().wait().unwrap(), 5, "it serves, though not ready");
    let report = running.wait();
    assert!(report.delay >= 300 * MILLI && report.exit_code == 0, "{report}");
}

#[test]
fn a_significant_component_that_ends_stops_the_application_and_is_the_reason() {
    struct Ends(Arc<AtomicU32>, Option<&'static str>, Status);
    impl Component for Ends {
        fn start(&self, starting: &Starting) -> Result<(), BoxError> {
            let monitor: Monitor = starting.monitor().clone();
            let (how, status) = (self.1.map_or(Ok(()), |text| Err(text.into())), self.2.clone());
            thread::spawn(move || {
                until(|| status.is_ready());
                monitor.ended(how);
            });
            Ok(())
        }

        fn stop(&self, _: &Stopping) -> Result<(), BoxError> {
            self.0.fetch_add(1, SeqCst);
            Ok(())
        }
    }
    for (error, code) in [(None, 0), (Some("lost the broker"), 1)] {
        let stops = Arc::new(AtomicU32::new(0));
        let app = App::builder("consumer").embedded();
        app.component("consumer", Ends(Arc::clone(&stops), error, app.status())).significant();
        let report = app.run().wait();
        let error = error.map(str::to_owned);
        assert_eq!(report.reason, StopReason::ComponentEnded { component: "consumer".into(), error });
        assert_eq!((report.exit_code, stops.load(SeqCst)), (code, 1));
    }
}

#[test]
fn a_pool_that_is_broken_stops_an_application_that_cannot_be_without_it() {
    for significant in [true, false] {
        let app = App::builder("broken").embedded();
        let build = |_: &ebbtide::WorkerInfo| Err::<(), _>("no state to be had");
        let builder = Pool::builder().workers(1..=1).restart_intensity(1, SECOND).try_state(build);
        let pool = app.pool("work", builder).unwrap();
        if significant {
            app.part("work").significant();
        }
        let handle = pool.submit(|_, _| ()).unwrap();
        let running = app.run();
        assert!(handle.wait().is_err());
        if !significant {
            assert!(pool.stats().broken.is_some() && !running.is_over());
            running.stop_handle().stop();
        }
        let report = running.wait();
        match report.reason {
            StopReason::ComponentEnded { component, error } if significant => {
                assert_eq!(&*component, "work");
                assert!(error.unwrap().contains("no state to be had"));
            }
            other => assert!(!significant && other == StopReason::Asked, "{other:?}"),
        }
    }
}

#[test]
fn a_component_that_panics_when_it_is_dropped_takes_nobody_along() {
    struct Bomb(Log);
    impl Component for Bomb {
        fn start(&self, _: &Starting) -> Result<(), BoxError> {
            Ok(())
        }

        fn stop(&self, _: &Stopping) -> Result<(), BoxError> {
            Ok(())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.add("dropped");
            panic!("in the drop of a component");
        }
    }
    let log = Log::new();
    let app = App::builder("bombs").embedded();
    app.component("one", Bomb(log.clone()));
    app.component("two", Bomb(log.clone()));
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(report.exit_code, 0, "{report}");
    until(|| log.lines() == ["dropped", "dropped"]);
}

#[test]
fn a_forced_stop_still_awaits_the_closing_of_a_resource() {
    let closed = Arc::new(AtomicU32::new(0));
    let close = Arc::clone(&closed);
    let app = App::builder("async-close").embedded();
    let slowly = move |()| async move {
        // Ready a little later, by a thread that wakes it.
        let token = ebbtide::CancelToken::new();
        let other = token.clone();
        thread::spawn(move || {
            thread::sleep(20 * MILLI);
            other.cancel();
        });
        token.cancelled().await;
        close.store(1, SeqCst);
    };
    app.resource_async("redis", || async { Ok::<_, BoxError>(()) }, slowly);
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().force();
    let report = running.wait();
    assert_eq!((closed.load(SeqCst), report.exit_code), (1, 16), "{report}");
}

#[test]
fn an_async_resource_needs_no_runtime_and_its_connecting_can_be_called_off() {
    let app = App::builder("async").embedded();
    let closed = Arc::new(AtomicU32::new(0));
    let close = Arc::clone(&closed);
    app.resource_async(
        "quick",
        || async { Ok::<_, BoxError>(3) },
        move |value| async move {
            close.store(value, SeqCst);
        },
    );
    app.resource_async("never", std::future::pending::<Result<(), BoxError>>, |()| async {});
    let status = app.status();
    let running = app.run();
    until(|| status.progress() == ["never is starting"]);
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(closed.load(SeqCst), 3);
    let never = report.component("never").unwrap();
    assert_eq!((never.end, never.error.as_deref()), (ComponentEnd::StartFailed, Some("cancelled")));
}

#[test]
fn the_report_says_who_held_it_up() {
    let log = Log::new();
    let app = App::builder("held-up").embedded();
    app.component("base", log.part("base"));
    app.component("slow", log.part("slow").stop(Step::Take(400 * MILLI))).depends_on("base");
    app.component("quick", log.part("quick")).depends_on("base");
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    let path: Vec<_> = report.critical.iter().filter_map(|step| step.component.as_deref()).collect();
    assert_eq!(path, ["slow", "base"]);
    let sentence = report.critical_path.clone().unwrap();
    assert!(sentence.starts_with("without the stop of slow it would have been "), "{sentence}");
    assert!(report.to_string().contains(&sentence));
    let read: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(read["components"][0]["name"], "base");
}
