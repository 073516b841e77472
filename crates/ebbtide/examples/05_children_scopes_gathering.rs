//! Tasks that submit tasks, tasks that borrow, and many results at once.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, time::Duration};

use ebbtide::{Completions, Context, Pool, Shutdown, Stateless, join_all};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = Pool::new(4);

    // Children: a running task submits through its context. That never waits, and a drain still accepts them.
    let parent = pool.submit(|task| {
        let halves = [1..=50_u64, 51..=100].map(|half| task.submit(move |_| half.sum::<u64>()));
        halves.into_iter().map(|half| half.ok()?.wait().ok()).sum::<Option<u64>>()
    })?;
    assert_eq!(parent.wait()?, Some(5_050));

    // A scope: its tasks may borrow, because it does not end before they have.
    let text = String::from("the tide is out and the boats lie dry");
    let longest = pool.scope(|scope| {
        let lengths: Vec<_> = text.split(' ').map(|word| scope.submit(|_| word.len())).collect();
        lengths.into_iter().filter_map(|length| length.ok()?.wait().ok()).max()
    });
    println!("the longest word of {text:?} has {longest:?} letters");

    // All of them, in the order of the handles.
    let handles = pool.submit_many((1..=5).map(|n| move |_: &Context<'_, Stateless>| n * n))?;
    let squares: Result<Vec<i32>, _> = join_all(handles, None)?.into_iter().collect();
    println!("squares: {:?}", squares?);

    // As they complete: the slow one does not hold up the others.
    let done = Completions::new();
    for millis in [60_u64, 1, 30] {
        done.push(
            pool.submit_fallible(move |task| task.sleep(Duration::from_millis(millis)).map(|()| millis))?,
        );
    }
    done.close();
    while let Some(finished) = done.take() {
        println!("task {} slept {} ms", finished.id, finished.result?);
    }

    // The first that succeeds; the others are asked to cancel.
    let mirrors = ["down", "slow", "fast"].map(|mirror| {
        move |task: &Context<'_, Stateless>| match mirror {
            "down" => Err(io::Error::other("no answer")),
            "slow" => task.sleep(Duration::from_secs(3_600)).map(|()| mirror).map_err(io::Error::other),
            _ => Ok(mirror),
        }
    });
    println!("answered first: {}", pool.first_success(mirrors, Some(Duration::from_secs(10)))?);

    assert!(pool.shutdown(Shutdown::drain()).wait()?.law_holds());
    Ok(())
}
