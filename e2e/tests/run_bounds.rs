//! `ebbtide run` at its bounds: endless output, long lines, huge inputs, closed and full outputs.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use e2e::run::{Ebbtide, eventually, file_with, lawful_report, long_form, numbers, pause};
use rustix::process::Signal;

const MIB: usize = 1024 * 1024;
/// More than the binary itself and its threads need, less than a tenth of what passes through.
const MEMORY: u64 = 24 * MIB as u64;

#[test]
fn an_output_of_a_gibibyte_costs_disk_not_memory() {
    let size = if long_form() { 1024 } else { 300 };
    let script = format!("head -c {size}M /dev/zero; echo end >&2");
    let run = Ebbtide::run(["--", "sh", "-c", &script]).input(b"a\n");
    let mut run = run.start();
    let mut output = run.output();
    let mut piece = vec![0; 64 * 1024];
    let (mut total, mut peak) = (0, 0);
    loop {
        let read = output.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        if total == 0 {
            peak = run.memory_peak();
        }
        total += read;
    }
    assert_eq!(total, size * MIB);
    assert!(peak < MEMORY, "{} MiB", peak / MIB as u64);
    let ended = run.wait();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "end\n"));
}

#[test]
fn json_keeps_the_beginning_and_says_so() {
    let ended = Ebbtide::run(["--output", "json", "--", "head", "-c", "{}", "/dev/zero"]).feed("5000000\n");
    let object = &ended.objects()[0];
    assert_eq!(object["stdout"].as_str().unwrap().len(), MIB);
    assert_eq!((&object["stdout_truncated"], &object["stdout_bytes"]), (&true.into(), &5_000_000.into()));
    assert!(object.get("stderr_truncated").is_none(), "{}", object["stderr"]);
}

#[test]
fn a_spooled_output_stays_whole_and_in_order() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' $1; echo";
    let ended = Ebbtide::run(["-k", "-w", "4", "--", "sh", "-c", script, "x"]).feed("a\nb\nc\nd\n");
    assert_eq!(ended.code, Some(0));
    let lines: Vec<_> = ended.text().lines().collect();
    assert_eq!(lines.len(), 4);
    for (line, letter) in lines.iter().zip(["a", "b", "c", "d"]) {
        assert!(*line == letter.repeat(3_000_000), "{letter}");
    }
}

#[test]
fn a_line_that_is_no_argument_fails_and_one_beyond_the_limit_ends_the_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    let long = "x".repeat(10 * MIB);
    let args = ["-k", "--output", "json", "--report", path.to_str().unwrap(), "--", "echo"];
    let ended = Ebbtide::run(args).feed(format!("a\n{long}\nb\n"));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let outcomes: Vec<_> = ended.objects().iter().map(|object| object["outcome"].clone()).collect();
    assert_eq!(outcomes, ["completed", "failed", "completed"]);
    assert!(ended.stderr.contains("longer than the system takes"), "{}", ended.stderr);

    let ended = Ebbtide::run(args).feed(format!("a\n{long}x\nb\n"));
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains("line 2 is longer than 10 MiB"), "{}", ended.stderr);
    let report = lawful_report(&path);
    assert_eq!((&report["unread"], &report["accepted"]), (&true.into(), &1.into()));
}

#[test]
fn ten_million_lines_need_no_memory() {
    let lines = if long_form() { 10_000_000 } else { 1_000_000 };
    let mut run = Ebbtide::run(["--dry-run", "--", "echo", "{}"]).piped().start();
    let mut input = run.input();
    let writer = std::thread::Builder::new().spawn(move || {
        let block: String = (0..10_000).map(|number| format!("a line with number {number}\n")).collect();
        for _ in 0..lines / 10_000 {
            std::io::Write::write_all(&mut input, block.as_bytes()).unwrap();
        }
        input
    });
    let mut output = run.output();
    let reader = std::thread::Builder::new().spawn(move || {
        let (mut piece, mut count) = (vec![0; 256 * 1024], 0);
        loop {
            let read = output.read(&mut piece).unwrap();
            if read == 0 {
                return count;
            }
            count += piece[..read].iter().filter(|byte| **byte == b'\n').count();
        }
    });
    let input = writer.unwrap().join().unwrap();
    let peak = run.memory_peak();
    drop(input);
    assert_eq!(reader.unwrap().join().unwrap(), lines);
    assert!(peak < 32 * MIB as u64, "{} MiB", peak / MIB as u64);
    assert_eq!(run.wait().code, Some(0));
}

#[test]
fn reading_waits_for_who_does_not_read_our_output() {
    let mut run = Ebbtide::run(["-w", "2", "--", "echo"]).piped().start();
    let mut input = run.input();
    let feed = std::thread::Builder::new().spawn(move || {
        let block = numbers(20_000);
        // Ends when the run is killed.
        while std::io::Write::write_all(&mut input, block.as_bytes()).is_ok() {}
    });
    pause(Duration::from_secs(2));
    let early = run.memory_peak();
    pause(Duration::from_secs(2));
    assert!(run.memory_peak() < early + 16 * MIB as u64, "it grows");
    run.signal(Signal::KILL);
    assert_eq!(run.wait().code, None);
    feed.unwrap().join().unwrap();
}

#[test]
fn a_closed_output_stops_the_run_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let log = folder.path().join("log");
    let args = ["-w", "2", "--report", report.to_str().unwrap(), "--joblog", log.to_str().unwrap()];
    let mut run = Ebbtide::run(args.into_iter().chain(["--", "sh", "-c", "echo $1; sleep 0.05", "x"]))
        .input(numbers(100_000).as_bytes())
        .start();
    let mut output = run.output();
    let mut first = [0; 2];
    output.read_exact(&mut first).unwrap();
    drop(output);
    eventually("the end", || run.ended().is_some());
    let ended = run.wait();
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains("standard output was closed"), "{}", ended.stderr);
    let report = lawful_report(&report);
    let rows = std::fs::read_to_string(log).unwrap().lines().count() - 1;
    assert_eq!(report["outcomes"]["completed"], rows, "what completed is logged: {report}");
    assert_eq!(report["unread"], true);
}

#[test]
fn an_output_that_nobody_reads_does_not_hold_a_forced_stop() {
    let mut run =
        Ebbtide::run(["-w", "2", "--", "sh", "-c", "seq 100000"]).input(numbers(1_000).as_bytes()).start();
    let output = run.output();
    pause(Duration::from_millis(500));
    run.signal(Signal::TERM);
    pause(Duration::from_millis(400));
    run.signal(Signal::TERM);
    e2e::run::soon("the end", Duration::from_secs(5), || run.ended().is_some());
    drop(output);
    let ended = run.wait();
    assert_eq!(ended.code, Some(74), "what was not printed is an output error: {}", ended.stderr);
}

#[test]
fn a_full_disk_is_found_before_the_first_task_where_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    for option in ["--report", "--joblog"] {
        let ended = Ebbtide::run([option, "/dev/full", "--", "touch", done.to_str().unwrap()]).feed("a\n");
        assert_eq!(ended.code, Some(74), "{option}: {}", ended.stderr);
        assert!(ended.stderr.contains("/dev/full"), "{}", ended.stderr);
        assert!(!done.exists(), "{option}: before the first task");
        let ended =
            Ebbtide::run([option, "/nonexistent/x", "--", "touch", done.to_str().unwrap()]).feed("a\n");
        assert_eq!(ended.code, Some(74), "{option}: {}", ended.stderr);
        assert!(!done.exists(), "{option}: before the first task");
    }
}

#[test]
fn a_full_standard_output_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = Ebbtide::run(["--", "echo"]).with(|run| {
        run.stdin(file_with(b"a\n")).stdout(full).stderr(Stdio::piped());
    });
    let ended = run.start_as_it_is().wait();
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write to the standard output"), "{}", ended.stderr);
}

#[test]
fn a_disk_that_fills_up_stops_the_run_and_shows_the_rows() {
    // A limit on the size of files stands for a disk that fills up; the log's header and some rows fit.
    let folder = tempfile::tempdir().unwrap();
    let script = "ulimit -f 1; trap '' XFSZ; exec \"$0\" \"$@\"";
    let run = e2e::run::command("sh")
        .args(["-c", script])
        .arg(e2e::run::binary())
        .args(["run", "-w", "1", "--joblog", "log", "--", "echo"])
        .current_dir(folder.path())
        .stdin(file_with(numbers(10_000).as_bytes()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(74), "{said}");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let printed = String::from_utf8_lossy(&run.stdout).lines().count();
    assert!(log.ends_with('\n'), "no torn row");
    let shown = said.matches("its row was").count();
    assert_eq!(log.lines().count() - 1 + shown, printed, "each row is in the log or in the messages: {said}");
}

#[test]
fn more_workers_than_descriptors_are_refused_at_the_start() {
    let run = e2e::run::command("sh")
        .args(["-c", "ulimit -n 200; exec \"$0\" \"$@\""])
        .arg(e2e::run::binary())
        .args(["run", "-w", "100", "--", "echo"])
        .stdin(file_with(b"a\n"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!((run.status.code(), run.stdout.as_slice()), (Some(14), &b""[..]), "{said}");
    assert!(said.contains("ulimit -n"), "{said}");
}
