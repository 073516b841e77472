//! `ebbtide run` when something cannot be kept or printed: it is not done, its end says so, and a resumed run does it again.

use std::path::Path;
use std::process::Stdio;

use e2e::run::{Ebbtide, Ended, file_with, lawful_report, numbers};

const LOG: [&str; 4] = ["--joblog", "log", "--report", "report"];

fn logged(folder: &Path, rest: &[&str]) -> Ebbtide {
    Ebbtide::run(LOG.iter().chain(rest)).in_folder(folder)
}

/// How many rows the log has.
fn rows(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("log")).expect("a log").lines().count() - 1
}

/// The run ends 74, and with `--resume` and room again everything of it is printed.
fn done_again(folder: &Path, args: &[&str], first: &Ended, whole: &str) {
    assert_eq!(first.code, Some(74), "{}", first.stderr);
    let resumed: Vec<&str> = ["--resume"].iter().chain(args).copied().collect();
    let again = logged(folder, &resumed).feed(numbers(2));
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let all = [first.text(), again.text()].concat();
    assert!(all == whole, "{} bytes of {}", all.len(), whole.len());
}

#[test]
fn an_output_that_cannot_be_kept_is_not_done() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' $1; echo";
    let args = ["-w", "1", "--", "sh", "-c", script, "x"];
    let folder = tempfile::tempdir().unwrap();
    let first = logged(folder.path(), &args).with(no_room).feed(numbers(2));
    assert_eq!((first.text(), rows(folder.path())), ("", 0), "nothing of a cut output: {}", first.stderr);
    assert!(
        first.stderr.contains("line 1 (1): its output could not be kept in /nonexistent (TMPDIR"),
        "{}",
        first.stderr
    );
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(report["outcomes"]["completed"], 0, "{report}");
    let whole = ["1", "2"].map(|digit| digit.repeat(3_000_000) + "\n").concat();
    done_again(folder.path(), &args, &first, &whole);
}

#[test]
fn a_result_that_cannot_be_kept_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let worker = "def f(n):\n    return str(n) * 3000000\n";
    std::fs::write(folder.path().join("f.py"), worker).unwrap();
    let args = ["-w", "1", "--worker", "python:f.py:f"];
    let first = logged(folder.path(), &args).with(no_room).feed(numbers(2));
    assert_eq!((first.text(), rows(folder.path())), ("", 0), "{}", first.stderr);
    assert!(
        first.stderr.contains("its result could not be kept in /nonexistent (TMPDIR"),
        "{}",
        first.stderr
    );
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(report["outcomes"]["completed"], 0, "{report}");
    let whole = ["1", "2"].map(|digit| format!("\"{}\"\n", digit.repeat(3_000_000))).concat();
    done_again(folder.path(), &args, &first, &whole);
}

#[test]
fn a_report_overwrites_nothing_that_the_run_reads_or_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lines"), numbers(2)).unwrap();
    std::os::unix::fs::symlink("lines", folder.path().join("link")).unwrap();
    let run = |args: &[&str]| Ebbtide::run(args).in_folder(folder.path()).feed("");
    let first = run(&["--joblog", "log", "--input", "lines", "--", "true"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    for (option, report) in [("--input", "link"), ("--joblog", "./log")] {
        let args = ["--joblog", "log", "--resume", "--input", "lines", "--report", report, "--", "true"];
        let ended = run(&args);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("--report and {option} are the same file")),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("lines")).unwrap(), numbers(2));
    assert_eq!(rows(folder.path()), 2);
}

#[test]
fn what_could_not_be_printed_is_not_done() {
    for order in [&[][..], &["--keep-order"]] {
        let folder = tempfile::tempdir().unwrap();
        let args = [&["-w", "1"], order, &["--", "echo"]].concat();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = logged(folder.path(), &args).with(|run| {
            run.stdin(file_with(numbers(2).as_bytes())).stdout(full).stderr(Stdio::piped());
        });
        let first = run.start_as_it_is().wait();
        assert_eq!(rows(folder.path()), 0, "{}", first.stderr);
        let report = lawful_report(&folder.path().join("report"));
        assert_eq!(report["outcomes"]["completed"], 0, "{report}");
        done_again(folder.path(), &args, &first, "1\n2\n");
    }
}

/// What prints nothing has nothing that could be missing.
#[test]
fn what_prints_nothing_is_done_whoever_reads() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = logged(folder.path(), &["-w", "1", "--", "mkdir"]).with(|run| {
        run.stdin(file_with(numbers(2).as_bytes())).stdout(full).stderr(Stdio::piped());
    });
    let ended = run.start_as_it_is().wait();
    assert_eq!((ended.code, rows(folder.path())), (Some(0), 2), "{}", ended.stderr);
}

/// Nowhere to spool to.
fn no_room(run: &mut std::process::Command) {
    run.env("TMPDIR", "/nonexistent");
}

const LEARNS: &str = "learnt = 0
def f(n):
    global learnt
    learnt += n
    return learnt
def snapshot(): return learnt
def restore(value):
    global learnt
    learnt = value + 0
";

fn learn(folder: &Path, worker: &str, input: &str) -> Ended {
    Ebbtide::run(["-w", "1", "--state-dir", "state", "--worker", worker]).in_folder(folder).feed(input)
}

#[test]
fn a_state_dir_that_cannot_be_written_is_found_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f.py"), "open('begun', 'w')\ndef f(n): return n\n").unwrap();
    let args = ["-w", "1", "--state-dir", "/proc/x", "--worker", "python:f.py:f"];
    let ended = Ebbtide::run(args).in_folder(folder.path()).feed("1\n");
    assert_eq!((ended.code, ended.text()), (Some(74), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("--state-dir: cannot write to /proc/x"), "{}", ended.stderr);
    assert!(!folder.path().join("begun").exists(), "a worker was started");
}

#[test]
fn a_state_that_cannot_be_kept_at_the_end_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let breaks = format!("import shutil\n{LEARNS}").replace(
        "    return learnt\n",
        "    shutil.rmtree('state', True)\n    open('state', 'w').close()\n    return learnt\n",
    );
    std::fs::write(folder.path().join("f.py"), breaks).unwrap();
    let ended = learn(folder.path(), "python:f.py:f", "1\n");
    assert_eq!((ended.code, ended.text()), (Some(74), "1\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--state-dir: the state of run-1 could not be kept"), "{}", ended.stderr);
}

#[test]
fn a_state_is_of_its_worker_and_one_that_is_refused_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f.py"), LEARNS).unwrap();
    std::fs::write(
        folder.path().join("g.py"),
        LEARNS.replace("learnt = 0", "learnt = ''").replace("+ 0", "+ ''"),
    )
    .unwrap();
    assert_eq!(learn(folder.path(), "python:f.py:f", "1\n").text(), "1\n");
    assert_eq!(learn(folder.path(), "python:f.py:f", "1\n").text(), "2\n", "the state of the run before");
    let other = learn(folder.path(), "python:g.py:f", "\"a\"\n");
    assert_eq!(
        (other.code, other.text()),
        (Some(0), "\"a\"\n"),
        "not that of another worker: {}",
        other.stderr
    );
    std::fs::write(folder.path().join("f.py"), LEARNS.replace("+ 0", "+ ''")).unwrap();
    let refused = learn(folder.path(), "python:f.py:f", "1\n");
    assert_eq!(refused.code, Some(14), "{}", refused.stderr);
    let named = refused.stderr.contains("given the state in state/python_f.py_f-");
    assert!(named && refused.stderr.contains(".snapshot"), "{}", refused.stderr);
}
