//! Finding and ending what escaped its group: walks of `/proc` that cannot hit a stranger.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

use super::deadline::Deadline;

/// How long a sweep goes on over processes that do not go: not ours to kill, or stuck in the kernel.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// A living process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: Pid,
    parent: i32,
    session: i32,
}

/// Kills every descendant of this process, again and again until it has no children; `reap` is to reap them and say whether
/// any child is left. Children that end hand theirs over to us, if we are their subreaper.
pub(super) fn end_descendants(own: Pid, mut reap: impl FnMut() -> Left) {
    let patience = Deadline::after(PATIENCE);
    while reap() == Left::Some && !patience.passed() {
        for process in descendants(own) {
            // Our own children stay zombies until we reap them: their pids cannot have been given to others.
            let recycled = if process.parent == raw(own) { Recycled::Cannot } else { Recycled::Might };
            end(&process, |now| now.parent == process.parent, recycled);
        }
        Deadline::after(PAUSE).sleep();
    }
}

/// Kills a child of ours that is not reaped, its group, and who can be traced to it; those may be anywhere.
pub(super) fn end_family(leader: Pid) {
    let family = descendants(leader);
    end_group(leader);
    for process in family {
        end(&process, |now| now.session == process.session, Recycled::Might);
    }
}

/// SIGKILL to a child of ours that is not reaped, and to its group.
pub(super) fn end_group(leader: Pid) {
    let _ = kill_process_group(leader, Signal::KILL);
    let _ = kill_process(leader, Signal::KILL);
}

/// Kills every process of a session until none is left. The session's leader should be a zombie of ours: not reaped, its
/// pid names no other session.
pub(super) fn end_session(leader: Pid) {
    let session = raw(leader);
    let patience = Deadline::after(PATIENCE);
    while !patience.passed() {
        let members: Vec<_> =
            processes().into_iter().filter(|p| p.session == session && p.pid != leader).collect();
        if members.is_empty() {
            return;
        }
        for member in &members {
            end(member, |now| now.session == session, Recycled::Might);
        }
        Deadline::after(PAUSE).sleep();
    }
}

/// Whether children are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Some,
    None,
}

/// Whether a pid may have changed hands since it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recycled {
    Cannot,
    Might,
}

/// SIGKILL, after a second look through a descriptor that holds on to the process.
fn end(process: &Process, same: impl Fn(&Process) -> bool, recycled: Recycled) {
    match (pidfd_open(process.pid, PidfdFlags::empty()), recycled) {
        (Ok(held), _) => {
            if look(process.pid).is_some_and(|now| same(&now)) {
                let _ = pidfd_send_signal(held, Signal::KILL);
            }
        }
        (Err(_), Recycled::Cannot) => {
            let _ = kill_process(process.pid, Signal::KILL);
        }
        // No such process any more, or a system without pidfds: it comes to us when its parent has ended.
        (Err(_), Recycled::Might) => {}
    }
}

/// Who can be traced to a process, whatever their group and session. Once the process has ended its children are its reaper's,
/// and whose they were is not to be seen any more.
fn descendants(leader: Pid) -> Vec<Process> {
    let mut found = Vec::new();
    let mut todo = vec![leader];
    while let Some(parent) = todo.pop() {
        let Some(children) = children_of(parent) else { return descendants_by_walk(leader) };
        todo.extend(children.iter().map(|child| child.pid));
        found.extend(children);
    }
    found
}

/// By the kernel's own list. `None` = it keeps none.
fn children_of(parent: Pid) -> Option<Vec<Process>> {
    let mut children = Vec::new();
    // Each thread has its own. No thread = the process is gone.
    let threads = std::fs::read_dir(format!("/proc/{}/task", raw(parent))).into_iter().flatten().flatten();
    for thread in threads {
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(pids) => {
                let pids = pids.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
                children.extend(pids.filter_map(look));
            }
            // The thread is gone, or the list is not kept at all.
            Err(_) if thread.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(children)
}

fn descendants_by_walk(leader: Pid) -> Vec<Process> {
    let mut others = processes();
    let mut family = HashSet::from([raw(leader)]);
    let mut found = Vec::new();
    // A child may come before its parent in the list: until nobody is added.
    loop {
        let (related, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|process| family.contains(&process.parent));
        if related.is_empty() {
            return found;
        }
        family.extend(related.iter().map(|process| raw(process.pid)));
        found.extend(related);
        others = rest;
    }
}

fn processes() -> Vec<Process> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| look(Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?)?))
        .collect()
}

/// `None` = it has ended.
fn look(pid: Pid) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name, in brackets, may have any byte in it, brackets too.
    let rest = &stat[stat.iter().rposition(|&byte| byte == b')')? + 1..];
    let mut fields = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Process { pid, parent, session })
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
