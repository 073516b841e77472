//! The exit codes: one table for every command, and the one rule that picks from it.

use std::fmt::Write as _;

/// One row of the table: the code and what it says.
pub(crate) struct Row {
    pub(crate) code: u8,
    pub(crate) meaning: &'static str,
}

pub(crate) const OK: u8 = 0;
pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const LEFT: u8 = 10;
pub(crate) const DEADLINE: u8 = 11;
pub(crate) const KILLED: u8 = 12;
pub(crate) const LAW: u8 = 13;
pub(crate) const START: u8 = 14;
pub(crate) const ABANDONED: u8 = 15;
pub(crate) const FORCED: u8 = 16;
pub(crate) const IO: u8 = 74;
pub(crate) const NOT_FOUND: u8 = 127;

/// Every code `ebbtide run` can end with.
pub(crate) const TABLE: &[Row] = &[
    Row {
        code: OK,
        meaning: "every task completed: its command ended with exit code 0, its worker gave a result",
    },
    Row { code: FAILED, meaning: "some task failed, crashed, panicked or ran out of time" },
    Row { code: USAGE, meaning: "usage: a wrong option, or a job log that belongs to other work" },
    Row { code: LEFT, meaning: "stopped, and something is left to resume: returned or unread lines" },
    Row { code: DEADLINE, meaning: "the deadline of a stop passed and tasks were cancelled" },
    Row { code: KILLED, meaning: "a command or a worker did not obey at a stop and was killed" },
    Row { code: LAW, meaning: "the accounting does not add up (never; please report it)" },
    Row { code: START, meaning: "the pool, its guardian or its workers could not be started" },
    Row { code: ABANDONED, meaning: "a task was abandoned" },
    Row { code: FORCED, meaning: "forced by a second signal" },
    Row { code: IO, meaning: "input or output: unreadable input, a stdout whose reader has gone, full disk" },
    Row { code: NOT_FOUND, meaning: "COMMAND was not found or cannot be executed" },
];

/// What is true at the end of a run, as far as the exit code is concerned.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What went wrong around the tasks: 2 (a refused log) and 74 come before the outcomes, 14 (a broken pool) after.
    pub(crate) trouble: Option<u8>,
    pub(crate) law: Law,
    pub(crate) ending: Ending,
    pub(crate) abandoned: u64,
    pub(crate) killed_at_stop: u64,
    pub(crate) cancelled_by_deadline: u64,
    /// Returned, cancelled or unread: what `--resume` would still do.
    pub(crate) left: u64,
    pub(crate) failed: u64,
}

/// Whether `accepted` equals the sum of the outcomes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    #[default]
    Holds,
    Broken,
}

/// Whether a second signal ended the run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    #[default]
    Ordered,
    Forced,
}

/// Picks the first code that applies: 13, then 74 or 2, then 16, 15, 12, 11, 10, 14, 1, 0.
pub(crate) fn code(facts: &Facts) -> u8 {
    if facts.law == Law::Broken {
        return LAW;
    }
    if let Some(code @ (USAGE | IO)) = facts.trouble {
        return code;
    }
    if facts.ending == Ending::Forced {
        return FORCED;
    }
    let counted = [
        (facts.abandoned, ABANDONED),
        (facts.killed_at_stop, KILLED),
        (facts.cancelled_by_deadline, DEADLINE),
        (facts.left, LEFT),
        (u64::from(facts.trouble == Some(START)), START),
        (facts.failed, FAILED),
    ];
    counted.iter().find(|(count, _)| *count > 0).map_or(OK, |(_, code)| *code)
}

/// The table as a person reads it, for `--help` and the man page.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for row in TABLE {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {:>3}  {}", row.code, row.meaning);
    }
    text.push_str(
        "\nWhen several apply, the first of 13, 74, 2, 16, 15, 12, 11, 10, 14, 1 is given.\n\
         The exit code of each command is kept in the job log and in --output json.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_codes_is_that_of_the_table() {
        let mut facts = Facts {
            trouble: None,
            law: Law::Broken,
            ending: Ending::Forced,
            abandoned: 1,
            killed_at_stop: 1,
            cancelled_by_deadline: 1,
            left: 1,
            failed: 1,
        };
        let mut seen = vec![code(&facts)];
        facts.law = Law::Holds;
        facts.trouble = Some(IO);
        seen.push(code(&facts));
        facts.trouble = Some(START);
        seen.push(code(&facts));
        facts.ending = Ending::Ordered;
        seen.push(code(&facts));
        facts.abandoned = 0;
        seen.push(code(&facts));
        facts.killed_at_stop = 0;
        seen.push(code(&facts));
        facts.cancelled_by_deadline = 0;
        seen.push(code(&facts));
        facts.left = 0;
        seen.push(code(&facts));
        facts.trouble = None;
        seen.push(code(&facts));
        facts.failed = 0;
        seen.push(code(&facts));
        assert_eq!(seen, [13, 74, 16, 15, 12, 11, 10, 14, 1, 0]);
    }

    #[test]
    fn every_code_is_in_the_table_once_and_in_the_help() {
        let text = table();
        for row in TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.code == row.code).count(), 1);
            assert!(text.contains(row.meaning));
        }
    }
}
