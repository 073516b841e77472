//! How many tasks one worker runs per second: `cargo run --release -p ebbtide-worker --example throughput [credits] [bytes] [seconds]
//! [json|raw]`.
//!
//! It is its own worker. The parent keeps `credits` tasks in flight over a socket pair and counts what comes back.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement: it starts its worker and prints what it found"
)]

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ebbtide_worker::frame::meta::TaskMeta;
use ebbtide_worker::frame::{Decoder, FrameType, write_frame};
use ebbtide_worker::{Reply, Task, Worker, is_worker};

fn main() -> Result<(), Box<dyn Error>> {
    if is_worker().is_some() {
        Worker::new()
            .handle("default", |(), text: String, _: &Task| Ok::<_, io::Error>(text))
            .handle_raw("raw", |(), bytes, _: &Task| Ok::<_, io::Error>(Reply::from(bytes.to_vec())))
            .serve();
    }
    let number = |at, default| std::env::args().nth(at).map_or(Ok(default), |text| text.parse());
    let (credits, bytes, seconds) = (number(1, 16)?, number(2, 64)?, number(3, 2)?);
    let raw = std::env::args().nth(4).is_some_and(|what| what == "raw");
    let meta = if raw {
        TaskMeta { function: Some("raw".into()), ..TaskMeta::default() }
    } else {
        TaskMeta::default()
    };
    let body = format!("\"{}\"", "x".repeat((bytes as usize).saturating_sub(2)));
    let (mut pool, mut child) = start()?;
    let writer = if bytes > LONG { Some(write_beside(&pool)?) } else { None };
    let (decoder, meta, body) = (Decoder::new(), meta.to_bytes(), body.as_bytes());
    let mut round = Round { pool: &mut pool, writer, decoder, meta, body, next: 1 };
    round.run(credits, Duration::from_millis(200))?;
    let (before, start) = (cpu(child.id()), Instant::now());
    let done = round.run(credits, Duration::from_secs(seconds))?;
    let (took, used) = (start.elapsed().as_secs_f64(), cpu(child.id()) - before);
    println!(
        "{credits} credits, {} bytes: {:.0} tasks/s, {:.2} us of the worker's CPU per task",
        body.len(),
        done as f64 / took,
        used * 1e6 / done as f64
    );
    drop(round);
    pool.shutdown(Shutdown::Both)?;
    child.wait()?;
    Ok(())
}

fn start() -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env("EBBTIDE_NONCE", "throughput").stdin(OwnedFd::from(theirs));
    Ok((ours, command.spawn()?))
}

/// A pool must read while it writes, or two long bodies wait for each other: from here on a thread writes.
const LONG: u64 = 16 << 10;

fn write_beside(pool: &UnixStream) -> io::Result<Sender<Vec<u8>>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    let mut pool = pool.try_clone()?;
    let write = move || receiver.iter().try_for_each(|bytes| pool.write_all(&bytes));
    std::thread::Builder::new().spawn(write)?;
    Ok(sender)
}

struct Round<'a> {
    pool: &'a mut UnixStream,
    writer: Option<Sender<Vec<u8>>>,
    decoder: Decoder,
    meta: Vec<u8>,
    body: &'a [u8],
    next: u64,
}

impl Round<'_> {
    /// Keeps so many in flight for so long, then takes in what is left; gives how many ended.
    fn run(&mut self, credits: u64, time: Duration) -> Result<u64, Box<dyn Error>> {
        let mut out = Vec::new();
        let (start, mut done, mut flying) = (Instant::now(), 0, 0);
        loop {
            if start.elapsed() < time {
                while flying < credits {
                    write_frame(&mut out, FrameType::Task, 0, self.next, &self.meta, self.body)?;
                    (self.next, flying) = (self.next + 1, flying + 1);
                }
            } else if flying == 0 {
                return Ok(done);
            }
            match &self.writer {
                Some(writer) => writer.send(std::mem::take(&mut out))?,
                None => self.pool.write_all(&out)?,
            }
            out.clear();
            let n = self.pool.read(self.decoder.space())?;
            self.decoder.filled(n);
            while let Some(frame) = self.decoder.next()? {
                if matches!(frame.kind, FrameType::Result) {
                    (done, flying) = (done + 1, flying - 1);
                } else if frame.kind == FrameType::Error {
                    return Err(String::from_utf8_lossy(frame.meta).into());
                }
            }
        }
    }
}

/// Seconds of CPU that a process has used.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
