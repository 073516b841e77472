//! How long a soak lasts, by how many tasks it must come to, and from what dice.

use std::time::{Duration, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The short form, in seconds; the shares of tasks are for this.
const SHORT: u64 = 60;
const HOUR: u64 = 3_600;
/// A machine that is so slow that it has not done its share gets more time, up to so many times what was asked.
const PATIENCE: u32 = 5;

/// What a soak is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) test: String,
    pub(crate) time: Duration,
    pub(crate) tasks: u64,
    pub(crate) seed: u64,
}

impl Term {
    /// For this test, whose share is so many tasks in the short form.
    pub(crate) fn of(test: &str, share: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let long = if crate::tools::long() { HOUR } else { SHORT };
        let seconds = number("EBBTIDE_SOAK").unwrap_or(long);
        let seed = number("EBBTIDE_SEED").unwrap_or_else(some_seed);
        let time = Duration::from_secs(seconds);
        Self { test: test.to_owned(), time, tasks: share * seconds / SHORT, seed }
    }

    /// It never takes so long.
    pub(crate) fn at_most(&self) -> Duration {
        self.time * PATIENCE
    }

    /// With beginning and end.
    pub(crate) fn hangs(&self) -> Duration {
        self.at_most() + 10 * crate::tools::LONG
    }

    /// The slope of the memory says something.
    pub(crate) fn is_long(&self) -> bool {
        self.time.as_secs() >= HOUR
    }

    /// What repeats it: the same dice, not the same course of the machine.
    pub(crate) fn command(&self) -> String {
        let (seconds, seed, test) = (self.time.as_secs(), self.seed, &self.test);
        format!("EBBTIDE_SOAK={seconds} EBBTIDE_SEED={seed} cargo test -p e2e --test soak -- {test}")
    }
}

fn some_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_micros() as u64 & 0xFFFF_FFFF
}

/// So much private memory for this process, and for each of its workers: what goes wrong here stays here.
pub(crate) fn cap() {
    let maximum = getrlimit(Resource::Data).maximum;
    let own = maximum.map_or(2 << 30, |maximum| maximum.min(2 << 30));
    setrlimit(Resource::Data, Rlimit { current: Some(own), maximum }).unwrap();
}
