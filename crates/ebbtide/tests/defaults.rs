//! The one table of defaults in the crate's documentation says what the constants say, and leaves none out.

use std::{collections::BTreeMap, time::Duration};

use ebbtide::policy;

const DOCUMENTATION: &str = include_str!("../src/lib.rs");
const CONSTANTS: &str = include_str!("../src/policy.rs");

fn time(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 1_000 == 0 => format!("{} s", duration.as_secs()),
        millis => format!("{millis} ms"),
    }
}

/// The constants as a person writes them.
fn constants() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("QUEUE", policy::QUEUE.to_string()),
        ("IDLE_TIMEOUT", time(policy::IDLE_TIMEOUT)),
        ("GRACE", time(policy::GRACE)),
        ("DEADLINE", time(policy::DEADLINE)),
        ("RESERVE_PERCENT", format!("{} %", policy::RESERVE_PERCENT)),
        ("RESTART_INTENSITY", policy::RESTART_INTENSITY.to_string()),
        ("RESTART_PERIOD", time(policy::RESTART_PERIOD)),
        ("BACKOFF_MIN", time(policy::BACKOFF_MIN)),
        ("BACKOFF_MAX", time(policy::BACKOFF_MAX)),
        ("SURGE", policy::SURGE.to_string()),
        ("JITTER", policy::JITTER.to_string()),
        ("TIMING_SAMPLE", policy::TIMING_SAMPLE.to_string()),
        ("SNAPSHOT_BOX", time(policy::SNAPSHOT_BOX)),
        ("JOBS", policy::JOBS.to_string()),
        ("EVENTS", policy::EVENTS.to_string()),
        ("LOOK", time(policy::LOOK)),
        ("INGRESS_HEADS", time(policy::INGRESS_HEADS)),
        ("INGRESS_BODIES", time(policy::INGRESS_BODIES)),
        ("INGRESS_STREAMS", time(policy::INGRESS_STREAMS)),
        ("INGRESS_CONNECTIONS", policy::INGRESS_CONNECTIONS.to_string()),
        ("INGRESS_HEAD_TIMEOUT", time(policy::INGRESS_HEAD_TIMEOUT)),
        ("AGE_AFTER", policy::AGE_AFTER.to_string()),
        ("DEREGISTRATION_DELAY", time(policy::DEREGISTRATION_DELAY)),
        ("FORCED_WORK", time(policy::FORCED_WORK)),
        ("FORCED_ALL", time(policy::FORCED_ALL)),
        ("DEBOUNCE", time(policy::DEBOUNCE)),
        ("WATCHDOG_MARGIN", time(policy::WATCHDOG_MARGIN)),
        ("START_TIMEOUT", time(policy::START_TIMEOUT)),
        ("CREDITS", policy::CREDITS.to_string()),
        ("MAX_BODY", format!("{} MiB", policy::MAX_BODY >> 20)),
    ])
}

/// Constant and value of each row `//! | option | value | [`NAME`](policy::NAME) |`.
fn table() -> BTreeMap<&'static str, String> {
    let rows = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>()).filter(|cells| cells.len() == 3);
    let named = cells.filter_map(|cells| {
        let name = cells[2].split_once("](policy::")?.1.split(')').next()?;
        Some((name, cells[1].to_owned()))
    });
    named.collect()
}

#[test]
fn the_table_says_what_the_constants_say() {
    assert_eq!(table(), constants());
}

#[test]
fn no_constant_is_left_out() {
    let named = CONSTANTS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let named: Vec<_> = named.collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(constants().contains_key(name), "`policy::{name}` is not in the table of defaults");
    }
}

#[test]
fn a_default_pool_is_as_the_table_says() {
    let pool = ebbtide::Pool::builder().build().expect("the defaults are consistent");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let stats = pool.stats();
    assert_eq!((stats.workers.min, stats.workers.max), (1, cores));
    assert_eq!(stats.workers.alive, 0, "workers start with the first tasks");
    assert_eq!(pool.deadline(), policy::DEADLINE);
}
