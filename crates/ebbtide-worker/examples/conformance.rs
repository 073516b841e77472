//! The functions that the transcripts of `conformance/protocol` call, for the Rust worker. `worker.js` and `worker.py` there have the same.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use ebbtide_worker::{Cancelled, Failure, Level, Reply, Startup, Task, Worker, is_worker};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Oops {
    message: String,
    #[serde(default = "once")]
    times: usize,
    #[serde(default)]
    retryable: bool,
}

#[derive(Serialize)]
struct About {
    attempt: u32,
    key: Option<String>,
    deadline: bool,
    content_type: String,
}

struct State {
    total: i64,
    given: Value,
}

pub(crate) fn main() {
    Worker::new()
        .state(build)
        // A byte for the kind of the state, as the other two write it, so that one transcript is for all three.
        .snapshot(|state: &mut State| {
            let stateless = state.given["stateless"] == Value::Bool(true);
            (!stateless).then(|| format!("\0{}", state.total).into_bytes())
        })
        .handle("default", |_, request: Value, _| Ok::<_, Cancelled>(request))
        .handle("echo", |_, request: Value, _| Ok::<_, Cancelled>(request))
        .handle("fail", |_, oops: Oops, _| Err::<(), _>(fail(&oops)))
        .handle("sleep", |_, _: Value, task| wait_cancelled(task).map_or_else(Err, Ok::<(), Cancelled>))
        .handle("nap", |_, ms: u64, task| task.sleep(Duration::from_millis(ms)).map(|()| ms))
        .handle("gate", |_, name: String, _| gate(name))
        .handle("stubborn", |_, _: Value, task| {
            Ok::<_, Cancelled>(wait_cancelled(task).err().map(|cancelled| cancelled.reason().to_owned()))
        })
        .handle("count", |state, by: i64, _| {
            state.total += by;
            Ok::<_, Cancelled>(state.total)
        })
        .handle_raw("bytes", |_, body, task| {
            Ok::<_, Cancelled>(Reply::from([task.content_type().as_bytes(), b":", body].concat()))
        })
        .handle("unencodable", |_, _: Value, _| Ok::<_, Cancelled>(BTreeMap::from([(vec![1], 1)])))
        .handle("about", |_, _: Value, task| Ok::<_, Cancelled>(about(task)))
        .handle("given", |state, _: Value, _| Ok::<_, Cancelled>(state.given.clone()))
        .handle("say", |_, _: Value, task| say(task))
        .handle("noise", |_, _: Value, _| noise())
        .handle("stdin", |_, _: Value, _| io::stdin().read_to_end(&mut Vec::new()))
        .handle("exit", |_, code: i32, _| exit(code))
        // What only Rust has transcripts for, in `tests/transcripts`.
        .handle("panic", |state, text: String, _| panic(state, &text))
        .handle("spin", |_, _: Value, _| spin())
        .handle("is_worker", |_, _: Value, _| Ok::<_, Cancelled>(is_worker()))
        .serve()
}

fn build(start: &Startup) -> Result<State, Failure> {
    let given = start
        .data::<Value>()
        .map_err(Failure::of)?
        .unwrap_or_else(|| Value::Object([].into_iter().collect()));
    if let Some(why) = given["fail"].as_str() {
        return Err(Failure::new("Start", why));
    }
    let total = match start.restored() {
        Some([0, total @ ..]) => serde_json::from_slice(total).map_err(Failure::of)?,
        Some(_) => return Err(Failure::new("Start", "a state that this worker did not write")),
        None => 0,
    };
    Ok(State { total, given })
}

fn gate(name: String) -> Result<String, std::env::VarError> {
    let path = PathBuf::from(std::env::var("CONFORMANCE_GATES")?).join(&name);
    while !path.exists() {
        std::hint::spin_loop();
    }
    Ok(name)
}

fn once() -> usize {
    1
}

fn fail(oops: &Oops) -> Failure {
    let failure = Failure::new("Oops", oops.message.repeat(oops.times));
    if oops.retryable { failure.retryable() } else { failure }
}

/// Far longer than any transcript waits.
fn wait_cancelled(task: &Task) -> Result<(), Cancelled> {
    task.sleep(Duration::from_secs(600))
}

fn about(task: &Task) -> About {
    About {
        attempt: task.attempt(),
        key: task.key().map(str::to_owned),
        deadline: task.remaining().is_some_and(|left| !left.is_zero()),
        content_type: task.content_type().to_owned(),
    }
}

fn say(task: &Task) -> Result<(), Cancelled> {
    task.progress("half é");
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        task.log(level, format!("a {}", level.name()));
    }
    Ok(())
}

fn noise() -> io::Result<()> {
    writeln!(io::stdout(), "noise on stdout")?;
    writeln!(io::stderr(), "noise on stderr")
}

/// Leaves the state changed, which is what the next task finds.
fn panic(state: &mut State, text: &str) -> Result<(), Cancelled> {
    state.total += 1000;
    panic!("{text}")
}

fn spin() -> Result<(), Cancelled> {
    loop {
        std::hint::spin_loop();
    }
}

#[expect(clippy::disallowed_methods, reason = "what it is asked for")]
fn exit(code: i32) -> Result<(), Cancelled> {
    std::process::exit(code)
}
