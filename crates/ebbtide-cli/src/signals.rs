//! Signals: the first stops, a second forces, a third ends the process. Deliveries coalesce, so what comes within
//! 250 ms is one.

use std::io;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::clock;

const DEBOUNCE: Duration = Duration::from_millis(250);

/// What a signal means after those that came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Stop,
    Force,
    End,
}

/// Counts signals. `(state, now) → meaning`; no clock of its own.
#[derive(Debug, Default)]
struct Counter {
    count: u32,
    last: Option<Instant>,
}

impl Counter {
    fn next(&mut self, now: Instant) -> Option<Meaning> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < DEBOUNCE) {
            return None;
        }
        self.last = Some(now);
        self.count += 1;
        Some(match self.count {
            1 => Meaning::Stop,
            2 => Meaning::Force,
            _ => Meaning::End,
        })
    }
}

/// Calls `act` for each signal that counts, on a thread of its own, for the rest of the process's life.
pub(crate) fn listen(act: impl Fn(i32, Meaning) + Send + 'static) -> io::Result<()> {
    let mut wanted = vec![SIGTERM];
    wanted.extend([SIGINT, SIGHUP].into_iter().filter(|signal| !ignored(*signal)));
    let mut signals = Signals::new(wanted)?;
    let listen = move || {
        let mut counter = Counter::default();
        for signal in signals.forever() {
            if let Some(meaning) = counter.next(clock::now()) {
                act(signal, meaning);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map(drop)
}

/// The name of one of the signals we listen to.
pub(crate) fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("a signal")
}

/// Whether we were started with it ignored, as nohup does, or a shell behind `&`: then it stays ignored.
fn ignored(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_close_together_are_one() {
        let mut counter = Counter::default();
        let begin = clock::now();
        let seen: Vec<_> = [0, 1, 249, 250, 251, 499, 500, 10_000]
            .map(|ms| counter.next(begin + Duration::from_millis(ms)))
            .into();
        let (stop, force, end) = (Some(Meaning::Stop), Some(Meaning::Force), Some(Meaning::End));
        assert_eq!(seen, [stop, None, None, force, None, None, end, end]);
    }
}
