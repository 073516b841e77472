//! How noisy the machine was: without it no figure of a shared machine can be believed.

use std::{
    fmt, fs,
    hint::black_box,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::stats::Stats;

/// Ticks per second of `/proc/stat`, as programs are shown them.
const TICKS: f64 = 100.0;

/// Watches the machine during the race.
#[derive(Debug)]
pub(crate) struct Watch {
    begin: Ticks,
    loops: Vec<f64>,
    /// CPU seconds of contenders' processes that nobody waits for.
    unwaited: f64,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Noise {
    /// A loop that does the same each time, timed before every round: on a quiet machine the three are equal.
    calibration_median_ns: f64,
    calibration_min_ns: f64,
    calibration_max_ns: f64,
    /// CPU time that the hypervisor gave to others, in percent of all.
    steal_percent: Option<f64>,
    /// CPU time that other processes of this machine used, in percent of all.
    others_percent: Option<f64>,
    /// Runnable tasks of the whole machine, averaged over the last minute of the race.
    load: Option<f64>,
}

/// What kind of machine it was.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: Option<String>,
    kernel: Option<String>,
}

/// Clock ticks of `/proc/stat`, and those of this process and its ended children.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    all: u64,
    busy: u64,
    steal: u64,
    own: u64,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        Self { begin: Ticks::now().unwrap_or_default(), loops: Vec::new(), unwaited: 0.0 }
    }

    /// Runs the loop once more: about a millisecond.
    pub(crate) fn calibrate(&mut self) {
        let begin = Instant::now();
        let mut state = 88_172_645_463_325_252_u64;
        for _ in 0..400_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        black_box(state);
        self.loops.push(begin.elapsed().as_nanos() as f64);
    }

    /// Those are the contenders' as well, although their time will not show in ours: workers end with their guardian, which outlives who has it.
    pub(crate) fn add_unwaited(&mut self, seconds: f64) {
        self.unwaited += seconds;
    }

    /// Call it when all contenders have been waited for: the time of one that runs would count as others'.
    pub(crate) fn end(self) -> Noise {
        let stats = Stats::of(&self.loops);
        let ticks = Ticks::now().filter(|_| self.begin.all > 0);
        let ticks = ticks.map(|ticks| Ticks { own: ticks.own + (self.unwaited * TICKS) as u64, ..ticks });
        let of_all = |part: fn(Ticks) -> u64| {
            let ticks = ticks?;
            let all = ticks.all - self.begin.all;
            // One second of one core; below that a tick is a large part.
            (all >= 100).then(|| part(ticks).saturating_sub(part(self.begin)) as f64 * 100.0 / all as f64)
        };
        let others = of_all(|ticks| ticks.busy).zip(of_all(|ticks| ticks.own));
        let load = fs::read_to_string("/proc/loadavg").ok();
        Noise {
            calibration_median_ns: stats.median,
            calibration_min_ns: stats.min,
            calibration_max_ns: stats.max,
            steal_percent: of_all(|ticks| ticks.steal),
            others_percent: others.map(|(busy, own)| (busy - own).max(0.0)),
            load: load.and_then(|text| text.split_whitespace().next()?.parse().ok()),
        }
    }
}

impl Machine {
    pub(crate) fn this() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find(|line| line.starts_with("model name"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: model.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())),
            kernel: kernel.map(|text| text.trim().to_owned()),
        }
    }
}

impl Ticks {
    /// `None` where there is no `/proc`.
    fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let numbers = stat.lines().next()?.split_whitespace().skip(1);
        let ticks: Vec<u64> = numbers.map_while(|number| number.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = *ticks.first_chunk()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        // After the name, which may contain anything but is in parentheses: utime, stime, cutime and cstime are fields 14 to 17.
        let fields = own.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
        let own = fields.map_while(|field| field.parse::<u64>().ok()).sum();
        let busy = user + nice + system + irq + softirq;
        Some(Self { all: busy + idle + iowait + steal, busy, steal, own })
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |ns: f64| Duration::from_nanos(ns as u64);
        write!(
            f,
            "calibration loop {:.2?} ({:.2?} to {:.2?}, worst {:.1} times the best)",
            of(self.calibration_median_ns),
            of(self.calibration_min_ns),
            of(self.calibration_max_ns),
            self.calibration_max_ns / self.calibration_min_ns,
        )?;
        if let (Some(steal), Some(others)) = (self.steal_percent, self.others_percent) {
            write!(f, "; {steal:.1} % stolen by the hypervisor, {others:.1} % used by other processes")?;
        }
        if let Some(load) = self.load {
            write!(f, "; load {load}")?;
        }
        let factor = self.calibration_max_ns / self.calibration_min_ns;
        let disturbed = self.steal_percent.unwrap_or_default() + self.others_percent.unwrap_or_default();
        let verdict = match (disturbed, factor) {
            _ if self.steal_percent.is_none() => "too short a time to tell how noisy it was",
            (..=2.0, ..=1.3) => "a quiet machine",
            (..=10.0, ..=3.0) => "somewhat noisy: trust ratios above 1.2",
            _ => "NOISY: trust no ratio below 2, and no absolute time",
        };
        write!(f, ". {verdict}.")
    }
}
