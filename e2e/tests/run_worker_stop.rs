//! `ebbtide run --worker`, stopped: what runs finishes, what waits comes back, a second signal kills, nobody is left behind.

use std::path::Path;
use std::time::Duration;

use e2e::run::{Ebbtide, Run, eventually, family, lawful_report, numbers, pause};
use rustix::process::Signal;

const NODE: &str = r"
const fs = require('fs');
const begin = (x) => fs.writeFileSync(`started-${x}`, '');
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
module.exports.gate = async (x) => { begin(x); while (!fs.existsSync('open')) await wait(10); return x; };
module.exports.deaf = (x) => { process.on('SIGTERM', () => {}); begin(x); for (;;); };
module.exports.obeys = async (x, task) => {
  begin(x);
  await new Promise((_, no) => task.signal.addEventListener('abort', () => no(task.signal.reason)));
};
module.exports.family = async (x) => {
  require('child_process').spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
  begin(x);
  await wait(300000);
};
";

const PYTHON: &str = "
import os, signal, subprocess, time
def begin(x):
    open(f'started-{x}', 'w').close()
def gate(x):
    begin(x)
    while not os.path.exists('open'):
        time.sleep(0.01)
    return x
def deaf(x):
    begin(x)
    while True:
        pass
def obeys(x, task):
    begin(x)
    while True:
        task.check()
        time.sleep(0.01)
def family(x):
    subprocess.Popen(['sleep', '300'], start_new_session=True)
    begin(x)
    time.sleep(300)
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("n.js"), NODE).expect("a file");
    std::fs::write(folder.path().join("p.py"), PYTHON).expect("a file");
    folder
}

/// The same function in both languages, each in a folder of its own.
fn both(function: &str) -> [(String, tempfile::TempDir); 2] {
    [format!("node:n.js#{function}"), format!("python:p.py:{function}")].map(|worker| (worker, folder()))
}

/// Two workers over a thousand numbers, once both are at work.
fn start(folder: &Path, worker: &str, options: &[&str]) -> Run {
    let args = ["--worker", worker, "-w", "2", "--report", "report", "--env", "EBBTIDE_E2E_MARK"];
    let run = Ebbtide::run(args.iter().chain(options)).in_folder(folder).input(numbers(1_000)).start();
    eventually("both at work", || started(folder) == 2);
    run
}

fn started(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    files.filter(|file| file.file_name().to_string_lossy().starts_with("started-")).count()
}

#[test]
fn the_first_signal_lets_finish_what_runs_and_returns_what_waits() {
    for signal in [Signal::TERM, Signal::INT] {
        for (worker, folder) in both("gate") {
            let mut run = start(folder.path(), &worker, &[]);
            run.signal(signal);
            pause(Duration::from_millis(300));
            assert!(run.ended().is_none(), "what runs is waited for");
            std::fs::write(folder.path().join("open"), "").unwrap();
            let mark = run.mark();
            let ended = run.wait();
            assert_eq!(ended.code, Some(10), "{worker}: {}", ended.stderr);
            assert!(ended.stderr.contains("running: line "), "it says who runs: {}", ended.stderr);
            let report = lawful_report(&folder.path().join("report"));
            assert_eq!((&report["mode"], &report["unread"]), (&"stop".into(), &true.into()), "{report}");
            assert_eq!(
                report["outcomes"]["completed"],
                started(folder.path()),
                "what was begun has completed"
            );
            assert_eq!(report["outcomes"]["completed"], ended.text().lines().count());
            eventually("nobody is left", || family(&mark).is_empty());
        }
    }
}

#[test]
fn a_second_signal_kills_what_ignores_us() {
    for (worker, folder) in both("deaf") {
        let mut run = start(folder.path(), &worker, &["--deadline", "50s", "--grace", "20s"]);
        run.signal(Signal::TERM);
        pause(Duration::from_millis(400));
        assert!(run.ended().is_none(), "what runs may go on");
        let mark = run.mark();
        run.signal(Signal::TERM);
        let ended = run.wait();
        assert_eq!(ended.code, Some(16), "{worker}: {}", ended.stderr);
        let report = lawful_report(&folder.path().join("report"));
        assert_eq!(
            (&report["mode"], &report["outcomes"]["killed"]),
            (&"abort".into(), &2.into()),
            "{report}"
        );
        eventually("nobody is left", || family(&mark).is_empty());
    }
}

#[test]
fn a_deadline_asks_and_then_kills_what_runs() {
    for (function, code, outcome) in [("obeys", 11, "cancelled"), ("deaf", 12, "killed")] {
        for (worker, folder) in both(function) {
            let options = ["--deadline", "3s", "--grace", "1s", "--joblog", "log"];
            let run = start(folder.path(), &worker, &options);
            run.signal(Signal::TERM);
            let ended = run.wait();
            assert_eq!(ended.code, Some(code), "{worker}: {}", ended.stderr);
            let report = lawful_report(&folder.path().join("report"));
            assert_eq!(report["outcomes"][outcome], 2, "{worker}: {report}");
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            assert_eq!(log.lines().count(), 1, "what a stop ended is left to resume: {log}");
        }
    }
}

#[test]
fn a_stop_before_any_worker_is_ready_waits_for_nobody() {
    let folder = folder();
    std::fs::write(folder.path().join("slow.js"), "require('fs').writeFileSync('loading', ''); for (;;);")
        .unwrap();
    let args =
        ["--worker", "node:slow.js", "--deadline", "50s", "--start-timeout", "50s", "--report", "report"];
    let run = Ebbtide::run(args).in_folder(folder.path()).input(numbers(5)).start();
    eventually("it loads", || folder.path().join("loading").exists());
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!((ended.code, ended.text()), (Some(10), ""), "{}", ended.stderr);
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!((&report["accepted"], &report["unread"]), (&0.into(), &true.into()), "{report}");
    assert!(report["duration_ms"].as_u64().unwrap() < 40_000, "it did not wait for the start: {report}");
}

#[test]
fn workers_that_a_stop_ends_while_they_start_are_none_that_cannot_be_started() {
    let folder = folder();
    let mark = "require('fs').writeFileSync(`started-${process.pid}`, ''); for (;;);";
    std::fs::write(folder.path().join("slow.js"), mark).unwrap();
    // More of them than starts may fail before it is given up.
    let args = ["--worker", "node:slow.js", "-w", "4"];
    let run = Ebbtide::run(args).in_folder(folder.path()).input(numbers(5)).start();
    eventually("all of them load", || started(folder.path()) == 4);
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    assert!(!ended.stderr.contains("given up") && !ended.stderr.contains("aborted"), "{}", ended.stderr);
}

#[test]
fn killing_ebbtide_leaves_no_worker_and_nothing_of_theirs() {
    for (worker, folder) in both("family") {
        let run = start(folder.path(), &worker, &[]);
        let mark = run.mark();
        // A program that has just been started has no environment to be seen for a moment.
        eventually("itself, its guardian, two workers and what they started", || family(&mark).len() >= 6);
        run.signal(Signal::KILL);
        assert_eq!(run.wait().code, None);
        eventually("nobody is left", || family(&mark).is_empty());
    }
}

#[test]
fn a_failure_stops_where_that_was_asked() {
    let folder = folder();
    std::fs::write(
        folder.path().join("f.py"),
        "def f(x):\n    if x == 5: raise ValueError('five')\n    return x\n",
    )
    .unwrap();
    let args = ["--worker", "python:f.py:f", "-w", "1", "--halt", "soon", "--queue", "2", "--credits", "1"];
    let ended = Ebbtide::run(args).in_folder(folder.path()).feed(numbers(1_000));
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    assert!(
        ended.text().lines().count() < 999 && ended.text().starts_with("1\n2\n3\n4\n"),
        "{}",
        ended.text()
    );
}
