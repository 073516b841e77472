//! `ebbtide run`, the main job: lines become commands, outputs come out whole, ends are told truly.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use e2e::run::{Ebbtide, command, lawful_report, numbers};

fn sources() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found =
        command("find").args(["crates", "e2e", "-name", "*.rs"]).current_dir(root).output().expect("find");
    assert!(found.stdout.len() > 100);
    found.stdout
}

#[test]
fn its_output_equals_that_of_xargs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = sources();
    let input = || e2e::run::file_with(&list);
    let theirs = command("xargs")
        .args(["-P", "4", "-I{}", "wc", "-l", "{}"])
        .current_dir(&root)
        .stdin(input())
        .output()
        .unwrap();
    let ours = Ebbtide::run(["--workers", "4", "--", "wc", "-l", "{}"]).with(|run| {
        run.current_dir(&root);
    });
    let ours = ours.feed(&list);
    assert_eq!(ours.code, Some(0), "{}", ours.stderr);
    let mut expected: Vec<_> = std::str::from_utf8(&theirs.stdout).unwrap().lines().collect();
    expected.sort_unstable();
    assert_eq!(ours.sorted(), expected);
    assert_eq!(expected.len(), list.split(|byte| *byte == b'\n').count() - 1);
}

#[test]
fn keep_order_equals_xargs_one_by_one() {
    // The first ones take longest: without --keep-order they would come last.
    let ended =
        Ebbtide::run(["-k", "-w", "4", "--", "sh", "-c", "sleep 0.$((9 - $1))0; echo $1; echo e$1 >&2", "x"])
            .feed(numbers(8));
    assert_eq!(ended.text(), numbers(8));
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"]);
}

#[test]
fn outputs_are_never_mixed() {
    let script = "for part in a b c d e f g h; do printf '%s-%s ' $1 $part; sleep 0.002; done; echo";
    let ended = Ebbtide::run(["-w", "8", "--", "sh", "-c", script, "x"]).feed(numbers(40));
    assert_eq!(ended.code, Some(0));
    for line in ended.text().lines() {
        let number = line.split('-').next().unwrap();
        let whole: String = "abcdefgh".chars().map(|part| format!("{number}-{part} ")).collect();
        assert_eq!(line, whole);
    }
    assert_eq!(ended.text().lines().count(), 40);
}

#[test]
fn arguments_never_meet_a_shell() {
    let evil = "a b;c $(touch x) 'q' \"d\" * \\n && false\n";
    let ended = Ebbtide::run(["--", "printf", "[%s]{}", "{}"]).feed(evil);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.text().starts_with("[a b;c $(touch x) 'q' \"d\" * \\n && false]"), "{}", ended.text());
}

#[test]
fn without_braces_the_line_is_appended_and_nul_separates_where_asked() {
    let ended = Ebbtide::run(["-0", "-k", "--", "printf", "<%s>"]).feed("a\nb\0c d\0\0e");
    assert_eq!(ended.text(), "<a\nb><c d><e>");
}

#[test]
fn empty_lines_are_skipped_and_a_carriage_return_is_kept() {
    let ended = Ebbtide::run(["-k", "--", "printf", "<%s>"]).feed("\n\na\r\n\nb");
    assert_eq!(ended.text(), "<a\r><b>");
    assert!(ended.stderr.contains("CR LF"), "{}", ended.stderr);
    let nothing = Ebbtide::run(["--", "echo"]).feed("\n\n");
    assert_eq!((nothing.code, nothing.text()), (Some(0), ""));
}

#[test]
fn the_standard_input_of_a_command_is_empty() {
    let ended = Ebbtide::run(["--", "sh", "-c", "cat; echo end"]).feed(numbers(3));
    assert_eq!(ended.text(), "end\nend\nend\n");
}

#[test]
fn json_has_an_object_per_task() {
    let script = "echo out $1; echo err >&2; case $1 in 2) exit 7;; 3) kill -9 $$;; esac";
    let ended = Ebbtide::run(["-k", "--output", "json", "--", "sh", "-c", script, "x"]).feed(numbers(3));
    assert_eq!(ended.code, Some(1));
    let objects = ended.objects();
    let view = |field: &str| objects.iter().map(|object| object[field].clone()).collect::<Vec<_>>();
    assert_eq!(view("id"), [1, 2, 3]);
    assert_eq!(view("input"), ["1", "2", "3"]);
    assert_eq!(view("outcome"), ["completed", "failed", "crashed"]);
    assert_eq!(view("exit_code"), [0.into(), 7.into(), serde_json::Value::Null]);
    assert_eq!(view("signal"), [serde_json::Value::Null, serde_json::Value::Null, 9.into()]);
    assert_eq!(view("stdout"), ["out 1\n", "out 2\n", "out 3\n"]);
    assert_eq!(view("stderr"), ["err\n"; 3]);
    assert_eq!(view("attempts"), [1; 3]);
    for object in objects {
        assert!(object["waited_ms"].is_u64() && object["ran_ms"].is_u64(), "{object}");
    }
}

#[test]
fn bytes_that_are_not_text_arrive_and_are_base64_in_json() {
    let line = b"\xff\xfe x\n";
    let plain = Ebbtide::run(["--", "printf", "%s"]).feed(line);
    assert_eq!(plain.stdout, b"\xff\xfe x");
    let object = &Ebbtide::run(["--output", "json", "--", "printf", "%s"]).feed(line).objects()[0];
    assert_eq!(object["input_base64"], "//4geA==");
    assert_eq!(object["stdout_base64"], "//4geA==");
    assert!(object.get("input").is_none() && object.get("stdout").is_none(), "{object}");
}

#[test]
fn a_line_with_a_nul_fails_its_own_task() {
    let ended = Ebbtide::run(["-k", "--output", "json", "--", "echo"]).feed(b"a\nb\0c\nd\n");
    assert_eq!(ended.code, Some(1));
    let outcomes: Vec<_> = ended.objects().iter().map(|object| object["outcome"].clone()).collect();
    assert_eq!(outcomes, ["completed", "failed", "completed"]);
    assert!(ended.stderr.contains("line 2"), "{}", ended.stderr);
}

#[test]
fn a_command_that_does_not_exist_is_found_before_the_first_task() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let ended =
        Ebbtide::run(["--report", report.to_str().unwrap(), "--", "no-such-command-here", "{}"]).feed("a\n");
    assert_eq!(ended.code, Some(127));
    assert!(ended.stderr.contains("no-such-command-here: command not found"), "{}", ended.stderr);
    assert!(!report.exists(), "nothing was begun");
    let plain = Ebbtide::run(["--", "/etc/passwd"]).feed("a\n");
    assert_eq!(plain.code, Some(127));
    assert!(plain.stderr.contains("cannot be executed"), "{}", plain.stderr);
}

#[test]
fn a_script_whose_interpreter_is_missing_is_not_said_to_be_missing_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = Ebbtide::run(["--", "./script"]).in_folder(folder.path()).feed("a\n");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("./script: it is there, but not the interpreter"), "{}", ended.stderr);
}

#[test]
fn braces_in_the_command_itself_fail_one_task_not_the_run() {
    let ended = Ebbtide::run(["-k", "--output", "json", "--", "{}", "x"]).feed("echo\nno-such-command\n");
    assert_eq!(ended.code, Some(1));
    let objects = ended.objects();
    assert_eq!((&objects[0]["stdout"], &objects[1]["exit_code"]), (&"x\n".into(), &127.into()));
}

#[test]
fn a_command_that_fails_is_started_again_and_its_last_output_kept() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo x >> \"$2/$1\"; wc -l < \"$2/$1\"; [ \"$(wc -l < \"$2/$1\")\" -ge 3 ]";
    let place = folder.path().to_str().unwrap();
    let args = ["--retries", "2", "--output", "json", "--", "sh", "-c", script, "x", "{}", place];
    let ended = Ebbtide::run(args).feed("a\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let object = &ended.objects()[0];
    assert_eq!((&object["attempts"], &object["stdout"]), (&3.into(), &"3\n".into()));
    let args = ["--retries", "1", "--output", "json", "--", "false"];
    let object = &Ebbtide::run(args).feed("a\n").objects()[0];
    assert_eq!((&object["attempts"], &object["outcome"]), (&2.into(), &"failed".into()));
}

#[test]
fn a_task_that_runs_out_of_time_is_asked_then_killed() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let script = "case $1 in 1) sleep 60;; 2) trap '' TERM; while :; do sleep 0.05; done;; esac";
    let args = ["-k", "-w", "3", "--timeout", "0.3", "--grace", "0.3", "--output", "json", "--report"];
    let rest = [report.to_str().unwrap(), "--", "sh", "-c", script, "x"];
    let ended = Ebbtide::run(args.into_iter().chain(rest)).feed(numbers(3));
    let outcomes: Vec<_> = ended.objects().iter().map(|object| object["outcome"].clone()).collect();
    assert_eq!(outcomes, ["timed_out", "killed", "completed"], "{}", ended.stderr);
    assert_eq!(ended.code, Some(1), "killed by its own time-out, not by a stop");
    assert_eq!(lawful_report(&report)["mode"], "drain");
    assert!(ended.stderr.contains("ran out of time"), "{}", ended.stderr);
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let ended = Ebbtide::run(["--", "sh", "-c", "sleep 300 & echo $!"]).feed("a\n");
    let pid = ended.text().trim();
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn a_dry_run_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let ended = Ebbtide::run(["--dry-run", "--", "touch", "{}"]).feed(file.as_os_str().as_bytes());
    assert_eq!(ended.text(), format!("touch {}\n", file.display()));
    assert!(!file.exists());
    let ended = Ebbtide::run(["--dry-run", "--output", "json", "--", "no-such", "{}"]).feed("a b\n");
    assert_eq!(ended.text(), "{\"id\":1,\"input\":\"a b\",\"command\":[\"no-such\",\"a b\"]}\n");
}

#[test]
fn wrong_use_ends_with_2_and_names_the_option() {
    for (args, named) in [
        (&["--workers", "4..2", "--", "true"][..], "--workers"),
        (&["--workers", "0", "--", "true"], "--workers"),
        (&["--queue", "0", "--", "true"], "--queue"),
        (&["--timeout", "soon", "--", "true"], "--timeout"),
        (&["--resume", "--", "true"], "--joblog"),
        (&["--output", "xml", "--", "true"], "--output"),
        (&[], "COMMAND"),
    ] {
        let ended = Ebbtide::run(args).feed("a\n");
        assert_eq!(ended.code, Some(2), "{args:?}");
        assert!(ended.stderr.contains(named), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn unreadable_input_ends_with_74() {
    for input in ["/nonexistent/input", "/"] {
        let ended = Ebbtide::run(["--input", input, "--", "true"]).feed("");
        assert_eq!(ended.code, Some(74));
        assert!(ended.stderr.contains(input), "{}", ended.stderr);
    }
}

#[test]
fn a_dash_is_the_standard_input() {
    let ended = Ebbtide::run(["--input", "-", "--", "echo"]).feed("a\n");
    assert_eq!((ended.code, ended.text()), (Some(0), "a\n"), "{}", ended.stderr);
}

#[test]
fn help_completions_and_the_manual_say_the_same() {
    let help = Ebbtide::run(["--help"]).feed("");
    let page = Ebbtide::bare(["man"]).feed("");
    for text in [help.text(), page.text()] {
        assert!(text.contains("Exit codes") && text.contains("forced by a second signal"), "{text}");
    }
    assert_eq!((help.code, page.code), (Some(0), Some(0)));
    for shell in ["bash", "zsh", "fish"] {
        let script = Ebbtide::bare(["completions", shell]).feed("");
        assert!(script.text().contains("keep-order"), "{shell}");
    }
    assert_eq!(Ebbtide::bare(["--version"]).feed("").code, Some(0));
    assert_eq!(Ebbtide::bare([""; 0]).feed("").code, Some(2));
}

#[test]
fn a_slow_first_line_holds_the_order_and_not_the_run() {
    // More tasks than may be ahead of the oldest unprinted one.
    let script = "[ $1 != 1 ] || sleep 2; echo $1";
    let ended = Ebbtide::run(["-k", "-w", "3", "--", "sh", "-c", script, "x"]).feed(numbers(2_500));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.text() == numbers(2_500), "in the order of the input");
}

#[test]
fn quiet_says_nothing_but_errors() {
    let ended = Ebbtide::run(["--quiet", "--", "false"]).feed("a\r\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    let ended = Ebbtide::run(["--", "false"]).feed("a\n");
    assert_eq!(ended.stderr, "ebbtide: line 1 (a): exit code 1\nebbtide: ended: 1 failed, all input read\n");
}
