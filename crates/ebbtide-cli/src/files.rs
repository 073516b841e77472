//! Files: which one run has to itself, and which are one under two names.

use std::{
    fs::{File, Metadata},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

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

/// Whether both names lead to one regular file, or will when it is made. A device can be written to twice.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let place =
        |path: &Path| path.metadata().ok().filter(Metadata::is_file).map(|file| (file.dev(), file.ino()));
    let will_be = one == other && !one.exists();
    will_be || place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
}
