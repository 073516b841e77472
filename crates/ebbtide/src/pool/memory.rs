//! What this process has resident, for the cost of building a worker's state.

use crate::sync::IN_A_MODEL;

/// Resident bytes of this process; 0 where that is not known.
pub(crate) fn resident() -> u64 {
    if !cfg!(target_os = "linux") || IN_A_MODEL {
        return 0;
    }
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
