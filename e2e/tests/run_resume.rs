//! `ebbtide run --joblog --resume`: after a stop every line is completed exactly once; after a kill none is missing.

use std::path::Path;
use std::time::Duration;

use e2e::run::{Ebbtide, Ended, Run, lawful_report, long_form, numbers, pause, random};
use rustix::process::Signal;

const WORKERS: usize = 3;

fn size() -> (u32, u32) {
    if long_form() { (50, 2_000) } else { (5, 300) }
}

/// A run of `mkdir done/N`, which fails when it is done twice, over a file of numbers.
fn start(folder: &Path, lines: u32) -> Run {
    let input = folder.join("input");
    if !input.exists() {
        std::fs::write(&input, numbers(lines)).expect("the input");
        std::fs::create_dir(folder.join("done")).expect("a folder");
    }
    let workers = WORKERS.to_string();
    let args = ["-w", &workers, "--input", "input", "--joblog", "log", "--report", "report", "--resume"];
    Ebbtide::run(args.into_iter().chain(["--", "mkdir", "done/{}"])).in_folder(folder).start()
}

fn done(folder: &Path) -> u32 {
    u32::try_from(std::fs::read_dir(folder.join("done")).expect("a folder").count()).expect("not so many")
}

fn rows(folder: &Path) -> Vec<Vec<String>> {
    let log = std::fs::read_to_string(folder.join("log")).expect("a log");
    log.lines().skip(1).map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn after_a_stop_every_line_is_completed_exactly_once() {
    let (rounds, lines) = size();
    let mut stopped = 0;
    for round in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let run = start(folder.path(), lines);
        let moment = random(u64::from(lines) * 3 / 4);
        let place = format!("round {round}, stopped after {moment} ms");
        pause(Duration::from_millis(moment));
        run.signal_if_there(Signal::TERM);
        let ended = run.wait();
        // None: the signal came before there was anybody to hear it.
        assert!(matches!(ended.code, Some(0 | 10) | None), "{place}: {:?} {}", ended.code, ended.stderr);
        if let Some(code) = ended.code {
            let report = lawful_report(&folder.path().join("report"));
            assert_eq!(report["outcomes"]["completed"], done(folder.path()), "{place}: {report}");
            assert_eq!(report["exit_code"], code, "{place}");
        }
        stopped += u32::from(ended.code == Some(10));
        let ended = start(folder.path(), lines).wait();
        assert_eq!(ended.code, Some(0), "{place}: {}", ended.stderr);
        let report = lawful_report(&folder.path().join("report"));
        assert_eq!(report["outcomes"]["failed"], 0, "{place}: nothing was done twice");
        assert_eq!(done(folder.path()), lines, "{place}");
        let mut seen: Vec<u32> = rows(folder.path()).iter().map(|row| row[0].parse().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=lines).collect::<Vec<_>>(), "{place}: a row per line");
    }
    assert!(stopped >= rounds / 4, "only {stopped} of {rounds} rounds were stopped in the middle");
}

#[test]
fn after_a_kill_nothing_is_missing_and_only_what_ran_may_run_twice() {
    let (rounds, lines) = size();
    let mut killed = 0;
    for round in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let run = start(folder.path(), lines);
        let moment = random(u64::from(lines) * 3 / 4);
        let place = format!("round {round}, killed after {moment} ms");
        pause(Duration::from_millis(moment));
        run.signal_if_there(Signal::KILL);
        killed += u32::from(run.wait().code.is_none());
        let ended = start(folder.path(), lines).wait();
        assert!(matches!(ended.code, Some(0 | 1)), "{place}: {:?} {}", ended.code, ended.stderr);
        let report = lawful_report(&folder.path().join("report"));
        let twice = report["outcomes"]["failed"].as_u64().unwrap();
        assert!(twice <= WORKERS as u64, "{place}: {twice} ran twice: {}", ended.stderr);
        assert_eq!(done(folder.path()), lines, "{place}: none is missing");
        assert_eq!(rows(folder.path()).len(), lines as usize, "{place}: a row per line");
    }
    assert!(killed >= rounds / 4, "only {killed} of {rounds} rounds were killed in the middle");
}

fn logged(folder: &Path, options: &[&str], command: &[&str], input: &str) -> Ended {
    let args = ["--joblog", "log"].iter().chain(options).chain(&["--"]).chain(command).copied();
    Ebbtide::run(args.collect::<Vec<_>>()).in_folder(folder).feed(input)
}

#[test]
fn the_log_has_gnu_parallels_columns() {
    let folder = tempfile::tempdir().unwrap();
    let ended = logged(folder.path(), &["-w", "1"], &["sh", "-c", "printf 12345; exit $1", "a\tb"], "0\n3\n");
    assert_eq!(ended.code, Some(1));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.starts_with("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"));
    let rows = rows(folder.path());
    assert_eq!(rows[1].len(), 9);
    assert_eq!([&rows[1][0], &rows[1][1], &rows[1][5], &rows[1][6], &rows[1][7]], ["2", ":", "5", "3", "0"]);
    assert_eq!(rows[1][8], r"sh -c 'printf 12345; exit $1' 'a\tb' 3");
}

#[test]
fn resume_skips_what_ended_and_resume_failed_runs_failures_again() {
    let folder = tempfile::tempdir().unwrap();
    let command = ["sh", "-c", "echo $1; [ $1 != 2 ] || [ -e mended ]", "x"];
    assert_eq!(logged(folder.path(), &[], &command, "1\n2\n").code, Some(1));
    let ended = logged(folder.path(), &["--resume"], &command, "1\n2\n3\n");
    assert_eq!((ended.code, ended.text()), (Some(0), "3\n"), "{}", ended.stderr);
    std::fs::write(folder.path().join("mended"), "").unwrap();
    let ended = logged(folder.path(), &["--resume-failed"], &command, "1\n2\n3\n");
    assert_eq!((ended.code, ended.text()), (Some(0), "2\n"), "{}", ended.stderr);
    let ended = logged(folder.path(), &["--resume-failed"], &command, "1\n2\n3\n");
    assert_eq!((ended.code, ended.text()), (Some(0), ""), "{}", ended.stderr);
}

#[test]
fn resume_keeps_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let command = ["sh", "-c", "sleep 0.$((9 - $1)); echo $1", "x"];
    logged(folder.path(), &[], &command, "1\n2\n3\n");
    let ended = logged(folder.path(), &["--resume", "-k", "-w", "4"], &command, &numbers(8));
    assert_eq!(ended.text(), "4\n5\n6\n7\n8\n");
}

#[test]
fn a_torn_last_row_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    logged(folder.path(), &["-w", "1"], &["echo"], &numbers(3));
    let log = folder.path().join("log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, &text[..text.len() - 4]).unwrap();
    let ended = logged(folder.path(), &["--resume"], &["echo"], &numbers(3));
    assert_eq!((ended.code, ended.text()), (Some(0), "3\n"), "{}", ended.stderr);
    assert_eq!(rows(folder.path()).len(), 3);
}

#[test]
fn a_log_of_other_work_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(logged(folder.path(), &["-w", "1"], &["echo"], &numbers(5)).code, Some(0));
    let before = std::fs::read(folder.path().join("log")).unwrap();
    for (command, input) in
        [("echo", "1\n2\nx\n4\n5\n6\n"), ("printf", "1\n2\n3\n4\n5\n6\n"), ("echo", "1\n2\n3\n")]
    {
        std::fs::write(folder.path().join("input"), input).unwrap();
        for option in ["--resume", "--resume-failed"] {
            // From a file it is found before the first task, from a stream at the line that differs.
            let ended = logged(folder.path(), &[option, "--input", "input"], &[command], "");
            assert_eq!((ended.code, ended.text()), (Some(2), ""), "{command} {input:?}");
            assert!(ended.stderr.contains("belongs to other work"), "{}", ended.stderr);
            let ended = logged(folder.path(), &[option], &[command], input);
            assert_eq!(ended.code, Some(2), "{command} {input:?}");
        }
    }
    assert_eq!(std::fs::read(folder.path().join("log")).unwrap(), before, "the log is untouched");
    let unasked = logged(folder.path(), &[], &["echo"], &numbers(5));
    assert_eq!(unasked.code, Some(2));
    assert!(unasked.stderr.contains("--resume"), "{}", unasked.stderr);
}

#[test]
fn a_file_that_is_no_log_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("log"), "my thesis").unwrap();
    let ended = logged(folder.path(), &["--resume"], &["echo"], "1\n");
    assert_eq!(ended.code, Some(2));
    assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), "my thesis");
}
