//! New workers without closing the pool: rolling, drain, and by itself.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::atomic::AtomicU32, sync::atomic::Ordering::SeqCst, time::Duration};

use ebbtide::{Event, Pool, Renew, Restart, Shutdown};

static VERSION: AtomicU32 = AtomicU32::new(1);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Each worker reads its "configuration" once, when it is built.
    let pool = Pool::builder()
        .name("config")
        .workers(2..=2)
        .state(|_| VERSION.load(SeqCst))
        .renew(Renew::new().when(|event| matches!(event, Event::Paused { paused: false })))
        .warm()
        .build()?;
    let version =
        || -> Result<u32, Box<dyn Error + Send + Sync>> { Ok(pool.submit(|version, _| *version)?.wait()?) };
    assert_eq!(version()?, 1);

    // Rolling: a warm replacement first, then one old worker goes. Nobody is disturbed.
    VERSION.store(2, SeqCst);
    let report = pool.restart(Restart::rolling()).wait()?;
    println!("{report}\n");
    assert_eq!((version()?, report.failed.is_none()), (2, true));

    // Drain: what waits now is finished by the present workers, what comes meanwhile by the new ones.
    VERSION.store(3, SeqCst);
    pool.pause();
    let before = pool.submit(|version, task| (*version, task.generation()))?;
    let closing = pool.restart(Restart::drain());
    let after = pool.submit(|version, task| (*version, task.generation()))?;
    pool.resume(); // which also asks for a renewal: it joins the restart under way
    closing.wait()?;
    assert_eq!((before.wait()?, after.wait()?), ((2, 2), (3, 3)));

    // By itself: here whenever somebody resumes the pool; see `Renew` for intervals, sizes and cron lines.
    let generation = pool.stats().generation;
    pool.pause();
    pool.resume();
    while pool.stats().generation == generation {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    println!("renewed itself: generation {}", pool.stats().generation);

    pool.shutdown(Shutdown::drain()).wait()?;
    Ok(())
}
