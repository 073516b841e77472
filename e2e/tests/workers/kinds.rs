//! The three languages of workers, table by table the same.

use ebbtide::WorkerCommand;

use crate::tools::{MARK, mark};

/// A worker with the tools, in one language.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) command: WorkerCommand,
}

const TOOLBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workers/toolbox");

impl Kind {
    fn of(name: &'static str, command: WorkerCommand) -> Self {
        Self { name, command: command.env(MARK, mark()) }
    }

    /// The same kind with its command changed.
    pub(crate) fn with(mut self, change: impl FnOnce(WorkerCommand) -> WorkerCommand) -> Self {
        self.command = change(self.command);
        self
    }
}

pub(crate) fn rust() -> Kind {
    Kind::of("rust", WorkerCommand::current_exe("tools").export("tool"))
}

pub(crate) fn node() -> Kind {
    Kind::of("node", WorkerCommand::node(format!("{TOOLBOX}/tools.js")))
}

pub(crate) fn python() -> Kind {
    let command = WorkerCommand::python(format!("{TOOLBOX}/tools.py:tool"));
    Kind::of("python", command.env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// A worker that does not keep to the protocol, in the way that is named.
pub(crate) fn rogue(fault: &str) -> Kind {
    let python = WorkerCommand::program("python3");
    Kind::of("rogue", python.arg(format!("{TOOLBOX}/rogue.py")).arg(fault))
}

/// Runs a test on each language, one after the other.
pub(crate) fn each(test: impl Fn(Kind)) {
    for kind in [rust(), node(), python()] {
        say(&kind);
        test(kind);
    }
}

/// The same on those two that run files.
pub(crate) fn each_script(test: impl Fn(Kind)) {
    for kind in [node(), python()] {
        say(&kind);
        test(kind);
    }
}

#[expect(clippy::print_stderr, reason = "shown with a failure, to say on which language it was")]
fn say(kind: &Kind) {
    eprintln!("-- {}", kind.name);
}
