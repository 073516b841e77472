//! What a command costs through the guardian, against `xargs -P`: `commands [COUNT] [THREADS]`, rounds alternating.
#![expect(clippy::print_stdout, reason = "the result of a measurement")]
#![expect(clippy::disallowed_methods, reason = "measures wall time, against another program")]

use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ebbtide::process::{CommandSpec, Guardian};

const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    ebbtide::init();
    let mut args = std::env::args().skip(1);
    let count = args.next().map_or(Ok(2000), |arg| arg.parse())?;
    let threads = args.next().map_or(Ok(2), |arg| arg.parse())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        theirs.push(xargs(count, threads)?);
        ours.push(guardian(count, threads)?);
        println!("round {round}: guardian {:?}, xargs {:?}", ours[round], theirs[round]);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "{count} x /bin/true, {threads} at a time, median of {ROUNDS}: guardian {ours:?}, xargs {theirs:?}"
    );
    println!("ratio {:.3}", ours.as_secs_f64() / theirs.as_secs_f64());
    Ok(())
}

fn guardian(count: usize, threads: usize) -> Result<Duration, Box<dyn Error>> {
    let started = Instant::now();
    let guardian = Guardian::start()?;
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), ebbtide::process::SpawnError> {
        while next.fetch_add(1, Ordering::Relaxed) < count {
            let exit = guardian.spawn(CommandSpec::new("/bin/true").arg("1"))?.wait();
            assert!(exit.success(), "{exit}");
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("a worker panicked"))
    })?;
    drop(guardian);
    Ok(started.elapsed())
}

fn xargs(count: usize, threads: usize) -> Result<Duration, Box<dyn Error>> {
    let lines: String = (1..=count).map(|n| format!("{n}\n")).collect();
    let (read, mut write) = std::io::pipe()?;
    let started = Instant::now();
    let mut child = Command::new("xargs")
        .args(["-P", &threads.to_string(), "-n1", "/bin/true"])
        .stdin(Stdio::from(read))
        .spawn()?;
    std::io::Write::write_all(&mut write, lines.as_bytes())?;
    drop(write);
    assert!(child.wait()?.success());
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
