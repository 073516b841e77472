//! What `ebbtide run` says itself: whole, true, and in words that nobody else can put into its mouth.

use std::path::Path;

use e2e::run::{Ebbtide, Ended, Run, eventually, numbers};
use rustix::process::Signal;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn worker(folder: &Path, options: &[&str]) -> Ebbtide {
    Ebbtide::run(["-w", "1", "--worker", "python:f.py:f"].iter().chain(options)).in_folder(folder)
}

/// With one Python function `f(n)`.
fn python(text: &str, options: &[&str], input: &str) -> Ended {
    let folder = folder(&[("f.py", text)]);
    worker(folder.path(), options).feed(input)
}

fn assert_harmless(ended: &Ended) {
    let other = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!ended.stderr.contains(other), "{:?}", ended.stderr);
    let fake = ended.stderr.lines().find(|line| line.starts_with("ebbtide: fake"));
    assert_eq!(fake, None, "{}", ended.stderr);
}

#[test]
fn texts_of_others_are_tame_in_our_messages() {
    let error =
        "def f(n):\n    raise ValueError('\\x1b[31mevil\\x1b[0m\\nsecond line\\r\\nebbtide: fake line')\n";
    let ended = python(error, &[], "1\n");
    assert!(ended.stderr.contains("second line\n  ebbtide: fake line"), "{:?}", ended.stderr);
    assert_harmless(&ended);
    let words = "import os\ndef f(n):\n    os.write(2, b'\\x1b]0;pwn\\x07\\x1b[2J\\nebbtide: fake\\n')\n    os._exit(3)\n";
    let ended = python(words, &[], "1\n");
    assert!(ended.stderr.contains("last words"), "{:?}", ended.stderr);
    assert_harmless(&ended);
    let ended = Ebbtide::run(["-0", "--", "/nonexist{}"]).feed(b"\x1b]0;pwn\x07\nebbtide: fake\0");
    assert!(ended.stderr.contains("/nonexist"), "{:?}", ended.stderr);
    assert_harmless(&ended);
}

#[test]
fn a_last_line_without_an_end_is_told() {
    let text =
        "import sys\ndef f(n):\n    print('half a line', end='')\n    sys.stdout.flush()\n    return n\n";
    let ended = python(text, &[], "1\n");
    assert_eq!((ended.code, ended.text()), (Some(0), "1\n"), "{}", ended.stderr);
    assert_eq!(ended.stderr, "run-1| half a line\n");
}

#[test]
fn a_line_that_is_cut_says_so() {
    let text = "import sys\ndef f(n):\n    sys.stdout.write('y' * 200000 + n)\n    return len(n)\n";
    for (end, input) in [("none", "\"\"\n"), ("its own", "\"\\n\"\n")] {
        let ended = python(text, &[], input);
        let line = format!("run-1| {}…\n", "y".repeat(8 << 10));
        assert!(ended.stderr == line, "{end}: {} bytes: {:.40}", ended.stderr.len(), ended.stderr);
    }
}

/// A run of two commands of which the first has begun.
fn begun(shell: &str) -> (tempfile::TempDir, Run) {
    let folder = folder(&[("input", "1\n2\n")]);
    let run = Ebbtide::bare([""; 0]).with(|run| {
        *run = e2e::run::command("sh");
        run.args(["-c", shell]).arg(e2e::run::binary());
        run.args(["run", "-q", "-w", "1", "--input", "input", "--", "sh", "-c"]);
        run.args(["touch begun; sleep 1; echo $1", "x"]).current_dir(folder.path());
    });
    let run = run.start();
    eventually("it begins", || folder.path().join("begun").exists());
    (folder, run)
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for (name, signal) in [("INT", Signal::INT), ("HUP", Signal::HUP)] {
        let (_folder, run) = begun(&format!("trap '' {name}; exec \"$0\" \"$@\""));
        run.signal(signal);
        let ended = run.wait();
        assert_eq!((ended.code, ended.text()), (Some(0), "1\n2\n"), "{name}: {}", ended.stderr);
    }
    let (_folder, run) = begun("trap - INT; exec \"$0\" \"$@\"");
    run.signal(Signal::INT);
    let ended = run.wait();
    assert_eq!((ended.code, ended.text()), (Some(10), "1\n"), "{}", ended.stderr);
}

#[test]
fn commands_that_fail_are_named_up_to_ten_and_then_counted() {
    let script = "[ $1 = 2 ] || exit 3";
    let run = |options: &[&str], input: &str| {
        let command = ["--", "sh", "-c", script, "x"];
        Ebbtide::run(["-w", "1"].iter().chain(options).chain(&command)).feed(input)
    };
    let ended = run(&[], "1\n2\n");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("ebbtide: line 1 (1): exit code 3\n"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("line 2"), "{}", ended.stderr);
    let ended = run(&[], &numbers(15));
    assert_eq!(ended.stderr.matches("exit code 3").count(), 10, "{}", ended.stderr);
    assert!(ended.stderr.contains("ebbtide: 4 more failed"), "{}", ended.stderr);
    for quiet in [&["-q"][..], &["--output", "json"]] {
        let ended = run(quiet, "1\n2\n");
        assert!(!ended.stderr.contains("line 1"), "{quiet:?}: {}", ended.stderr);
    }
}

#[test]
fn no_worker_is_named_for_a_line_that_none_was_sent() {
    let ended = python("def f(n):\n    return n\n", &["--output", "json"], "1\nx\n");
    let objects = ended.objects();
    let invalid = objects.iter().find(|object| object["id"] == 2).expect("the second line");
    assert_eq!(invalid["error"]["name"], "InvalidJson", "{invalid}");
    assert_eq!(
        (&invalid["worker"], &invalid["attempts"]),
        (&serde_json::Value::Null, &0.into()),
        "{invalid}"
    );
    assert!(!ended.stderr.contains("run-1"), "{}", ended.stderr);
}

#[test]
fn a_start_that_we_ended_is_no_failed_start() {
    let text = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n";
    let folder = folder(&[("f.py", text)]);
    let run = worker(folder.path(), &["-q"]).input("1\n").start();
    eventually("it begins", || folder.path().join("begun").exists());
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    assert!(!ended.stderr.contains("could not be started"), "{}", ended.stderr);
}

#[test]
fn a_task_that_goes_at_half_of_the_grace_did_not_have_all_of_it() {
    let text = "import time\ndef f(n):\n    while True:\n        try:\n            time.sleep(60)\n        except Exception:\n            pass\n";
    let ended = python(text, &["--timeout", "300ms", "--grace", "1s"], "1\n");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("did not obey within half of its grace"), "{}", ended.stderr);
}
