//! The tools of the tests as a Rust worker: this executable started once more. The same as in `toolbox/tools.js` and `toolbox/tools.py`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ebbtide_worker::{Failure, Level, Reply, Startup, Task, Worker};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::{Value, json};

use crate::tools::{now, pause};

type Answer = Result<Value, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Default)]
struct State {
    count: i64,
    data: Value,
    kept: Vec<Vec<u8>>,
}

/// Serves as a worker; what `tools` does in the other languages.
pub(crate) fn serve() -> ! {
    Worker::new()
        .state(|start: &Startup| {
            if std::env::var_os("EBBTIDE_TEST_BLOCK").is_some_and(|path| Path::new(&path).exists()) {
                return Err("blocked by the test".into());
            }
            while std::env::var_os("EBBTIDE_TEST_WAIT").is_some_and(|path| Path::new(&path).exists()) {
                pause(Duration::from_millis(5));
            }
            let count = start.restored().map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
            let data = start.data()?.unwrap_or(Value::Null);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(State {
                count: count.unwrap_or(0),
                data,
                kept: Vec::new(),
            })
        })
        .snapshot(|state| state.count.to_le_bytes().to_vec())
        .handle("tool", |state, (name, argument): (String, Value), task: &Task| {
            tool(state, &name, &argument, task)
        })
        .handle("hello", |_, name: String, _: &Task| Ok::<_, Failure>(format!("hello {name}")))
        .handle_raw("raw", |_, bytes: &[u8], task: &Task| {
            let mut answer = format!("{}:", task.content_type()).into_bytes();
            answer.extend_from_slice(bytes);
            Ok::<_, Failure>(Reply::from(answer))
        })
        .handle_raw("bytes", |_, bytes: &[u8], _: &Task| {
            let (_, size): (String, usize) = serde_json::from_slice(bytes)?;
            Ok::<_, serde_json::Error>(vec![7; size])
        })
        .serve()
}

fn tool(state: &mut State, name: &str, argument: &Value, task: &Task) -> Answer {
    let text = || argument.as_str().unwrap_or_default();
    match name {
        "echo" => Ok(argument.clone()),
        "attempt" => Ok(json!([task.attempt(), task.key()])),
        "gate" => gate(text(), task),
        "deaf" => {
            while !Path::new(text()).exists() {
                pause(Duration::from_millis(2));
            }
            Ok(argument.clone())
        }
        "why" => Ok(gate(text(), task).map_or_else(|error| json!(error.to_string()), |_| Value::Null)),
        "fail" | "fail_later" => Err(Failure::new("ValueError", text()).into()),
        "pid" => Ok(json!(std::process::id())),
        "count" => {
            state.count += argument.as_i64().unwrap_or(0);
            Ok(json!(state.count))
        }
        "env" => Ok(json!(std::env::var(text()).ok())),
        "data" => Ok(state.data.clone()),
        "argv" => Ok(json!(std::env::args().skip(1).collect::<Vec<_>>())),
        "nice" => Ok(json!(niceness())),
        "note" => note(argument),
        "hog" => {
            let mib = usize::try_from(argument.as_u64().unwrap_or(0)).unwrap();
            // One by one: a limit is passed in the middle.
            state.kept.extend((0..mib).map(|_| vec![1; 1 << 20]));
            Ok(json!(state.kept.len()))
        }
        "refuse" => Err("not every value is JSON".into()),
        "bytes" => Ok(json!("\u{7}".repeat(usize::try_from(argument.as_u64().unwrap_or(0)).unwrap()))),
        _ => ends(name, argument, task).unwrap_or_else(|| says(name, argument, task)),
    }
}

/// Tools that end, or never do.
#[expect(clippy::disallowed_methods, reason = "plays a worker that ends its process")]
fn ends(name: &str, argument: &Value, task: &Task) -> Option<Answer> {
    let code = i32::try_from(argument.as_i64().unwrap_or(0)).unwrap_or(0);
    let kill = || -> ! {
        crate::tools::sigkill(std::process::id());
        loop {
            std::hint::spin_loop();
        }
    };
    match name {
        "busy" | "stubborn" => loop {
            std::hint::spin_loop();
        },
        "spin" => {
            let until = now() + Duration::from_millis(argument.as_u64().unwrap_or(0));
            while now() < until {}
            Some(Ok(argument.clone()))
        }
        "fail_after" | "exit_after" => {
            let later = move || {
                pause(Duration::from_millis(20));
                if code != 0 {
                    std::process::exit(code);
                }
            };
            std::thread::spawn(later);
            Some(Ok(json!("returned")))
        }
        "exit" => std::process::exit(code),
        "kill" => kill(),
        "garbage" => Some(to_the_pool(&[0, 255].repeat(64)).map(|()| Value::Null)),
        "half" => {
            let _ = to_the_pool(&HALF);
            kill()
        }
        "kill_first" if task.attempt() == 1 => kill(),
        "kill_first" => Some(Ok(json!(task.attempt()))),
        _ => None,
    }
}

/// The beginning of a RESULT with a hundred bytes, of task 65535.
const HALF: [u8; 24] =
    [112, 0, 0, 0, 68, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 49, 49, 49, 49, 49, 49, 49, 49];

/// Writes into the socket of the worker itself, behind the back of what serves it.
fn to_the_pool(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_string_lossy().parse()?;
        let is = fs::read_link(format!("/proc/self/fd/{number}"));
        if is.is_ok_and(|is| is.to_string_lossy().starts_with("socket:")) {
            let own = pidfd_open(getpid(), PidfdFlags::empty())?;
            rustix::io::write(pidfd_getfd(own, number, PidfdGetfdFlags::empty())?, bytes)?;
        }
    }
    Ok(())
}

/// Tools that print, log, and start others.
#[expect(clippy::disallowed_methods, reason = "plays a worker that starts a program of its own")]
fn says(name: &str, argument: &Value, task: &Task) -> Answer {
    let text = argument.as_str().unwrap_or_default();
    let pair = || (argument[0].as_str().unwrap_or_default(), argument[1].as_str().unwrap_or_default());
    let level = || match pair().0 {
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    };
    match name {
        "say" => {
            writeln!(std::io::stdout(), "{text}")?;
            writeln!(std::io::stderr(), "{text}!")?;
            Ok(Value::Null)
        }
        "log" | "log_outside" => {
            task.log(level(), pair().1);
            Ok(Value::Null)
        }
        "progress" => {
            task.progress(pair().0);
            gate(pair().1, task)
        }
        "flood" => flood(argument.as_u64().unwrap_or(0)),
        "orphan" => {
            let null = || std::process::Stdio::null();
            let mut sleep = std::process::Command::new("setsid");
            let child = sleep.args(["sleep", "1000"]).stdin(null()).stdout(null()).stderr(null()).spawn()?;
            Ok(json!(child.id()))
        }
        other => Err(format!("there is no tool {other}").into()),
    }
}

fn gate(path: &str, task: &Task) -> Answer {
    while !Path::new(path).exists() {
        task.sleep(Duration::from_millis(2))?;
    }
    Ok(json!(path))
}

fn note(argument: &Value) -> Answer {
    let path = argument[0].as_str().unwrap_or_default();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let line = argument[1].to_string() + "\n";
    file.write_all(line.replace('"', "").as_bytes())?;
    Ok(argument[1].clone())
}

fn flood(bytes: u64) -> Answer {
    let chunk = ("x".repeat(79) + "\n").repeat(1 << 14);
    let mut done = 0;
    while done < bytes {
        std::io::stdout().write_all(chunk.as_bytes())?;
        std::io::stderr().write_all(chunk.as_bytes())?;
        done += 2 * chunk.len() as u64;
    }
    std::io::stderr().write_all(b"the last line\n")?;
    Ok(json!(bytes))
}

fn niceness() -> i64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(16).unwrap().parse().unwrap()
}
