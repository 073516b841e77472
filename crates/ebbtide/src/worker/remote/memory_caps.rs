//! What a machine can hold memory limits of worker processes with, told to whoever asks.

use std::path::PathBuf;

use super::machine::Caps;

/// What holds the hard memory limit of worker processes on this machine, beside the pool's own looking every 100 ms. From [`memory_caps`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryCaps {
    /// `memory.max` of a control group (version 2) of its own for each worker, below this one. Exact, for workers of every kind.
    CgroupV2 {
        /// Our own group.
        group: PathBuf,
    },
    /// `memory.limit_in_bytes` of a control group (version 1) of its own for each worker, below this one. Exact, for workers of every kind.
    CgroupV1 {
        /// Our own group.
        group: PathBuf,
    },
    /// No control group can be made. `RLIMIT_DATA` holds workers in Python and programs, coarsely; Node.js is looked at only, so it can be
    /// above its limit for up to 100 ms.
    DataLimit,
}

/// Finds out what holds hard memory limits here. It is tried: a control group is made, capped, and removed again.
///
/// Pools with a hard limit find out for themselves; this is for telling people.
#[must_use]
pub fn memory_caps() -> MemoryCaps {
    match Caps::of_machine() {
        Caps::V2(group) => MemoryCaps::CgroupV2 { group },
        Caps::V1(group) => MemoryCaps::CgroupV1 { group },
        Caps::None | Caps::Data => MemoryCaps::DataLimit,
    }
}
