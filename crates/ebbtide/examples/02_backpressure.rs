//! What a full queue does: wait, reject, let the caller run it, or shed the oldest.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::mpsc};

use ebbtide::{Pool, Shutdown, Stateless, WhenFull};

/// A pool of one worker that is busy until the sender is dropped, with room for one waiting task.
fn busy(when_full: WhenFull) -> Result<(Pool<Stateless>, mpsc::Sender<()>), Box<dyn Error + Send + Sync>> {
    let pool = Pool::builder().workers(1..=1).queue(1).when_full(when_full).build()?;
    let (open, gate) = mpsc::channel();
    let (started, begun) = mpsc::channel();
    pool.execute(move |_| {
        let _ = started.send(());
        let _ = gate.recv();
    })?;
    begun.recv()?;
    Ok((pool, open))
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Backpressure, the default: `submit` waits for room. `try_submit` does not, and gives the task back.
    let (pool, open) = busy(WhenFull::Wait)?;
    pool.execute(|_| println!("waited for its turn"))?;
    let refused = pool.try_submit(|_| 7).expect_err("the queue is full");
    assert!(refused.is_full());
    drop(open);
    let retried = pool.submit(refused.into_task())?; // the very same closure
    println!("at the second try: {}", retried.wait()?);
    assert_eq!(pool.shutdown(Shutdown::drain()).wait()?.rejected, 1);

    // Shedding: the newcomer is refused …
    let (pool, open) = busy(WhenFull::Reject)?;
    pool.execute(|_| ())?;
    println!("reject: {}", pool.submit(|_| ()).expect_err("full"));
    drop(open);

    // … or the oldest that waits has to go, and its handle says so.
    let (pool, open) = busy(WhenFull::ShedOldest)?;
    let oldest = pool.submit(|_| ())?;
    let newest = pool.submit(|_| "came later")?;
    println!("shed oldest: {}", oldest.wait().expect_err("shed"));
    drop(open);
    assert_eq!(newest.wait()?, "came later");

    // Or whoever submits has to work: then producers cannot outrun the pool.
    let (pool, _open) = busy(WhenFull::CallerRuns)?;
    pool.execute(|_| ())?;
    let ran_here = pool.submit(|_| std::thread::current().id())?.wait()?;
    assert_eq!(ran_here, std::thread::current().id());
    println!("caller runs: {} so far", pool.stats().caller_runs);
    Ok(())
}
