//! Asking tasks to end: by handle, by token, by timeout and by deadline.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use ebbtide::{CancelToken, Cancelled, Outcome, Pool};

const HOUR: Duration = Duration::from_secs(3_600);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = Pool::new(2);

    // A body looks: `?` on `sleep` or `check` obeys at once.
    let sleeper = pool.submit_fallible(|task| task.sleep(HOUR))?;
    sleeper.cancel_with("nobody wants it any more");
    println!("{}", sleeper.wait().expect_err("cancelled"));

    // One token for many tasks, waiting or running.
    let request = CancelToken::new();
    let mut handles = Vec::new();
    for part in 0..4 {
        let task = pool.task(format!("part {part}")).cancelled_by(&request);
        handles.push(task.submit_fallible(|task| {
            loop {
                task.check()?;
                std::thread::yield_now(); // a step of the work
            }
            #[expect(unreachable_code, reason = "names the types of the result")]
            Ok::<(), Cancelled>(())
        })?);
    }
    request.cancel_with("the client hung up");
    for handle in handles {
        let error = handle.wait().expect_err("cancelled");
        assert_eq!(error.task().map(|task| task.outcome()), Some(Outcome::Cancelled));
    }

    // A timeout counts from the start, a deadline from the submission.
    let slow =
        pool.task("slow").timeout(Duration::from_millis(50)).submit_fallible(|task| task.sleep(HOUR))?;
    let late =
        pool.task("late").deadline(Duration::from_millis(50)).submit_fallible(|task| task.sleep(HOUR))?;
    println!("{}", slow.wait().expect_err("timed out"));
    println!("{}", late.wait().expect_err("timed out"));

    // The truth counts: who was asked and returns a value all the same has completed.
    let stubborn = pool.submit(|task| {
        while !task.is_cancelled() {
            std::thread::yield_now();
        }
        "finished all the same"
    })?;
    stubborn.cancel();
    match stubborn.wait() {
        Ok(value) => println!("{value}"),
        Err(error) => println!("it had not started: {error}"),
    }
    Ok(())
}
