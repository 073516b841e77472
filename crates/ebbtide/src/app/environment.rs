//! What the surroundings say about a stop: `EBBTIDE_STOP_TIMEOUT`.

use std::{ffi::OsStr, time::Duration};

use crate::error::AppError;

/// How long the surroundings wait for a stop before they kill: a container's grace period, for example.
const STOP_TIMEOUT: &str = "EBBTIDE_STOP_TIMEOUT";

/// What they grant, if they say so.
pub(crate) fn stop_timeout() -> Result<Option<Duration>, AppError> {
    std::env::var_os(STOP_TIMEOUT).map(|value| granted(&value)).transpose()
}

pub(crate) fn granted(value: &OsStr) -> Result<Duration, AppError> {
    let value = value.to_string_lossy();
    duration(value.trim()).ok_or_else(|| AppError::Option {
        option: STOP_TIMEOUT,
        problem: format!(
            "\"{value}\" is no duration; say for example 25s, 500ms, 2m, or a number of seconds"
        ),
    })
}

/// `25`, `25s`, `1.5s`, `500ms`, `2m`; more than zero.
fn duration(text: &str) -> Option<Duration> {
    let begin = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(begin);
    let seconds = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        let millis = |text| duration(text).map(|duration| duration.as_millis());
        let good = ["25", "25s", "1.5s", "500ms", "2m", "2min", "3 s"];
        assert_eq!(good.map(millis), [25_000, 25_000, 1_500, 500, 120_000, 120_000, 3_000].map(Some));
        let bad = ["", "s", "0", "0ms", "-1", "5h", "1e3", "ten", "1.2.3", "99999999999999999999999m"];
        assert_eq!(bad.map(millis), [None; 10]);
    }
}
