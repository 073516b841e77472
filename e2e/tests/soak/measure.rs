//! What a soak costs while it goes on: memory, descriptors and threads, of this process and of its guardian.

use std::fs;
use std::time::Duration;

use crate::tools::{children_of, status};

/// At one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    at: f64,
    /// KiB.
    memory: u64,
    descriptors: u64,
    threads: u64,
    guardian_memory: u64,
    guardian_descriptors: u64,
}

/// A figure of a sample, and how far its worst of a quarter may be above that of an earlier one: more than chance, less than any leak.
type Figure = (&'static str, fn(&Sample) -> u64, u64);

const FIGURES: [Figure; 5] = [
    ("memory in KiB", |sample| sample.memory, 16 << 10),
    ("descriptors", |sample| sample.descriptors, 64),
    ("threads", |sample| sample.threads, 64),
    ("guardian's memory in KiB", |sample| sample.guardian_memory, 4 << 10),
    ("guardian's descriptors", |sample| sample.guardian_descriptors, 64),
];

/// All samples of a soak.
pub(crate) struct Course(Vec<Sample>);

impl Course {
    /// Room for so many, so that keeping them costs no memory later.
    pub(crate) fn with_room(samples: usize) -> Self {
        let mut room = vec![Sample { at: 1.0, memory: 1, ..Sample::default() }; samples];
        room.clear();
        Self(room)
    }

    pub(crate) fn take(&mut self, at: Duration) {
        let guardian = children_of(std::process::id()).into_iter().next();
        let of = |pid: i32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64;
        self.0.push(Sample {
            at: at.as_secs_f64(),
            memory: status("self", "VmRSS"),
            descriptors: crate::tools::descriptors() as u64,
            threads: status("self", "Threads"),
            guardian_memory: guardian.and_then(memory_of).unwrap_or(0),
            guardian_descriptors: guardian.map_or(0, of),
        });
    }

    fn quarter(&self, number: usize) -> &[Sample] {
        let all = &self.0;
        &all[all.len() * number / 4..all.len() * (number + 1) / 4]
    }

    /// The memory in so many parts of the time, at their ends, in MiB.
    pub(crate) fn memory(&self, parts: usize) -> String {
        let at = |part: usize| self.0.get((self.0.len() * part / parts).saturating_sub(1));
        let ends = (1..=parts).filter_map(at).map(|one| format!("{:.1}", one.memory as f64 / 1024.0));
        ends.collect::<Vec<_>>().join(" ")
    }

    /// The highest of every figure in the second and in the last quarter, in words; and what has grown.
    pub(crate) fn growth(&self) -> (String, Vec<String>) {
        let (mut all, mut grown) = (Vec::new(), Vec::new());
        for (name, figure, may) in FIGURES {
            let most = |number| self.quarter(number).iter().map(figure).max().unwrap_or(0);
            let line = format!("{name} {} → {}", most(1), most(3));
            if most(3) > most(1) + may {
                grown.push(line.clone());
            }
            all.push(line);
        }
        (all.join(", "), grown)
    }

    /// How fast the memory grows after the first quarter, by least squares: % of it per hour.
    pub(crate) fn slope(&self) -> f64 {
        let after = &self.0[self.0.len() / 4..];
        let count = after.len().max(1) as f64;
        let mean = |of: fn(&Sample) -> f64| after.iter().map(of).sum::<f64>() / count;
        let (at, memory) = (mean(|sample| sample.at), mean(|sample| sample.memory as f64));
        let both: f64 = after.iter().map(|one| (one.at - at) * (one.memory as f64 - memory)).sum();
        let square: f64 = after.iter().map(|one| (one.at - at).powi(2)).sum();
        if square == 0.0 { 0.0 } else { both / square * 3_600.0 / memory * 100.0 }
    }
}

/// KiB; none of a process that is gone.
fn memory_of(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
