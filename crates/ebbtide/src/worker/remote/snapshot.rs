//! The last state of any worker of a pool, in a file: written whole or not at all, so that a crash at any moment leaves the one before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::plan::Snapshots;

/// A file that is longer is not ours.
const LONGEST: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct State {
    file: Option<PathBuf>,
}

impl State {
    pub(super) fn new(snapshots: &Snapshots, pool: &str) -> Self {
        let Snapshots::Keep(directory) = snapshots else { return Self { file: None } };
        // A name with a `/` must not leave the directory.
        let name: String =
            pool.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        Self { file: Some(directory.join(format!("{name}.snapshot"))) }
    }

    /// What was kept, if anything can be read.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.file.as_ref()?).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Its name.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Keeps it: beside the old one first, then in its place.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let directory = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let beside = file.with_extension(format!("{}-{}", std::process::id(), number()));
        let result = write_whole(&beside, bytes).and_then(|()| fs::rename(&beside, file));
        if result.is_err() {
            let _ = fs::remove_file(&beside);
            return result;
        }
        // The name itself must be on the disk, too.
        File::open(directory)?.sync_all()
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Two workers of one process may write at the same time.
fn number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
