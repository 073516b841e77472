//! What an existing log says is done, and whether it is about this input and this command.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, BufRead};

use super::row::{HEADER, escape, parse};

/// Why a log cannot be resumed from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not a job log (line {0} has not the columns of one)")]
    NotALog(u64),
    #[error(
        "belongs to other work: its row for line {seq} is a command that does not fit this input and COMMAND; \
         give the log of this work, or another --joblog to begin anew"
    )]
    Other { seq: u64 },
    #[error(
        "belongs to other work: it has a row for line {seq}, and the input ends after line {last}; \
         give the log of this work, or another --joblog to begin anew"
    )]
    Longer { seq: u64, last: u64 },
}

/// Which logged tasks count as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Whatever ended (`--resume`).
    Ended,
    /// Only what ended with exit code 0 (`--resume-failed`).
    Succeeded,
}

/// The rows of an earlier run, 24 bytes per task.
#[derive(Debug, Default)]
pub(crate) struct Past {
    rows: HashMap<u64, Logged>,
    /// Where the last complete row ends: what is behind it is torn.
    pub(super) complete: u64,
}

#[derive(Debug, Clone, Copy)]
struct Logged {
    command: u64,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Succeeded,
    Failed,
}

impl Past {
    /// Reads all rows. A torn last one (no newline behind it) is ignored; of several for one task the last counts.
    pub(super) fn read(mut log: impl BufRead) -> Result<Past, ReadError> {
        let mut past = Past::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = log.read_until(b'\n', &mut line)? as u64;
            let Some(row) = line.strip_suffix(b"\n") else {
                // Somebody's one-line file is not a torn log: it must not be cut off.
                if number == 1 && !HEADER.starts_with(&line) {
                    return Err(ReadError::NotALog(1));
                }
                break;
            };
            if number == 1 && line == HEADER {
                past.complete += read;
                continue;
            }
            let parsed = parse(row).ok_or(ReadError::NotALog(number))?;
            past.complete += read;
            let verdict =
                if parsed.exit == 0 && parsed.signal == 0 { Verdict::Succeeded } else { Verdict::Failed };
            past.rows.insert(parsed.seq, Logged { command: hash(parsed.command), verdict });
        }
        Ok(past)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether task `seq`, whose command is `command`, is done; an error when the log means another command.
    pub(crate) fn is_done(&self, seq: u64, command: &[u8], done: Done) -> Result<bool, ReadError> {
        let Some(logged) = self.rows.get(&seq) else { return Ok(false) };
        let mut escaped = Vec::with_capacity(command.len());
        escape(command, &mut escaped);
        if hash(&escaped) != logged.command {
            return Err(ReadError::Other { seq });
        }
        Ok(done == Done::Ended || logged.verdict == Verdict::Succeeded)
    }

    /// The input ended after task `last`: a row beyond it is about other input.
    pub(crate) fn ends_with(&self, last: u64) -> Result<(), ReadError> {
        match self.rows.keys().filter(|seq| **seq > last).min() {
            Some(seq) => Err(ReadError::Longer { seq: *seq, last }),
            None => Ok(()),
        }
    }
}

/// 64 bits of a command: enough to notice other work, and a log of ten million rows fits into memory.
fn hash(command: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[u8]) -> Result<Past, ReadError> {
        Past::read(&[HEADER, rows].concat()[..])
    }

    const ROWS: &[u8] = b"1\t:\t1.0\t0.1\t0\t0\t0\t0\techo a\n3\t:\t1.0\t0.1\t0\t0\t2\t0\techo c\n";

    #[test]
    fn what_is_logged_is_done_or_failed() {
        let past = read(ROWS).unwrap();
        assert!(past.is_done(1, b"echo a", Done::Ended).unwrap());
        assert!(!past.is_done(2, b"echo b", Done::Ended).unwrap());
        assert!(past.is_done(3, b"echo c", Done::Ended).unwrap());
        assert!(!past.is_done(3, b"echo c", Done::Succeeded).unwrap());
    }

    #[test]
    fn the_last_row_of_a_task_counts() {
        let past = read(&[ROWS, b"3\t:\t9.0\t0.1\t0\t0\t0\t0\techo c\n"].concat()).unwrap();
        assert!(past.is_done(3, b"echo c", Done::Succeeded).unwrap());
    }

    #[test]
    fn a_torn_last_row_is_ignored_and_cut() {
        let past = read(&[ROWS, b"4\t:\t9.0\t0.1\t0\t0\t0\t0\tec"].concat()).unwrap();
        assert!(!past.is_done(4, b"ec", Done::Ended).unwrap());
        assert_eq!(past.complete, (HEADER.len() + ROWS.len()) as u64);
    }

    #[test]
    fn other_work_is_refused() {
        let past = read(ROWS).unwrap();
        assert!(matches!(past.is_done(3, b"echo x", Done::Ended), Err(ReadError::Other { seq: 3 })));
        assert!(matches!(past.ends_with(2), Err(ReadError::Longer { seq: 3, last: 2 })));
        past.ends_with(3).unwrap();
    }

    #[test]
    fn what_is_not_a_log_is_refused() {
        assert!(matches!(Past::read(&b"hello\nworld\n"[..]), Err(ReadError::NotALog(1))));
        assert!(matches!(read(b"hello\n"), Err(ReadError::NotALog(2))));
        assert!(matches!(Past::read(&b"a note"[..]), Err(ReadError::NotALog(1))));
        assert!(Past::read(&b""[..]).unwrap().is_empty());
        assert!(Past::read(&b"Seq\tHo"[..]).unwrap().is_empty());
    }
}
