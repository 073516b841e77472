//! A report that is shown: a file that anybody may have written, drawn for a terminal and for a browser.
#![no_main]

use ebbtide::{AppReport, Report};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = serde_json::from_slice::<AppReport>(bytes) {
        look(&report.to_string(), &report.to_html());
        #[cfg(feature = "canary")]
        assert!(report.exit_code == 0, "the canary");
    }
    if let Ok(report) = serde_json::from_slice::<Report>(bytes) {
        look(&report.to_string(), &report.to_html());
    }
});

/// Nothing of the file reaches the terminal or the browser as anything but text.
fn look(text: &str, html: &str) {
    assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{text:?}");
    assert!(!html.contains("<script>alert"), "{html}");
}
