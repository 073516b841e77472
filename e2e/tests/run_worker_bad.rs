//! `ebbtide run --worker`, given what is wrong: each says what, where and what to do, and nothing waits for ever.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use e2e::run::{Ebbtide, Ended, eventually, numbers};

/// A program that speaks the protocol as badly as a test wants. Its argument says how.
const PROGRAM: &str = r#"#!/usr/bin/env python3
import json, os, socket, struct, sys
how = sys.argv[1]
sock = socket.socket(fileno=os.dup(0))
def frame(kind, id, meta, body=b''):
    raw = json.dumps(meta).encode() if meta else b''
    sock.sendall(struct.pack('<IBBHQ', 12 + len(raw) + len(body), kind, 0, len(raw), id) + raw + body)
def task():
    data = b''
    while len(data) < 4 or len(data) < 4 + struct.unpack('<I', data[:4])[0]:
        more = sock.recv(65536)
        if not more: sys.exit(0)
        data += more
    length, kind, flags, meta, id = struct.unpack('<IBBHQ', data[:16])
    if kind == 7: sys.exit(0)
    return id
hello = {'proto': 1, 'pid': os.getpid(), 'lang': 'test', 'nonce': os.environ['EBBTIDE_NONCE'], 'credits': 1}
if how == 'version': hello['proto'] = 9
if how == 'silent':
    sock.recv(1)
frame(65, 0, hello)
frame(66, 0, {})
while True:
    id = task()
    frame(67, id, {})
    if how == 'unparsable': frame(68, id, {}, b'undefined')
    if how == 'lines': frame(68, id, {}, b'{\n  "a": 1\n}\n')
    if how == 'huge': sock.sendall(struct.pack('<IBBHQ', 0xFFFFFFF0, 68, 0, 0, id))
    if how == 'garbage': sock.sendall(b'GET / HTTP/1.1\r\n\r\n' * 9)
"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn run(folder: &Path, worker: &str, options: &[&str], input: &str) -> Ended {
    Ebbtide::run(["--worker", worker].iter().chain(options)).in_folder(folder).feed(input)
}

fn program(how: &str, options: &[&str], input: &str) -> Ended {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&[("program", PROGRAM)]);
    let file = folder.path().join("program");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("may be executed");
    let options: Vec<&str> = options.iter().copied().chain(["--", how]).collect();
    run(folder.path(), "program:./program", &options, input)
}

/// It could not begin: the exit code says so, and the message all of `words`.
fn cannot_start(ended: &Ended, words: &[&str]) {
    assert_eq!((ended.code, ended.text()), (Some(14), ""), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    let complaints = ended.stderr.lines().filter_map(|line| line.split_once(" could not be started: "));
    let causes: Vec<_> = complaints.map(|(_, cause)| cause).collect();
    let different: BTreeSet<_> = causes.iter().collect();
    assert_eq!(causes.len(), different.len(), "the same cause is told once: {}", ended.stderr);
}

#[test]
fn a_worker_file_that_is_missing_is_named_with_where_it_was_sought() {
    let folder = folder(&[]);
    let here = folder.path().file_name().unwrap().to_str().unwrap();
    cannot_start(&run(folder.path(), "node:resize.js", &[], "1\n"), &["resize.js does not exist", here]);
    cannot_start(&run(folder.path(), "python:images.py:f", &[], "1\n"), &["images.py does not exist", here]);
    cannot_start(&run(folder.path(), "python:images:f", &[], "1\n"), &["no module 'images'", "PYTHONPATH"]);
    cannot_start(
        &run(folder.path(), "program:./resize", &[], "1\n"),
        &["./resize: command not found", "PATH"],
    );
}

#[test]
fn what_throws_while_it_is_loaded_names_file_line_and_remedy() {
    let folder = folder(&[
        ("throws.js", "\nthrow new Error('no licence');\n"),
        ("syntax.js", "module.exports = () => 1;\nconst x = ;\n"),
        ("throws.py", "\n\nraise RuntimeError('no licence')\n"),
        ("syntax.py", "def f(x):\n    return (\n"),
        ("needs.py", "import numpie\n"),
        ("relative.py", "from .tools import f\n"),
    ]);
    let run = |worker| run(folder.path(), worker, &[], "1\n");
    cannot_start(&run("node:throws.js"), &["throws.js, line 2", "no licence", "run `node FILE`"]);
    cannot_start(&run("node:syntax.js"), &["syntax.js, line 2", "SyntaxError", "node --check"]);
    cannot_start(&run("python:throws.py:f"), &["throws.py, line 3", "no licence"]);
    cannot_start(&run("python:syntax.py:f"), &["syntax.py, line 2", "SyntaxError"]);
    cannot_start(&run("python:needs.py:f"), &["needs.py, line 1", "numpie", "install"]);
    cannot_start(&run("python:relative.py:f"), &["relative.py, line 1", "package.module:function"]);
}

#[test]
fn workers_that_die_as_soon_as_they_are_ready_are_given_up() {
    let folder = folder(&[("dies.js", "setTimeout(() => process.exit(3), 0); module.exports = (x) => x;")]);
    for _ in 0..3 {
        let ended = run(folder.path(), "node:dies.js", &["-w", "1"], "1\n");
        assert!(ended.stderr.contains("exited with code 3"), "{}", ended.stderr);
        assert!(ended.stderr.contains("given up: no worker can be started"), "{}", ended.stderr);
    }
}

#[test]
fn an_export_that_is_missing_fails_its_tasks_and_names_those_there_are() {
    let folder = folder(&[
        ("some.js", "module.exports = { resize: (x) => x, crop: (x) => x };"),
        ("some.py", "def resize(x):\n    return x\n"),
    ]);
    for worker in ["node:some.js#rezise", "python:some.py:rezise"] {
        let ended = run(folder.path(), worker, &[], "1\n2\n");
        assert_eq!((ended.code, ended.text()), (Some(1), ""), "{}", ended.stderr);
        for word in ["rezise", "resize", "some."] {
            assert!(ended.stderr.contains(word), "{worker}: {word}: {}", ended.stderr);
        }
    }
}

#[test]
fn an_interpreter_that_is_not_installed_says_what_to_install() {
    let folder = folder(&[("a.js", "module.exports = (x) => x;"), ("a.py", "def f(x):\n    return x\n")]);
    for (worker, what) in [("node:a.js", "install Node.js"), ("python:a.py:f", "install Python")] {
        let ended = Ebbtide::run(["--worker", worker]).in_folder(folder.path()).with(|command| {
            command.env("PATH", folder.path());
        });
        let ended = ended.feed("1\n");
        cannot_start(&ended, &["command not found", what, "PATH"]);
        assert!(!ended.stderr.contains('`'), "no words of the library's: {}", ended.stderr);
    }
}

#[test]
fn another_version_of_the_protocol_is_refused_and_named() {
    cannot_start(&program("version", &[], "1\n"), &["protocol version 9", "speaks 1", "update"]);
}

#[test]
fn who_says_nothing_is_waited_for_as_long_as_asked() {
    cannot_start(
        &program("silent", &["--start-timeout", "0.3"], "1\n"),
        &["did not say HELLO", "300ms", "--start-timeout"],
    );
    let folder = folder(&[]);
    cannot_start(
        &run(folder.path(), "program:cat", &["--start-timeout", "0.3"], "1\n"),
        &["did not say HELLO"],
    );
}

#[test]
fn results_that_do_not_parse_fail_their_task() {
    let ended = program("unparsable", &["--output", "json", "-k"], "1\n2\n");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for object in ended.objects() {
        assert_eq!(
            (&object["outcome"], &object["error"]["name"]),
            (&"failed".into(), &"InvalidResult".into()),
            "{object}"
        );
    }
    let ended = program("lines", &["-k"], "1\n2\n");
    assert_eq!(
        (ended.code, ended.text()),
        (Some(0), "{\"a\":1}\n{\"a\":1}\n"),
        "a value of many lines becomes one"
    );
}

#[test]
fn who_breaks_the_protocol_ends_with_a_named_reason_and_the_run_goes_on() {
    for how in ["huge", "garbage"] {
        let ended = program(how, &["--output", "json", "-k", "-w", "1"], "1\n2\n");
        assert_eq!(ended.code, Some(1), "{how}: {}", ended.stderr);
        let outcomes: Vec<_> = ended.objects().iter().map(|object| object["outcome"].clone()).collect();
        assert_eq!(outcomes, ["crashed", "crashed"], "{how}: {}", ended.stderr);
        assert!(ended.stderr.contains("broke the protocol"), "{how}: {}", ended.stderr);
    }
}

#[test]
fn a_body_over_the_limit_fails_its_task_and_its_worker_lives() {
    let folder = folder(&[
        ("big.js", "let n = 0; module.exports = (x) => { n++; return x > 9 ? 'x'.repeat(x) : n; };"),
        ("big.py", "n = 0\ndef f(x):\n    global n\n    n += 1\n    return 'x' * x if x > 9 else n\n"),
    ]);
    for worker in ["node:big.js", "python:big.py:f"] {
        let ended = run(folder.path(), worker, &["-w", "1", "-k"], "1\n70000000\n2\n");
        assert_eq!((ended.code, ended.text()), (Some(1), "1\n3\n"), "{worker}: {}", ended.stderr);
        assert!(ended.stderr.contains("line 2 (70000000)"), "{worker}: {}", ended.stderr);
    }
    let line = format!("\"{}\"\n", "x".repeat(11 << 20));
    let ended = run(folder.path(), "node:big.js", &[], &line);
    assert_eq!(ended.code, Some(74), "a line is 10 MiB at most, here too: {}", ended.stderr);
}

#[test]
fn a_memory_limit_below_the_baseline_is_told_and_does_not_start_without_end() {
    let folder =
        folder(&[("a.js", "module.exports = () => process.pid;"), ("a.py", "def f(x):\n    return x\n")]);
    for worker in ["node:a.js", "python:a.py:f"] {
        let ended = run(folder.path(), worker, &["--memory-soft", "3MiB", "-w", "1"], &numbers(20));
        assert_eq!((ended.code, ended.text().lines().count()), (Some(0), 20), "{worker}: {}", ended.stderr);
        assert!(ended.stderr.contains("more than --memory-soft (3.0 MiB)"), "{worker}: {}", ended.stderr);
        let ended = run(folder.path(), worker, &["--memory-hard", "3MiB"], "1\n");
        cannot_start(&ended, &["raise"]);
    }
    let ended = run(folder.path(), "node:a.js", &["--memory-soft", "2GiB", "--memory-hard", "1GiB"], "1\n");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("--memory-soft") && ended.stderr.contains("--memory-hard"),
        "{}",
        ended.stderr
    );
}

/// Caps itself, so that no mistake of ours can take the machine's memory: far above what the run allows.
const LEAK_JS: &str = "const kept = []; module.exports = async () => { kept.push(Buffer.alloc(1 << 20, 1)); await new Promise((done) => setTimeout(done, 5)); return process.pid; };";
const LEAK_PY: &str = "
import os, resource, time
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
kept = []
def leak(x):
    kept.append(bytearray(b'x') * (1 << 20))
    time.sleep(0.005)
    return os.getpid()
def glutton(x):
    if x == 2:
        while True:
            kept.append(bytearray(b'x') * (8 << 20))
    return os.getpid()
";

#[test]
fn a_worker_that_leaks_is_replaced_and_one_that_explodes_costs_its_task() {
    let folder = folder(&[("leak.js", LEAK_JS), ("leak.py", LEAK_PY)]);
    for worker in ["node:leak.js", "python:leak.py:leak"] {
        let args = ["--worker", worker, "--memory-soft", "100MiB", "--memory-hard", "400MiB", "-w", "1"];
        let mut run = Ebbtide::run(args).in_folder(folder.path()).piped().start();
        let (mut input, mut output) = (run.input(), BufReader::new(run.output()));
        let mut pids = BTreeSet::new();
        // It leaks on until its replacement is ready.
        eventually("a second worker", || {
            input.write_all(b"0\n").unwrap();
            let mut pid = String::new();
            output.read_line(&mut pid).unwrap();
            pids.insert(pid);
            pids.len() >= 2
        });
        drop(input);
        let ended = run.wait();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{worker}: nobody was killed");
    }
    let options = ["--memory-hard", "150MiB", "-w", "1", "-k", "--output", "json"];
    let ended = run(folder.path(), "python:leak.py:glutton", &options, &numbers(3));
    let objects = ended.objects();
    let outcomes: Vec<_> = objects.iter().map(|object| object["outcome"].clone()).collect();
    assert_eq!(outcomes[0], "completed", "{}", ended.stderr);
    assert_eq!(outcomes[2], "completed", "{}", ended.stderr);
    // Where nothing but RLIMIT_DATA holds it, Python may see its MemoryError first.
    assert!(outcomes[1] == "killed" || objects[1]["error"]["name"] == "MemoryError", "{}", objects[1]);
    assert_eq!(ended.code, Some(1));
}
