//! What a frame is: its type, its numbers, its parts.

/// Bytes of a frame's header, its length included.
pub const HEADER: usize = 16;
/// The most that `len` may say where nobody set another limit: 64 MiB, the four bytes of `len` itself not counted.
pub const MAX_FRAME: u32 = 64 << 20;
/// The most bytes of a frame's meta.
pub const META_MAX: usize = u16::MAX as usize;
/// The version of the protocol that these frames are of.
pub const VERSION: u32 = 1;
/// The flag of a [`Snapshot`](FrameType::Snapshot) that brings the state to build from.
pub const FLAG_RESTORE: u8 = 1;
/// The flag of a [`State`](FrameType::State): there is none.
pub const FLAG_NONE: u8 = 1;
/// The content type of a body whose meta names none.
pub const JSON: &str = "application/json";
/// The content type of bytes that are only bytes.
pub const OCTETS: &str = "application/octet-stream";

/// What a frame says. Those below 64 go from the pool to the worker, the others back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum FrameType {
    /// A task to run. Id: the task's. Body: the request.
    Task = 1,
    /// Several tasks with one meta. Body: see [`batch`](super::batch()).
    Batch = 2,
    /// Asks a task to end. Id: the task's.
    Cancel = 3,
    /// Asks for tasks that have not started. Body: nothing, which means all, or their [`ids`](super::ids()).
    Recall = 4,
    /// Asks for a [`Pong`](Self::Pong) with the same id.
    Ping = 5,
    /// Asks for the state; with [`FLAG_RESTORE`], brings it.
    Snapshot = 6,
    /// Finish what you have and exit with 0.
    Stop = 7,
    /// The worker is alive; before any code of the user.
    Hello = 65,
    /// The state is built: tasks may come.
    Ready = 66,
    /// The user's code of this task is about to run.
    Start = 67,
    /// The task's reply.
    Result = 68,
    /// The task's failure; with id 0 before [`Ready`](Self::Ready): the worker's.
    Error = 69,
    /// The answer to [`Recall`](Self::Recall). Body: the [`ids`](super::ids()) given back.
    Returned = 70,
    /// The answer to [`Snapshot`](Self::Snapshot), called SNAPSHOT in the protocol; with [`FLAG_NONE`] there is no state.
    State = 71,
    /// The running task is alive and says how far it is. Body: a text.
    Progress = 72,
    /// A line of the worker's log. Body: a text.
    Log = 73,
    /// The answer to [`Ping`](Self::Ping).
    Pong = 74,
}

impl FrameType {
    /// Every type, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Task,
        Self::Batch,
        Self::Cancel,
        Self::Recall,
        Self::Ping,
        Self::Snapshot,
        Self::Stop,
        Self::Hello,
        Self::Ready,
        Self::Start,
        Self::Result,
        Self::Error,
        Self::Returned,
        Self::State,
        Self::Progress,
        Self::Log,
        Self::Pong,
    ];

    /// The type with this number; `None` = there is none in this version.
    #[must_use]
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        // The numbers are two runs without a gap, so this is two comparisons and no table that could go out of step with the enum:
        // a test holds it to `ALL`.
        match number {
            1..=7 => Some(Self::ALL[number as usize - 1]),
            65..=74 => Some(Self::ALL[number as usize - 65 + 7]),
            _ => None,
        }
    }

    /// Its number on the wire.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name in the protocol: `TASK`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Task => "TASK",
            Self::Batch => "BATCH",
            Self::Cancel => "CANCEL",
            Self::Recall => "RECALL",
            Self::Ping => "PING",
            Self::Snapshot | Self::State => "SNAPSHOT",
            Self::Stop => "STOP",
            Self::Hello => "HELLO",
            Self::Ready => "READY",
            Self::Start => "START",
            Self::Result => "RESULT",
            Self::Error => "ERROR",
            Self::Returned => "RETURNED",
            Self::Progress => "PROGRESS",
            Self::Log => "LOG",
            Self::Pong => "PONG",
        }
    }

    /// Whether it goes from a worker to its pool. A frame in the wrong direction is for the reader to refuse; the decoder takes both.
    #[must_use]
    pub const fn is_from_worker(self) -> bool {
        self.number() >= 64
    }
}

/// One frame, borrowed from the buffer it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it says.
    pub kind: FrameType,
    /// Bits whose meaning depends on the type; unknown ones are to be ignored.
    pub flags: u8,
    /// Of the task, ping, recall or snapshot; 0 where there is none.
    pub id: u64,
    /// A JSON object in UTF-8, not looked at yet, or nothing: every field has its default.
    pub meta: &'a [u8],
    /// The bytes after meta.
    pub body: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_type_or_none() {
        for number in 0..=u8::MAX {
            let known = FrameType::ALL.into_iter().find(|kind| kind.number() == number);
            assert_eq!(FrameType::from_number(number), known, "{number}");
        }
        assert!(FrameType::ALL.into_iter().all(|kind| kind.is_from_worker() == (kind.number() > 64)));
    }
}
