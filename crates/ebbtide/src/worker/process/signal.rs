//! The signals a child can be sent.

use std::fmt;

use rustix::process::Signal as Raw;

/// A signal for [`Child::signal`](crate::process::Child::signal), by its POSIX name. Real-time signals are not offered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signal(Raw);

impl Signal {
    /// Ask to end.
    pub const TERM: Signal = Signal(Raw::TERM);
    /// End; cannot be caught.
    pub const KILL: Signal = Signal(Raw::KILL);
    /// What Ctrl-C sends.
    pub const INT: Signal = Signal(Raw::INT);
    /// What Ctrl-\ sends: end with a core dump.
    pub const QUIT: Signal = Signal(Raw::QUIT);
    /// The terminal is gone; for daemons by custom: read your configuration again.
    pub const HUP: Signal = Signal(Raw::HUP);
    /// Free for programs.
    pub const USR1: Signal = Signal(Raw::USR1);
    /// Free for programs.
    pub const USR2: Signal = Signal(Raw::USR2);
    /// Halt; cannot be caught.
    pub const STOP: Signal = Signal(Raw::STOP);
    /// Go on after a halt.
    pub const CONT: Signal = Signal(Raw::CONT);

    /// The signal with this number on this machine; `None` if there is none or it is a real-time one.
    #[must_use]
    pub fn from_raw(number: i32) -> Option<Signal> {
        Raw::from_named_raw(number).map(Signal)
    }

    /// Its number on this machine.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0.as_raw()
    }

    /// Its name, e.g. `SIGTERM`.
    #[must_use]
    pub fn name(self) -> String {
        name_of(self.as_raw())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// The name of any signal number, also of those that cannot be sent through [`Signal`].
pub(super) fn name_of(number: i32) -> String {
    match NAMES.iter().find(|(signal, _)| signal.as_raw() == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("signal {number}"),
    }
}

const NAMES: [(Raw, &str); 30] = [
    (Raw::HUP, "SIGHUP"),
    (Raw::INT, "SIGINT"),
    (Raw::QUIT, "SIGQUIT"),
    (Raw::ILL, "SIGILL"),
    (Raw::TRAP, "SIGTRAP"),
    (Raw::ABORT, "SIGABRT"),
    (Raw::BUS, "SIGBUS"),
    (Raw::FPE, "SIGFPE"),
    (Raw::KILL, "SIGKILL"),
    (Raw::USR1, "SIGUSR1"),
    (Raw::SEGV, "SIGSEGV"),
    (Raw::USR2, "SIGUSR2"),
    (Raw::PIPE, "SIGPIPE"),
    (Raw::ALARM, "SIGALRM"),
    (Raw::TERM, "SIGTERM"),
    (Raw::CHILD, "SIGCHLD"),
    (Raw::CONT, "SIGCONT"),
    (Raw::STOP, "SIGSTOP"),
    (Raw::TSTP, "SIGTSTP"),
    (Raw::TTIN, "SIGTTIN"),
    (Raw::TTOU, "SIGTTOU"),
    (Raw::URG, "SIGURG"),
    (Raw::XCPU, "SIGXCPU"),
    (Raw::XFSZ, "SIGXFSZ"),
    (Raw::VTALARM, "SIGVTALRM"),
    (Raw::PROF, "SIGPROF"),
    (Raw::WINCH, "SIGWINCH"),
    (Raw::IO, "SIGIO"),
    (Raw::POWER, "SIGPWR"),
    (Raw::SYS, "SIGSYS"),
];
