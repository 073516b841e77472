//! The turns a stop or restart took: what was asked, what it came to and why, what came back.

use std::{sync::Arc, time::Duration};

use super::{
    super::value::{Mode, Report, Turn},
    words::{REASON, columns, counted, duration, number, plain, verb, wrapped},
};
use crate::task::id::WorkerId;

/// So many turns are told, and no more.
const TURNS: usize = 5;

/// A turn worth telling; those of a kind are told together.
enum Note<'a> {
    Asked { mode: Option<Mode>, queued: u64, running: u64 },
    Escalated { mode: Mode, why: &'a str },
    Returned { tasks: u128 },
    StartFailed { workers: u64, first: WorkerId, last: WorkerId, cause: &'a str },
}

/// What was decided and why; who started and ended is in the picture.
pub(super) fn turns(report: &Report) -> Vec<String> {
    let mut notes = notes(report);
    let all = notes.len();
    // Requests and escalations explain the rest: they go last.
    while notes.len() > TURNS {
        let minor = |note: &Note<'_>| matches!(note, Note::Returned { .. } | Note::StartFailed { .. });
        let spare = notes.iter().rposition(|(_, note)| minor(note)).unwrap_or(notes.len() - 1);
        notes.remove(spare);
    }
    if notes.is_empty() {
        return Vec::new();
    }
    let times: Vec<String> = notes.iter().map(|(at, _)| duration(*at)).collect();
    let width = times.iter().map(|time| columns(time)).max().unwrap_or(0);
    let mut lines = vec!["  turns".to_owned()];
    for (time, (_, note)) in times.iter().zip(&notes) {
        lines.extend(wrapped(&format!("    {time:>width$}  {}", told(note)), width + 6, 2));
    }
    if all > TURNS {
        lines.push(format!("    … {} more", number((all - TURNS) as u128)));
    }
    lines
}

fn notes(report: &Report) -> Vec<(Duration, Note<'_>)> {
    let mut notes: Vec<(Duration, Note<'_>)> = Vec::new();
    for entry in &report.timeline {
        let note = match &entry.turn {
            Turn::Asked { mode, queued, running } => {
                Note::Asked { mode: *mode, queued: *queued, running: *running }
            }
            Turn::Escalated { mode, why } => Note::Escalated { mode: *mode, why },
            Turn::Returned { tasks } => {
                if let Some((_, Note::Returned { tasks: before })) = notes.last_mut() {
                    *before += u128::from(*tasks);
                    continue;
                }
                Note::Returned { tasks: u128::from(*tasks) }
            }
            Turn::StartFailed { worker, cause } => {
                if failed_alike(&mut notes, *worker, cause) {
                    continue;
                }
                Note::StartFailed { workers: 1, first: *worker, last: *worker, cause }
            }
            Turn::Started { .. } | Turn::Ended { .. } | Turn::Abandoned { .. } | Turn::Over => continue,
        };
        notes.push((entry.at, note));
    }
    notes
}

/// Adds a failed start to an earlier one with the same cause, if there is one.
fn failed_alike(notes: &mut [(Duration, Note<'_>)], worker: WorkerId, why: &Arc<str>) -> bool {
    for (_, note) in notes {
        if let Note::StartFailed { workers, last, cause, .. } = note
            && *cause == &**why
        {
            *workers += 1;
            *last = worker;
            return true;
        }
    }
    false
}

fn told(note: &Note<'_>) -> String {
    match note {
        Note::Asked { mode, queued, running } => {
            let what = mode
                .map_or("asked for a rolling restart".to_owned(), |mode| format!("asked to {}", verb(mode)));
            format!("{what}: {} waiting, {} running", number((*queued).into()), number((*running).into()))
        }
        Note::Escalated { mode, why } => format!("came to {}: {}", verb(*mode), plain(why, REASON)),
        Note::Returned { tasks } => format!("{} returned", counted(*tasks, "task")),
        Note::StartFailed { workers: 1, first, cause, .. } => {
            format!("worker {first} did not start: {}", plain(cause, REASON))
        }
        Note::StartFailed { workers, first, last, cause } => {
            let workers = number((*workers).into());
            format!("{workers} workers ({first} to {last}) did not start: {}", plain(cause, REASON))
        }
    }
}
