//! One lap: what one contender is asked to do once, and the words in which that is asked of its process.

use std::{fmt, str::FromStr};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fire,
    Handle,
    Many,
    ManyCall,
    Burst,
    PingPong,
    Idle,
    IdleCpu,
    Late,
    Bounded,
    Fan,
    Uneven,
    Json,
    Drain,
    Stretch,
    Abort,
    Millions,
    MemoryQueued,
    MemoryHandle,
    MemoryWorker,
    ProcessNode,
    ProcessNodeOne,
    ProcessNodeMib,
    ProcessPython,
    ProcessPythonChunked,
    ProcessPythonMib,
    ProcessRust,
    Commands,
    Rolling,
    RollingSaturated,
    KillNode,
    KillPython,
    KillNodeSpare,
    SupervisorCpu,
    SupervisorMemory,
}

/// Which race a kind belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Threads,
    Processes,
}

/// Of a worker's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Node,
    Python,
}

/// A lap as it is asked for: `KIND PRODUCERS WORKERS SIZE`, one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lap {
    pub(crate) kind: Kind,
    /// Threads that submit.
    pub(crate) producers: usize,
    /// Threads that work.
    pub(crate) workers: usize,
    /// How many tasks, or milliseconds in the race of processes; what else it may mean is said at the scenario.
    pub(crate) size: usize,
}

/// What came of a lap: `= VALUE…`, one line. Nanoseconds, or bytes where the scenario says so.
pub(crate) type Values = Vec<f64>;

const WORDS: [(Kind, &str); 35] = [
    (Kind::Fire, "fire"),
    (Kind::Handle, "handle"),
    (Kind::Many, "many"),
    (Kind::ManyCall, "many-call"),
    (Kind::Burst, "burst"),
    (Kind::PingPong, "ping-pong"),
    (Kind::Idle, "idle"),
    (Kind::IdleCpu, "idle-cpu"),
    (Kind::Late, "late"),
    (Kind::Bounded, "bounded"),
    (Kind::Fan, "fan"),
    (Kind::Uneven, "uneven"),
    (Kind::Json, "json"),
    (Kind::Drain, "drain"),
    (Kind::Stretch, "stretch"),
    (Kind::Abort, "abort"),
    (Kind::Millions, "millions"),
    (Kind::MemoryQueued, "memory-queued"),
    (Kind::MemoryHandle, "memory-handle"),
    (Kind::MemoryWorker, "memory-worker"),
    (Kind::ProcessNode, "process-node"),
    (Kind::ProcessNodeOne, "process-node-one"),
    (Kind::ProcessNodeMib, "process-node-mib"),
    (Kind::ProcessPython, "process-python"),
    (Kind::ProcessPythonChunked, "process-python-chunked"),
    (Kind::ProcessPythonMib, "process-python-mib"),
    (Kind::ProcessRust, "process-rust"),
    (Kind::Commands, "commands"),
    (Kind::Rolling, "rolling"),
    (Kind::RollingSaturated, "rolling-saturated"),
    (Kind::KillNode, "kill-node"),
    (Kind::KillPython, "kill-python"),
    (Kind::KillNodeSpare, "kill-node-spare"),
    (Kind::SupervisorCpu, "supervisor-cpu"),
    (Kind::SupervisorMemory, "supervisor-memory"),
];

impl Kind {
    pub(crate) fn group(self) -> Group {
        if (self as usize) < Self::ProcessNode as usize { Group::Threads } else { Group::Processes }
    }

    /// What our own workers are written in, where it is not Rust.
    pub(crate) fn language(self) -> Option<Language> {
        match self {
            Self::ProcessPython | Self::ProcessPythonChunked | Self::ProcessPythonMib | Self::KillPython => {
                Some(Language::Python)
            }
            Self::ProcessRust | Self::Commands => None,
            _ if self.group() == Group::Threads => None,
            _ => Some(Language::Node),
        }
    }

    /// Whether a lap that does not count comes first: where the contender's own start, or its compiler, would be what is measured.
    pub(crate) fn warms_up(self) -> bool {
        (self as usize) < Self::Commands as usize
            || matches!(self, Self::SupervisorCpu | Self::SupervisorMemory)
    }
}

impl fmt::Display for Lap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(kind, _)| *kind == self.kind).map_or("?", |(_, word)| word);
        write!(f, "{word} {} {} {}", self.producers, self.workers, self.size)
    }
}

impl FromStr for Lap {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("\"{line}\" is no lap; expected KIND PRODUCERS WORKERS SIZE");
        let mut words = line.split_whitespace();
        let word = words.next().ok_or_else(wrong)?;
        let kind = WORDS.iter().find(|(_, known)| *known == word).ok_or_else(wrong)?.0;
        let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong);
        Ok(Self { kind, producers: number()?, workers: number()?, size: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood() {
        for (kind, _) in WORDS {
            let asked = Lap { kind, producers: 2, workers: 16, size: 1000 };
            let heard: Lap = asked.to_string().parse().unwrap();
            assert_eq!((heard.kind, heard.producers, heard.workers, heard.size), (kind, 2, 16, 1000));
        }
        assert!("fire 1 2".parse::<Lap>().is_err());
        assert!("run 1 2 3".parse::<Lap>().is_err());
    }
}
