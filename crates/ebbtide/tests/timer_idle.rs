//! What waits for its time costs no CPU. Alone in its binary: all pools of a process share the thread that is looked at.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "looks at a whole second of a process that does nothing")]

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use ebbtide::{OneShot, Pool};

const HOUR: Duration = Duration::from_secs(3_600);
const LONG: Duration = Duration::from_secs(60);

/// By thread, the test's own two left out: its name, the nanoseconds it has run, how many times it was given a processor.
fn used() -> BTreeMap<String, (String, u64, u64)> {
    let own = fs::read_link("/proc/thread-self").unwrap();
    let own = own.file_name().unwrap().to_str().unwrap().to_owned();
    let ours = [own, std::process::id().to_string()];
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let threads = tasks.filter_map(|task| {
        let task = task.unwrap();
        let id = task.file_name().into_string().unwrap();
        let name = fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned();
        let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
        let (ran, _waited, times) = (numbers.next()?, numbers.next()?, numbers.next()?);
        (!ours.contains(&id)).then_some((id, (name, ran, times)))
    });
    threads.collect()
}

fn over_a_second() -> (BTreeMap<String, (String, u64, u64)>, bool) {
    let before = used();
    thread::sleep(Duration::from_secs(1));
    let after = used();
    let idle = before == after;
    (after, idle)
}

/// Not little: nothing. No thread of the pool is even woken.
#[test]
fn a_hundred_thousand_timers_use_no_cpu_until_one_is_due() {
    let pool = Pool::new(2);
    let far = |number: u64| pool.after(HOUR + Duration::from_nanos(number * 7_919)).start(|_| ()).unwrap();
    let timers: Vec<OneShot<()>> = (0..100_000).map(far).collect();
    // The workers go to sleep, and what they are watched for is over.
    let (begin, mut last) = (Instant::now(), over_a_second());
    while !last.1 {
        assert!(begin.elapsed() < LONG, "threads still run: {:?}", last.0);
        last = over_a_second();
    }
    assert!(last.0.values().any(|(name, ..)| name == "ebbtide-timer"), "looked elsewhere: {:?}", last.0);
    assert_eq!(pool.stats().not_due, 100_000);

    // What is looked at moves when there is something to do.
    let job = pool.every(Duration::from_millis(1)).start(|_| ()).unwrap();
    let (busy, idle) = over_a_second();
    assert!(!idle, "a job of 1 ms runs: {busy:?}");
    job.cancel();
    assert!(timers.iter().all(OneShot::cancel));
}
