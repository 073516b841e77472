//! A contender's side of the race: reads laps, runs them, answers. Ends when nobody asks any more.

use std::io::{self, BufRead as _, Write as _};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::lap::{Lap, Values};

/// More data than any lap needs; a contender that wants more dies, and the machine does not.
const MEMORY_MAX: u64 = 8 << 30;

/// Sees to it that a contender that wants too much memory dies alone.
pub(crate) fn limit_memory() -> io::Result<()> {
    setrlimit(Resource::Data, Rlimit { current: Some(MEMORY_MAX), maximum: Some(MEMORY_MAX) })?;
    Ok(())
}

/// Runs laps until standard input ends. An error is that this is not offered, or begins with `FAILED`.
pub(crate) fn serve(mut run: impl FnMut(Lap) -> Result<Values, String>) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let answer = match line?.parse::<Lap>() {
            Ok(lap) => match run(lap) {
                Ok(values) => values.iter().fold("=".to_owned(), |line, value| line + &format!(" {value}")),
                Err(why) => format!("! {why}"),
            },
            Err(wrong) => format!("! FAILED: {wrong}"),
        };
        let mut output = io::stdout().lock();
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
