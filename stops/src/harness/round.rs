//! One round: start, load, SIGTERM, load for a little longer, wait for the end, count.

use std::{
    error::Error,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time,
};

use super::{
    load::{Load, Seen, warm},
    servers::{Servers, free_port},
};

/// So many increments work at once,
pub(crate) const WORKERS: usize = 2;
/// each for so long: about 400 a second, while the clients ask for twice as many.
pub(crate) const WORK: Duration = Duration::from_millis(5);
/// Clients go on for so long after the signal: what a load balancer takes to hear of it.
pub(crate) const WINDOW: Duration = Duration::from_millis(500);
/// Who can serve on after the signal is told to do so for so long.
pub(crate) const DELAY: Duration = Duration::from_millis(1_000);
/// Clients that hear of the end of the window so close to the end of the delay may be too late.
const TELLING: Duration = Duration::from_millis(200);
/// A stop may take so long; who is there later than that and a margin is killed.
const DEADLINE: Duration = Duration::from_secs(25);
const MARGIN: Duration = Duration::from_secs(5);
/// So long may a contender take to be ready.
const START: Duration = Duration::from_secs(30);

/// A contender's process.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    #[serde(flatten)]
    pub(crate) seen: Seen,
    /// Increments in Redis after the end.
    pub(crate) applied: u64,
    /// Increments that were answered 2xx and never applied.
    pub(crate) lost: u64,
    /// Increments that found Redis gone.
    pub(crate) errors: u64,
    pub(crate) runs: Runs,
    /// From the signal to the end of the process.
    pub(crate) stop_ms: u64,
    /// `0`, `1`, …, `SIGSEGV`, `hung`.
    pub(crate) exit: String,
    /// The clients were not stopped in time, because this machine stood still: nobody can be blamed for what they saw.
    pub(crate) disturbed: bool,
    /// The last line on its standard error.
    pub(crate) said: Option<String>,
}

/// Runs of the refresh job.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Runs {
    pub(crate) begun: u64,
    pub(crate) failed: u64,
    /// Begun, and neither ended nor failed.
    pub(crate) cut: u64,
}

/// `before` is the time under load before the signal; `report` is where to write a report of the stop, for who can.
pub(crate) async fn round(
    program: &Program,
    servers: &Servers,
    before: Duration,
    report: Option<&Path>,
) -> Result<Round, Box<dyn Error>> {
    servers.reset().await?;
    let ledger = servers.folder.path().join("ledger");
    fs::write(&ledger, "")?;
    let port = free_port()?;
    let mut child = start(program, servers, &ledger, port, report).await?;
    let mut errors = child.stderr.take().ok_or("its standard error is a pipe")?;
    let said = tokio::spawn(async move {
        let mut text = Vec::new();
        errors.read_to_end(&mut text).await.map(|_| text)
    });

    let address = SocketAddr::from(([127, 0, 0, 1], port));
    warm(address).await?;
    let load = Load::start(address);
    time::sleep(before).await;
    let signalled = Instant::now();
    let pid =
        child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or("it ended before the signal")?;
    kill_process(pid, Signal::TERM)?;
    let clients = async {
        time::sleep(WINDOW).await;
        let late = signalled.elapsed();
        (load.end().await, late)
    };
    let end = async {
        let ended = time::timeout(DEADLINE + MARGIN, child.wait()).await;
        (ended, signalled.elapsed())
    };
    let ((seen, late), (ended, stop)) = tokio::join!(clients, end);
    let exit = if let Ok(status) = ended {
        exit(status?)
    } else {
        child.kill().await?;
        "hung".to_owned()
    };
    let applied = servers.counter().await?;
    let (runs, errors) = read(&fs::read_to_string(&ledger)?);
    let said = String::from_utf8_lossy(&said.await??).lines().last().map(str::to_owned);
    let lost = seen.answered.saturating_sub(applied);
    let stop_ms = u64::try_from(stop.as_millis())?;
    let disturbed = late > DELAY - TELLING;
    Ok(Round { seen, applied, lost, errors, runs, stop_ms, exit, disturbed, said })
}

async fn start(
    program: &Program,
    servers: &Servers,
    ledger: &Path,
    port: u16,
    report: Option<&Path>,
) -> Result<Child, Box<dyn Error>> {
    let millis = |duration: Duration| duration.as_millis().to_string();
    let mut command = Command::new(&program.path);
    command.args(&program.args).env("DATABASE", &servers.database).env("LEDGER", ledger);
    command.env("PORT", port.to_string()).env("REDIS_URL", &servers.url);
    command.env("WORKERS", WORKERS.to_string()).env("WORK_MS", millis(WORK));
    command.env("DELAY_MS", millis(DELAY)).env("DEADLINE_MS", millis(DEADLINE));
    if let Some(report) = report {
        command.env("REPORT", report);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let shown = program.path.display();
    let mut child = command.spawn().map_err(|error| format!("{shown} does not start: {error}"))?;
    let output = child.stdout.take().ok_or("its standard output is a pipe")?;
    let mut lines = BufReader::new(output).lines();
    let ready = time::timeout(START, async {
        while let Some(line) = lines.next_line().await? {
            if line == "READY" {
                return Ok::<_, std::io::Error>(true);
            }
        }
        Ok(false)
    });
    if !ready.await.map_err(|_| format!("{shown} was not READY after {START:?}"))?? {
        let mut said = String::new();
        if let Some(mut errors) = child.stderr.take() {
            errors.read_to_string(&mut said).await?;
        }
        return Err(format!("{shown} ended before it was READY: {}", said.trim()).into());
    }
    // Read on, so that it never writes into a closed pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(child)
}

fn exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The runs of the job, and increments that failed.
fn read(ledger: &str) -> (Runs, u64) {
    let count =
        |word: &str| ledger.lines().filter(|line| line.split(' ').next() == Some(word)).count() as u64;
    let (begun, ended, failed) = (count("begin"), count("end"), count("failed"));
    (Runs { begun, failed, cut: begun.saturating_sub(ended + failed) }, count("increment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_read_as_it_is_written() {
        let (runs, errors) = read("begin\nend\nbegin\nfailed no such table\nbegin\nincrement end of file\n");
        assert_eq!((runs.begun, runs.failed, runs.cut, errors), (3, 1, 1, 1));
        let (runs, errors) = read("");
        assert_eq!((runs.begun, runs.failed, runs.cut, errors), (0, 0, 0, 0));
    }
}
