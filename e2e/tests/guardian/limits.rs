//! Nothing grows, nothing is lost at a limit, nothing malformed is obeyed.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use ebbtide::process::CommandSpec;

use crate::scenario::Running;
use crate::tools::{output, start};

/// Every test of this file.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("two_thousand_commands_leave_nothing_open", two_thousand_commands_leave_nothing_open),
    ("five_hundred_at_once", five_hundred_at_once),
    ("threads_share_a_guardian", threads_share_a_guardian),
    ("guardian_out_of_descriptors_says_so", guardian_out_of_descriptors_says_so),
    ("supervisor_out_of_descriptors_says_so", supervisor_out_of_descriptors_says_so),
    ("malformed_requests_end_a_guardian_with_a_reason", malformed_requests_end_a_guardian_with_a_reason),
];

fn two_thousand_commands_leave_nothing_open() {
    let mut scenario = Running::start("exec", &["many"]);
    assert_eq!(scenario.line(), "nothing left");
    assert!(scenario.process.wait().unwrap().success());
}

fn five_hundred_at_once() {
    let guardian = start();
    let children: Vec<_> =
        (0..500).map(|_| guardian.spawn(CommandSpec::new("sleep").arg("100")).unwrap()).collect();
    for child in &children {
        assert_eq!(child.try_exit(), None);
        child.kill().unwrap();
    }
    for child in &children {
        assert_eq!(child.wait().signal(), Some(9));
    }
}

fn threads_share_a_guardian() {
    let guardian = start();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (guardian, done) = (guardian.clone(), &done);
            scope.spawn(move || {
                for n in 0..25 {
                    // Some long, so that frames are written in parts while others wait.
                    let text = format!("{thread}-{n}").repeat(if n % 5 == 0 { 20_000 } else { 1 });
                    assert_eq!(output(&guardian, CommandSpec::new("printf").args(["%s", &text])), text);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 200);
}

fn guardian_out_of_descriptors_says_so() {
    let mut scenario = Running::start("ulimit -n 40 && exec", &["detached-until-full"]);
    assert_eq!(scenario.line(), "room again");
    assert!(scenario.process.wait().unwrap().success());
}

fn supervisor_out_of_descriptors_says_so() {
    let mut scenario = Running::start("ulimit -Sn 40 && exec", &["held-until-full"]);
    assert_eq!(scenario.line(), "room again");
    assert!(scenario.process.wait().unwrap().success());
}

fn malformed_requests_end_a_guardian_with_a_reason() {
    let spawn = |body: &[u8]| {
        let mut frame = u32::try_from(body.len() + 12).unwrap().to_le_bytes().to_vec();
        frame.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        frame.extend(body);
        frame
    };
    // Two counts, sixteen bytes of bounds, strings.
    let strings = |counts: &[u8; 8], strings: &[u8]| spawn(&[&counts[..], &[0; 16], strings].concat());
    for (request, words) in [
        (vec![255; 16], "a frame of 4294967299 bytes"),
        (vec![1, 0, 0, 0], "a frame of 5 bytes"),
        ([12, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec(), "unknown frame kind 9"),
        (spawn(b""), "ends too early"),
        // Two billion arguments are announced, none comes.
        (strings(&[0, 0, 0, 128, 0, 0, 0, 0], b"A\0"), "ends too early"),
        (strings(&[1, 0, 0, 0, 0, 0, 0, 0], b"true"), "ends too early"),
        (strings(&[1, 0, 0, 0, 0, 0, 0, 0], b"true\0more\0"), "too late"),
        (strings(&[1, 0, 0, 0, 0, 0, 0, 0], b"true\0"), "without its descriptors"),
    ] {
        let (said, code) = talk(&request);
        assert!(said.contains(words), "{request:?}: {said}");
        assert_eq!(code, Some(70));
    }
}

/// Starts a guardian by hand, says something to it, and gives its last words and exit code.
#[expect(clippy::disallowed_methods, reason = "plays a supervisor that is not ours")]
fn talk(request: &[u8]) -> (String, Option<i32>) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut guardian = Command::new("/proc/self/exe")
        .arg0("ebbtide-guardian")
        .arg("--serve-as-ebbtide-guardian-on-fd-0")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    ours.write_all(request).unwrap();
    let mut said = String::new();
    // A reset after the last words is an end, too.
    let _ = ours.read_to_string(&mut said);
    (said, guardian.wait().unwrap().code())
}
