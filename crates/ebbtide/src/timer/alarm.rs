//! An alarm: something that is called once at a moment, unless it is dropped before.

use std::fmt;

#[cfg(not(any(shuttle, loom)))]
use super::clockwork;
use crate::clock::Moment;
#[cfg(shuttle)]
use crate::clock::simulated;

/// Calls something once at a moment, unless it is dropped before. What is called must be quick and must not block: the
/// same thread calls it for all pools.
#[must_use = "dropping an alarm switches it off"]
pub(crate) struct Alarm {
    #[cfg(not(any(shuttle, loom)))]
    key: clockwork::Key,
    /// None where the run has no time.
    #[cfg(shuttle)]
    key: Option<simulated::Key>,
}

#[cfg(not(any(shuttle, loom)))]
impl Alarm {
    pub(crate) fn at(moment: Moment, ring: impl FnOnce() + Send + 'static) -> Self {
        Self { key: clockwork::insert(moment, Box::new(ring)) }
    }

    /// Lets it ring although nobody holds it.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

#[cfg(not(any(shuttle, loom)))]
impl Drop for Alarm {
    fn drop(&mut self) {
        clockwork::remove(self.key);
    }
}

/// A model has no time: there an alarm never rings, unless it is a simulation.
#[cfg(shuttle)]
impl Alarm {
    pub(crate) fn at(moment: Moment, ring: impl FnOnce() + Send + 'static) -> Self {
        Self { key: simulated::insert(moment, Box::new(ring)) }
    }

    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

#[cfg(shuttle)]
impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            simulated::remove(key);
        }
    }
}

/// There is no time in it.
#[cfg(loom)]
impl Alarm {
    pub(crate) fn at(_: Moment, _: impl FnOnce() + Send + 'static) -> Self {
        Self {}
    }

    pub(crate) fn leave(self) {}
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn rings_in_order_and_not_when_dropped() {
        let (sender, receiver) = mpsc::channel();
        let now = Moment::now();
        let alarms: Vec<_> = [30_u64, 10, 20]
            .into_iter()
            .map(|millis| {
                let sender = sender.clone();
                Alarm::at(now.plus(Duration::from_millis(millis)), move || {
                    sender.send(millis).unwrap_or_default()
                })
            })
            .collect();
        let silent = sender.clone();
        drop(Alarm::at(now.plus(Duration::from_millis(5)), move || silent.send(5).unwrap_or_default()));
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [10, 20, 30]);
        drop(alarms);
    }

    /// Whoever is started by an alarm sleeps as others do.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_rings_has_the_slack_of_other_threads() {
        use rustix::thread::current_timer_slack;

        let (sender, receiver) = mpsc::channel();
        let ring = move || sender.send(current_timer_slack().ok()).unwrap_or_default();
        let alarm = Alarm::at(Moment::now().plus(Duration::from_millis(20)), ring);
        let rung = receiver.recv_timeout(Duration::from_secs(10)).expect("it rings");
        assert_eq!(rung, current_timer_slack().ok());
        assert!(rung.is_some_and(|nanos| nanos > 1), "{rung:?}");
        drop(alarm);
    }

    #[test]
    fn a_panic_does_not_stop_the_clock() {
        let (sender, receiver) = mpsc::channel();
        let bad = Alarm::at(Moment::now(), || panic!("on purpose"));
        let good = Alarm::at(Moment::now(), move || sender.send(()).unwrap_or_default());
        assert!(receiver.recv_timeout(Duration::from_secs(10)).is_ok());
        drop((bad, good));
    }
}
