//! Cron lines and time zones, as a configuration may give them: `line` and `zone`, separated by `|`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (line, zone) = text.split_once('|').unwrap_or((text, "UTC"));
    let renew = ebbtide::Renew::new().cron(line, zone);
    #[cfg(feature = "canary")]
    assert!(renew.is_err() || !line.contains("*/7"), "the canary");
    drop(renew);
});
