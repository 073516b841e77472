//! What holds a side to its cap: a memory group of the kernel where one can be made, else a watcher that kills.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A memory group that is removed in the end.
#[derive(Debug)]
pub(super) struct Cap {
    group: Option<PathBuf>,
    limit: u64,
}

impl Cap {
    /// Makes one; where the machine does not let us, who samples has to hold the limit.
    pub(super) fn new(name: &str, limit: u64) -> Self {
        let name = format!("ebbtide-leak-{name}-{}", std::process::id());
        let group = version_1(&name, limit).or_else(|| version_2(&name, limit));
        Self { group, limit }
    }

    /// How it is held.
    pub(super) fn how(&self) -> &'static str {
        if self.group.is_some() { "a memory group of the kernel" } else { "a look every 100 ms, and SIGKILL" }
    }

    /// Puts a process into it that has not started anything yet.
    pub(super) fn take(&self, pid: u32) -> std::io::Result<()> {
        match &self.group {
            Some(group) => fs::write(group.join("cgroup.procs"), pid.to_string()),
            None => Ok(()),
        }
    }

    /// Whether whoever samples has to end it now.
    pub(super) fn is_over(&self, resident: u64) -> bool {
        self.group.is_none() && resident > self.limit
    }
}

impl Drop for Cap {
    fn drop(&mut self) {
        // Those that were killed may take a moment to leave it.
        for _ in 0..50 {
            if self.group.as_ref().is_none_or(|group| fs::remove_dir(group).is_ok()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn version_1(name: &str, limit: u64) -> Option<PathBuf> {
    make(&Path::new("/sys/fs/cgroup/memory").join(name), &["memory.limit_in_bytes"], limit)
}

/// Only where the controller is there: at the root it is, unless a manager has taken it for itself.
fn version_2(name: &str, limit: u64) -> Option<PathBuf> {
    make(&Path::new("/sys/fs/cgroup").join(name), &["memory.max"], limit)
}

fn make(group: &Path, files: &[&str], limit: u64) -> Option<PathBuf> {
    fs::create_dir(group).ok()?;
    let set = files.iter().all(|file| {
        let file = group.join(file);
        file.exists() && fs::write(&file, limit.to_string()).is_ok()
    });
    if !set {
        drop(fs::remove_dir(group));
    }
    set.then(|| group.to_owned())
}
