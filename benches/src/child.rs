//! A contender's side of the race: reads laps, runs them, answers. Ends when nobody asks any more.

use std::io::{self, BufRead as _, Write as _};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{contenders, lap::Lap};

/// More data than any lap needs; a contender that wants more dies, and the machine does not.
const MEMORY_MAX: u64 = 8 << 30;

/// Runs laps for the contender of that name until standard input ends.
pub(crate) fn serve(name: &str) -> io::Result<()> {
    setrlimit(Resource::Data, Rlimit { current: Some(MEMORY_MAX), maximum: Some(MEMORY_MAX) })?;
    for line in io::stdin().lock().lines() {
        let answer = match line?.parse::<Lap>() {
            Ok(lap) => match contenders::run(name, lap) {
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
