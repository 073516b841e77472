//! One command: start, arguments, descriptors, end.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use ebbtide::process::{CommandSpec, Ended, Guardian, SpawnError};

/// Every test of this file.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("exit_code_is_kept", exit_code_is_kept),
    ("stdout_is_captured", stdout_is_captured),
    ("not_found_is_typed", not_found_is_typed),
    ("kill_is_reported", kill_is_reported),
];

fn exit_code_is_kept() {
    let guardian = start();
    for code in [0, 1, 42, 255] {
        let exit = guardian.spawn(shell(&format!("exit {code}"))).unwrap().wait();
        assert_eq!(exit.ended, Ended::Exited { code });
    }
}

fn stdout_is_captured() {
    assert_eq!(output(&start(), CommandSpec::new("printf").args(["%s|%s", "a b", "$HOME"])), "a b|$HOME");
}

fn not_found_is_typed() {
    let error = start().spawn(CommandSpec::new("no-such-command-here")).unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    assert_eq!(error.to_string(), "no-such-command-here: command not found");
}

fn kill_is_reported() {
    let child = start().spawn(CommandSpec::new("sleep").arg("100")).unwrap();
    assert_eq!(child.try_exit(), None);
    child.kill().unwrap();
    assert_eq!(child.wait().signal(), Some(9));
}

/// A guardian of the test's own.
pub(crate) fn start() -> Guardian {
    Guardian::start().unwrap()
}

/// A shell as the command: the one program at hand that can do anything.
pub(crate) fn shell(script: &str) -> CommandSpec {
    CommandSpec::new("sh").args(["-c", script])
}

/// Runs to the end and gives what was written.
pub(crate) fn output(guardian: &Guardian, spec: CommandSpec) -> String {
    let (read, write) = std::io::pipe().unwrap();
    let child = guardian.spawn(spec.stdout(OwnedFd::from(write))).unwrap();
    let mut text = String::new();
    File::from(OwnedFd::from(read)).read_to_string(&mut text).unwrap();
    let exit = child.wait();
    assert!(exit.success(), "{exit}: {text}");
    text
}
