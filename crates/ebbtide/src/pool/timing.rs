//! How long tasks waited and ran: sampled, in histograms of bounded size.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{clock::Moment, sync::Mutex};

/// Three hours in nanoseconds: longer is counted as that.
const LONGEST: u64 = 3 * 3_600 * 1_000_000_000;

/// Waits and runs of the sampled tasks, up to now. From `pool.timings()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Timings {
    /// From acceptance to start.
    pub waits: Quantiles,
    /// From start to end.
    pub runs: Quantiles,
}

/// A distribution in a few numbers; each is within 1 % of the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    /// How many tasks were measured.
    pub samples: u64,
    #[serde(rename = "min_ms", serialize_with = "crate::report::millis")]
    pub min: Duration,
    #[serde(rename = "mean_ms", serialize_with = "crate::report::millis")]
    pub mean: Duration,
    #[serde(rename = "p50_ms", serialize_with = "crate::report::millis")]
    pub p50: Duration,
    #[serde(rename = "p90_ms", serialize_with = "crate::report::millis")]
    pub p90: Duration,
    #[serde(rename = "p99_ms", serialize_with = "crate::report::millis")]
    pub p99: Duration,
    #[serde(rename = "max_ms", serialize_with = "crate::report::millis")]
    pub max: Duration,
}

/// Where samples are kept; about 60 KiB, made when the first comes.
pub(crate) struct Clockbook {
    pages: Mutex<Option<Pages>>,
}

struct Pages {
    waits: Histogram<u64>,
    runs: Histogram<u64>,
}

impl Clockbook {
    pub(crate) fn new() -> Self {
        Self { pages: Mutex::new(None) }
    }

    pub(crate) fn record(&self, accepted: Moment, started: Moment, ended: Moment) {
        let mut pages = self.pages.lock();
        let pages = pages.get_or_insert_with(Pages::new);
        let (wait, run) = (started.since(accepted), ended.since(started));
        pages.waits.saturating_record(nanos(wait));
        pages.runs.saturating_record(nanos(run));
    }

    pub(crate) fn read(&self) -> Timings {
        match &*self.pages.lock() {
            Some(pages) => Timings { waits: quantiles(&pages.waits), runs: quantiles(&pages.runs) },
            None => Timings::default(),
        }
    }

    pub(crate) fn reset(&self) {
        *self.pages.lock() = None;
    }
}

impl Pages {
    fn new() -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST, 2).expect("constant bounds that the library accepts");
        Self { waits: histogram(), runs: histogram() }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(LONGEST)
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
    Quantiles {
        samples: histogram.len(),
        min: Duration::from_nanos(histogram.min()),
        mean: Duration::from_secs_f64(histogram.mean() / 1e9),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: Duration::from_nanos(histogram.max()),
    }
}
