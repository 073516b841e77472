//! Worker processes that are hit from outside: killed, told to go, or stopped, and perhaps let go on.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::dice::Dice;
use crate::tools::{children_of, now};

/// What a start takes, on a busy machine.
const RIPE: Duration = Duration::from_millis(400);

/// Those that are stopped and will go on.
#[derive(Default)]
pub(crate) struct Victims {
    stopped: Mutex<Vec<(OwnedFd, Instant)>>,
}

impl Victims {
    /// Hits one, or all, or none.
    pub(crate) fn hit(&self, dice: &mut Dice) {
        self.go_on();
        // Mostly those that have had the time to become ready: who is never let start is only waited for.
        let ripe = if dice.below(12) == 0 { Duration::ZERO } else { RIPE };
        let all = workers(ripe);
        let Some(&one) = all.get(pick(dice, all.len())) else { return };
        match dice.below(12) {
            0..=4 => drop(send(one, Signal::KILL)),
            5 => drop(send(one, Signal::TERM)),
            6 => drop(send(one, Signal::SEGV)),
            7 => all.into_iter().for_each(|worker| drop(send(worker, Signal::KILL))),
            8..=10 => {
                let until = now() + Duration::from_millis(dice.below(400));
                if let Some(stopped) = send(one, Signal::STOP) {
                    self.stopped.lock().unwrap().push((stopped, until));
                }
            }
            // For good: it is for the pool to see to it.
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

/// Those that are as old as that. The guardian has no other children than workers, and those that are about to become one.
fn workers(ripe: Duration) -> Vec<i32> {
    let guardian = children_of(std::process::id()).into_iter();
    let workers = guardian.flat_map(|guardian| children_of(guardian.unsigned_abs()));
    workers.filter(|worker| age(*worker).is_some_and(|age| age >= ripe)).collect()
}

/// Since its start, which the kernel gives in ticks since its own; rounded down.
fn age(process: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let started: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let up = fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = up.split_whitespace().next()?.parse().ok()?;
    let started = Duration::from_millis(started * 1_000 / rustix::param::clock_ticks_per_second());
    Some(Duration::from_secs_f64(up).saturating_sub(started))
}

/// Sends a signal to a worker that is still one: numbers of processes come again.
fn send(worker: i32, signal: Signal) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(worker)?, PidfdFlags::empty()).ok()?;
    let stat = fs::read_to_string(format!("/proc/{worker}/stat")).ok()?;
    let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    let ours = children_of(std::process::id()).contains(&parent);
    (ours && pidfd_send_signal(&process, signal).is_ok()).then_some(process)
}
