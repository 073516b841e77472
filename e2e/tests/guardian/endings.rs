//! Ends: of a command, of its group, of the handle, of the supervisor, of the guardian. Nobody is left.

use std::time::Duration;

use ebbtide::process::{Child, CommandSpec, Ended, Guardian, Signal, SpawnError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal as Sent, test_kill_process_group};

use crate::scenario::Running;
use crate::tools::{MARK, eventually, fresh_mark, marked, send, shell, sigkill, start};

/// Every test of this file.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("wait_timeout_gives_up_and_goes_on", wait_timeout_gives_up_and_goes_on),
    ("exit_fd_is_readable_at_the_end_and_after", exit_fd_is_readable_at_the_end_and_after),
    ("signal_reaches_the_whole_group", signal_reaches_the_whole_group),
    ("who_ignores_term_is_killed", who_ignores_term_is_killed),
    ("kill_reaches_who_left_the_group", kill_reaches_who_left_the_group),
    ("stopped_command_is_killed", stopped_command_is_killed),
    ("signal_after_the_end_is_harmless", signal_after_the_end_is_harmless),
    (
        "what_a_command_leaves_in_its_group_is_gone_at_wait",
        what_a_command_leaves_in_its_group_is_gone_at_wait,
    ),
    ("drop_of_the_last_handle_ends_all", drop_of_the_last_handle_ends_all),
    ("a_child_keeps_the_guardian", a_child_keeps_the_guardian),
    ("supervisor_killed_nobody_left", supervisor_killed_nobody_left),
    ("supervisor_killed_in_a_storm_of_forks", supervisor_killed_in_a_storm_of_forks),
    ("guardian_killed_nobody_left_and_all_are_told", guardian_killed_nobody_left_and_all_are_told),
    (
        "guardian_killed_unseen_the_kernel_ends_its_commands",
        guardian_killed_unseen_the_kernel_ends_its_commands,
    ),
    ("guardian_killed_under_who_ignores_its_children", guardian_killed_under_who_ignores_its_children),
    ("guardian_ignores_what_a_terminal_sends", guardian_ignores_what_a_terminal_sends),
];

/// A family: a child that ignores what can be ignored, its child in the same group, and two that made sessions of their own.
const FAMILY: &str =
    "trap '' TERM INT HUP; sleep 1000 & setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & wait";
/// How many processes that is.
const FAMILY_SIZE: usize = 6;

fn wait_timeout_gives_up_and_goes_on() {
    let child = start().spawn(CommandSpec::new("sleep").arg("1000")).unwrap();
    assert_eq!(child.wait_timeout(Duration::from_millis(20)), None);
    assert_eq!(child.wait_timeout(Duration::ZERO), None);
    child.kill().unwrap();
    assert_eq!(child.wait_timeout(Duration::MAX).unwrap().signal(), Some(9));
    assert_eq!(child.wait(), child.try_exit().unwrap());
}

fn exit_fd_is_readable_at_the_end_and_after() {
    let child = start().spawn(CommandSpec::new("sleep").arg("1000")).unwrap();
    assert_eq!(ready(&child), 0);
    child.kill().unwrap();
    eventually("the descriptor is readable", || ready(&child) == 1);
    assert_eq!(child.try_exit().unwrap().signal(), Some(9));
    assert_eq!(ready(&child), 1);
}

fn signal_reaches_the_whole_group() {
    let (guardian, mark) = (start(), fresh_mark());
    let script = "trap 'exit 7' TERM; sleep 1000 & sleep 1000 & wait; wait";
    let child = guardian.spawn(shell(script).env(MARK, &mark)).unwrap();
    eventually("all three run", || marked(&mark).len() == 3);
    child.signal(Signal::TERM).unwrap();
    assert_eq!(child.wait().code(), Some(7));
    assert_eq!(marked(&mark), Vec::<i32>::new());
}

fn who_ignores_term_is_killed() {
    let (guardian, mark) = (start(), fresh_mark());
    let script = "trap '' TERM; sleep 1000 & sleep 1000; sleep 1000";
    let child = guardian.spawn(shell(script).env(MARK, &mark)).unwrap();
    eventually("all three run", || marked(&mark).len() == 3);
    child.signal(Signal::TERM).unwrap();
    assert_eq!(child.wait_timeout(Duration::from_millis(200)), None);
    child.kill().unwrap();
    assert_eq!(child.wait().ended, Ended::Signaled { signal: 9, core_dumped: false });
    assert_eq!(marked(&mark), Vec::<i32>::new());
}

fn kill_reaches_who_left_the_group() {
    let (guardian, mark) = (start(), fresh_mark());
    let child = guardian.spawn(shell(FAMILY).env(MARK, &mark)).unwrap();
    eventually("the family runs", || marked(&mark).len() == FAMILY_SIZE);
    child.kill().unwrap();
    assert_eq!(child.wait().signal(), Some(9));
    eventually("nobody is left", || marked(&mark).is_empty());
    // Without the end of the guardian, that is.
    assert!(guardian.spawn(CommandSpec::new("true")).unwrap().wait().success());
}

fn stopped_command_is_killed() {
    let child = start().spawn(CommandSpec::new("sleep").arg("1000")).unwrap();
    child.signal(Signal::STOP).unwrap();
    assert_eq!(child.wait_timeout(Duration::from_millis(100)), None);
    child.kill().unwrap();
    assert_eq!(child.wait().signal(), Some(9));
}

fn signal_after_the_end_is_harmless() {
    let guardian = start();
    let child = guardian.spawn(CommandSpec::new("true")).unwrap();
    assert!(child.wait().success());
    child.signal(Signal::TERM).unwrap();
    child.kill().unwrap();
    assert!(child.wait().success());
    assert!(guardian.spawn(CommandSpec::new("true")).unwrap().wait().success());
}

fn what_a_command_leaves_in_its_group_is_gone_at_wait() {
    let guardian = start();
    for _ in 0..20 {
        let mark = fresh_mark();
        let child = guardian.spawn(shell("sleep 1000 & sleep 1000 & exit 3").env(MARK, &mark)).unwrap();
        let group = Pid::from_raw(i32::try_from(child.pid()).unwrap()).unwrap();
        assert_eq!(child.wait().code(), Some(3));
        assert_eq!(test_kill_process_group(group), Err(Errno::SRCH));
        assert_eq!(marked(&mark), Vec::<i32>::new());
    }
}

fn drop_of_the_last_handle_ends_all() {
    let (guardian, mark) = (start(), fresh_mark());
    let pid = guardian.pid();
    let child = guardian.spawn(shell(FAMILY).env(MARK, &mark)).unwrap();
    eventually("the family runs", || marked(&mark).len() == FAMILY_SIZE);
    drop(child);
    eventually("it still runs", || marked(&mark).len() == FAMILY_SIZE);
    drop(guardian);
    assert_eq!(marked(&mark), Vec::<i32>::new());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

fn a_child_keeps_the_guardian() {
    let child = start().spawn(shell("sleep 0.3; exit 5")).unwrap();
    assert_eq!(child.wait().code(), Some(5));
}

fn supervisor_killed_nobody_left() {
    let mark = fresh_mark();
    let mut supervisor = Running::start("exec", &["supervise", &mark, FAMILY]);
    let guardian: u32 = supervisor.line().parse().unwrap();
    assert_eq!(supervisor.line(), "up");
    eventually("the family runs", || marked(&mark).len() == FAMILY_SIZE);
    sigkill(supervisor.process.id());
    eventually("nobody is left", || marked(&mark).is_empty());
    eventually("nor the guardian", || is_gone(guardian));
}

fn supervisor_killed_in_a_storm_of_forks() {
    let mark = fresh_mark();
    let storm = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); setsid sh -c 'sleep 1000 & setsid sleep 1000 & wait' & done; wait";
    let mut supervisor = Running::start("exec", &["supervise", &mark, storm]);
    let guardian: u32 = supervisor.line().parse().unwrap();
    assert_eq!(supervisor.line(), "up");
    eventually("the storm has begun", || marked(&mark).len() > 30);
    sigkill(supervisor.process.id());
    eventually("nobody is left", || marked(&mark).is_empty());
    eventually("nor the guardian", || is_gone(guardian));
}

fn guardian_killed_nobody_left_and_all_are_told() {
    let (guardian, mark) = (start(), fresh_mark());
    let script = "trap '' TERM INT HUP; sleep 1000 & sh -c 'sleep 1000 & wait' & wait";
    let children: Vec<Child> =
        (0..3).map(|_| guardian.spawn(shell(script).env(MARK, &mark)).unwrap()).collect();
    eventually("all run", || marked(&mark).len() == 12);
    sigkill(guardian.pid());
    for child in &children {
        assert_eq!(child.wait().ended, Ended::Lost);
        assert_eq!(child.wait().to_string(), "ended when its guardian was killed");
        assert!(child.kill().is_err());
    }
    assert_eq!(marked(&mark), Vec::<i32>::new());
    let error = guardian.spawn(CommandSpec::new("true")).unwrap_err();
    assert!(matches!(error, SpawnError::GuardianGone { .. }), "{error:?}");
    assert_eq!(error.to_string(), "true: the guardian is gone: it was ended by SIGKILL");
    assert!(Guardian::start().unwrap().spawn(CommandSpec::new("true")).unwrap().wait().success());
}

fn guardian_killed_under_who_ignores_its_children() {
    // Such a supervisor's children are reaped by the kernel.
    let mut supervisor = Running::start("exec env --ignore-signal=CHLD", &["lose-guardian", &fresh_mark()]);
    assert_eq!(supervisor.line(), "nobody left");
}

fn guardian_killed_unseen_the_kernel_ends_its_commands() {
    let mark = fresh_mark();
    let mut supervisor = Running::start("exec", &["supervise", &mark, "exec sleep 1000"]);
    let guardian: u32 = supervisor.line().parse().unwrap();
    assert_eq!(supervisor.line(), "up");
    eventually("it runs", || marked(&mark).len() == 1);
    // Who is stopped cannot sweep.
    send(supervisor.process.id(), Sent::STOP);
    sigkill(guardian);
    eventually("nobody is left", || marked(&mark).is_empty());
}

fn guardian_ignores_what_a_terminal_sends() {
    let guardian = start();
    for signal in [Sent::INT, Sent::TERM, Sent::HUP, Sent::QUIT, Sent::PIPE, Sent::USR1, Sent::ALARM] {
        send(guardian.pid(), signal);
    }
    assert!(guardian.spawn(CommandSpec::new("true")).unwrap().wait().success());
}

fn ready(child: &Child) -> usize {
    poll(
        &mut [PollFd::from_borrowed_fd(child.exit_fd(), PollFlags::IN)],
        Some(&rustix::event::Timespec::default()),
    )
    .unwrap()
}

/// Gone, or a zombie of somebody who does not reap.
fn is_gone(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}
