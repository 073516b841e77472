//! Whether an interpreter is there and young enough: it is asked for its version, as a command that is held like any other.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::bell::Bell;
use crate::runner::{Asks, Budget, Keep, Launcher, Verdict, attempt, find_program};

/// One that takes longer to say its version hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Its path and version, or what is wrong.
pub(super) fn version(launcher: &Launcher, program: &str, least: (u32, u32)) -> Result<String, String> {
    let path = find_program(OsStr::new(program))?;
    let said = ask(launcher, program)?;
    let shown = format!("{said} ({})", path.display());
    match parse(&said) {
        None => Err(format!("{} says {said:?}, which is no version", path.display())),
        Some(version) if version < least => {
            Err(format!("{shown} is too old: {}.{} is the least", least.0, least.1))
        }
        Some(_) => Ok(shown),
    }
}

fn ask(launcher: &Launcher, program: &str) -> Result<String, String> {
    let bell = || Bell::new().map(Arc::new).map_err(|error| error.to_string());
    let (cancel, force) = (bell()?, bell()?);
    let (answered, waits) = mpsc::channel::<()>();
    let ring = Arc::clone(&force);
    let watch = move || {
        if waits.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            ring.ring();
        }
    };
    let watch = std::thread::Builder::new().spawn(watch).map_err(|error| error.to_string())?;
    let asks = Asks { cancel: cancel.as_fd(), force: force.as_fd(), grace: Duration::ZERO };
    let argv = [program.into(), "--version".into()];
    let done = attempt(launcher, &argv, asks, Keep::Beginning, &Budget::default());
    drop(answered);
    let _ = watch.join();
    let mut done = done.map_err(|error| error.to_string())?;
    match done.verdict {
        Verdict::Completed => {}
        Verdict::Killed => return Err(format!("{program} --version did not end within {PATIENCE:?}")),
        _ => {
            let how = match (done.exit_code, done.signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            };
            return Err(format!("{program} --version failed ({how})"));
        }
    }
    let mut text = Vec::new();
    let mut take = |piece: &[u8]| {
        text.extend_from_slice(piece);
        Ok::<_, std::io::Error>(())
    };
    // Python 2 says it on its standard error.
    done.stdout
        .read(&mut take)
        .and_then(|()| done.stderr.read(&mut take))
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}

/// `v20.1.2`, `Python 3.11.7`: the first two numbers.
fn parse(text: &str) -> Option<(u32, u32)> {
    let begin = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[begin..].split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_is_said() {
        assert_eq!(parse("v20.20.2"), Some((20, 20)));
        assert_eq!(parse("Python 3.9.18"), Some((3, 9)));
        assert_eq!(parse("Python 3.12.1+"), Some((3, 12)));
        assert_eq!(parse("no version at all"), None);
    }
}
