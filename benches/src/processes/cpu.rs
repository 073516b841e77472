//! What a tree of processes uses: CPU time and memory, read from `/proc`.

use std::{collections::BTreeMap, fs};

use rustix::process::getpid;

/// CPU time of this process, its threads and all its descendants, in nanoseconds. Of those that are alive: a lap during which one ends loses
/// what that one used.
pub(crate) fn tree() -> f64 {
    let this = getpid().as_raw_nonzero().get();
    descendants(this).into_iter().map(of_process).sum()
}

/// Resident memory of a process and all its descendants, in bytes.
pub(crate) fn resident_tree(root: i32) -> u64 {
    descendants(root).into_iter().filter_map(resident).sum()
}

/// Resident memory of one process, in bytes.
pub(crate) fn resident(pid: i32) -> Option<u64> {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// CPU time of all that a process has below it, in seconds.
pub(crate) fn below(root: i32) -> f64 {
    descendants(root).into_iter().filter(|pid| *pid != root).map(of_process).sum::<f64>() / 1e9
}

/// CPU time of this process alone, in nanoseconds.
pub(crate) fn own() -> f64 {
    of_process(getpid().as_raw_nonzero().get())
}

fn descendants(root: i32) -> Vec<i32> {
    let parents: BTreeMap<i32, i32> = pids("/proc").filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let below = |pid: i32| {
        std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).any(|ancestor| ancestor == root)
    };
    parents.keys().copied().filter(|pid| below(*pid)).collect()
}

fn pids(directory: &str) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(directory).into_iter().flatten().map_while(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which is in parentheses and may contain anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn of_process(pid: i32) -> f64 {
    let of_thread = |thread| {
        let times = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<f64>().ok()
    };
    pids(&format!("/proc/{pid}/task")).filter_map(of_thread).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_has_this_process_in_it() {
        let this = getpid().as_raw_nonzero().get();
        assert!(descendants(this).contains(&this));
        assert!(resident_tree(this) >= resident(this).unwrap() / 2);
        assert!(tree() > 0.0);
    }
}
