//! How an application starts: in order, together where it can, and back again when something does not start.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use crate::steps::{Log, Part, Step, until};
use ebbtide::{App, AppReport, BoxError, Component, ComponentEnd, Starting, StopReason, Stopping};

const SOON: Duration = Duration::from_millis(200);

fn error_of(report: &AppReport) -> (String, String) {
    match &report.reason {
        StopReason::StartFailed { component, error } => (component.to_string(), error.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn l_16_when_the_third_of_five_does_not_start_the_first_two_stop_in_reverse() {
    let log = Log::new();
    let app = App::builder("five").embedded();
    for number in 1..=5 {
        let name = number.to_string();
        let mut part = log.part(&name);
        if number == 3 {
            part = part.start(Step::Fail("no route to the database"));
        }
        // One stop fails too; that must not hide the first error.
        if number == 2 {
            part = part.stop(Step::Fail("and this one does not stop"));
        }
        let declared = app.component(&name, part);
        if number > 1 {
            declared.depends_on(&(number - 1).to_string());
        }
    }
    let report = app.run().wait();
    assert_eq!(log.lines(), ["start 1", "start 2", "start 3", "stop 2", "stop 1"]);
    assert_eq!(error_of(&report), ("3".into(), "no route to the database".into()));
    let ends: Vec<_> = report.components.iter().map(|one| one.end).collect();
    use ComponentEnd::{NotStarted, StartFailed, StopFailed, Stopped};
    assert_eq!(ends, [Stopped, StopFailed, StartFailed, NotStarted, NotStarted]);
    assert_eq!(report.ready, None);
    // A stop hook failed: 17 comes before 14 in the table.
    assert_eq!(report.exit_code, 17);
}

#[test]
fn a_start_that_fails_is_exit_code_14_and_one_that_panics_too() {
    for (step, said) in [(Step::Fail("no"), "no"), (Step::Panic("oh"), "it panicked: oh")] {
        let log = Log::new();
        let app = App::builder("one").embedded();
        app.component("broken", log.part("broken").start(step));
        let report = app.run().wait();
        assert_eq!((report.exit_code, error_of(&report).1.as_str()), (14, said));
        assert_eq!(report.component("broken").unwrap().end, ComponentEnd::StartFailed);
    }
}

#[test]
fn what_does_not_depend_on_each_other_starts_together() {
    // Each waits for the other to have begun: one after the other they would wait for ever.
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let app = App::builder("two").embedded();
    for name in ["left", "right"] {
        let barrier = Arc::clone(&barrier);
        let open = move || {
            barrier.wait();
            Ok::<_, BoxError>(())
        };
        app.resource(name, open, drop);
    }
    let handle = app.stop_handle();
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    handle.stop();
    assert_eq!(running.wait().exit_code, 0);
}

#[test]
fn a_start_that_takes_too_long_is_called_off_and_its_late_success_is_stopped() {
    let log = Log::new();
    let app = App::builder("late").embedded();
    app.component("first", log.part("first"));
    app.component("slow", log.part("slow").start(Step::UntilCancelled))
        .depends_on("first")
        .start_within(SOON);
    let report = app.run().wait();
    assert_eq!(log.lines(), ["start first", "start slow", "stop slow", "stop first"]);
    assert_eq!(error_of(&report), ("slow".into(), format!("it did not start within {SOON:?}")));
    assert_eq!(report.exit_code, 14);
}

#[test]
fn a_start_that_hangs_is_left_behind_and_what_it_uses_is_kept() {
    let log = Log::new();
    let app = App::builder("hung").embedded().deadline(Duration::from_secs(2));
    let closed = Arc::new(Mutex::new(false));
    let close = Arc::clone(&closed);
    let base = app.resource("base", || Ok::<_, BoxError>(1), move |_| *close.lock().unwrap() = true);
    app.component("other", log.part("other"));
    app.component("hung", log.part("hung").start(Step::Hang)).using(&base).start_within(SOON);
    let report = app.run().wait();
    assert_eq!(report.component("hung").unwrap().end, ComponentEnd::StartHung);
    assert_eq!(report.component("base").unwrap().end, ComponentEnd::KeptOpen);
    assert_eq!(report.component("base").unwrap().held_by, ["hung".into()]);
    assert_eq!(report.component("other").unwrap().end, ComponentEnd::Stopped);
    assert!(!*closed.lock().unwrap(), "it was closed under one who hangs");
    assert!(report.duration <= Duration::from_secs(20), "{:?}", report.duration);
}

/// Starts when it is let, and says what happens to it.
struct Sleeper {
    wakes: Mutex<mpsc::Receiver<()>>,
    says: mpsc::Sender<&'static str>,
}

impl Component for Sleeper {
    fn start(&self, _: &Starting) -> Result<(), BoxError> {
        Ok(self.wakes.lock().expect("nobody panics with it").recv()?)
    }

    fn stop(&self, stopping: &Stopping) -> Result<(), BoxError> {
        Ok(self.says.send(if stopping.is_forced() { "forced" } else { "not forced" })?)
    }
}

#[test]
fn one_that_starts_when_the_application_is_over_is_stopped_all_the_same() {
    let (wake, wakes) = mpsc::channel();
    let (says, said) = mpsc::channel();
    let app = App::builder("too-late").embedded().deadline(Duration::from_secs(2));
    app.component("sleeper", Sleeper { wakes: Mutex::new(wakes), says }).start_within(SOON);
    let report = app.run().wait();
    assert_eq!(report.component("sleeper").unwrap().end, ComponentEnd::StartHung);
    assert!(said.try_recv().is_err(), "it is stopped before it has started");
    wake.send(()).unwrap();
    assert_eq!(said.recv_timeout(Duration::from_secs(60)), Ok("forced"));
}

#[test]
fn a_stop_during_the_start_calls_it_off() {
    let log = Log::new();
    let app = App::builder("called-off").embedded().deregistration_delay(Duration::from_secs(5));
    app.component("first", log.part("first"));
    app.component("connecting", log.part("connecting").start(Step::FailWhenCancelled)).depends_on("first");
    app.component("never", log.part("never")).depends_on("connecting");
    let running = app.run();
    until(|| log.lines().len() == 2);
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(log.lines(), ["start first", "start connecting", "stop first"]);
    assert_eq!(report.reason, StopReason::Asked);
    assert_eq!(report.component("never").unwrap().end, ComponentEnd::NotStarted);
    assert_eq!(report.delay, Duration::ZERO, "nothing was served: nobody has to be told");
    assert_eq!(report.exit_code, 14);
}

#[test]
fn a_component_may_be_a_struct_of_the_users_own() {
    struct Beacon(Part);
    impl Component for Beacon {
        fn start(&self, starting: &ebbtide::Starting) -> Result<(), BoxError> {
            assert_eq!(starting.name(), "beacon");
            assert!(starting.remaining() > Duration::ZERO && !starting.is_cancelled());
            Component::start(&self.0, starting)
        }

        fn stop(&self, stopping: &ebbtide::Stopping) -> Result<(), BoxError> {
            assert_eq!(stopping.wait_for(async { 5 })?, 5);
            stopping.progress("putting it out");
            Component::stop(&self.0, stopping)
        }
    }
    let log = Log::new();
    let app = App::builder("coast").embedded();
    app.component("beacon", Beacon(log.part("beacon")));
    let status = app.status();
    let running = app.run();
    until(|| status.is_ready());
    running.stop_handle().stop();
    let report = running.wait();
    assert_eq!(report.component("beacon").unwrap().progress.as_deref(), Some("putting it out"));
}
