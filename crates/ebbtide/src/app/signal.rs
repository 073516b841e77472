//! Signals: the first stops, a second forces, a third ends the process. Deliveries coalesce, so they are debounced and never counted.

use std::{io, sync::Arc};

use crate::{clock::Moment, policy::DEBOUNCE, report::SignalMeaning};

/// A signal that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) signal: Arc<str>,
    pub(crate) meaning: SignalMeaning,
    pub(crate) from_terminal: FromTerminal,
}

/// Ctrl-C by a person at a terminal, who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromTerminal {
    No,
    Yes,
}

/// Which signals came before. `(state, now) → meaning`; no clock of its own.
#[derive(Debug, Default)]
struct Counter {
    count: u32,
    last: Option<Moment>,
}

impl Counter {
    fn next(&mut self, now: Moment) -> Option<SignalMeaning> {
        if self.last.is_some_and(|last| now.since(last) < DEBOUNCE) {
            return None;
        }
        self.last = Some(now);
        self.count += 1;
        Some(match self.count {
            1 => SignalMeaning::Stop,
            2 => SignalMeaning::Force,
            _ => SignalMeaning::End,
        })
    }
}

/// Calls `act` for each signal that counts, on a thread of its own, for the rest of the process's life.
#[cfg(unix)]
pub(crate) fn listen(act: impl Fn(Heard) + Send + 'static) -> io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
        low_level::signal_name,
    };
    use std::io::IsTerminal as _;

    let mut wanted = vec![SIGINT, SIGTERM];
    if !ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = Signals::new(wanted)?;
    let body = move || {
        let mut counter = Counter::default();
        for signal in signals.forever() {
            let Some(meaning) = counter.next(Moment::now()) else { continue };
            let from_terminal = if signal == SIGINT && io::stdin().is_terminal() {
                FromTerminal::Yes
            } else {
                FromTerminal::No
            };
            act(Heard { signal: signal_name(signal).unwrap_or("a signal").into(), meaning, from_terminal });
        }
    };
    crate::sync::spawn("signals".to_owned(), Some(256 * 1024), body).map(drop)
}

/// Elsewhere only a call stops an application.
#[cfg(not(unix))]
pub(crate) fn listen(_: impl Fn(Heard) + Send + 'static) -> io::Result<()> {
    let _ = Counter::default().next(Moment::now());
    Ok(())
}

/// Whether we were started with it ignored, as nohup does: then it stays ignored.
#[cfg(unix)]
fn ignored(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn signals_close_together_are_one() {
        let mut counter = Counter::default();
        let begin = Moment::from_nanos(1);
        let seen = [0, 1, 249, 250, 251, 499, 500, 10_000]
            .map(|millis| counter.next(begin.plus(Duration::from_millis(millis))));
        let [stop, force, end] = [SignalMeaning::Stop, SignalMeaning::Force, SignalMeaning::End].map(Some);
        assert_eq!(seen, [stop, None, None, force, None, None, end, end]);
    }
}
