//! The one who prints: takes ended tasks as they come, keeps the order where that is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ebbtide::Outcome;

use super::json;
use super::sink::{OutputError, Patience, Sink};
use crate::args::Format;
use crate::job::{Job, Record};
use crate::joblog::Row;
use crate::ledger::Ledger;
use crate::window::Window;

/// A task that has ended, to be printed.
#[derive(Debug)]
pub(crate) struct Printable {
    pub(crate) job: Arc<Job>,
    /// What its body left; nothing when it never ran, or panicked.
    pub(crate) record: Option<Record>,
    pub(crate) outcome: &'static str,
    /// Written into the job log once it is printed.
    pub(crate) row: Option<Row>,
}

/// Prints on the thread that calls it, and makes room in the window.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    order: Order,
    out: Sink,
    err: Sink,
    window: Arc<Window>,
    ledger: Option<Arc<Ledger>>,
    /// After the first failure nothing more is printed.
    state: State,
    unseen: u64,
}

#[derive(Debug)]
enum Order {
    OfEnding,
    OfInput { next: u64, early: BTreeMap<u64, Printable> },
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Prints,
    Mute,
}

impl Printer {
    pub(crate) fn of_ending(format: Format, window: Arc<Window>, patience: &Arc<Patience>) -> Printer {
        let (out, err) = (Sink::stdout(patience), Sink::stderr(patience));
        Printer {
            format,
            order: Order::OfEnding,
            out,
            err,
            window,
            ledger: None,
            state: State::Prints,
            unseen: 0,
        }
    }

    pub(crate) fn of_input(format: Format, window: Arc<Window>, patience: &Arc<Patience>) -> Printer {
        let order = Order::OfInput { next: 0, early: BTreeMap::new() };
        Printer { order, ..Printer::of_ending(format, window, patience) }
    }

    /// The rows of what is printed go there.
    #[must_use]
    pub(crate) fn with_ledger(self, ledger: Option<Arc<Ledger>>) -> Printer {
        Printer { ledger, ..self }
    }

    /// Prints it when it is its turn, and then those that waited for it.
    ///
    /// # Errors
    /// The first failure; what comes later is dropped in silence.
    pub(crate) fn add(&mut self, ended: Printable) -> Result<(), OutputError> {
        match &mut self.order {
            Order::OfEnding => return self.print(ended),
            Order::OfInput { early, .. } => drop(early.insert(ended.job.order, ended)),
        }
        let mut printed = Ok(());
        while let Some(ended) = self.due() {
            printed = printed.and(self.print(ended));
        }
        printed
    }

    /// How many tasks completed and could not be printed: their rows are missing, and they run again when the run is resumed.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen
    }

    fn due(&mut self) -> Option<Printable> {
        let Order::OfInput { next, early } = &mut self.order else { return None };
        let due = early.remove(next)?;
        *next += 1;
        Some(due)
    }

    fn print(&mut self, mut ended: Printable) -> Result<(), OutputError> {
        let printed = match (&self.state, self.format) {
            (State::Mute, _) => Ok(()),
            (State::Prints, Format::Text) => self.text(&mut ended),
            (State::Prints, Format::Json) => json::line(&mut ended).and_then(|line| self.out.write(&line)),
        };
        if printed.is_err() {
            self.state = State::Mute;
        }
        let prints = ended.record.as_ref().is_some_and(|record| record.prints(self.format));
        if self.state == State::Mute && prints && ended.outcome == Outcome::Completed.as_str() {
            self.unseen += 1;
        }
        // A row says that a result was printed: what nobody saw runs again when the run is resumed.
        if let (State::Prints, Some(ledger), Some(row)) = (&self.state, &self.ledger, &ended.row) {
            ledger.add(row);
        }
        let spooled = ended.record.as_ref().map_or(0, Record::spooled);
        self.window.leave(ended.job.line.len(), spooled);
        printed
    }

    fn text(&self, ended: &mut Printable) -> Result<(), OutputError> {
        let Some(record) = &mut ended.record else { return Ok(()) };
        let Some(outputs) = &mut record.outputs else { return Ok(()) };
        outputs.stdout.read(|piece| self.out.write(piece))?;
        outputs.stderr.read(|piece| self.err.write(piece))
    }
}
