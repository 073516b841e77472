//! One side: started under its cap, its memory sampled until it is over.

use std::{
    error::Error,
    io::{BufRead as _, BufReader},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

use super::{CAP, LOAD, cap::Cap, load::Ledger};
use crate::{foreign, processes::cpu};

const SAMPLE: Duration = Duration::from_millis(100);
/// Beyond the load's own length: to start, and to finish what was accepted.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose workers leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Ours,
    Piscina,
}

/// What was seen of one side.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    pub(super) side: Side,
    /// Seconds since the start, and resident bytes of all its processes together.
    pub(super) memory: Vec<(f64, u64)>,
    /// How the cap was held.
    pub(super) cap: &'static str,
    /// How it ended, where that was not its own doing, and when.
    pub(super) died: Option<(f64, String)>,
    pub(super) accepted: u64,
    pub(super) completed: u64,
    pub(super) ledger: Option<Ledger>,
}

/// Runs one side for so long, or until it dies.
pub(super) fn run(side: Side, length: Duration) -> Result<Seen, Box<dyn Error>> {
    eprintln!("leak: {side:?}, {length:?}");
    let cap = Cap::new(if side == Side::Ours { "ours" } else { "piscina" }, CAP);
    let mut process = start(&command(side, length)?)?;
    cap.take(process.id())?;
    let said = lines(&mut process);
    release(&process);
    let begin = Instant::now();
    let mut seen = Seen {
        side,
        memory: Vec::new(),
        cap: cap.how(),
        died: None,
        accepted: 0,
        completed: 0,
        ledger: None,
    };
    loop {
        std::thread::sleep(SAMPLE);
        let at = begin.elapsed();
        said.try_iter().for_each(|line| read(&mut seen, &line));
        if let Some(status) = process.try_wait()? {
            if !status.success() {
                let how =
                    status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
                seen.died = Some((at.as_secs_f64(), how));
            }
            break;
        }
        let resident = cpu::resident_tree(process.id().cast_signed());
        seen.memory.push((at.as_secs_f64(), resident));
        if cap.is_over(resident) || at > length + PATIENCE {
            end(&process);
        }
    }
    // What it said last.
    said.iter().for_each(|line| read(&mut seen, &line));
    end(&process);
    Ok(seen)
}

fn command(side: Side, length: Duration) -> Result<Vec<String>, Box<dyn Error>> {
    let seconds = length.as_secs();
    if side == Side::Ours {
        let program = std::env::current_exe()?.display().to_string();
        return Ok(vec![program, "leak-load".into(), seconds.to_string()]);
    }
    let dir = foreign::workshop("node")?;
    let path = |file: &str| dir.join(file).display().to_string();
    let numbers = [seconds, LOAD.rate, LOAD.leak, LOAD.hog_every, LOAD.hog].map(|number| number.to_string());
    Ok([vec!["node".to_owned(), path("leak.mjs"), path("leak.cjs")], numbers.to_vec()].concat())
}

/// A shell that waits for a line before it becomes the command: by then it is under its cap.
fn start(command: &[String]) -> std::io::Result<Child> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read go && exec \"$@\"", "sh"]).args(command).process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

fn release(process: &Child) {
    use std::io::Write as _;
    // One that has died already is seen to have.
    drop(process.stdin.as_ref().map(|mut input| input.write_all(b"go\n")));
}

/// What it prints, line by line, until it is gone.
fn lines(process: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(output) = process.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Ours says it all in the end, as JSON; Piscina's says again and again how far it is.
fn read(seen: &mut Seen, line: &str) {
    if let Ok(ledger) = serde_json::from_str::<Ledger>(line) {
        (seen.accepted, seen.completed) = (ledger.accepted, ledger.completed);
        seen.ledger = Some(ledger);
        return;
    }
    let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    if let [accepted, completed, _] = numbers[..] {
        (seen.accepted, seen.completed) = (accepted, completed);
    }
}

fn end(process: &Child) {
    let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    // It fails where nobody is left.
    group.map(|group| kill_process_group(group, Signal::KILL));
}
