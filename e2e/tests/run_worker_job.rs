//! The real job: the files of this tree compressed and hashed by warm workers in Node.js and in Python, stopped or killed in the middle and
//! resumed. Each line exactly once, and the same results as without interruption.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use e2e::run::{Ebbtide, Ended, command, lawful_report, long_form, pause, random};
use rustix::process::Signal;
use serde_json::Value;

/// Compresses a file into `out/N.gz`, which must not be there yet where `once` is said; notes in `did` that it did.
const NODE: &str = r"
const crypto = require('crypto'), fs = require('fs'), zlib = require('zlib');
module.exports = ({ n, file, once }) => {
  const bytes = fs.readFileSync(file);
  const packed = zlib.gzipSync(bytes, { level: 9 });
  fs.writeFileSync(`out/${n}.gz`, packed, { flag: once ? 'wx' : 'w' });
  fs.appendFileSync('did', `${n}\n`);
  return { n, bytes: bytes.length, sha256: crypto.createHash('sha256').update(bytes).digest('hex') };
};
";
const PYTHON: &str = "
import gzip, hashlib
def pack(job):
    with open(job['file'], 'rb') as file:
        data = file.read()
    with open(f\"out/{job['n']}.gz\", 'xb' if job['once'] else 'wb') as out:
        out.write(gzip.compress(data, 9))
    with open('did', 'a') as did:
        did.write(f\"{job['n']}\\n\")
    return {'n': job['n'], 'bytes': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
";
const LANGUAGES: [&str; 2] = ["node:pack.js", "python:pack.py:pack"];

/// How many interruptions per language.
fn rounds() -> u32 {
    if long_form() { 25 } else { 4 }
}

/// A folder with the workers and an input of every source file here, several times.
fn job(once: bool) -> (tempfile::TempDir, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the tree");
    let find = ["crates", "e2e/src", "e2e/tests", "docs", "-type", "f", "-size", "+0"];
    let found = command("find").args(find).current_dir(&root).output().expect("find");
    let mut files: Vec<_> =
        String::from_utf8(found.stdout).expect("names").lines().map(str::to_owned).collect();
    // What other tests write there meanwhile is not of this job.
    files.retain(|file| [".rs", ".js", ".md", ".html", ".svg"].iter().any(|end| file.ends_with(end)));
    assert!(files.len() > 200, "{} files", files.len());
    let mut input = String::new();
    let names = files.iter().cycle().take(files.len() * 2).zip(1..);
    for (file, n) in names {
        let line = serde_json::json!({ "n": n, "file": root.join(file), "once": once });
        writeln!(input, "{line}").expect("a string");
    }
    for (name, text) in [("pack.js", NODE), ("pack.py", PYTHON), ("input", &input)] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    reset(folder.path());
    (folder, files.len() * 2)
}

/// As before the first run.
fn reset(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder.join("out"));
    std::fs::create_dir(folder.join("out")).expect("a folder");
    for file in ["did", "log", "report"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
}

fn ebbtide(folder: &Path, worker: &str, options: &[&str]) -> Ebbtide {
    let args = [
        "--worker", worker, "-w", "2", "--input", "input", "--joblog", "log", "--report", "report",
        "--resume",
    ];
    Ebbtide::run(args.iter().chain(options)).in_folder(folder)
}

/// Its results by their number, how often each.
fn results(outputs: &[&[u8]]) -> BTreeMap<u64, Vec<Value>> {
    let mut results: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for line in
        outputs.iter().flat_map(|output| output.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty())
    {
        let value: Value = serde_json::from_slice(line).expect("a result is a line of JSON");
        results.entry(value["n"].as_u64().expect("a number")).or_default().push(value);
    }
    results
}

fn numbers_in(file: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.split('\t').next()?.parse().ok()).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// An uninterrupted run: its results, and how long it took.
fn reference(folder: &Path, worker: &str, lines: usize) -> (BTreeMap<u64, Vec<Value>>, u64) {
    let ended = ebbtide(folder, worker, &[]).start().wait();
    assert_eq!(ended.code, Some(0), "{worker}: {}", ended.stderr);
    let report = lawful_report(&folder.join("report"));
    assert_eq!(report["outcomes"]["completed"], lines, "{report}");
    let took = report["duration_ms"].as_u64().expect("a number");
    let results = results(&[&ended.stdout]);
    assert_eq!(results.len(), lines);
    (results, took)
}

#[test]
fn its_files_and_results_are_those_of_gzip_and_sha256sum() {
    let (folder, lines) = job(true);
    let mut both = Vec::new();
    for worker in LANGUAGES {
        reset(folder.path());
        let (results, _) = reference(folder.path(), worker, lines);
        let inputs = std::fs::read_to_string(folder.path().join("input")).expect("the input");
        // A sample of them against other people's programs.
        for line in inputs.lines().step_by(37) {
            let job: Value = serde_json::from_str(line).expect("a line");
            let (n, file) = (job["n"].as_u64().expect("a number"), job["file"].as_str().expect("a name"));
            let packed = folder.path().join(format!("out/{n}.gz"));
            let unpacked = command("gzip").arg("-dc").arg(packed).output().expect("gzip").stdout;
            assert_eq!(unpacked, std::fs::read(file).expect("the file"), "{worker}: {file}");
            let sum = command("sha256sum").arg(file).output().expect("sha256sum").stdout;
            let sum = String::from_utf8(sum).expect("text");
            assert!(sum.starts_with(results[&n][0]["sha256"].as_str().expect("a sum")), "{worker}: {file}");
        }
        both.push(results);
    }
    assert_eq!(both[0], both[1], "both languages say the same");
}

#[test]
fn after_a_sigterm_each_line_is_done_exactly_once() {
    let (folder, lines) = job(true);
    let folder = folder.path();
    for worker in LANGUAGES {
        reset(folder);
        let (expected, took) = reference(folder, worker, lines);
        let mut stopped = 0;
        for round in 0..rounds() {
            reset(folder);
            let moment = took / 8 + random(took * 5 / 8);
            let place = format!("{worker}, round {round}, stopped after {moment} ms");
            let run = ebbtide(folder, worker, &[]).start();
            pause(Duration::from_millis(moment));
            run.signal_if_there(Signal::TERM);
            let first = run.wait();
            // None: the signal came before there was anybody to hear it.
            assert!(matches!(first.code, Some(0 | 10) | None), "{place}: {:?} {}", first.code, first.stderr);
            if first.code.is_some() {
                let report = lawful_report(&folder.join("report"));
                assert_eq!(
                    report["outcomes"]["completed"],
                    first.text().lines().count(),
                    "{place}: {report}"
                );
                assert_eq!(report["outcomes"]["failed"], 0, "{place}: {report}");
            }
            stopped += u32::from(first.code == Some(10));
            let second = ebbtide(folder, worker, &[]).start().wait();
            // Doing one twice would fail: its file is there.
            assert_eq!(second.code, Some(0), "{place}: {}", second.stderr);
            assert_eq!(
                results(&[&first.stdout, &second.stdout]),
                expected,
                "{place}: the same results, each once"
            );
            let all: Vec<u64> = (1..=lines as u64).collect();
            assert_eq!(sorted(numbers_in(&folder.join("did"))), all, "{place}: each was done once");
            assert_eq!(sorted(numbers_in(&folder.join("log"))), all, "{place}: a row per line");
        }
        assert!(stopped > 0, "{worker}: none of {} rounds was stopped in the middle", rounds());
    }
}

/// A run whose output is a file, so that what was printed before a SIGKILL can be read.
fn killed(folder: &Path, worker: &str, moment: u64) -> Option<Ended> {
    let output = folder.join("output");
    let run = ebbtide(folder, worker, &[]).with(|command| {
        command.stdout(File::create(&output).expect("a file")).stderr(std::process::Stdio::null());
    });
    let run = run.start_as_it_is();
    pause(Duration::from_millis(moment));
    run.signal_if_there(Signal::KILL);
    let ended = run.wait();
    ended.code.is_none().then(|| Ended { stdout: std::fs::read(&output).expect("the output"), ..ended })
}

#[test]
fn after_a_sigkill_nothing_is_missing_and_what_was_logged_is_not_done_again() {
    let (folder, lines) = job(false);
    let folder = folder.path();
    for worker in LANGUAGES {
        reset(folder);
        let (expected, took) = reference(folder, worker, lines);
        let mut interrupted = 0;
        for round in 0..rounds() {
            reset(folder);
            let moment = took / 8 + random(took * 5 / 8);
            let place = format!("{worker}, round {round}, killed after {moment} ms");
            let Some(first) = killed(folder, worker, moment) else { continue };
            let logged: BTreeSet<u64> = numbers_in(&folder.join("log")).into_iter().collect();
            interrupted += u32::from(!logged.is_empty() && logged.len() < lines);
            let printed = results(&[&first.stdout]);
            assert!(logged.iter().all(|n| printed.contains_key(n)), "{place}: a row without its result");
            let second = ebbtide(folder, worker, &[]).start().wait();
            assert_eq!(second.code, Some(0), "{place}: {}", second.stderr);
            let mut all = results(&[&first.stdout, &second.stdout]);
            all.values_mut().for_each(Vec::dedup);
            assert_eq!(all, expected, "{place}: none is missing, and twice is the same twice");
            let mut times: BTreeMap<u64, u32> = BTreeMap::new();
            for n in numbers_in(&folder.join("did")) {
                *times.entry(n).or_default() += 1;
            }
            assert!(logged.iter().all(|n| times[n] == 1), "{place}: what was logged was done again");
            assert_eq!(times.len(), lines, "{place}");
            let rows = sorted(numbers_in(&folder.join("log")));
            assert_eq!(rows, (1..=lines as u64).collect::<Vec<_>>(), "{place}: a row per line");
        }
        assert!(interrupted > 0, "{worker}: none of {} rounds was killed in the middle", rounds());
    }
}
