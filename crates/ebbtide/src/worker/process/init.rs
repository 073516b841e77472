//! The first line of main: where this executable learns that it is the guardian, or may start one.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{first, serve};

/// `argv[0]` of a guardian, as `ps` shows it.
pub(super) const NAME: &str = "ebbtide-guardian";
/// `argv[1]` of a guardian: long and odd enough that nobody passes it by chance.
pub(super) const MARK: &str = "--serve-as-ebbtide-guardian-on-fd-0";

static CALLED: AtomicBool = AtomicBool::new(false);

/// To be called in the first line of `main`, before any thread is started or file opened.
///
/// If this process was started as a [`Guardian`](crate::process::Guardian), it serves as that and never returns. Otherwise it
/// remembers that this executable may be started again as one, and returns at once. Costs a look at two arguments.
///
/// As process number 1, in a container for example, it starts this program once more and stays behind: it forwards signals, reaps what lost
/// its parent, and ends as the program ends.
///
/// Without it [`Guardian::start`](crate::process::Guardian::start) refuses to: a program that does not look would run its whole `main` once more.
pub fn init() {
    let mut args = std::env::args_os();
    if args.next().is_some_and(|name| name == NAME) && args.next().is_some_and(|mark| mark == MARK) {
        serve::serve();
    }
    first::stand_in();
    CALLED.store(true, Ordering::Release);
}

pub(super) fn called() -> bool {
    CALLED.load(Ordering::Acquire)
}
