//! Supervisors to be killed or starved: this executable, started with `--scenario NAME [ARG…]`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use ebbtide::process::{CommandSpec, Ended, Guardian, Signal, SpawnError};

use crate::tools::{MARK, eventually, marked, open_descriptors, output, shell, sigkill, zombies_of};

const FLAG: &str = "--scenario";

/// Plays the scenario named on the command line, if one is.
pub(crate) fn play() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().collect();
    let [_, flag, name, args @ ..] = &args[..] else { return None };
    if flag != FLAG {
        return None;
    }
    match (&name[..], args) {
        ("supervise", [mark, script]) => supervise(mark, script),
        ("show-limits", []) => {
            say(output(&Guardian::start().unwrap(), shell("ulimit -Sn; ulimit -Hn")).trim_end())
        }
        ("lose-guardian", [mark]) => lose_guardian(mark),
        ("many", []) => many(),
        ("detached-until-full", []) => detached_until_full(),
        ("held-until-full", []) => held_until_full(),
        _ => return Some(ExitCode::from(2)),
    }
    Some(ExitCode::SUCCESS)
}

/// A running scenario; killed when dropped.
pub(crate) struct Running {
    pub(crate) process: Child,
    pub(crate) said: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it; `before` is what a shell puts before its name.
    #[expect(clippy::disallowed_methods, reason = "plays the user who starts a program")]
    pub(crate) fn start(before: &str, args: &[&str]) -> Running {
        let itself = std::env::current_exe().unwrap();
        let mut process = Command::new("sh")
            .args(["-c", &format!("{before} \"$0\" \"$@\"")])
            .arg(itself)
            .arg(FLAG)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Running { process, said }
    }

    /// The next line it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs one command for ever; says the guardian's pid, then `up`.
fn supervise(mark: &str, script: &str) {
    let guardian = Guardian::start().unwrap();
    say(&guardian.pid().to_string());
    let child = guardian.spawn(shell(script).env(MARK, mark)).unwrap();
    say("up");
    say(&child.wait().to_string());
}

/// Loses its guardian and looks who is left.
fn lose_guardian(mark: &str) {
    let guardian = Guardian::start().unwrap();
    let child = guardian.spawn(shell("sleep 1000 & sleep 1000 & wait").env(MARK, mark)).unwrap();
    eventually("all three run", || marked(mark).len() == 3);
    sigkill(guardian.pid());
    assert_eq!(child.wait().ended, Ended::Lost);
    assert_eq!(marked(mark), Vec::<i32>::new());
    say("nobody left");
}

/// Two thousand commands, every third forgotten; looks after each hundred whether anything of them is left.
fn many() {
    let guardian = Guardian::start().unwrap();
    let open = || (open_descriptors(std::process::id()), open_descriptors(guardian.pid()));
    let before = open();
    for n in 1..=2000 {
        let child = guardian.spawn(CommandSpec::new("true")).unwrap();
        if n % 3 != 0 {
            assert!(child.wait().success());
        }
        drop(child);
        if n % 100 == 0 {
            eventually("no more is open than before", || open() == before);
            eventually("none is a zombie", || zombies_of(guardian.pid()).is_empty());
        }
    }
    say("nothing left");
}

/// Forgets its commands, so that the guardian is first to run out of descriptors; then asks for one end to make room.
fn detached_until_full() {
    let guardian = Guardian::start().unwrap();
    let first = guardian.spawn(CommandSpec::new("sleep").arg("100")).unwrap();
    let error = loop {
        if let Err(error) =
            guardian.spawn(CommandSpec::new("sleep").arg("100").stderr(std::io::pipe().unwrap().1))
        {
            break error;
        }
    };
    assert!(matches!(error, SpawnError::Limit { .. }), "{error:?}");
    first.signal(Signal::TERM).unwrap();
    assert_eq!(first.wait().signal(), Some(15));
    assert!(guardian.spawn(CommandSpec::new("true")).unwrap().wait().success());
    say("room again");
}

/// Holds its commands, so that it is itself first to run out.
fn held_until_full() {
    let guardian = Guardian::start().unwrap();
    let mut held = Vec::new();
    let error = loop {
        match guardian.spawn(CommandSpec::new("sleep").arg("100")) {
            Ok(child) => held.push(child),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpawnError::Limit { .. }), "{error:?}");
    let last = held.pop().unwrap();
    last.kill().unwrap();
    assert_eq!(last.wait().signal(), Some(9));
    drop(last);
    assert!(guardian.spawn(CommandSpec::new("true")).unwrap().wait().success());
    say("room again");
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
