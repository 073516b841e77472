//! The same round with a program that closes Redis first: known to be wrong, so the books must not agree.

use std::{path::Path, thread, time::Duration};

use e2e::{
    clients::{Clients, Habit},
    servers::Redis,
    service::Service,
};
use rustix::process::Signal;

#[test]
fn l_48_the_control_that_closes_redis_first_loses_what_it_had_answered() {
    let redis = Redis::start();
    let program = Path::new(env!("CARGO_BIN_EXE_wrong_order"));
    let store = redis.url(0);
    let options = ["--store", &store, "--workers", "1", "--queue", "100", "--work", "2ms"];
    let mut lost = 0;
    for _ in 0..5 {
        redis.flush(0);
        let service = Service::start(program, &options);
        let clients = Clients::start(service.api, "POST /incr", &[Habit::Keeps; 8]);
        thread::park_timeout(Duration::from_millis(300));
        service.signal(Signal::TERM);
        let ended = service.wait();
        let tally = clients.stop();
        assert_eq!(ended.code, Some(0), "it does not even notice: {}", ended.stderr);
        lost += tally.answered.saturating_sub(redis.counter(0));
    }
    println!("the wrong order lost {lost} of what it had answered with 202");
    assert!(lost > 0, "the invariant would not bite");
}
