//! A program that never called `init` is told so, and is not started a second time.
#![cfg(target_os = "linux")]

use ebbtide::process::{Guardian, StartError};

#[test]
fn guardian_needs_init() {
    let error = Guardian::start().unwrap_err();
    assert!(matches!(error, StartError::NotInitialised), "{error:?}");
    assert_eq!(
        error.to_string(),
        "no guardian: ebbtide::init() was not called; make it the first line of main"
    );
}
