//! Worker processes that are hit from outside: killed, told to go, or stopped, and perhaps let go on.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::dice::Dice;
use crate::tools::{children_of, now};

/// So many of those that were seen last are known.
const SEEN: usize = 8;

/// Those that may be hit.
#[derive(Default)]
pub(crate) struct Victims {
    /// Those that have run a task.
    seen: Mutex<VecDeque<i32>>,
    /// Those that are stopped and will go on.
    stopped: Mutex<Vec<(OwnedFd, Instant)>>,
}

impl Victims {
    /// A worker that serves.
    pub(crate) fn sees(&self, worker: i32) {
        let mut seen = self.seen.lock().unwrap();
        if !seen.contains(&worker) {
            seen.truncate(SEEN - 1);
            seen.push_front(worker);
        }
    }

    /// Hits one, or all, or none.
    pub(crate) fn hit(&self, dice: &mut Dice) {
        self.go_on();
        let all = workers();
        // Mostly one that serves: who is never let start is only waited for.
        let serves = |worker: &i32| self.seen.lock().unwrap().contains(worker);
        let any = dice.below(12) == 0;
        let among: Vec<i32> = all.iter().copied().filter(|worker| any || serves(worker)).collect();
        let Some(&one) = among.get(pick(dice, among.len())) else { return };
        match dice.below(12) {
            0..=4 => drop(send(one, Signal::KILL)),
            5 => drop(send(one, Signal::TERM)),
            6 => drop(send(one, Signal::SEGV)),
            7 => among.into_iter().for_each(|worker| drop(send(worker, Signal::KILL))),
            8..=10 => {
                let until = now() + Duration::from_millis(dice.below(400));
                if let Some(stopped) = send(one, Signal::STOP) {
                    self.stopped.lock().unwrap().push((stopped, until));
                }
            }
            // For good: it is for the pool to see to it. A start would last for its whole time-out.
            _ if any => {}
            _ => drop(send(one, Signal::STOP)),
        }
    }

    fn go_on(&self) {
        self.stopped.lock().unwrap().retain(|(process, until)| {
            let waits = now() < *until;
            if !waits {
                let _ = pidfd_send_signal(process, Signal::CONT);
            }
            waits
        });
    }
}

fn pick(dice: &mut Dice, among: usize) -> usize {
    usize::try_from(dice.below(among.max(1) as u64)).unwrap()
}

/// The guardian has no other children than workers, and those that are about to become one.
fn workers() -> Vec<i32> {
    let guardian = children_of(std::process::id()).into_iter();
    guardian.flat_map(|guardian| children_of(guardian.unsigned_abs())).collect()
}

/// Sends a signal to a worker that is still one: numbers of processes come again.
fn send(worker: i32, signal: Signal) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(worker)?, PidfdFlags::empty()).ok()?;
    let stat = fs::read_to_string(format!("/proc/{worker}/stat")).ok()?;
    let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    let ours = children_of(std::process::id()).contains(&parent);
    (ours && pidfd_send_signal(&process, signal).is_ok()).then_some(process)
}
