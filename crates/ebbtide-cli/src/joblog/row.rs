//! One row of the job log: its columns, how they are written, how they are read.

use std::time::{Duration, SystemTime};

/// The first line of a log, as GNU parallel writes it.
pub(super) const HEADER: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
const COLUMNS: usize = 9;

/// What is logged about a task that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The number of the line, from 1.
    pub(crate) seq: u64,
    pub(crate) started: SystemTime,
    pub(crate) ran: Duration,
    /// Bytes the command wrote to its standard output.
    pub(crate) received: u64,
    /// The exit code; -1 when there is none although no signal ended it (a time-out), 126/127 when it did not start.
    pub(crate) exit: i32,
    /// The signal that ended it, or 0.
    pub(crate) signal: i32,
    /// The command as it could be typed, not yet escaped.
    pub(crate) command: Vec<u8>,
}

impl Row {
    /// The row as it stands in the file, with its newline.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut line = format!(
            "{}\t:\t{:.3}\t{:.3}\t0\t{}\t{}\t{}\t",
            self.seq,
            started.as_secs_f64(),
            self.ran.as_secs_f64(),
            self.received,
            self.exit,
            self.signal
        )
        .into_bytes();
        escape(&self.command, &mut line);
        line.push(b'\n');
        line
    }
}

/// What resuming needs of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) seq: u64,
    pub(super) exit: i32,
    pub(super) signal: i32,
    /// As it stands in the file, escaped.
    pub(super) command: &'a [u8],
}

/// Reads one row without its newline; `None` when it is not one.
pub(super) fn parse(line: &[u8]) -> Option<Parsed<'_>> {
    let mut columns = line.splitn(COLUMNS, |byte| *byte == b'\t');
    let seq = number(columns.next()?)?;
    let mut rest = columns.skip(5);
    let exit = number(rest.next()?)?;
    let signal = number(rest.next()?)?;
    let command = rest.next()?;
    Some(Parsed { seq, exit, signal, command })
}

/// Appends `command` with tab, newline, NUL and backslash escaped.
pub(super) fn escape(command: &[u8], line: &mut Vec<u8>) {
    for byte in command {
        match byte {
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            0 => line.extend_from_slice(b"\\0"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            other => line.push(*other),
        }
    }
}

fn number<N: std::str::FromStr>(column: &[u8]) -> Option<N> {
    std::str::from_utf8(column).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(command: &[u8]) -> Row {
        Row {
            seq: 7,
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            ran: Duration::from_millis(1_500),
            received: 12,
            exit: 3,
            signal: 0,
            command: command.to_vec(),
        }
    }

    #[test]
    fn a_row_has_the_columns_of_the_header() {
        let line = row(b"echo x").to_line();
        assert_eq!(line, b"7\t:\t1700000000.250\t1.500\t0\t12\t3\t0\techo x\n");
        let columns = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\t').count() + 1;
        assert_eq!((columns(HEADER), columns(&line)), (COLUMNS, COLUMNS));
    }

    #[test]
    fn what_would_break_a_row_is_escaped() {
        let line = row(b"a\tb\nc\\t\0\xff").to_line();
        assert!(line.ends_with(b"\ta\\tb\\nc\\\\t\\0\xff\n"));
        let parsed = parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!((parsed.seq, parsed.exit, parsed.signal), (7, 3, 0));
        assert_eq!(parsed.command, b"a\\tb\\nc\\\\t\\0\xff");
    }

    #[test]
    fn gnu_parallels_padding_is_read() {
        let line = b"2\t:\t1384431385.051\t     0.010\t0\t0\t1\t0\texit 1";
        assert_eq!(parse(line), Some(Parsed { seq: 2, exit: 1, signal: 0, command: b"exit 1" }));
    }

    #[test]
    fn what_is_not_a_row_is_none() {
        for wrong in [&b""[..], b"x", b"1\t:\t1\t1\t0\t0\t0\t0", b"x\t:\t1\t1\t0\t0\t0\t0\tc", b"1\t2\t3"] {
            assert_eq!(parse(wrong), None);
        }
    }
}
