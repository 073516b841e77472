//! What an application is to its surroundings: a plan that is printed, a process number 1.

use rustix::process::Signal;

use crate::driver::{Program, command, start};

#[test]
fn l_50_a_plan_is_printed_and_one_that_does_not_fit_is_an_error() {
    let plan = |granted: Option<&str>| {
        let mut command = command("planned");
        command.arg("--plan");
        if let Some(granted) = granted {
            command.env("EBBTIDE_STOP_TIMEOUT", granted);
        }
        Program::start(command).end().0
    };
    let ended = plan(None);
    assert_eq!(ended.code, Some(0), "{:?}", ended.lines);
    assert!(ended.said("planned: 2 components, a stop takes at most 10s"), "{:?}", ended.lines);
    assert!(ended.said("  1. increments, within 8s") && ended.said("  2. redis, within 1s"));
    assert!(!ended.said("open redis"), "something was started");
    assert_eq!(plan(Some("15")).code, Some(0));
    let short = plan(Some("5"));
    assert_eq!(short.code, Some(78), "{:?}", short.lines);
    assert!(short.lines.iter().any(|line| line.starts_with("warning: EBBTIDE_STOP_TIMEOUT grants 5s")));
}

#[test]
fn l_43_as_process_1_it_hears_signals_and_reaps_what_others_left() {
    let inner = command("orphans");
    #[expect(clippy::disallowed_methods, reason = "the test's own child")]
    let mut outer = std::process::Command::new("unshare");
    outer.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !rustix::process::geteuid().is_root() {
        outer.args(["--user", "--map-root-user"]);
    }
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let mut program = Program::start(outer);
    program.until("ready").until("own child Some(7)").until("zombies 0");
    // `unshare` waits for process 1; the signal goes to that one.
    let children = format!("/proc/{0}/task/{0}/children", program.pid().as_raw_nonzero());
    let first = std::fs::read_to_string(children).expect("its child");
    let first = first.split_whitespace().next().and_then(|pid| pid.parse().ok());
    let first = first.and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(first, Signal::TERM).expect("it is there");
    let (ended, _) = program.end();
    assert_eq!(ended.code, Some(0), "{:?} {}", ended.lines, ended.stderr);
    assert_eq!(ended.report()["reason"]["signal"], "SIGTERM");
}

#[test]
fn what_is_no_process_1_is_the_application_itself() {
    let mut program = start("idle");
    program.until("ready").signal(Signal::INT);
    let (ended, _) = program.end();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.report()["reason"]["signal"], "SIGINT");
}
