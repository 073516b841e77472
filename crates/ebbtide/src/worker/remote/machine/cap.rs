//! Memory caps that the kernel holds: a control group per worker, where this machine lets us make one.
//!
//! Found out once per pool. Version 2 is used where our own group may be divided, version 1 where its memory controller is mounted and
//! we may write there; else, for Python and for programs, a limit on data. Never a limit on address space: Node.js reserves gigabytes of it.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::worker::remote::{command::Kind, plan::Wishes};

/// What holds a hard limit on this machine, beside our own looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caps {
    /// Nothing: it is looked at.
    None,
    /// `memory.max` of a group below this one.
    V2(PathBuf),
    /// `memory.limit_in_bytes` of a group below this one.
    V1(PathBuf),
    /// `RLIMIT_DATA`.
    Data,
}

/// The control group of one worker; removed with it.
#[derive(Debug)]
pub(crate) struct Cap {
    group: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Caps {
    /// What a pool with these wishes can be held by.
    pub(crate) fn find(wishes: &Wishes) -> Self {
        if wishes.memory.hard.is_none() {
            return Self::None;
        }
        match Self::of_machine() {
            Self::None if !matches!(wishes.command.kind, Kind::Node(_)) => Self::Data,
            found => {
                found.sweep();
                found
            }
        }
    }

    /// The control groups this machine lets us make.
    pub(crate) fn of_machine() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let v2 = own_group(&own, &mounts, Version::Two).filter(|group| may_cap(group, Version::Two));
        let v1 = || own_group(&own, &mounts, Version::One).filter(|group| may_cap(group, Version::One));
        v2.map(Self::V2).or_else(|| v1().map(Self::V1)).unwrap_or(Self::None)
    }

    /// Removes the groups of those who were killed and could not do it themselves. One with members stays, whoever it is of.
    fn sweep(&self) {
        let (Self::V2(parent) | Self::V1(parent)) = self else { return };
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix("ebbtide-")?.split('-').next());
            let Some(owner) = owner.filter(|pid| pid.parse::<u32>().is_ok()) else { continue };
            if !Path::new("/proc").join(owner).exists() {
                let _ = fs::remove_dir(entry.path());
            }
        }
    }

    /// Makes a group that is held to `bytes`; `None` where there is none to be had now.
    pub(crate) fn make(&self, bytes: u64) -> Option<Cap> {
        let (parent, version) = match self {
            Self::V2(parent) => (parent, Version::Two),
            Self::V1(parent) => (parent, Version::One),
            Self::None | Self::Data => return None,
        };
        Cap::make(parent, version, bytes)
    }
}

impl Cap {
    fn make(parent: &Path, version: Version, bytes: u64) -> Option<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = parent.join(format!("ebbtide-{}-{number}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let cap = Self { group, version };
        let limits: &[(&str, u64)] = match version {
            Version::One => &[("memory.limit_in_bytes", bytes), ("memory.swappiness", 0)],
            Version::Two => &[("memory.max", bytes), ("memory.swap.max", 0), ("memory.oom.group", 1)],
        };
        for (index, (name, value)) in limits.iter().enumerate() {
            let written = fs::write(cap.group.join(name), value.to_string());
            // Only the first is the cap; without swap the others are not there.
            if index == 0 && written.is_err() {
                return None;
            }
        }
        Some(cap)
    }

    /// What its first member writes itself into.
    pub(crate) fn door(&self) -> Option<OwnedFd> {
        let file = fs::OpenOptions::new().write(true).open(self.group.join("cgroup.procs")).ok()?;
        Some(file.into())
    }

    /// True if the kernel has ended somebody in it for want of memory.
    pub(crate) fn has_killed(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.group.join(file)).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

impl Drop for Cap {
    /// Its members have ended; the kernel may need a moment to notice.
    fn drop(&mut self) {
        for _ in 0..50 {
            if fs::remove_dir(&self.group).is_ok() || !self.group.exists() {
                return;
            }
            crate::sync::park_timeout(Duration::from_millis(2));
        }
    }
}

/// Where our own group of the memory controller is.
fn own_group(own: &str, mounts: &str, version: Version) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match version {
            Version::Two => number == "0" && controllers.is_empty(),
            Version::One => controllers.split(',').any(|controller| controller == "memory"),
        };
        ours.then_some(path)
    })?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, mount) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let ours = match version {
            Version::Two => kind == "cgroup2",
            Version::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        };
        ours.then_some((root, mount))
    })?;
    // In a container the mount shows a part of the tree: what is above it is not ours to see.
    let below = path.strip_prefix(root).unwrap_or(path);
    Some(Path::new(mount).join(below.trim_start_matches('/')))
}

/// Tries it: a group is made, capped, and removed again.
fn may_cap(group: &Path, version: Version) -> bool {
    if version == Version::Two {
        let controllers = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
        if !controllers.split_ascii_whitespace().any(|controller| controller == "memory") {
            return false;
        }
    }
    Cap::make(group, version, 64 << 20).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 23 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
34 23 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    #[test]
    fn our_group_is_found_through_both_versions() {
        let own = "4:memory:/docker/abc/inner\n0::/user.slice\n";
        assert_eq!(own_group(own, MOUNTS, Version::Two), Some("/sys/fs/cgroup/unified/user.slice".into()));
        assert_eq!(own_group(own, MOUNTS, Version::One), Some("/sys/fs/cgroup/memory/inner".into()));
        assert_eq!(own_group("1:cpu:/\n", MOUNTS, Version::One), None);
        assert_eq!(own_group(own, "", Version::Two), None);
    }
}
