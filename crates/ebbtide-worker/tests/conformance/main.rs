//! Runs the transcripts of `conformance/protocol` against the workers there are: Rust, and Node and Python where they are installed.
//!
//! This very binary is the Rust worker, so that it is never one of an older build.

#[path = "../../examples/conformance.rs"]
mod example;
mod expect;
mod ledger;
mod process;
mod transcript;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::expect::compare;
use crate::process::{Heard, Language, Running, Transport};
use crate::transcript::{Step, parse};

fn main() -> Result<(), Box<dyn Error>> {
    if ebbtide_worker::is_worker().is_some() {
        example::main();
    }
    let transcripts = transcripts(&repository().join("conformance/protocol"))?;
    let rust_alone = transcripts_of_rust()?;
    let mut trials = vec![Trial::test("no_transcript_is_forgotten", {
        let count = transcripts.len();
        move || if count > 50 { Ok(()) } else { Err(format!("only {count} transcripts were found").into()) }
    })];
    for language in languages() {
        if language.name == "rust" {
            trials.extend(rust_alone.iter().map(|path| trial(&language, path)));
        }
        match language.missing() {
            None => {
                trials.extend(transcripts.iter().map(|path| trial(&language, path)));
                let name = format!("{}::ledger", language.name);
                trials.push(Trial::test(name, move || ledger::play(&language).map_err(Failed::from)));
            }
            Some(why) => {
                writeln!(io::stderr(), "conformance: skipped {}: {why}", language.name)?;
                let required = std::env::var_os("EBBTIDE_REQUIRE_SDKS").is_some();
                let name = format!("{}::is_there", language.name);
                trials.push(Trial::test(name, move || Err(Failed::from(why))).with_ignored_flag(!required));
            }
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the Rust worker promises beyond the protocol.
fn transcripts_of_rust() -> io::Result<Vec<PathBuf>> {
    transcripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts"))
}

fn transcripts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "transcript"));
    paths.sort();
    Ok(paths)
}

fn languages() -> Vec<Language> {
    let root = repository();
    let workers = root.join("conformance/protocol/workers");
    let named = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut languages = vec![
        Language::of("rust", &std::env::current_exe().map(named).unwrap_or_default(), None, "conformance"),
        Language::of(
            "node",
            "node",
            Some(named(root.join("sdk/node/worker.js"))),
            &named(workers.join("worker.js")),
        ),
        Language::of(
            "python",
            "python3",
            Some(named(root.join("sdk/python/ebbtide_worker.py"))),
            &format!("{}:default", named(workers.join("worker.py"))),
        ),
    ];
    if let Ok(own) = std::env::var("EBBTIDE_CONFORMANCE") {
        let (name, program) = own.split_once('=').unwrap_or(("own", &own));
        languages.push(Language::of(name, program, None, ""));
    }
    languages
}

fn trial(language: &Language, path: &Path) -> Trial {
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (language, path) = (language.clone(), path.to_owned());
    Trial::test(format!("{}::{name}", language.name), move || {
        let text = fs::read_to_string(&path)?;
        let steps = parse(&text).map_err(|wrong| format!("{}: {wrong}", path.display()))?;
        play(&language, steps).map_err(Failed::from)
    })
}

/// Plays a transcript with one worker process.
fn play(language: &Language, steps: Vec<(usize, Step)>) -> Result<(), String> {
    let mut environment = Vec::new();
    let mut transport = Transport::Zero;
    let mut steps = steps.into_iter().peekable();
    while let Some((_, step)) = steps.next_if(|(_, step)| matches!(step, Step::Env(..) | Step::Transport(_)))
    {
        match step {
            Step::Env(name, value) => environment.push((name, value)),
            Step::Transport(other) => transport = other,
            _ => {}
        }
    }
    let mut worker = Running::start(language, &environment, &transport).map_err(|error| error.to_string())?;
    for (line, step) in steps {
        if let Err(wrong) = one(&mut worker, step) {
            return Err(format!("line {line}: {wrong}\n{}", worker.last_words()));
        }
    }
    Ok(())
}

fn one(worker: &mut Running, step: Step) -> Result<(), String> {
    match step {
        Step::Send(bytes) => worker.send(&bytes),
        Step::Cut(most) => worker.cut(most),
        Step::Open(gate) => return worker.open(&gate).map_err(|error| error.to_string()),
        Step::Eof => worker.hang_up(),
        Step::Exit(exit) => return worker.ends(exit),
        Step::Expect(mut lanes) => {
            while lanes.iter().any(|lane| !lane.is_empty()) {
                let heard = worker.hear()?;
                let Heard::Frame(frame) = heard else {
                    return Err(format!("the worker hung up, and there should come:\n{}", heads(&lanes)));
                };
                let mut wrong = Vec::new();
                let mut waiting = lanes.iter_mut().filter(|lane| !lane.is_empty());
                let right = waiting.find_map(|lane| match compare(&lane[0].1, &frame, worker.facts()) {
                    Ok(()) => Some(lane),
                    Err(why) => {
                        wrong.push(format!("line {}: {why}", lane[0].0));
                        None
                    }
                });
                match right {
                    Some(lane) => drop(lane.remove(0)),
                    None => return Err(format!("{frame} came\n  {}", wrong.join("\n  "))),
                }
            }
        }
        Step::Env(..) | Step::Transport(_) => return Err("this belongs to the beginning".to_owned()),
    }
    Ok(())
}

fn heads(lanes: &[Vec<(usize, expect::Expected)>]) -> String {
    let heads = lanes.iter().filter_map(|lane| lane.first());
    heads.map(|(line, head)| format!("  line {line}: {head}\n")).collect()
}
