//! What users do wrong, and what goes wrong around them: each is named, and everything else still stops in order.

use std::{net::TcpListener, thread, time::Duration};

use e2e::{
    clients::{Clients, Habit},
    servers::Redis,
    service::Service,
};
use rustix::process::Signal;

use super::round::program;

#[test]
fn a_redis_that_is_not_there_is_named_and_nothing_is_left_running() {
    let ended = Service::fail(program(), &["--store", "redis://127.0.0.1:1"]);
    assert_eq!(ended.code, Some(14), "{}", ended.stderr);
    assert!(ended.stderr.contains("Redis at redis://127.0.0.1:1"), "{}", ended.stderr);
    assert_eq!(ended.report["reason"]["component"], "store", "{}", ended.report["reason"]);
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let ended = Service::fail(program(), &["--database", "postgres://nobody@127.0.0.1:1/none"]);
    assert_eq!(ended.code, Some(14), "{}", ended.stderr);
    assert!(ended.stderr.contains("PostgreSQL at postgres://nobody@127.0.0.1:1"), "{}", ended.stderr);
    assert_eq!(ended.report["reason"]["component"], "database", "{}", ended.report["reason"]);
}

#[test]
fn a_port_in_use_is_named_before_anything_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Service::fail(program(), &["--store", "sqlite:never.db", "--plan"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = Service::fail_on(program(), &address);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&address) && ended.stderr.contains("another program listens"),
        "{}",
        ended.stderr
    );
    assert!(ended.report.is_null());
}

#[test]
fn a_redis_that_goes_away_fails_its_tasks_and_the_stop_is_in_order_all_the_same() {
    let redis = Redis::start();
    let store = redis.url(0);
    let service = Service::start(program(), &["--store", &store]);
    let clients = Clients::start(service.api, "POST /incr", &[Habit::Keeps; 2]);
    thread::park_timeout(Duration::from_millis(200));
    drop(redis);
    thread::park_timeout(Duration::from_millis(200));
    service.signal(Signal::TERM);
    let ended = service.wait();
    let tally = clients.stop();
    assert!(tally.dropped.is_empty() && tally.others.is_empty(), "{tally:?}");
    assert_eq!(ended.code, Some(1), "a task failed: {}", ended.stderr);
    let components = ended.report["components"].as_array().unwrap();
    let increments = components.iter().find(|one| one["name"] == "increments").unwrap();
    assert!(increments["pool"]["outcomes"]["failed"].as_u64().unwrap() > 0, "{increments}");
    assert!(components.iter().all(|one| one["end"] == "stopped"), "{}", ended.stderr);
}

#[test]
fn without_any_server_the_counter_is_in_a_file() {
    let service = Service::start(program(), &[]);
    let clients = Clients::start(service.api, "POST /incr", &[Habit::Renews; 2]);
    thread::park_timeout(Duration::from_millis(300));
    let tally = clients.stop();
    // Accepted is not yet counted; in a moment it is.
    let count = || e2e::service::probe(service.api, "/count").1.trim().parse::<u64>().unwrap();
    for _ in 0..1000 {
        if count() == tally.answered {
            break;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(count(), tally.answered);
    let cached = e2e::service::probe(service.api, "/cached").1;
    assert!(cached.contains("[\"ebb\",\"out\"]"), "{cached}");
    service.signal(Signal::TERM);
    let ended = service.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
