//! How many frames one core writes and reads per second: `cargo run --release -p ebbtide-worker --example frames`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement: it looks at the clock and prints what it found"
)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use ebbtide_worker::frame::meta::TaskMeta;
use ebbtide_worker::frame::{Decoder, FrameType, write_frame};

const ROUND: u64 = 512;
const ROUNDS: u64 = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let named = TaskMeta { function: Some("echo".into()), ..TaskMeta::default() }.to_bytes();
    for (what, meta) in [("no meta", &b""[..]), ("meta of a function", &named)] {
        let body = [7; 64];
        let mut out = Vec::new();
        let start = Instant::now();
        for _ in 0..ROUNDS {
            out.clear();
            for id in 0..ROUND {
                write_frame(&mut out, FrameType::Task, 0, id, black_box(meta), black_box(&body))?;
            }
            black_box(&out);
        }
        say("written", what, start);
        let start = Instant::now();
        let (mut decoder, mut sum) = (Decoder::new(), 0);
        for _ in 0..ROUNDS {
            let mut rest = &out[..];
            while !rest.is_empty() {
                let space = decoder.space();
                let n = space.len().min(rest.len());
                space[..n].copy_from_slice(&rest[..n]);
                decoder.filled(n);
                rest = &rest[n..];
                while let Some(frame) = decoder.next()? {
                    sum += frame.id + TaskMeta::read(frame.meta)?.attempt as u64;
                }
            }
        }
        black_box(sum);
        say("read", what, start);
    }
    Ok(())
}

fn say(done: &str, what: &str, since: Instant) {
    let per_second = (ROUND * ROUNDS) as f64 / since.elapsed().as_secs_f64();
    println!("{done}, 64 bytes, {what}: {:.1} M frames/s", per_second / 1e6);
}
