//! A contender's process: laps go in, values come out, and one that hangs or dies costs its own result only.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::lap::{Lap, Values};

/// A contender at work.
#[derive(Debug)]
pub(crate) struct Runner {
    process: Child,
    laps: Option<ChildStdin>,
    answers: Receiver<String>,
    /// It leads a group of processes of its own.
    leads: bool,
}

/// How long one that leads processes may take to end them.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// It cannot, and says why: no failure.
    NotOffered(String),
    /// It did it wrong, hung or died.
    Failed(String),
}

impl Runner {
    pub(crate) fn start(mut command: Command) -> Result<Self, Miss> {
        let failed = |error| Miss::Failed(format!("could not be started: {error}"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let laps = process.stdin.take();
        let output = process.stdout.take().expect("it was piped");
        let (sender, answers) = channel();
        // Ends with the process: when its output does.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, laps, answers, leads: false })
    }

    /// One that has started processes itself: it gets a group of its own, and is asked to end before it is ended with all of them.
    pub(crate) fn lead(mut command: Command) -> Result<Self, Miss> {
        command.process_group(0);
        let mut runner = Self::start(command)?;
        runner.leads = true;
        Ok(runner)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// Runs one lap. After a `Failed` the process is gone.
    pub(crate) fn lap(&mut self, lap: Lap, timeout: Duration) -> Result<Values, Miss> {
        let asked = self.laps.as_mut().is_some_and(|laps| writeln!(laps, "{lap}").is_ok());
        if !asked {
            return Err(self.died());
        }
        match self.answers.recv_timeout(timeout) {
            Ok(answer) => read(&answer),
            Err(RecvTimeoutError::Timeout) => {
                // What hangs in a lap does not read its input; its group goes at once.
                drop(self.process.kill());
                self.end();
                Err(Miss::Failed(format!("HUNG: nothing came for {timeout:?}")))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.died()),
        }
    }

    fn died(&mut self) -> Miss {
        self.laps = None;
        let how = self.process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        Miss::Failed(format!("DIED: {how}"))
    }

    fn end(&mut self) {
        self.laps = None;
        if self.leads {
            self.end_group();
        }
        // Both fail only where it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// The end of its input is the request to end; whoever is left after that is killed.
    fn end_group(&mut self) {
        let until = Instant::now() + FAREWELL;
        while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // It fails where nobody is left.
        group.map(|group| kill_process_group(group, Signal::KILL));
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(answer: &str) -> Result<Values, Miss> {
    let wrong = || Miss::Failed(format!("answered \"{answer}\""));
    match answer.split_once(' ') {
        Some(("=", values)) => {
            let values: Result<Values, _> = values.split_whitespace().map(str::parse).collect();
            values.map_err(|_| wrong())
        }
        Some(("!", why)) if why.starts_with("WRONG") || why.starts_with("FAILED") => {
            Err(Miss::Failed(why.to_owned()))
        }
        Some(("!", why)) => Err(Miss::NotOffered(why.to_owned())),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lap::Kind;

    const LAP: Lap = Lap { kind: Kind::Fire, producers: 1, workers: 1, size: 1 };

    fn shell(script: &str) -> Runner {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Runner::start(command).unwrap()
    }

    #[test]
    fn values_and_refusals_are_told_apart() {
        assert_eq!(read("= 1.5 20"), Ok(vec![1.5, 20.0]));
        assert_eq!(read("! has no handle"), Err(Miss::NotOffered("has no handle".into())));
        assert!(matches!(read("! WRONG: lost 3"), Err(Miss::Failed(_))));
        assert!(matches!(read("= fast"), Err(Miss::Failed(_))));
        assert!(matches!(read("hello"), Err(Miss::Failed(_))));
    }

    #[test]
    fn one_that_hangs_is_ended_and_said() {
        let miss = shell("read lap; exec sleep 600").lap(LAP, Duration::from_millis(300)).unwrap_err();
        assert!(matches!(&miss, Miss::Failed(why) if why.starts_with("HUNG")), "{miss:?}");
    }

    #[test]
    fn one_that_dies_is_said() {
        let miss = shell("read lap; exit 3").lap(LAP, Duration::from_secs(60)).unwrap_err();
        assert_eq!(miss, Miss::Failed("DIED: exit status: 3".into()));
    }
}
