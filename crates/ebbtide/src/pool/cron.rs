//! A cron line in a time zone: when is the next time, from now?

use std::{str::FromStr, time::Duration};

use croner::Cron;
use jiff::{Zoned, tz::TimeZone};

use crate::error::BuildError;

/// A parsed cron line and its time zone.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    cron: Cron,
    zone: TimeZone,
}

impl Line {
    pub(crate) fn parse(line: &str, zone: &str) -> Result<Self, BuildError> {
        let wrong = |problem: String| BuildError::new("renew", problem);
        let cron = Cron::from_str(line)
            .map_err(|error| wrong(format!("the cron line {line:?} does not parse: {error}")))?;
        let zone = TimeZone::get(zone)
            .map_err(|error| wrong(format!("the time zone {zone:?} is not known: {error}")))?;
        Ok(Self { cron, zone })
    }

    /// From now to the next time; `None` if there is none.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.pause_from(&Zoned::now().with_time_zone(self.zone.clone()))
    }

    fn pause_from(&self, now: &Zoned) -> Option<Duration> {
        let next = self.cron.find_next_occurrence(now, false).ok()?;
        now.duration_until(&next).try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(line: &str, now: &str) -> Duration {
        let now: Zoned = now.parse().expect("a zoned time");
        let zone = now.time_zone().iana_name().expect("named").to_owned();
        Line::parse(line, &zone).expect("parses").pause_from(&now).expect("there is a next time")
    }

    #[test]
    fn the_next_time_is_found_in_the_zone() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(pause("0 4 * * *", "2026-11-22T03:00:00[Europe/Berlin]"), hour);
        assert_eq!(pause("0 4 * * *", "2026-11-22T04:00:00[Europe/Berlin]"), 24 * hour, "not now");
        // The night the clocks go forward is an hour short, the one they go back an hour long.
        assert_eq!(pause("0 4 * * *", "2026-03-29T00:00:00[Europe/Berlin]"), 3 * hour);
        assert_eq!(pause("0 4 * * *", "2026-10-25T00:00:00[Europe/Berlin]"), 5 * hour);
    }

    #[test]
    fn what_does_not_parse_is_said() {
        let bad = Line::parse("every day", "UTC").expect_err("no cron line");
        assert!(bad.to_string().contains("every day"), "{bad}");
        let bad = Line::parse("0 4 * * *", "Europe/Nowhere").expect_err("no zone");
        assert!(bad.to_string().contains("Europe/Nowhere"), "{bad}");
    }
}
