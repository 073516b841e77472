//! Whoever ends the supervisor: no worker is left, and what a terminal sends reaches only the supervisor.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::alone::{B, G, Test};
use crate::kinds::{each, rust};
use crate::rig::Rig;
use crate::scenario::Running;
use crate::tools::{children_of, eventually, marked, pause, send, sigkill};

/// Every test of this file.
pub(crate) const TESTS: &[Test] = crate::alone::tests! {
    ("p_02_a_killed_supervisor_leaves_no_worker_and_no_grandchild", G, p_02_a_killed_supervisor_leaves_no_worker_and_no_grandchild),
    ("p_02_without_a_guardian_workers_end_with_their_socket", B, p_02_without_a_guardian_workers_end_with_their_socket),
    ("p_02_a_killed_guardian_costs_its_workers_and_not_the_pool", G, p_02_a_killed_guardian_costs_its_workers_and_not_the_pool),
    ("p_14_sigint_to_the_terminals_group_drains", B, p_14_sigint_to_the_terminals_group_drains),
    ("an_application_with_a_process_pool_drains_at_sigterm", B, an_application_with_a_process_pool_drains_at_sigterm),
};

fn p_02_a_killed_supervisor_leaves_no_worker_and_no_grandchild() {
    each(|kind| {
        let supervisor = Running::start("orphans", kind.name);
        // Three workers and a sleeping grandchild of each, at least.
        eventually("all are there", || marked(&supervisor.mark).len() >= 6);
        sigkill(supervisor.process.id());
        eventually("nobody is left", || marked(&supervisor.mark).is_empty());
    });
}

/// Those that look at their socket: an idle one and one that waits. A busy loop in JavaScript does not, and what a worker has started is not held.
fn p_02_without_a_guardian_workers_end_with_their_socket() {
    each(|kind| {
        let supervisor = Running::start("serve", kind.name);
        eventually("two are there", || marked(&supervisor.mark).len() >= 2);
        sigkill(supervisor.process.id());
        eventually("nobody is left", || marked(&supervisor.mark).is_empty());
    });
}

fn p_02_a_killed_guardian_costs_its_workers_and_not_the_pool() {
    let rig = Rig::new(&rust(), 2..=2);
    rig.call("echo", 1);
    let busy = rig.send("busy", 0);
    rig.until_begun(1);
    let guardian = children_of(std::process::id());
    let [guardian] = guardian[..] else { panic!("{guardian:?}") };
    sigkill(guardian.unsigned_abs());
    crate::rig::ended(busy, ebbtide::Outcome::Crashed);
    assert_eq!(rig.call("echo", "on another guardian"), "on another guardian");
    rig.close();
}

fn opens_and_completes(signal: impl Fn(&Running)) {
    each(|kind| {
        let mut supervisor = Running::start("serve", kind.name);
        let before = marked(&supervisor.mark);
        signal(&supervisor);
        // Long enough for a signal to have reached somebody, if it did.
        pause(Duration::from_millis(300));
        let now = marked(&supervisor.mark);
        assert!(before.iter().all(|pid| now.contains(pid)), "{before:?} of which are left {now:?}");
        std::fs::write(&supervisor.gate, "").unwrap();
        assert_eq!(supervisor.word("completed "), "6", "the drain finishes what was accepted");
        assert_eq!(supervisor.process.wait().unwrap().code(), Some(0));
        eventually("nobody is left", || marked(&supervisor.mark).is_empty());
    });
}

fn p_14_sigint_to_the_terminals_group_drains() {
    opens_and_completes(|supervisor| {
        kill_process_group(Pid::from_child(&supervisor.process), Signal::INT).unwrap();
    });
}

fn an_application_with_a_process_pool_drains_at_sigterm() {
    opens_and_completes(|supervisor| send(supervisor.process.id(), Signal::TERM));
}
