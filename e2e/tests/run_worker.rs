//! `ebbtide run --worker`: a JSON value per line to warm Node.js and Python workers; results, failures and outputs come out as promised.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use e2e::run::{Ebbtide, Ended, eventually, lawful_report, numbers};
use serde_json::{Value, json};

const NODE: &str = r"
const echo = (x) => x;
module.exports = echo;
module.exports.count = ((n) => () => ++n)(0);
module.exports.wait = async (x) => { await new Promise((done) => setTimeout(done, x.ms)); return x; };
module.exports.talk = (x) => { console.log(`out ${x}`); console.error(`err ${x}`); return x; };
module.exports.odd = (x) => { if (x % 2 === 0) throw new RangeError(`${x} is even`); return x; };
module.exports.bytes = (x) => Buffer.from(x);
module.exports.die = (x) => { if (x === 2) process.exit(7); return x; };
module.exports.flaky = (x, task) => {
  const fs = require('fs');
  const file = `tried-${x}`;
  const before = fs.existsSync(file) ? fs.readFileSync(file).length : 0;
  fs.appendFileSync(file, 'x');
  if (before < 2) throw new Error(`attempt ${before + 1}`);
  return before + 1;
};
// Dies at its first attempt, fails at the second, and says at which it did not.
module.exports.third = (x, task) => {
  if (task.attempt === 1) process.exit(7);
  if (task.attempt === 2) throw new Error('again');
  return task.attempt;
};
module.exports.pid = () => process.pid;
module.exports.variable = (x) => process.env[x] ?? null;
";

const PYTHON: &str = "
import os, sys, time

def echo(x):
    return x

def talk(x):
    print(f'out {x}')
    print(f'err {x}', file=sys.stderr)
    return x

def odd(x):
    if x % 2 == 0:
        raise ValueError(f'{x} is even')
    return x

def die(x):
    if x == 2:
        os._exit(7)
    return x

def third(x, task):
    if task.attempt == 1:
        os._exit(7)
    if task.attempt == 2:
        raise ValueError('again')
    return task.attempt

def pid(x):
    return os.getpid()
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("node.js"), NODE).expect("a file");
    std::fs::write(folder.path().join("python.py"), PYTHON).expect("a file");
    folder
}

/// The same function in both languages.
fn both(function: &str) -> [String; 2] {
    [format!("node:node.js#{function}"), format!("python:python.py:{function}")]
}

fn run(folder: &Path, worker: &str, options: &[&str], input: &str) -> Ended {
    Ebbtide::run(["--worker", worker].iter().chain(options)).in_folder(folder).feed(input)
}

#[test]
fn a_result_is_a_line_of_json_as_the_worker_gave_it() {
    let folder = folder();
    let values = "1\n\"t\u{e9}xt\"\n{\"b\":[1,2.5,null],\"a\":true}\n[]\n";
    for worker in ["node:node.js", "python:python.py:echo"] {
        let ended = run(folder.path(), worker, &["-k"], values);
        assert_eq!((ended.code, ended.text(), ended.stderr.as_str()), (Some(0), values, ""), "{worker}");
    }
}

#[test]
fn the_order_is_kept_where_it_is_asked_for() {
    let folder = folder();
    let input: String = (0..12).map(|n| format!("{{\"ms\":{}}}\n", (12 - n) * 10)).collect();
    let ended = run(folder.path(), "node:node.js#wait", &["-k", "-w", "4"], &input);
    assert_eq!((ended.code, ended.text()), (Some(0), input.as_str()), "{}", ended.stderr);
}

#[test]
fn a_worker_stays_and_is_replaced_after_its_number_of_tasks() {
    let folder = folder();
    let ended = run(folder.path(), "node:node.js#count", &["-w", "1"], &numbers(100));
    assert_eq!(ended.text(), numbers(100), "one worker, one after the other: {}", ended.stderr);
    for worker in both("pid") {
        let args = ["--worker", &worker, "-w", "1", "--max-tasks", "10"];
        let mut run = Ebbtide::run(args).in_folder(folder.path()).piped().start();
        let (mut input, mut output) = (run.input(), BufReader::new(run.output()));
        let mut pids = BTreeSet::new();
        // The old one serves on until its replacement is ready, so nobody knows after how many tasks that is.
        eventually("a third worker", || {
            input.write_all(b"0\n").unwrap();
            let mut pid = String::new();
            output.read_line(&mut pid).unwrap();
            pids.insert(pid);
            pids.len() >= 3
        });
        drop(input);
        let ended = run.wait();
        assert_eq!(ended.code, Some(0), "{worker}: {}", ended.stderr);
    }
}

#[test]
fn json_has_an_object_per_task_with_its_worker() {
    let folder = folder();
    for (worker, name, place) in
        [("node:node.js#odd", "RangeError", "node.js:"), ("python:python.py:odd", "ValueError", "python.py")]
    {
        let ended = run(folder.path(), worker, &["-k", "--output", "json", "-w", "1"], "1\n2\nthree\n");
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let objects = ended.objects();
        let view = |field: &str| objects.iter().map(|object| object[field].clone()).collect::<Vec<_>>();
        assert_eq!(view("id"), [1, 2, 3]);
        assert_eq!(view("input"), [json!(1), json!(2), json!("three")]);
        assert_eq!(view("outcome"), ["completed", "failed", "failed"]);
        assert_eq!(view("result"), [json!(1), Value::Null, Value::Null]);
        assert!(objects[0].get("error").is_none() && objects[1].get("result").is_none(), "{objects:?}");
        assert_eq!(objects[1]["error"]["name"], name);
        assert_eq!(objects[1]["error"]["message"], "2 is even");
        let stack = objects[1]["error"]["stack"].as_str().unwrap();
        assert!(stack.contains(place), "{stack}");
        assert_eq!(objects[2]["error"]["name"], "InvalidJson");
        assert_eq!(view("attempts"), [1, 1, 0]);
        assert_eq!(objects[0]["worker"], "run-1");
        for object in &objects {
            assert!(object["waited_ms"].is_u64() && object["ran_ms"].is_u64(), "{object}");
        }
    }
}

#[test]
fn a_line_that_is_no_json_fails_alone_and_is_named() {
    let folder = folder();
    let input = b"1\n{'a': 1}\n\n2 3\n\"\xff\"\nNaN\n  \n4\r\n";
    for worker in both("echo").into_iter().map(|worker| worker.replace("#echo", "")) {
        let report = folder.path().join("report");
        let options = ["--worker", &worker, "-k", "--report", report.to_str().unwrap()];
        let ended = Ebbtide::run(options).in_folder(folder.path()).feed(input);
        assert_eq!((ended.code, ended.text()), (Some(1), "1\n4\n"), "{worker}: {}", ended.stderr);
        for line in [2, 3, 4, 5, 6] {
            let named = format!("InvalidJson: line {line} is not JSON");
            assert!(ended.stderr.contains(&named), "{worker}: {named}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("CR LF"), "in JSON it is white space: {}", ended.stderr);
        let report = lawful_report(&report);
        assert_eq!((&report["accepted"], &report["outcomes"]["failed"]), (&json!(7), &json!(5)), "{report}");
    }
}

#[test]
fn what_workers_print_goes_to_the_standard_error_with_their_name() {
    let folder = folder();
    for worker in both("talk") {
        let ended = run(folder.path(), &worker, &["-k", "-w", "1"], &numbers(3));
        assert_eq!((ended.code, ended.text()), (Some(0), "1\n2\n3\n"), "{worker}");
        for line in ["run-1| out 1", "run-1| err 2", "run-1| out 3"] {
            assert!(ended.stderr.lines().any(|told| told == line), "{worker}: {line}: {}", ended.stderr);
        }
    }
}

#[test]
fn what_is_printed_while_a_worker_is_loaded_is_told_too() {
    let folder = folder();
    let files = [
        ("node:loud.js", "console.log('out'); console.error('err'); module.exports = (x) => x;"),
        (
            "python:loud.py:f",
            "import sys\nprint('out')\nprint('err', file=sys.stderr)\ndef f(x):\n    return x\n",
        ),
        ("node:fails.js", "console.log('out'); console.error('err'); throw new Error('no');"),
    ];
    for (worker, text) in files {
        let name = worker.split(':').nth(1).unwrap();
        std::fs::write(folder.path().join(name), text).expect("a file");
        let ended = run(folder.path(), worker, &["-w", "1"], "1\n");
        let told: Vec<&str> = ended.stderr.lines().collect();
        if name.starts_with("loud") {
            assert_eq!((ended.code, ended.text()), (Some(0), "1\n"), "{worker}: {}", ended.stderr);
            assert!(
                ["run-1| out", "run-1| err"].iter().all(|line| told.contains(line)),
                "{worker}: {told:?}"
            );
        } else {
            assert_eq!(ended.code, Some(14), "{worker}: {}", ended.stderr);
            assert!(ended.stderr.contains("its last words: out\n  err\n"), "{worker}: {told:?}");
            assert_eq!(ended.stderr.matches("Error: no").count(), 1, "it is said once: {told:?}");
        }
    }
}

#[test]
fn bytes_are_text_or_base64() {
    let folder = folder();
    let ended = run(folder.path(), "node:node.js#bytes", &["-k"], "\"abc\"\n[255,0]\n");
    assert_eq!((ended.code, ended.text()), (Some(0), "\"abc\"\n{\"base64\":\"/wA=\"}\n"), "{}", ended.stderr);
}

#[test]
fn a_worker_that_dies_costs_its_task_and_no_other() {
    let folder = folder();
    for worker in both("die") {
        let ended = run(folder.path(), &worker, &["-k", "-w", "1", "--output", "json"], &numbers(5));
        assert_eq!(ended.code, Some(1), "{worker}: {}", ended.stderr);
        let objects = ended.objects();
        let outcomes: Vec<_> = objects.iter().map(|object| &object["outcome"]).collect();
        assert_eq!(outcomes, ["completed", "crashed", "completed", "completed", "completed"], "{worker}");
        let message = objects[1]["error"]["message"].as_str().unwrap();
        assert!(message.contains("exited with code 7"), "{message}");
        assert_eq!(objects[1]["attempts"], 1, "once only, for nobody said that twice does no harm");
        assert!(ended.stderr.contains("run-1 exited with code 7"), "{}", ended.stderr);
        assert_ne!(objects[4]["worker"], "run-1", "another one went on");
    }
}

#[test]
fn retries_try_again_what_failed_and_what_died() {
    let folder = folder();
    let report = folder.path().join("report");
    let options = ["--retries", "2", "--output", "json", "-k", "--report", report.to_str().unwrap()];
    let ended = run(folder.path(), "node:node.js#flaky", &options, "1\n2\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for object in ended.objects() {
        assert_eq!((&object["result"], &object["attempts"]), (&json!(3), &json!(3)), "{object}");
    }
    let report = lawful_report(&report);
    assert_eq!((&report["accepted"], &report["outcomes"]["completed"]), (&json!(2), &json!(2)), "{report}");
    for worker in both("die") {
        let ended = run(folder.path(), &worker, &["--retries", "3", "--output", "json", "-k"], &numbers(3));
        let objects = ended.objects();
        let outcomes: Vec<_> = objects.iter().map(|object| &object["outcome"]).collect();
        assert_eq!(outcomes, ["completed", "crashed", "completed"], "{worker}: {}", ended.stderr);
        assert_eq!(objects[1]["attempts"], 4, "{worker}: {}", objects[1]);
    }
}

#[test]
fn a_worker_is_told_which_attempt_it_is() {
    let folder = folder();
    for worker in both("third") {
        let options = ["--retries", "2", "--output", "json", "-w", "1"];
        let ended = run(folder.path(), &worker, &options, "1\n");
        let objects = ended.objects();
        assert_eq!(
            (&objects[0]["result"], &objects[0]["attempts"]),
            (&json!(3), &json!(3)),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_task_over_its_time_is_killed_and_its_worker_replaced() {
    let folder = folder();
    std::fs::write(folder.path().join("busy.js"), "module.exports = (x) => { while (x === 1); return x; };")
        .unwrap();
    std::fs::write(folder.path().join("busy.py"), "def f(x):\n    while x == 1: pass\n    return x\n")
        .unwrap();
    for worker in ["node:busy.js", "python:busy.py:f"] {
        let options =
            ["-w", "1", "-k", "--timeout", "0.3", "--grace", "0.4", "--retries", "5", "--output", "json"];
        let ended = run(folder.path(), worker, &options, &numbers(3));
        assert_eq!(ended.code, Some(1), "{worker}: {}", ended.stderr);
        let objects = ended.objects();
        let outcomes: Vec<_> = objects.iter().map(|object| &object["outcome"]).collect();
        assert_eq!(outcomes, ["killed", "completed", "completed"], "{worker}: {}", ended.stderr);
        assert!(objects[0]["error"]["message"].as_str().unwrap().contains("timeout"), "{}", objects[0]);
        assert_eq!(objects[0]["attempts"], 1, "what ran out of time is not tried again");
    }
}

#[test]
fn only_named_variables_reach_a_worker() {
    let folder = folder();
    let options = ["--env", "GIVEN", "--env", "SET=by us", "-k"];
    let ended = Ebbtide::run(["--worker", "node:node.js#variable"].iter().chain(&options))
        .in_folder(folder.path())
        .with(|command| {
            command.env("GIVEN", "yes").env("SECRET", "no");
        })
        .feed("\"GIVEN\"\n\"SET\"\n\"SECRET\"\n");
    assert_eq!(ended.text(), "\"yes\"\n\"by us\"\nnull\n", "{}", ended.stderr);
}

#[test]
fn several_tasks_at_once_share_a_worker_that_is_asynchronous() {
    let folder = folder();
    std::fs::write(
        folder.path().join("meet.js"),
        "let waiting = []; module.exports = (x) => new Promise((done) => { waiting.push(() => done(x)); if (waiting.length === 4) for (const go of waiting.splice(0)) go(); });",
    )
    .unwrap();
    // Four that wait for each other: fewer at a time would never end.
    let ended = run(folder.path(), "node:meet.js", &["-w", "1", "-k", "--concurrency", "4"], &numbers(8));
    assert_eq!((ended.code, ended.text()), (Some(0), numbers(8).as_str()), "{}", ended.stderr);
}

#[test]
fn large_values_go_both_ways() {
    let folder = folder();
    let line = format!("\"{}\"\n", "x".repeat(3 << 20));
    let input = line.repeat(8);
    for worker in ["node:node.js", "python:python.py:echo"] {
        let ended = run(folder.path(), worker, &["-w", "2"], &input);
        assert!(
            ended.code == Some(0) && ended.text() == input,
            "{worker}: {:?} {}",
            ended.code,
            ended.stderr
        );
    }
}

#[test]
fn a_dry_run_starts_nobody() {
    let folder = folder();
    let ended = run(folder.path(), "node:missing.js", &["--dry-run"], "1\n\"a b\"\n");
    assert_eq!((ended.code, ended.text()), (Some(0), "node:missing.js 1\nnode:missing.js '\"a b\"'\n"));
}

#[test]
fn what_a_worker_has_learnt_is_kept_for_the_next_run() {
    let folder = folder();
    let learns = "
const { onSnapshot, onRestore } = require('ebbtide-worker');
let known = 0;
onSnapshot(() => known);
onRestore((state) => { known = state; });
module.exports = () => ++known;
";
    std::fs::write(folder.path().join("learns.js"), learns).unwrap();
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let options = ["-w", "1", "--state-dir", "state"];
    let first = run(folder.path(), "node:learns.js", &options, &numbers(3));
    assert_eq!((first.code, first.text()), (Some(0), "1\n2\n3\n"), "{}", first.stderr);
    let second = run(folder.path(), "node:learns.js", &options, &numbers(2));
    assert_eq!((second.code, second.text()), (Some(0), "4\n5\n"), "{}", second.stderr);
    // Two at a time would each undo what the other learns.
    let worker = ["--worker", "node:learns.js"];
    let mut third = Ebbtide::run(worker.iter().chain(&options)).in_folder(folder.path()).piped().start();
    let (mut input, mut output) = (third.input(), BufReader::new(third.output()));
    input.write_all(b"1\n").unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let refused = run(folder.path(), "node:learns.js", &options, &numbers(1));
    assert_eq!((refused.code, refused.text()), (Some(2), ""), "{}", refused.stderr);
    assert!(refused.stderr.contains("is in use by another ebbtide"), "{}", refused.stderr);
    drop(input);
    assert_eq!((third.wait().code, line.as_str()), (Some(0), "6\n"));
}

#[test]
fn a_worker_that_floods_its_output_neither_stops_nor_fills_the_memory() {
    let folder = folder();
    let floods = "const line = 'x'.repeat(1000) + '\\n'; module.exports = (x) => { for (let n = 0; n < 20000; n++) require('fs').writeSync(1, line); return x; };";
    std::fs::write(folder.path().join("floods.js"), floods).unwrap();
    let mut run =
        Ebbtide::run(["--worker", "node:floods.js", "-w", "1"]).in_folder(folder.path()).piped().start();
    let (mut input, mut output) = (run.input(), BufReader::new(run.output()));
    let mut result = String::new();
    // Nobody reads its standard error yet.
    for _ in 0..4 {
        input.write_all(b"1\n").unwrap();
        output.read_line(&mut result).unwrap();
    }
    let peak = run.memory_peak();
    drop(input);
    let ended = run.wait();
    assert_eq!((ended.code, result.as_str()), (Some(0), "1\n1\n1\n1\n"), "{} bytes", ended.stderr.len());
    assert!(peak < 100 << 20, "{peak} bytes for 80 MB of lines that nobody reads");
    assert!(ended.stderr.contains("lines of workers are not shown"), "what is not shown is told");
}

#[test]
fn large_results_that_nobody_reads_cost_disk_not_memory() {
    let folder = folder();
    let large =
        "module.exports = (x) => { require('fs').appendFileSync('did', 'x'); return 'x'.repeat(3 << 20); };";
    std::fs::write(folder.path().join("large.js"), large).unwrap();
    let did = || std::fs::read(folder.path().join("did")).map_or(0, |did| did.len());
    for order in [&["-w", "1"][..], &["-w", "1", "-k"]] {
        let _ = std::fs::remove_file(folder.path().join("did"));
        let args = ["--worker", "node:large.js"].iter().chain(order);
        let mut run = Ebbtide::run(args).in_folder(folder.path()).input(numbers(200)).start();
        let mut output = run.output();
        eventually("a window full of results", || did() >= 100);
        let peak = run.memory_peak();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut output, &mut bytes).unwrap();
        let ended = run.wait();
        assert_eq!((ended.code, did()), (Some(0), 200), "{}", ended.stderr);
        assert!(bytes.len() == 200 * ((3 << 20) + 3), "{} bytes", bytes.len());
        assert!(peak < 150 << 20, "{peak} bytes for results of 300 MiB");
    }
}
