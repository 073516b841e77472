//! What a run at a later time costs while a hundred thousand others wait: `cargo bench -p benches --bench timers`.

use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use ebbtide::{OneShot, Pool, Stateless, Timing};

const WAITING: u64 = 100_000;
const HOUR: Duration = Duration::from_secs(3_600);

fn main() {
    divan::main();
}

fn pool() -> Pool<Stateless> {
    Pool::builder()
        .name("timers")
        .workers(1..=1)
        .timing(Timing::Off)
        .build()
        .expect("the options are consistent")
}

/// A timer that will not come, somewhere among the others.
fn far(pool: &Pool<Stateless>, number: u64) -> OneShot<()> {
    // 7919 is prime to the number of timers: each place once, far from the one before.
    let after = HOUR + Duration::from_micros(number * 7_919 % WAITING);
    pool.after(after).start(|_| ()).expect("the pool is open")
}

fn waiting(pool: &Pool<Stateless>) -> Vec<OneShot<()>> {
    (0..WAITING).map(|number| far(pool, number)).collect()
}

/// One more, with a name and a handle; it is cancelled outside of the measurement.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn insert_a_thousand_among_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let pool = pool();
    let others = waiting(&pool);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| Vec::with_capacity(1_000))
        .bench_local_refs(|timers| timers.extend((0..1_000).map(|number| far(&pool, number * 97))));
    drop(others);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn cancel_a_thousand_among_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let pool = pool();
    let others = waiting(&pool);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| (0..1_000).map(|number| far(&pool, number * 97)).collect::<Vec<_>>())
        .bench_local_refs(|timers| timers.iter().all(OneShot::cancel));
    drop(others);
}

/// A deadline is the same timer without a job around it: the difference to a task without one is what the timer costs.
#[divan::bench(args = [false, true], sample_count = 50, sample_size = 1)]
fn submit_a_thousand_with_a_deadline(bencher: Bencher<'_, '_>, deadline: bool) {
    let pool = Pool::builder().workers(1..=1).queue(2_000).timing(Timing::Off).build().expect("consistent");
    let others = waiting(&pool);
    pool.pause();
    bencher.counter(ItemsCount::new(1_000_u64)).with_inputs(|| Vec::with_capacity(1_000)).bench_local_refs(
        |handles| {
            for number in 0..1_000_u64 {
                let task = pool.task("with a name");
                let task =
                    if deadline { task.deadline(HOUR + Duration::from_micros(number * 7_919)) } else { task };
                handles.push(task.submit(|_| ()).expect("there is room"));
            }
            handles.iter().for_each(|handle| drop(handle.cancel()));
        },
    );
    drop(others);
}
