//! A cron line in a time zone: when is the next time, from now?

use std::{str::FromStr, time::Duration};

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    clock::{Moment, calendar_now},
    error::BuildError,
};

/// A parsed cron line and its time zone.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    cron: Cron,
    zone: TimeZone,
}

impl Line {
    /// Parses it. `option` is what is wrong if it does not.
    pub(crate) fn parse(option: &'static str, line: &str, zone: &str) -> Result<Self, BuildError> {
        let wrong = |problem: String| BuildError::new(option, problem);
        // It would be taken for a field that nothing fits, whose next time is looked for through thousands of years: for half a minute.
        if line.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            return Err(wrong(format!(
                "the cron line {line:?} does not parse: a list has an empty item; remove a comma"
            )));
        }
        let cron = Cron::from_str(line).map_err(|error| {
            wrong(format!("the cron line {line:?} does not parse: {error}; it has five fields, or six with seconds first"))
        })?;
        let zone = TimeZone::get(zone).map_err(|error| {
            wrong(format!(
                "the time zone {zone:?} is not known: {error}; it is an IANA name like \"Europe/Berlin\""
            ))
        })?;
        let parsed = Self { cron, zone };
        if parsed.pause().is_none() {
            return Err(parsed.never(option));
        }
        Ok(parsed)
    }

    /// Says that it never comes.
    pub(crate) fn never(&self, option: &'static str) -> BuildError {
        BuildError::new(
            option,
            format!("the cron line {:?} never comes: there is no such day", self.cron.as_str()),
        )
    }

    /// From now to the next time; `None` if there is none.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let now = calendar_now();
        Some(self.next_after(now)?.since(now))
    }

    /// The first time after a moment of the calendar; `None` if there is none.
    pub(crate) fn next_after(&self, moment: Moment) -> Option<Moment> {
        let after = Timestamp::from_nanosecond(moment.nanos().into()).ok()?;
        let next = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
        let next = Moment::from_nanos(next.timestamp().as_nanosecond().try_into().ok()?);
        // Whoever goes from one time to the next must come forward.
        (next > moment).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;

    use super::*;

    fn pause(line: &str, now: &str) -> Duration {
        let now: Zoned = now.parse().expect("a zoned time");
        let zone = now.time_zone().iana_name().expect("named").to_owned();
        let now = Moment::from_nanos(now.timestamp().as_nanosecond().try_into().expect("after 1970"));
        let line = Line::parse("cron", line, &zone).expect("parses");
        line.next_after(now).expect("there is a next time").since(now)
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
        let bad = Line::parse("cron", "every day", "UTC").expect_err("no cron line");
        assert!(bad.to_string().contains("every day"), "{bad}");
        for line in [", */7 * * 4 *", "0 1,,2 * * *", "0 4 * 1, *"] {
            let bad = Line::parse("cron", line, "UTC").expect_err("an empty item");
            assert!(bad.to_string().contains("empty item"), "{bad}");
        }
        let bad = Line::parse("cron", "0 4 * * *", "Europe/Nowhere").expect_err("no zone");
        assert!(bad.to_string().contains("Europe/Nowhere"), "{bad}");
        let bad = Line::parse("cron", "0 0 30 2 *", "UTC").expect_err("no such day");
        assert!(bad.to_string().contains("never comes"), "{bad}");
    }
}
