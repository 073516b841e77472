//! Applications that cannot be put together are refused, each by name, and nothing is started.

use std::time::Duration;

use crate::steps::{Log, Step};
use ebbtide::{App, AppError, BoxError, Pool, StopReason};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn names_that_are_unknown_or_given_twice_and_circles_are_named() {
    let log = Log::new();
    let app = App::builder("unknown").embedded();
    app.component("api", log.part("api")).depends_on("databse");
    app.component("database", log.part("database"));
    let error = app.build().unwrap_err().to_string();
    assert_eq!(
        error,
        "\"api\" names \"databse\", which is not a component of this application; there are api, database"
    );

    let app = App::builder("limits").embedded();
    app.component("api", log.part("api"));
    app.part("apo").stop_within(SECOND);
    let error = app.build().unwrap_err().to_string();
    assert_eq!(
        error,
        "\"limits\" names \"apo\", which is not a component of this application; there are api"
    );

    let app = App::builder("twice").embedded();
    app.component("api", log.part("api"));
    app.component("api", log.part("api"));
    assert_eq!(app.build().unwrap_err(), AppError::Duplicate { name: "api".into() });

    let app = App::builder("circle").embedded();
    app.component("a", log.part("a")).depends_on("b");
    app.component("b", log.part("b")).depends_on("c");
    app.component("c", log.part("c")).depends_on("a");
    let running = app.run();
    let report = running.wait();
    assert_eq!(report.exit_code, 78);
    let problem = "components depend on each other in a circle: a -> b -> c -> a".to_owned();
    assert_eq!(report.reason, StopReason::Refused { problem });
    assert!(report.to_string().contains("a -> b -> c -> a"), "{report}");
    assert!(log.lines().is_empty(), "something was started");
}

#[test]
fn a_resource_of_another_application_is_refused() {
    let other = App::builder("other").embedded();
    let foreign = other.resource("redis", || Ok::<_, BoxError>(()), drop);
    let app = App::builder("mine").embedded();
    app.pool("work", Pool::builder().using(&foreign)).unwrap();
    let error = app.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"work\" names \"redis\", which is not a component of this application; there are work"
    );
}

#[test]
fn deadlines_that_leave_no_time_are_refused() {
    let app = App::builder("none").embedded().deadline(Duration::ZERO);
    assert!(app.build().unwrap_err().to_string().starts_with("deadline: of zero"));
    let app = App::builder("delay").embedded().deadline(10 * SECOND).deregistration_delay(9 * SECOND);
    let error = app.build().unwrap_err().to_string();
    assert!(
        error.starts_with("deregistration_delay: of 9s leaves nothing of the deadline of 10s"),
        "{error}"
    );
}

#[test]
fn a_plan_that_does_not_fit_is_a_warning_and_not_a_clean_plan() {
    let log = Log::new();
    let declare = |limit: Duration| {
        let app = App::builder("long").embedded().deadline(10 * SECOND).deregistration_delay(SECOND);
        app.component("base", log.part("base")).stop_within(2 * SECOND);
        app.component("work", log.part("work")).stop_within(limit).depends_on("base");
        app.component("beside", log.part("beside")).stop_within(3 * SECOND);
        app
    };
    let plan = declare(5 * SECOND).build().unwrap().plan();
    assert_eq!((plan.worst, plan.fits(), plan.exit_code()), (8 * SECOND, true, 0));
    assert!(plan.to_string().contains("1. work, within 5s\n"), "{plan}");
    assert!(plan.to_string().contains("2. base, within 2s\n"), "{plan}");

    let plan = declare(20 * SECOND).build().unwrap().plan();
    assert_eq!((plan.needed, plan.worst, plan.exit_code()), (23 * SECOND, 10 * SECOND, 78));
    assert!(plan.warnings[0].starts_with("the stop may need 23s and has 9.8s"), "{:?}", plan.warnings);
    let running = declare(20 * SECOND).run();
    running.stop_handle().stop();
    assert_eq!(running.wait().warnings, plan.warnings);
    let json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
    assert_eq!((json["worst_ms"].as_f64(), json["steps"][1]["wave"].as_u64()), (Some(10_000.0), Some(1)));
}

#[test]
fn the_edges_of_a_plan_come_from_what_was_given() {
    let log = Log::new();
    let app = App::builder("counter").embedded();
    let redis = app.resource("redis", || Ok::<_, BoxError>(()), drop);
    let pool = app.pool("increments", Pool::builder().using(&redis)).unwrap();
    app.schedule("refresh", pool.every(SECOND).delay().start(|_, _| ()).unwrap());
    app.ingress("api", log.part("api").stop(Step::Good));
    let plan = app.build().unwrap().plan();
    let order: Vec<_> = plan.steps.iter().map(|step| (&*step.component, step.wave)).collect();
    assert_eq!(order, [("redis", 4), ("increments", 3), ("api", 2), ("refresh", 1)]);
    assert_eq!(plan.steps[1].depends_on, ["redis".into()]);
    assert_eq!(plan.unknown.len(), 3, "{:?}", plan.unknown);
    assert_eq!(plan.worst, plan.deadline);
}
