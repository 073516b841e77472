//! What was seen, as a small table, and whether it is what was promised.

use std::{fmt, time::Duration};

use super::{
    CAP,
    side::{Seen, Side},
};

const MIB: f64 = 1_048_576.0;
/// Memory is flat when its last third has at most so many times what the second had, on the average.
const FLAT: f64 = 1.25;

/// Prints as text.
pub(super) struct Text<'s> {
    pub(super) sides: &'s [Seen],
    pub(super) length: Duration,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nLeaking workers for {:?}, all processes of a side together under {} MiB",
            self.length,
            CAP >> 20
        )?;
        writeln!(
            f,
            "  {:<8} {:>9} {:>10} {:>6} {:>10} {:>10} {:>8}  end",
            "", "accepted", "completed", "lost", "MiB, mean", "MiB, most", "seconds"
        )?;
        for seen in self.sides {
            let end =
                seen.died.as_ref().map_or_else(|| "lived".to_owned(), |(_, how)| format!("died: {how}"));
            writeln!(
                f,
                "  {:<8} {:>9} {:>10} {:>6} {:>10.0} {:>10.0} {:>8.1}  {end} (cap: {})",
                format!("{:?}", seen.side).to_lowercase(),
                seen.accepted,
                seen.completed,
                seen.accepted - seen.completed,
                mean(&seen.memory) / MIB,
                most(&seen.memory) / MIB,
                seen.memory.last().map_or(0.0, |(at, _)| *at),
                seen.cap,
            )?;
        }
        for seen in self.sides.iter().filter(|seen| seen.side == Side::Ours) {
            if let Some(ledger) = &seen.ledger {
                writeln!(
                    f,
                    "  ours: {} of {} hogs killed at the hard limit; {} workers retired for their size; {} of {} workers were built from a snapshot, the \
                     largest of {} entries (the largest cache there was had {})",
                    ledger.hogs_killed,
                    ledger.hogs,
                    ledger.retired,
                    ledger.restored,
                    ledger.workers,
                    ledger.restored_most,
                    ledger.cached_most,
                )?;
                for (how, count) in &ledger.lost {
                    writeln!(f, "  ours: LOST {count}: {how}")?;
                }
            }
            for (promise, kept) in promises(seen) {
                writeln!(f, "  {} {promise}", if kept { "kept:  " } else { "BROKEN:" })?;
            }
        }
        Ok(())
    }
}

/// What is promised of ours.
pub(super) fn promises(seen: &Seen) -> Vec<(&'static str, bool)> {
    let Some(ledger) = &seen.ledger else { return vec![("it lives to tell", false)] };
    let third = seen.memory.len() / 3;
    let (second, last) = (mean(&seen.memory[third..2 * third]), mean(&seen.memory[2 * third..]));
    let ended = ledger.completed + ledger.hogs_killed + ledger.lost.values().sum::<u64>();
    vec![
        ("memory is flat: the last third as the second", last <= second * FLAT),
        ("memory stays below the cap", most(&seen.memory) < CAP as f64),
        ("every accepted task ended once", ended == ledger.accepted),
        (
            "nothing is lost but hogs at the hard limit",
            ledger.lost.is_empty() && ledger.hogs_killed <= ledger.hogs,
        ),
        ("workers were replaced, and by those that had the cache", ledger.retired > 0 && ledger.restored > 0),
        // One that is about to pass its hard limit leaves before its state was asked for.
        (
            "nearly all that were retired handed on",
            ledger.restored + 1 + ledger.retired / 50 >= ledger.retired,
        ),
    ]
}

fn mean(memory: &[(f64, u64)]) -> f64 {
    memory.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / memory.len().max(1) as f64
}

fn most(memory: &[(f64, u64)]) -> f64 {
    memory.iter().map(|(_, bytes)| *bytes as f64).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak::load::Ledger;

    /// Twenty seconds at 300 MiB, one hog killed, all caches handed on.
    fn good() -> Seen {
        let ledger = Ledger {
            accepted: 100,
            completed: 99,
            hogs_killed: 1,
            hogs: 1,
            workers: 6,
            restored: 3,
            retired: 3,
            killed: 1,
            ..Ledger::default()
        };
        Seen {
            side: Side::Ours,
            memory: (0..200).map(|tenth| (f64::from(tenth) / 10.0, 300 << 20)).collect(),
            cap: "",
            died: None,
            accepted: 100,
            completed: 99,
            ledger: Some(ledger),
        }
    }

    fn broken(change: impl FnOnce(&mut Seen, &mut Ledger)) -> Vec<&'static str> {
        let mut seen = good();
        let mut ledger = seen.ledger.take().unwrap();
        change(&mut seen, &mut ledger);
        seen.ledger = Some(ledger);
        promises(&seen).into_iter().filter(|(_, kept)| !kept).map(|(promise, _)| promise).collect()
    }

    #[test]
    fn each_broken_promise_is_told() {
        assert!(broken(|_, _| ()).is_empty());
        let grows =
            broken(|seen, _| seen.memory.iter_mut().for_each(|(at, bytes)| *bytes += (*at * 2e7) as u64));
        assert_eq!(grows, ["memory is flat: the last third as the second"]);
        assert_eq!(broken(|seen, _| seen.memory[7].1 = 2 << 30), ["memory stays below the cap"]);
        assert_eq!(broken(|_, ledger| ledger.completed -= 1), ["every accepted task ended once"]);
        let lost = broken(|_, ledger| {
            ledger.completed -= 1;
            ledger.lost.insert("crashed".to_owned(), 1);
        });
        assert_eq!(lost, ["nothing is lost but hogs at the hard limit"]);
        assert_eq!(broken(|_, ledger| ledger.restored = 1), ["nearly all that were retired handed on"]);
    }
}
