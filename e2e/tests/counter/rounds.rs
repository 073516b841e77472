//! L-48: SIGTERM at a random moment under load, two hundred times (a thousand in the long form), and every time the books agree.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::round::{Plan, Stage, in_lanes, stage, strings};

/// So many rounds at the same time.
const LANES: usize = 5;

#[derive(Default)]
struct Sums {
    rounds: u64,
    answered: u64,
    raced: u64,
    refused: usize,
    longest: Duration,
    /// What the report of the longest stop says of it.
    held_up: String,
    faults: Vec<String>,
}

#[test]
fn l_48_two_hundred_stops_at_random_moments_lose_nothing_and_refuse_nobody() {
    let rounds = if std::env::var_os("EBBTIDE_LONG").is_some() { 1000 } else { 200 };
    let stage = stage();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    println!("seed {seed}");
    let sums = Mutex::new(Sums::default());
    in_lanes(0..LANES, rounds, |lane, number| one(&stage, lane, number, seed, &sums));
    let sums = sums.into_inner().unwrap();
    println!(
        "{} stops: {} answered and counted, {} keep-alive requests raced, {} refused after the delay, longest stop {:?}: {}",
        sums.rounds, sums.answered, sums.raced, sums.refused, sums.longest, sums.held_up
    );
    assert!(sums.faults.is_empty(), "seed {seed}: {:#?}", sums.faults);
    assert_eq!(sums.rounds, rounds);
    assert!(sums.answered > rounds * 10, "there was load: {}", sums.answered);
}

fn one(stage: &Stage, lane: usize, number: u64, seed: u128, sums: &Mutex<Sums>) {
    let mut random = random(seed ^ u128::from(number));
    let plan = Plan {
        lane,
        serve: Duration::from_millis(10 + random() % 200),
        delay: Duration::from_millis(random() % 3 * 60),
        options: strings(&["--workers", "2", "--queue", "100", "--work", "1ms", "--refresh", "10ms"]),
    };
    let books = stage.play(&plan);
    let mut faults = books.faults();
    if books.ended.code == Some(0) {
        faults.extend(books.report_faults());
    }
    let mut sums = sums.lock().unwrap();
    sums.rounds += 1;
    sums.answered += books.tally.answered;
    sums.raced += books.tally.raced;
    sums.refused += books.tally.refused.len();
    if books.took > sums.longest {
        sums.longest = books.took;
        let api = &books.component("api")["detail"];
        let path = &books.ended.report["critical_path"];
        sums.held_up = format!("{path}; listener {}, last {}", api["listener_closed_ms"], api["last"]);
    }
    sums.faults.extend(faults.into_iter().map(|fault| format!("round {number}: {fault}")));
}

/// Numbers that are different enough (Marsaglia's xorshift).
fn random(seed: u128) -> impl FnMut() -> u64 {
    let mut state = u64::try_from(seed & u128::from(u64::MAX)).unwrap() | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}
