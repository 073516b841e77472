//! Random traffic, and a ledger of what became of it: no task may be lost, run twice, or run after it was given back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use ebbtide_worker::frame::meta::{ErrorMeta, TaskMeta};
use ebbtide_worker::frame::{FrameType, ids, write_frame, write_ids};

use crate::expect::Received;
use crate::process::{Exit, Heard, Language, Running, Transport};

const TASKS: u64 = 300;
const CREDITS: usize = 16;

/// What is known of a task that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Sent,
    Running,
}

#[derive(Default)]
struct Ledger {
    living: BTreeMap<u64, Life>,
    ended: BTreeSet<u64>,
    /// Questions without an answer: their frame's type and id.
    asked: BTreeSet<(u8, u64)>,
    started: u64,
}

pub(crate) fn play(language: &Language) -> Result<(), String> {
    let seed = match std::env::var("EBBTIDE_SEED") {
        Ok(seed) => seed.parse().map_err(|_| "EBBTIDE_SEED is no number")?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64 | 1),
    };
    let mut worker = Running::start(language, &[], &Transport::Zero).map_err(|error| error.to_string())?;
    traffic(&mut worker, Dice(seed))
        .map_err(|wrong| format!("EBBTIDE_SEED={seed}: {wrong}\n{}", worker.last_words()))
}

fn traffic(worker: &mut Running, mut dice: Dice) -> Result<(), String> {
    let mut ledger = Ledger::default();
    for kind in [FrameType::Hello, FrameType::Ready] {
        let frame = frame(worker)?;
        if frame.kind != kind {
            return Err(format!("{frame} came, and not {}", kind.name()));
        }
    }
    let mut sent = 0;
    while sent < TASKS {
        let mut out = Vec::new();
        // Several frames in one write, so that they are found together.
        for _ in 0..=dice.below(6) {
            ask(&mut out, &mut ledger, &mut dice, &mut sent)?;
        }
        worker.send(&out);
        // Sometimes on its heels, sometimes when all is quiet.
        let wanted = if dice.below(8) == 0 { 0 } else { CREDITS / 2 };
        while ledger.living.len() > wanted {
            ledger.enter(&frame(worker)?)?;
        }
    }
    let mut out = Vec::new();
    put(&mut out, FrameType::Stop, 0, b"", b"")?;
    worker.send(&out);
    while !ledger.living.is_empty() || !ledger.asked.is_empty() {
        ledger.enter(&frame(worker)?)?;
    }
    worker.ends(Exit::Zero)
}

fn ask(out: &mut Vec<u8>, ledger: &mut Ledger, dice: &mut Dice, sent: &mut u64) -> Result<(), String> {
    // Mostly one that lives, sometimes one that has ended or is not there yet.
    let living: Vec<u64> = ledger.living.keys().copied().collect();
    let all = *sent + 1;
    let one = |dice: &mut Dice| {
        let at = dice.below(living.len() as u64 + living.len() as u64 / 4);
        living.get(at as usize).copied().unwrap_or_else(|| 1 + dice.below(all))
    };
    // Questions are numbered apart from tasks, and each once.
    let question = 1_000_000 + ledger.asked.len() as u64 + dice.below(1 << 40) * 100;
    match dice.below(12) {
        0..=5 if ledger.living.len() < CREDITS && *sent < TASKS => {
            *sent += 1;
            ledger.living.insert(*sent, Life::Sent);
            let nap = [0, 0, 0, 1, 5, 12][dice.below(6) as usize];
            let function = if nap == 0 { "echo" } else { "nap" };
            let meta = TaskMeta { function: Some(function.into()), ..TaskMeta::default() };
            put(out, FrameType::Task, *sent, &meta.to_bytes(), nap.to_string().as_bytes())?;
        }
        6 | 7 => put(out, FrameType::Cancel, one(dice), br#"{"reason":"chance"}"#, b"")?,
        8 => {
            let mut body = Vec::new();
            // None = all.
            let wanted: Vec<u64> = (0..dice.below(4)).map(|_| one(dice)).collect();
            write_ids(&mut body, wanted);
            ledger.asked.insert((FrameType::Returned.number(), question));
            put(out, FrameType::Recall, question, b"", &body)?;
        }
        9 => {
            ledger.asked.insert((FrameType::State.number(), question));
            put(out, FrameType::Snapshot, question, b"", b"")?;
        }
        10 | 11 => {
            ledger.asked.insert((FrameType::Pong.number(), question));
            put(out, FrameType::Ping, question, b"", b"")?;
        }
        _ => {}
    }
    Ok(())
}

impl Ledger {
    fn enter(&mut self, frame: &Received) -> Result<(), String> {
        let life = self.living.get(&frame.id).copied();
        let beside = self.living.iter().any(|(_, life)| *life == Life::Running);
        match (frame.kind, life) {
            (FrameType::Start, Some(Life::Sent)) if beside => Err(format!("{frame} beside another task")),
            (FrameType::Start, Some(Life::Sent)) if frame.id < self.started => {
                Err(format!("{frame} after the START of {}", self.started))
            }
            (FrameType::Start, Some(Life::Sent)) => {
                self.started = frame.id;
                self.living.insert(frame.id, Life::Running);
                Ok(())
            }
            (FrameType::Result, Some(Life::Running)) => self.end(frame.id),
            (FrameType::Error, Some(_)) => match ErrorMeta::read(&frame.meta) {
                Ok(error) if error.cancelled => self.end(frame.id),
                _ => Err(format!("{frame}, and only cancelled tasks should fail here")),
            },
            (FrameType::Returned, _) => {
                for id in ids(&frame.body).map_err(|wrong| wrong.to_string())? {
                    match self.living.get(&id) {
                        Some(Life::Sent) => self.end(id)?,
                        other => return Err(format!("{id} was given back, and is {other:?}")),
                    }
                }
                self.answer(frame)
            }
            (FrameType::State | FrameType::Pong, _) => self.answer(frame),
            (_, life) => {
                let ended = self.ended.contains(&frame.id);
                Err(format!("{frame} came; the task is {life:?}, ended: {ended}"))
            }
        }
    }

    fn end(&mut self, id: u64) -> Result<(), String> {
        self.living.remove(&id);
        if self.ended.insert(id) { Ok(()) } else { Err(format!("{id} ended twice")) }
    }

    fn answer(&mut self, frame: &Received) -> Result<(), String> {
        let asked = self.asked.remove(&(frame.kind.number(), frame.id));
        if asked { Ok(()) } else { Err(format!("{frame} answers what nobody asked")) }
    }
}

fn frame(worker: &mut Running) -> Result<Received, String> {
    match worker.hear()? {
        Heard::Frame(frame) => Ok(frame),
        Heard::End | Heard::Garbage(_) => Err("the worker hung up".to_owned()),
    }
}

fn put(out: &mut Vec<u8>, kind: FrameType, id: u64, meta: &[u8], body: &[u8]) -> Result<(), String> {
    write_frame(out, kind, 0, id, meta, body).map_err(|long| long.to_string())
}

/// xorshift64*: what a test needs of chance, with a seed that can be printed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end.max(1)
    }
}
