//! The thread that reads for a worker whose task runs long.
//!
//! Handing the socket to it for every task would cost two wake-ups each, which is more than a short task takes. So the serving thread
//! reads itself, and this one looks every few milliseconds whether it still does the same: then it listens until something else is done.
//! In a worker that is idle it sleeps, without a time-out, and is woken by the next task.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::joint::Link;

/// How long one thing may take before it is listened beside it: between one of these and two.
const TICK: Duration = Duration::from_millis(2);
/// So many looks at an idle worker, and it sleeps: the wake-up then is paid at most once in that time.
const IDLE_LOOKS: u32 = 50;

/// Starts it; it ends with the process.
pub(crate) fn start(link: &Arc<Link>) -> io::Result<()> {
    let shared = Arc::clone(link);
    let thread = thread::Builder::new().name("ebbtide-watch".to_owned()).stack_size(256 << 10);
    let handle = thread.spawn(move || watch(&shared))?;
    // Set once: this is the only place, called once.
    let _ = link.pulse.watcher.set(handle.thread().clone());
    Ok(())
}

fn watch(link: &Link) {
    let (mut before, mut idle) = (0, 0);
    let mut replies = Vec::new();
    loop {
        let doing = link.pulse.doing();
        if doing != 0 {
            idle = 0;
            if doing == before {
                listen(link, doing, &mut replies);
            }
        } else {
            idle += 1;
        }
        if idle > IDLE_LOOKS {
            sleep(link);
            idle = 0;
        } else {
            thread::park_timeout(TICK);
        }
        before = doing;
    }
}

/// Reads and answers for as long as the serving thread does this.
fn listen(link: &Link, doing: u64, replies: &mut Vec<u8>) {
    while link.pulse.doing() == doing {
        // When the task ends, nobody calls this thread away: it finds out with the next bytes, which the serving thread reads as well.
        link.wait_readable();
        if !link.read_beside(doing, replies) {
            return;
        }
    }
}

fn sleep(link: &Link) {
    link.pulse.asleep.store(true, Ordering::SeqCst);
    while link.pulse.doing() == 0 {
        thread::park();
    }
    link.pulse.asleep.store(false, Ordering::SeqCst);
}
