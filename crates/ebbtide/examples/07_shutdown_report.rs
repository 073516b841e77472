//! A stop under bad conditions: one task obeys, one does not, some never started. Everything is accounted for.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::mpsc, time::Duration};

use ebbtide::{Context, Mode, Outcome, Pool, Shutdown, Stateless};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = Pool::builder().name("harbour").workers(2..=2).build()?;
    let (release, gate) = mpsc::channel::<()>();

    let obeys = pool.task("obeys").submit_fallible(|task| task.sleep(Duration::from_secs(3_600)))?;
    // Ignores every request; only the end of `gate` ends it.
    let deaf = pool.task("deaf").submit(move |task| {
        task.progress("waiting for a gate that stays shut");
        let _ = gate.recv();
    })?;
    while pool.stats().running < 2 {
        std::thread::yield_now();
    }
    let waiting = pool.submit_many(
        (0..3).map(|n| move |_: &Context<'_, Stateless>| println!("boat {n} leaves after all")),
    )?;

    // Stop: what runs may finish, what waits comes back. At 1 s less 10 % less the grace it becomes an abort.
    let stop = Shutdown::stop().within(Duration::from_secs(1)).grace(Duration::from_millis(200));
    let closing = pool.shutdown(stop);
    println!("{}\n", closing.wait_timeout(Duration::from_millis(100)).expect_err("two tasks still run"));
    let report = closing.wait()?;
    println!("{report}\n");
    println!("{}\n", report.to_json());

    assert_eq!((report.asked, report.mode), (Some(Mode::Stop), Some(Mode::Abort)));
    assert_eq!(obeys.outcome(), Some(Outcome::Cancelled));
    assert_eq!(deaf.outcome(), Some(Outcome::Abandoned));
    assert!(waiting.iter().all(|handle| handle.outcome() == Some(Outcome::Returned)));
    assert!(report.law_holds() && !report.is_clean());
    assert_eq!(report.abandoned().count(), 1);

    // What never started is still there, as closures.
    let next = Pool::new(1);
    for task in pool.take_returned() {
        drop(next.resubmit(task)?); // a handle without a value: dropping it detaches
    }
    drop(release); // the abandoned thread ends after all; it takes no other task
    assert_eq!(next.shutdown(Shutdown::drain()).wait()?.outcomes.completed, 3);
    Ok(())
}
