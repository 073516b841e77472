//! `ebbtide run`, stopped: what runs finishes, what waits comes back, a second signal forces, nobody is orphaned.

use std::io::Write as _;
use std::time::Duration;

use e2e::run::{Ebbtide, Run, eventually, family, lawful_report, now, numbers, pause, soon};
use rustix::process::Signal;

const SECOND: Duration = Duration::from_secs(1);

/// Starts a run over `lines` numbers whose commands make a file `started-N` in `folder` first.
fn start(folder: &std::path::Path, options: &[&str], lines: u32, then: &str) -> Run {
    let report = folder.join("report");
    let script = format!("cd \"$1\" || exit 9; : > started-$2; {then}");
    let mut args = vec!["--report", report.to_str().expect("text")];
    args.extend(options);
    args.extend(["--", "sh", "-c", &script, "x", folder.to_str().expect("text"), "{}"]);
    Ebbtide::run(args).input(numbers(lines).as_bytes()).start()
}

fn wait_for(folder: &std::path::Path, file: &str) {
    eventually(file, || folder.join(file).exists());
}

/// True under `nohup`: what is started ignores hangups too, and rightly goes on.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn the_first_signal_lets_finish_what_runs() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::HUP, "SIGHUP")] {
        if signal == Signal::HUP && hangups_are_ignored() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let run = start(folder.path(), &["-w", "2", "--queue", "3"], 1_000, "sleep 0.5; echo $2");
        wait_for(folder.path(), "started-2");
        run.signal(signal);
        let ended = run.wait();
        assert_eq!(ended.code, Some(10), "{}", ended.stderr);
        let report = lawful_report(&folder.path().join("report"));
        assert_eq!((&report["mode"], &report["signal"]), (&"stop".into(), &name.into()));
        assert_eq!(report["unread"], true);
        assert_eq!(report["exit_code"], 10);
        assert_eq!(report["outcomes"]["completed"], ended.text().lines().count());
        assert_eq!(report["outcomes"]["cancelled"], 0);
        let started = std::fs::read_dir(folder.path()).unwrap().count() - 1;
        assert_eq!(report["outcomes"]["completed"], started, "what was started has completed");
        assert!(ended.stderr.contains("running: line "), "it says who runs: {}", ended.stderr);
    }
}

#[test]
fn a_silent_input_does_not_hold_a_stop() {
    let mut run = Ebbtide::run(["--", "true"]).piped().start();
    let mut input = run.input();
    input.write_all(b"a\nhalf a line").unwrap();
    pause(Duration::from_millis(300));
    run.signal(Signal::TERM);
    soon("the end", 5 * SECOND, || run.ended().is_some());
    assert_eq!(run.wait().code, Some(10));
    drop(input);
}

#[test]
fn signals_close_together_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = start(folder.path(), &["-w", "2"], 100, "sleep 1; echo $2");
    wait_for(folder.path(), "started-2");
    for _ in 0..20 {
        run.signal(Signal::TERM);
        run.signal(Signal::INT);
    }
    let ended = run.wait();
    assert_eq!(ended.code, Some(10), "not forced: {}", ended.stderr);
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(report["outcomes"]["killed"], 0);
}

#[test]
fn a_report_names_the_limits_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let limits = ["--deadline", "7s", "--grace", "2s", "--report", report.to_str().unwrap()];
    for work in [&["--", "true"][..], &["--worker", "python:builtins:abs"]] {
        let ended = Ebbtide::run(limits.iter().chain(work)).feed("1\n");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let said = lawful_report(&report);
        assert_eq!((&said["deadline_ms"], &said["grace_ms"]), (&7_000.0.into(), &2_000.0.into()), "{said}");
    }
}

#[test]
fn a_second_signal_kills_what_ignores_us() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = "trap '' TERM INT; : > deaf-$2; while :; do sleep 0.1; done";
    let mut run = start(folder.path(), &["-w", "2"], 100, deaf);
    wait_for(folder.path(), "deaf-1");
    wait_for(folder.path(), "deaf-2");
    run.signal(Signal::TERM);
    pause(Duration::from_millis(400));
    assert!(run.ended().is_none(), "what runs may go on");
    let mark = run.mark();
    run.signal(Signal::TERM);
    soon("nothing left", Duration::from_millis(1_500), || run.ended().is_some() && family(&mark).is_empty());
    let ended = run.wait();
    assert_eq!(ended.code, Some(16), "{}", ended.stderr);
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!((&report["mode"], &report["outcomes"]["killed"]), (&"abort".into(), &2.into()), "{report}");
    assert_eq!(report["outcomes"]["abandoned"], 0);
}

#[test]
fn a_deadline_ends_what_does_not_finish() {
    let folder = tempfile::tempdir().unwrap();
    let run = start(folder.path(), &["-w", "2", "--deadline", "2s", "--grace", "1s"], 100, "exec sleep 60");
    wait_for(folder.path(), "started-2");
    let begun = now();
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert!(now() - begun < 10 * SECOND);
    assert_eq!(ended.code, Some(11), "{}", ended.stderr);
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(report["outcomes"]["cancelled"], 2, "{report}");
}

#[test]
fn what_is_deaf_at_the_deadline_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = "trap '' TERM; : > deaf-$2; while :; do sleep 0.1; done";
    let run = start(folder.path(), &["-w", "2", "--deadline", "2s", "--grace", "0.5s"], 100, deaf);
    wait_for(folder.path(), "deaf-2");
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(report["outcomes"]["killed"], 2, "{report}");
}

#[test]
fn who_ends_well_after_our_sigterm_has_completed() {
    let folder = tempfile::tempdir().unwrap();
    let polite = "trap 'echo bye; exit 0' TERM; : > ready-$2; while :; do sleep 0.05; done";
    let run = start(folder.path(), &["-w", "1", "--deadline", "2s", "--grace", "1.5s"], 3, polite);
    wait_for(folder.path(), "ready-1");
    run.signal(Signal::TERM);
    let ended = run.wait();
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(report["outcomes"]["completed"], 1, "{report}");
    assert_eq!((ended.code, ended.text()), (Some(10), "bye\n"), "{}", ended.stderr);
}

#[test]
fn killing_ebbtide_leaves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let family_of_three = "trap '' TERM HUP; sleep 300 & setsid sleep 300 & : > ready-$2; wait";
    let run = start(folder.path(), &["-w", "2"], 10, family_of_three);
    wait_for(folder.path(), "ready-1");
    wait_for(folder.path(), "ready-2");
    let mark = run.mark();
    // Ourselves, a guardian for each worker, and theirs. One that is just becoming another program shows no environment.
    soon("a family of nine", 10 * SECOND, || run.family().len() >= 9);
    run.signal(Signal::KILL);
    soon("nobody left", SECOND, || family(&mark).is_empty());
    assert_eq!(run.wait().code, None);
}

#[test]
fn killing_the_guardian_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let run = start(folder.path(), &["-w", "1", "--retries", "0"], 3, "[ $2 = 2 ] && sleep 300; echo $2");
    wait_for(folder.path(), "started-2");
    let guardian = run.family().into_iter().find(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.contains("guard")
    });
    let guardian = rustix::process::Pid::from_raw(guardian.expect("a guardian")).unwrap();
    rustix::process::kill_process(guardian, Signal::KILL).unwrap();
    let ended = run.wait();
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(report["outcomes"]["crashed"], 1, "{report}");
    assert_eq!(report["outcomes"]["completed"], 2, "{report}");
}

#[test]
fn a_killed_guardian_takes_its_own_commands_only_and_another_comes() {
    let folder = tempfile::tempdir().unwrap();
    let waits = "echo $PPID > its-$2; mv its-$2 parent-$2; while [ ! -e go ]; do sleep 0.02; done; echo $2";
    let run = start(folder.path(), &["-w", "2", "--retries", "0"], 8, waits);
    let guardian_of = |line: u32| -> i32 {
        wait_for(folder.path(), &format!("parent-{line}"));
        let pid = std::fs::read_to_string(folder.path().join(format!("parent-{line}"))).unwrap();
        pid.trim().parse().unwrap()
    };
    let guardians = [guardian_of(1), guardian_of(2)];
    let lost = guardians.iter().filter(|&&pid| pid == guardians[0]).count();
    // On a machine with one processor there is one.
    assert_eq!(lost, if std::thread::available_parallelism().unwrap().get() == 1 { 2 } else { 1 });
    let first = rustix::process::Pid::from_raw(guardians[0]).unwrap();
    rustix::process::kill_process(first, Signal::KILL).unwrap();
    let next = guardian_of(3);
    assert_ne!(next, guardians[0]);
    std::fs::write(folder.path().join("go"), "").unwrap();
    let ended = run.wait();
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(report["outcomes"]["crashed"], lost, "{report}");
    assert_eq!(report["outcomes"]["completed"], 8 - lost, "{report}");
}

#[test]
fn halt_soon_lets_finish_what_runs_and_halt_now_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let fails = "[ $2 = 1 ] && { while [ ! -e started-2 ]; do sleep 0.02; done; exit 3; }; sleep 1; echo $2";
    let ended = start(folder.path(), &["-w", "2", "--halt", "soon"], 100, fails).wait();
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!((ended.code, ended.text()), (Some(10), "2\n"), "{}", ended.stderr);
    assert_eq!((&report["mode"], &report["outcomes"]["failed"]), (&"stop".into(), &1.into()), "{report}");

    let folder = tempfile::tempdir().unwrap();
    let fails = fails.replace("sleep 1", "exec sleep 60");
    let ended = start(folder.path(), &["-w", "2", "--halt", "now"], 100, &fails).wait();
    let report = lawful_report(&folder.path().join("report"));
    assert_eq!((ended.code, ended.text()), (Some(10), ""), "{}", ended.stderr);
    assert_eq!((&report["mode"], &report["outcomes"]["cancelled"]), (&"abort".into(), &1.into()), "{report}");
}

#[test]
fn halt_without_anything_left_is_a_plain_failure() {
    let ended = Ebbtide::run(["--halt", "soon", "--", "false"]).feed("a\n");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn nothing_to_do_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    let ended = Ebbtide::run(["--report", path.to_str().unwrap(), "--", "true"]).feed("");
    assert_eq!(ended.code, Some(0));
    let report = lawful_report(&path);
    assert_eq!((&report["mode"], &report["accepted"]), (&"drain".into(), &0.into()));
    assert_eq!(report["unread"], false);
}

#[test]
fn a_run_longer_than_the_deadline_is_nobodys_business_until_it_is_stopped() {
    let ended = Ebbtide::run(["--deadline", "0.5s", "-w", "1", "--", "sleep", "{}"]).feed("2\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
