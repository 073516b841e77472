//! What a timer costs while a hundred thousand others wait: `cargo bench -p benches --bench timers`.
//!
//! `raw_…` is the timer alone, from the library's own source: it is no part of its public face. The others are what a user pays.

#[path = "../../crates/ebbtide/src/clock.rs"]
#[expect(dead_code, reason = "the library's own; a part of it is needed")]
mod clock;
#[path = "../../crates/ebbtide/src/sync.rs"]
#[expect(dead_code, unused_imports, reason = "the library's own; a part of it is needed")]
mod sync;
#[path = "../../crates/ebbtide/src/timer"]
#[expect(dead_code, unused_imports, reason = "the library's own; a part of it is needed")]
mod timer {
    mod alarm;
    mod clockwork;

    pub(crate) use alarm::Alarm;
}

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use divan::{Bencher, counter::ItemsCount};
use ebbtide::{OneShot, Pool, Stateless, Timing};

use clock::Moment;
use timer::Alarm;

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

/// How long until a timer that will not come. Each in another place than any before, in no order: nothing is in a cache because the
/// sample before was there.
fn far() -> Duration {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // The golden ratio's bits: their multiples are spread evenly. The upper 36 are 69 s.
    HOUR + Duration::from_nanos(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 28)
}

fn one_shot(pool: &Pool<Stateless>) -> OneShot<()> {
    pool.after(far()).start(|_| ()).expect("the pool is open")
}

fn waiting(pool: &Pool<Stateless>) -> Vec<OneShot<()>> {
    (0..WAITING).map(|_| one_shot(pool)).collect()
}

/// As a deadline's: what it rings holds its task.
fn alarm(task: &Arc<u64>, after: Duration) -> Alarm {
    let task = Arc::clone(task);
    Alarm::at(Moment::now().plus(after), move || drop(divan::black_box(task)))
}

fn alarms(task: &Arc<u64>) -> Vec<Alarm> {
    (0..WAITING).map(|_| alarm(task, far())).collect()
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn raw_insert_a_thousand_among_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let task = Arc::new(0);
    let others = alarms(&task);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| Vec::with_capacity(1_000))
        .bench_local_refs(|more| more.extend((0..1_000).map(|_| alarm(&task, far()))));
    drop(others);
}

/// What most deadlines are: later than all others by a little.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn raw_insert_a_thousand_behind_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let task = Arc::new(0);
    let others = alarms(&task);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| Vec::with_capacity(1_000))
        .bench_local_refs(|more| more.extend((0..1_000).map(|_| alarm(&task, 2 * HOUR))));
    drop(others);
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn raw_cancel_a_thousand_among_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let task = Arc::new(0);
    let others = alarms(&task);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| (0..1_000).map(|_| alarm(&task, far())).collect::<Vec<_>>())
        .bench_local_refs(Vec::clear);
    drop(others);
}

/// One more, with a name and a handle; it is cancelled outside of the measurement.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn insert_a_thousand_among_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let pool = pool();
    let others = waiting(&pool);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| Vec::with_capacity(1_000))
        .bench_local_refs(|timers| timers.extend((0..1_000).map(|_| one_shot(&pool))));
    drop(others);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn cancel_a_thousand_among_a_hundred_thousand(bencher: Bencher<'_, '_>) {
    let pool = pool();
    let others = waiting(&pool);
    bencher
        .counter(ItemsCount::new(1_000_u64))
        .with_inputs(|| (0..1_000).map(|_| one_shot(&pool)).collect::<Vec<_>>())
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
            for _ in 0..1_000 {
                let task = pool.task("with a name");
                let task = if deadline { task.deadline(far()) } else { task };
                handles.push(task.submit(|_| ()).expect("there is room"));
            }
            handles.iter().for_each(|handle| _ = divan::black_box(handle.cancel()));
        },
    );
    drop(others);
}
