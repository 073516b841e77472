//! One command: start, arguments, environment, descriptors, signals, and why it did not start.

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use ebbtide::process::{CommandSpec, Ended, SpawnError};

use crate::scenario::Running;
use crate::tools::{fresh_mark, output, shell, start};

/// Every test of this file.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("exit_code_is_kept", exit_code_is_kept),
    ("signal_and_core_are_told", signal_and_core_are_told),
    ("usage_is_told", usage_is_told),
    ("arguments_arrive_as_they_are", arguments_arrive_as_they_are),
    ("environment_is_inherited_and_changed", environment_is_inherited_and_changed),
    ("path_of_the_command_finds_it", path_of_the_command_finds_it),
    ("directory_is_entered", directory_is_entered),
    ("stdin_is_null_unless_given", stdin_is_null_unless_given),
    ("stderr_and_stdout_may_be_one", stderr_and_stdout_may_be_one),
    ("no_other_descriptor_is_passed", no_other_descriptor_is_passed),
    ("signals_are_as_new", signals_are_as_new),
    ("descriptor_limit_is_as_before", descriptor_limit_is_as_before),
    ("own_group_guardians_session", own_group_guardians_session),
    ("a_mebibyte_of_arguments", a_mebibyte_of_arguments),
    ("not_found_is_typed", not_found_is_typed),
    ("not_executable_is_typed", not_executable_is_typed),
    ("not_a_program_is_typed_and_no_shell_tries_it", not_a_program_is_typed_and_no_shell_tries_it),
    ("bad_directory_is_typed", bad_directory_is_typed),
    ("too_long_is_typed", too_long_is_typed),
    ("what_cannot_be_written_is_refused", what_cannot_be_written_is_refused),
];

fn exit_code_is_kept() {
    let guardian = start();
    for code in [0, 1, 42, 255] {
        let exit = guardian.spawn(shell(&format!("exit {code}"))).unwrap().wait();
        assert_eq!(exit.ended, Ended::Exited { code });
        assert_eq!(exit.success(), code == 0);
    }
}

fn signal_and_core_are_told() {
    let exit = start().spawn(shell("ulimit -c 0; kill -SEGV $$")).unwrap().wait();
    assert_eq!(exit.ended, Ended::Signaled { signal: 11, core_dumped: false });
    assert_eq!(exit.to_string(), "ended by SIGSEGV");
    assert_eq!((exit.code(), exit.signal()), (None, Some(11)));
}

fn usage_is_told() {
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let usage = start().spawn(shell(script)).unwrap().wait().usage;
    assert!(usage.user > Duration::from_millis(1), "{usage:?}");
    assert!(usage.max_rss_bytes > 100 << 10, "{usage:?}");
}

fn arguments_arrive_as_they_are() {
    let args = ["%s|%s|%s|%s", "a b", "$HOME", "", "\n'\"\\*"];
    assert_eq!(output(&start(), CommandSpec::new("printf").args(args)), "a b|$HOME||\n'\"\\*");
}

fn environment_is_inherited_and_changed() {
    let guardian = start();
    let path = std::env::var("PATH").unwrap();
    let show =
        |spec: CommandSpec| output(&guardian, spec.args(["-c", "echo \"$PATH|$ONE|$TWO|${HOME-none}\""]));
    let sh = || CommandSpec::new("/bin/sh");
    assert!(show(sh()).starts_with(&format!("{path}|")));
    let changed = sh().env("ONE", "1").env("TWO", "first").env("TWO", "a=b").env_remove("HOME");
    assert_eq!(show(changed), format!("{path}|1|a=b|none\n"));
    assert_eq!(output(&guardian, CommandSpec::new("env").env_clear().env("ONE", "1")), "ONE=1\n");
}

fn path_of_the_command_finds_it() {
    let directory = scratch();
    write(&directory.join("tool"), "#!/bin/sh\necho found\n", 0o755);
    // A directory that may not be searched is no file that may not be run.
    let closed = directory.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let missing = start().spawn(CommandSpec::new("tool").env("PATH", &closed)).unwrap_err();
    fs::remove_dir(closed).unwrap();
    assert!(matches!(missing, SpawnError::NotFound { .. }));
    let path = format!("/no/such/place:{}", directory.display());
    assert_eq!(output(&start(), CommandSpec::new("tool").env("PATH", path)), "found\n");
    fs::remove_dir_all(directory).unwrap();
}

fn directory_is_entered() {
    let directory = scratch();
    write(&directory.join("tool"), "#!/bin/sh\npwd\n", 0o755);
    let printed = output(&start(), CommandSpec::new("./tool").cwd(&directory));
    assert_eq!(PathBuf::from(printed.trim_end()), directory);
    let ours = std::env::current_dir().unwrap();
    assert_eq!(output(&start(), CommandSpec::new("pwd")).trim_end(), ours.to_str().unwrap());
    fs::remove_dir_all(directory).unwrap();
}

fn stdin_is_null_unless_given() {
    let guardian = start();
    assert_eq!(output(&guardian, CommandSpec::new("cat")), "");
    let (read, mut write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut write, b"given").unwrap();
    drop(write);
    assert_eq!(output(&guardian, CommandSpec::new("cat").stdin(OwnedFd::from(read))), "given");
}

fn stderr_and_stdout_may_be_one() {
    let (read, write) = std::io::pipe().unwrap();
    let spec = shell("echo out; echo err >&2").stdout(write.try_clone().unwrap()).stderr(write);
    assert!(start().spawn(spec).unwrap().wait().success());
    assert_eq!(std::io::read_to_string(read).unwrap(), "out\nerr\n");
}

fn no_other_descriptor_is_passed() {
    // One that is not close-on-exec in the supervisor, and commands before and beside it.
    let leaky = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    let guardian = start();
    let _beside = guardian.spawn(CommandSpec::new("sleep").arg("100")).unwrap();
    let listed = output(&guardian, CommandSpec::new("ls").args(["/proc/self/fd"]));
    // The fourth is the directory being listed.
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

fn signals_are_as_new() {
    let status = output(&start(), CommandSpec::new("cat").arg("/proc/self/status"));
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "SigCgt:\t0000000000000000"] {
        assert!(status.contains(line), "{line} not in {status}");
    }
    // SIGPIPE has its default action: the writer ends, quietly.
    let (read, write) = std::io::pipe().unwrap();
    let child = start().spawn(CommandSpec::new("yes").stdout(write)).unwrap();
    drop(read);
    assert_eq!(child.wait().signal(), Some(13));
}

fn descriptor_limit_is_as_before() {
    // The guardian raises its own to what is allowed.
    let mut scenario = Running::start("ulimit -Sn 50 && ulimit -Hn 200 && exec", &["show-limits"]);
    assert_eq!((scenario.line(), scenario.line()), ("50".to_owned(), "200".to_owned()));
}

fn own_group_guardians_session() {
    let guardian = start();
    let child = guardian.spawn(CommandSpec::new("sleep").arg("100")).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.pid()).unwrap());
    assert_eq!(rustix::process::getpgid(pid).unwrap(), pid.unwrap());
    let session = rustix::process::getsid(pid).unwrap();
    assert_eq!(session.as_raw_nonzero().get().unsigned_abs(), guardian.pid());
    let name = fs::read_to_string(format!("/proc/{}/comm", guardian.pid())).unwrap();
    assert_eq!(name, "ebbtide-guard\n");
}

fn a_mebibyte_of_arguments() {
    let guardian = start();
    let args = (0..16).map(|n| char::from(b'a' + n).to_string().repeat(64 << 10));
    let expected = args.clone().map(|arg| arg + "\n").collect::<String>();
    assert_eq!(output(&guardian, CommandSpec::new("printf").arg("%s\n").args(args)), expected);
    // 1.8 MB in many small ones.
    let many = (0..18_000).map(|n| format!("{n:099}"));
    assert_eq!(output(&guardian, shell("echo $#").arg("sh").args(many)), "18000\n");
}

fn not_found_is_typed() {
    let guardian = start();
    for name in ["no-such-command-here", "/no/such/command", "./nor/this"] {
        let error = guardian.spawn(CommandSpec::new(name)).unwrap_err();
        assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("{name}: command not found"));
        assert_eq!(error.program(), name);
    }
}

fn not_executable_is_typed() {
    let directory = scratch();
    write(&directory.join("tool"), "#!/bin/sh\n", 0o644);
    let guardian = start();
    let by_path = guardian.spawn(CommandSpec::new(directory.join("tool"))).unwrap_err();
    assert!(matches!(by_path, SpawnError::NotExecutable { .. }), "{by_path:?}");
    let path = format!("{}:/bin", directory.display());
    let by_name = guardian.spawn(CommandSpec::new("tool").env("PATH", &path)).unwrap_err();
    assert!(matches!(by_name, SpawnError::NotExecutable { .. }), "{by_name:?}");
    // One that may not be executed does not hide one that may.
    write(&directory.join("true"), "", 0o644);
    assert!(guardian.spawn(CommandSpec::new("true").env("PATH", path)).unwrap().wait().success());
    fs::remove_dir_all(directory).unwrap();
}

fn not_a_program_is_typed_and_no_shell_tries_it() {
    let directory = scratch();
    let proof = directory.join("proof");
    write(&directory.join("tool"), &format!("touch {}\n", proof.display()), 0o755);
    let error = start().spawn(CommandSpec::new(directory.join("tool"))).unwrap_err();
    assert!(matches!(error, SpawnError::NotAProgram { .. }), "{error:?}");
    assert!(!proof.exists());
    fs::remove_dir_all(directory).unwrap();
}

fn bad_directory_is_typed() {
    let error = start().spawn(CommandSpec::new("true").cwd("/no/such/place")).unwrap_err();
    assert!(matches!(error, SpawnError::BadDirectory { .. }), "{error:?}");
    assert!(error.to_string().starts_with("true: cannot enter /no/such/place: No such file"), "{error}");
}

fn too_long_is_typed() {
    let guardian = start();
    // One longer than the kernel takes, and more than the guardian takes at all.
    for spec in [
        CommandSpec::new("true").arg("x".repeat(200 << 10)),
        CommandSpec::new("true").args(vec!["x".repeat(100 << 10); 70]),
        CommandSpec::new("true").arg("x".repeat(20 << 20)),
    ] {
        let error = guardian.spawn(spec).unwrap_err();
        assert!(matches!(error, SpawnError::TooLong { .. }), "{error:?}");
    }
    assert!(guardian.spawn(CommandSpec::new("true")).unwrap().wait().success());
}

fn what_cannot_be_written_is_refused() {
    let guardian = start();
    for (spec, words) in [
        (CommandSpec::new(""), "name is empty"),
        (CommandSpec::new("true").args(["fine", "a\0b"]), "argument 2 has a NUL byte at 1"),
        (CommandSpec::new("true").env("A=B", "c"), "\"A=B\" is no name"),
        (CommandSpec::new("true").env("", "c"), "\"\" is no name"),
        (CommandSpec::new("true").env("A", "\0"), "environment variable A has a NUL"),
        (CommandSpec::new("true").cwd("/tmp\0"), "working directory has a NUL"),
    ] {
        let error = guardian.spawn(spec).unwrap_err();
        assert!(matches!(error, SpawnError::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

fn scratch() -> PathBuf {
    let directory = std::env::temp_dir().canonicalize().unwrap().join(format!("ebbtide-{}", fresh_mark()));
    fs::create_dir(&directory).unwrap();
    directory
}

fn write(path: &PathBuf, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
