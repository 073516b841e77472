//! What a soak costs while it goes on: memory, descriptors and threads, of this process and of its guardian.

use std::fs;
use std::time::Duration;

use crate::tools::{children_of, status};

/// At one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    at: f64,
    /// KiB, resident.
    memory: u64,
    /// KiB, allocated and not freed.
    heap: u64,
    descriptors: u64,
    threads: u64,
    guardian_memory: u64,
    guardian_descriptors: u64,
}

/// A figure of a sample, which of those of a quarter counts, and how far that of the last may be above that of the second: more than chance,
/// less than any leak.
type Figure = (&'static str, fn(&Sample) -> u64, Counts, u64);

#[derive(Clone, Copy, Debug)]
enum Counts {
    Least,
    Most,
}

const FIGURES: [Figure; 6] = [
    // When hardly anything is under way.
    ("least heap in KiB", |sample| sample.heap, Counts::Least, 256),
    ("memory in KiB", |sample| sample.memory, Counts::Most, 16 << 10),
    ("descriptors", |sample| sample.descriptors, Counts::Most, 64),
    ("threads", |sample| sample.threads, Counts::Most, 64),
    ("guardian's memory in KiB", |sample| sample.guardian_memory, Counts::Most, 4 << 10),
    ("guardian's descriptors", |sample| sample.guardian_descriptors, Counts::Most, 64),
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
            heap: crate::HEAP.current_usage() as u64 >> 10,
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

    /// Every figure in the second and in the last quarter, in words; and what has grown.
    pub(crate) fn growth(&self) -> (String, Vec<String>) {
        let (mut all, mut grown) = (Vec::new(), Vec::new());
        for (name, figure, counts, may) in FIGURES {
            let of = |number| {
                let quarter = self.quarter(number).iter().map(figure);
                let counted = match counts {
                    Counts::Least => quarter.min(),
                    Counts::Most => quarter.max(),
                };
                counted.unwrap_or(0)
            };
            let (before, after) = (of(1), of(3));
            let line = format!("{name} {before} → {after}");
            if after > before + may {
                grown.push(line.clone());
            }
            all.push(line);
        }
        (all.join(", "), grown)
    }

    /// How fast the heap grows after the first quarter, by least squares: % of the resident memory per hour.
    pub(crate) fn slope(&self) -> f64 {
        let after = &self.0[self.0.len() / 4..];
        let count = after.len().max(1) as f64;
        let mean = |of: fn(&Sample) -> f64| after.iter().map(of).sum::<f64>() / count;
        let (at, heap) = (mean(|sample| sample.at), mean(|sample| sample.heap as f64));
        let both: f64 = after.iter().map(|one| (one.at - at) * (one.heap as f64 - heap)).sum();
        let square: f64 = after.iter().map(|one| (one.at - at).powi(2)).sum();
        let memory = mean(|sample| sample.memory as f64);
        if square == 0.0 { 0.0 } else { both / square * 3_600.0 / memory * 100.0 }
    }
}

/// KiB; none of a process that is gone.
fn memory_of(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
