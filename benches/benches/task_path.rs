//! Micro-benchmarks of the task path, for regressions: `cargo bench -p benches`. What each option costs is the difference to the plain line.
//! The race against the peers is another program: `cargo run --release -p benches -- peers`.

use std::{hint::black_box, time::Duration};

use divan::{Bencher, counter::ItemsCount};
use ebbtide::{CancelToken, Context, Pool, Priority, Shutdown, Stateless, Timing};

const TASKS: usize = 1000;

fn main() {
    divan::main();
}

fn pool() -> Pool<Stateless> {
    Pool::builder()
        .name("bench")
        .workers(1..=1)
        .queue(TASKS)
        .warm()
        .build()
        .expect("the options are consistent")
}

/// Captures 16 bytes and does nothing.
fn small(number: usize) -> impl FnOnce(&Context<'_, Stateless>) + Send + 'static {
    let captured = [number, !number];
    move |_| {
        black_box(captured);
    }
}

/// Submits a thousand tasks with `submit` and waits for the last, which ends last.
fn thousand(
    bencher: Bencher<'_, '_>,
    pool: &Pool<Stateless>,
    submit: impl Fn(&Pool<Stateless>, usize) + Sync,
) {
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        (1..TASKS).for_each(|number| submit(pool, number));
        pool.submit(|_| ()).expect("the pool is open").wait().expect("the task ends");
    });
}

#[divan::bench]
fn execute(bencher: Bencher<'_, '_>) {
    thousand(bencher, &pool(), |pool, number| {
        pool.execute(small(number)).map(drop).expect("the pool is open");
    });
}

#[divan::bench]
fn execute_without_timing(bencher: Bencher<'_, '_>) {
    let builder = Pool::builder().workers(1..=1).queue(TASKS).timing(Timing::Off);
    thousand(bencher, &builder.build().expect("the options are consistent"), |pool, number| {
        pool.execute(small(number)).map(drop).expect("the pool is open");
    });
}

#[divan::bench]
fn execute_every_task_timed(bencher: Bencher<'_, '_>) {
    let builder = Pool::builder().workers(1..=1).queue(TASKS).timing(Timing::Every);
    thousand(bencher, &builder.build().expect("the options are consistent"), |pool, number| {
        pool.execute(small(number)).map(drop).expect("the pool is open");
    });
}

#[divan::bench]
fn submit_detached(bencher: Bencher<'_, '_>) {
    thousand(bencher, &pool(), |pool, number| {
        drop(pool.submit(small(number)).expect("the pool is open"));
    });
}

#[divan::bench]
fn submit_and_wait_for_all(bencher: Bencher<'_, '_>) {
    let pool = pool();
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let tasks = (0..TASKS).map(|number| move |_: &Context<'_, Stateless>| number);
        let handles = pool.submit_many(tasks).expect("the pool is open");
        handles.into_iter().map(|handle| handle.wait().expect("the task ends")).sum::<usize>()
    });
}

#[divan::bench]
fn with_a_priority(bencher: Bencher<'_, '_>) {
    thousand(bencher, &pool(), |pool, number| {
        let task = pool.task("urgent").priority(Priority::High);
        drop(task.submit(small(number)).expect("the pool is open"));
    });
}

#[divan::bench]
fn with_a_timeout(bencher: Bencher<'_, '_>) {
    thousand(bencher, &pool(), |pool, number| {
        let task = pool.task("hurried").timeout(Duration::from_secs(60));
        drop(task.submit(small(number)).expect("the pool is open"));
    });
}

#[divan::bench]
fn looking_at_cancel(bencher: Bencher<'_, '_>) {
    thousand(bencher, &pool(), |pool, _| {
        drop(pool.submit(|task| black_box(task.is_cancelled())).expect("the pool is open"));
    });
}

#[divan::bench]
fn ping_pong(bencher: Bencher<'_, '_>) {
    let pool = pool();
    bencher.bench_local(|| pool.submit(|_| 1).expect("the pool is open").wait());
}

#[divan::bench(sample_count = 20)]
fn build_and_drain(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| pool().shutdown(Shutdown::drain()).wait().map(|report| report.law_holds()));
}

#[divan::bench]
fn a_cancel_token(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| black_box(CancelToken::new()).is_cancelled());
}
