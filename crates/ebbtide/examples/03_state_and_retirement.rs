//! Workers that know something: state, retirement, and a snapshot for the replacement.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{collections::HashMap, error::Error, time::Duration};

use ebbtide::{Event, Pool, Retirement, Shutdown};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = Pool::builder()
        .name("cache")
        .workers(1..=1)
        // Built on the worker, lent to its tasks as `&mut`, dropped on the worker.
        .state(|worker| {
            println!("{} starts with nothing", worker.name);
            HashMap::<u64, u64>::new()
        })
        // What the old worker knew is where the new one begins.
        .snapshot(
            |known| known.clone(),
            |worker, known| {
                println!("{} starts with {} entries", worker.name, known.len());
                Ok(known)
            },
        )
        // A worker that has run 50 tasks is replaced, between two tasks, by one that is warm.
        .retire(Retirement::new().after_tasks(50).jitter(0.0))
        .on_retire(|known, why| println!("retires with {} entries: {why}", known.len()))
        .build()?;
    let mut events = pool.events();

    for number in 0..60 {
        let square = pool.submit(move |known, _task| *known.entry(number % 20).or_insert(number * number))?;
        square.wait()?;
    }
    // The replacement takes over as soon as it is warm; until then the old one has served on.
    while let Some(event) = events.next_timeout(Duration::from_secs(10)) {
        if let Event::WorkerEnded { worker, tasks } = event {
            println!("worker {worker} ended after {tasks} tasks");
            break;
        }
    }
    let entries = pool.submit(|known, task| (task.worker(), known.len()))?.wait()?;
    println!("worker {} knows {} entries", entries.0, entries.1);
    assert_eq!(entries.1, 20);
    assert_eq!(pool.stats().workers.started, 2);

    pool.shutdown(Shutdown::drain()).wait()?;
    Ok(())
}
