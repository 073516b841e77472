//! Files that one run has to itself.

use std::{fs::File, time::Duration};

use rustix::{fs::FlockOperation, io::Errno};

use crate::clock;

/// A run that was killed while it started its guardian leaves the lock for a moment with that, which ends as well.
const PATIENCE: Duration = Duration::from_secs(1);

/// Locks a file for as long as it is open. `WOULDBLOCK` if another run has it; a file system without locks has everybody as the only one.
pub(crate) fn lock(file: &File) -> rustix::io::Result<()> {
    let until = clock::now() + PATIENCE;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if !clock::until(until).is_zero() => {
                clock::pause(Duration::from_millis(10));
            }
            Err(Errno::NOLCK | Errno::NOTSUP) => return Ok(()),
            other => return other,
        }
    }
}
