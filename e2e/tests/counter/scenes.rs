//! The lines of the conformance list that are scenes of their own: a long queue, a deregistration delay, and a job beside them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    thread,
    time::Duration,
};

use e2e::{
    clients::Clients,
    service::{Service, moment},
};
use rustix::process::Signal;

use super::round::{CROWD, Plan, in_lanes, program, stage, strings};

#[test]
fn l_01_two_hundred_queued_increments_are_counted_before_redis_is_closed() {
    let stage = stage();
    let work = ["--workers", "1", "--queue", "200", "--work", "10ms", "--refresh", "20ms"];
    let plan =
        Plan { lane: 0, serve: Duration::from_millis(1_200), delay: Duration::ZERO, options: strings(&work) };
    let books = stage.play(&plan);
    let faults = [books.faults(), books.report_faults()].concat();
    assert!(faults.is_empty(), "{faults:#?}");
    let during = &books.component("increments")["pool"]["during"];
    let drained = during["completed"].as_u64().unwrap();
    println!(
        "{drained} increments were drained in {:?}; the last load began {:.3} s after the signal",
        books.took, books.last_load
    );
    assert!(drained > 50, "there was a queue to drain: {during}");
    // 10 ms each, so the drain took long; the job, which stops before it, has not loaded in that time.
    assert!(books.took > Duration::from_millis(10 * drained));
    assert!(books.last_load < books.took.as_secs_f64() / 2.0, "{} of {:?}", books.last_load, books.took);
    let end = |name: &str, which: &str| books.component(name)["stop"][which].as_f64().unwrap();
    assert!(end("increments", "to_ms") <= end("store", "from_ms"), "Redis is closed after its users");
    assert!(end("loads", "to_ms") <= end("database", "from_ms"), "and so is the database");
}

#[test]
fn l_02_every_request_of_the_deregistration_delay_is_answered_and_readiness_says_no_at_once() {
    let stage = stage();
    let delay = Duration::from_secs(2);
    let plan = Plan { lane: 1, serve: Duration::ZERO, delay, options: strings(&["--workers", "2"]) };
    let options = stage.options(&plan);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let service = Service::start(program(), &options);
    let health = service.health;
    let clients = Clients::start(service.api, "POST /incr", &CROWD);
    thread::park_timeout(Duration::from_millis(300));
    let asked = moment();
    service.signal(Signal::TERM);
    while e2e::service::probe(health, "/readyz").0 == 200 {}
    let not_ready = asked.elapsed();
    println!("readiness says 503 {not_ready:?} after the signal");
    // The promise is 50 ms; a busy machine may not give a process its turn in that time.
    assert!(not_ready < Duration::from_secs(1), "{not_ready:?}");
    assert_eq!(e2e::service::probe(health, "/livez").0, 200, "stopping is no reason to be killed");
    // Whoever comes until the delay is over is answered; the clients stop just before.
    thread::park_timeout((asked + delay).saturating_duration_since(moment()) - Duration::from_millis(200));
    let tally = clients.stop();
    let late = moment();
    assert!(late < asked + delay || tally.refused.is_empty(), "the machine stood still: nothing was tested");
    assert!(tally.refused.is_empty(), "{} refused during the delay", tally.refused.len());
    assert!(tally.dropped.is_empty() && tally.others.is_empty(), "{tally:?}");
    assert!(tally.answered > 100, "there was load: {}", tally.answered);
    let ended = service.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let counter = stage.redis.counter(1);
    let most = tally.answered + tally.unanswered();
    assert!(
        (tally.answered..=most).contains(&counter),
        "{counter} counted, {} to {most} asked for",
        tally.answered
    );
    println!("{} answered, {} raced, {counter} counted", tally.answered, tally.raced);
}

#[test]
fn l_03_a_job_that_loads_from_a_database_never_fails_and_never_begins_after_the_stop() {
    let stage = stage();
    let rounds = if std::env::var_os("EBBTIDE_LONG").is_some() { 500 } else { 40 };
    let loads = AtomicI64::new(0);
    in_lanes(10..14, rounds, |lane, number| {
        let plan = Plan {
            lane,
            serve: Duration::from_millis(number * 7 % 60),
            delay: Duration::ZERO,
            options: strings(&["--refresh", "3ms"]),
        };
        let books = stage.play(&plan);
        let faults = [books.faults(), books.report_faults()].concat();
        assert!(faults.is_empty(), "round {number}: {faults:#?}");
        assert!(books.loads > 0, "it loads at once when it is started");
        loads.fetch_add(books.loads, Ordering::SeqCst);
        // What the database saw is what the report accounts for (above), and the job's stop is the first of all.
        let stop = |name: &str, which: &str| books.component(name)["stop"][which].as_f64().unwrap();
        assert!(stop("refresh", "to_ms") <= stop("loads", "from_ms"));
        assert!(stop("loads", "to_ms") <= stop("database", "from_ms"));
    });
    let loads = loads.into_inner();
    println!("{rounds} stops, {loads} loads, none failed, none unaccounted for");
}

#[test]
fn l_27_the_health_port_answers_until_everything_else_has_stopped() {
    let stage = stage();
    let work = ["--workers", "1", "--queue", "200", "--work", "10ms"];
    let plan = Plan { lane: 3, serve: Duration::ZERO, delay: Duration::ZERO, options: strings(&work) };
    let options = stage.options(&plan);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let service = Service::start(program(), &options);
    let (api, health) = (service.api, service.health);
    let clients = Clients::start(api, "POST /incr", &CROWD);
    thread::park_timeout(Duration::from_millis(700));
    service.signal(Signal::TERM);
    while std::net::TcpStream::connect(api).is_ok() {
        thread::park_timeout(Duration::from_millis(5));
    }
    // The application's port is closed; its pool drains for a second more.
    let (ready, said) = e2e::service::probe(health, "/readyz");
    let (alive, _) = e2e::service::probe(health, "/livez");
    let (_, progress) = e2e::service::probe(health, "/progress");
    println!("while it drains, /readyz says {ready} {said:?} and /progress {progress:?}");
    assert_eq!((ready, alive), (503, 200));
    assert!(progress.contains("increments") && progress.contains("waiting"), "{progress}");
    let ended = service.wait();
    drop(clients.stop());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let components = ended.report["components"].as_array().unwrap();
    let last = components.iter().max_by(|a, b| stop_of(a).total_cmp(&stop_of(b))).unwrap();
    assert_eq!(last["name"], "health", "it stops last");
}

fn stop_of(component: &serde_json::Value) -> f64 {
    component["stop"]["from_ms"].as_f64().unwrap_or_default()
}
