//! Values of the command line alone, without the parser around them: durations, sizes, workers. Any text.
#![no_main]

use std::{
    ffi::OsStr,
    time::{Duration, Instant},
};

#[path = "../../crates/ebbtide-cli/src/args.rs"]
mod args;
#[path = "../../crates/ebbtide-cli/src/exit.rs"]
mod exit;
#[path = "../../crates/ebbtide-cli/src/worker_args.rs"]
mod worker_args;
#[path = "."]
mod workers {
    #[path = "../../crates/ebbtide-cli/src/workers/spec.rs"]
    mod spec;

    pub(crate) use spec::WorkerSpec;
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(duration) = args::duration(text) {
        assert!(Instant::now().checked_add(duration).is_some(), "what is accepted can be added to a clock");
        assert_eq!(args::positive_duration(text).ok(), Some(duration).filter(|one| !one.is_zero()));
        let shown = humantime::format_duration(duration).to_string();
        assert_eq!(args::duration(&shown), Ok(duration), "{shown}");
        #[cfg(feature = "canary")]
        assert!(duration != Duration::from_millis(90_007), "the canary");
    }
    if let Ok(size) = worker_args::size(text) {
        assert!(size.as_u64() > 0);
    }
    if let Ok(spec) = workers::WorkerSpec::parse(OsStr::new(text)) {
        assert_eq!(spec.text(), text);
        drop(spec.command(&[]));
    }
});
