//! A pool, a few tasks, their values, and an end that says what it did.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use ebbtide::{Pool, Shutdown};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Up to four threads; bounded queue, deadline and grace are there by default.
    let pool = Pool::new(4);

    // `submit` gives a handle at once. It waits only if the queue is full.
    let mut handles = Vec::new();
    for number in 1..=10_u64 {
        handles.push(pool.submit(move |_task| (1..=number).product::<u64>())?);
    }
    for (number, handle) in (1..).zip(handles) {
        println!("{number}! = {}", handle.wait()?);
    }

    // A task that fails says so, and its error is kept.
    let failed = pool.submit_fallible(|_| "forty-two".parse::<u32>())?;
    let error = failed.wait().expect_err("no number");
    println!("{error}");

    // A panic ends its task, not the pool. (The message above it is the standard panic hook's.)
    let panicked = pool.submit(|_| -> u32 { panic!("on purpose") })?;
    let error = panicked.wait().expect_err("it panicked");
    assert_eq!(error.task().and_then(|task| task.panic_message()), Some("on purpose"));

    let report = pool.shutdown(Shutdown::drain()).wait()?;
    println!("{report}");
    assert_eq!((report.outcomes.completed, report.outcomes.failed, report.outcomes.panicked), (10, 1, 1));
    assert!(report.law_holds());
    Ok(())
}
