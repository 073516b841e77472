//! Decision: who is to blame for the end of a worker process.
//!
//! Only a task that had begun and not ended can be; what had not begun never existed for that worker. The one we ended it for is `Killed`, all
//! others that had begun are `Crashed` under it.

use std::sync::Arc;

use crate::task::{
    error::{Crashed, Killed, TaskError},
    id::TaskId,
    outcome::CancelReason,
};

/// Why a worker process was ended by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A task did not obey.
    Task(TaskId, Option<CancelReason>),
    /// None of its tasks obeyed: its generation was aborted.
    Aborted,
    /// It used more than it may; in words.
    Memory(Arc<str>),
    /// It did not keep to the protocol; in words.
    Protocol(Arc<str>),
    /// It was told to go and did not.
    Leaving,
}

/// How it ended, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) verdict: Option<Verdict>,
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// The kernel ended it, for memory, at a cap of ours.
    pub(super) out_of_memory: bool,
    pub(super) last_words: String,
}

impl Death {
    /// How a task ended that had begun when it came.
    pub(super) fn of_task(&self, task: TaskId) -> TaskError {
        match &self.verdict {
            Some(Verdict::Task(guilty, request)) if *guilty == task => {
                TaskError::killed(Killed::disobedient(request.clone(), self.patience()))
            }
            Some(Verdict::Aborted) => {
                TaskError::killed(Killed::disobedient(Some(CancelReason::Abort), self.patience()))
            }
            Some(Verdict::Memory(why)) => TaskError::killed(Killed::new(Arc::clone(why))),
            _ if self.out_of_memory => {
                TaskError::killed(Killed::new("memory: the kernel ended its worker at the cap"))
            }
            _ => TaskError::crashed(self.crashed()),
        }
    }

    /// How long it had to obey: SIGTERM comes at half of the grace, and SIGKILL to whom that does not end.
    fn patience(&self) -> &'static str {
        match (self.exit_code, self.signal) {
            (Some(_), _) | (_, Some(15)) => "half of its grace",
            _ => "its grace",
        }
    }

    /// True if a task that had begun may have been the victim of chance, so that trying again makes sense.
    pub(super) fn is_crash_for(&self, task: TaskId) -> bool {
        match &self.verdict {
            Some(Verdict::Task(guilty, _)) => *guilty != task,
            Some(Verdict::Aborted | Verdict::Memory(_)) => false,
            Some(Verdict::Protocol(_) | Verdict::Leaving) | None => !self.out_of_memory,
        }
    }

    pub(super) fn was_forced(&self) -> bool {
        self.verdict.is_some()
    }

    fn crashed(&self) -> Crashed {
        let (exit_code, signal) = (self.exit_code, self.signal);
        Crashed { exit_code, signal, detail: Some(self.how().into()) }
    }

    /// In a sentence: how, and the last words.
    pub(super) fn how(&self) -> String {
        let how = match (&self.verdict, self.exit_code, self.signal) {
            (Some(Verdict::Protocol(what)), _, _) => format!("was ended: it broke the protocol with {what}"),
            (Some(Verdict::Memory(why)), _, _) => format!("was ended: {why}"),
            (Some(Verdict::Task(task, _)), _, _) => format!("was ended by force for task {task}"),
            (Some(Verdict::Aborted), _, _) => "was ended by force: the pool was aborted".to_owned(),
            (Some(Verdict::Leaving), _, _) => "was ended by force: it did not go when told to".to_owned(),
            (None, _, _) if self.out_of_memory => "was ended by the kernel at its memory cap".to_owned(),
            (None, _, Some(signal)) => format!("was ended by signal {signal}"),
            (None, Some(code), _) => format!("exited with code {code}"),
            (None, None, None) => "ended; how is not known".to_owned(),
        };
        if self.last_words.is_empty() { how } else { format!("{how}; its last words: {}", self.last_words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::outcome::Outcome;

    #[test]
    fn only_the_one_it_was_ended_for_is_killed() {
        let verdict = Some(Verdict::Task(TaskId(4), Some(CancelReason::Timeout)));
        let death = Death { verdict, signal: Some(9), ..Death::default() };
        let error = death.of_task(TaskId(4));
        assert_eq!(error.outcome(), Outcome::Killed);
        let killed = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Killed>());
        assert_eq!(killed.and_then(Killed::request), Some(&CancelReason::Timeout));
        assert_eq!(death.of_task(TaskId(5)).outcome(), Outcome::Crashed);
        assert!(death.is_crash_for(TaskId(5)) && !death.is_crash_for(TaskId(4)));
    }

    #[test]
    fn who_goes_at_half_of_the_grace_did_not_have_all_of_it() {
        let task = TaskId(1);
        for verdict in [Verdict::Task(task, Some(CancelReason::Timeout)), Verdict::Aborted] {
            for (exit_code, signal, had) in [
                (None, Some(15), "within half of its grace ("),
                (Some(0), None, "within half of its grace ("),
                (None, Some(9), "within its grace ("),
                (None, None, "within its grace ("),
            ] {
                let death = Death { verdict: Some(verdict.clone()), exit_code, signal, ..Death::default() };
                assert!(death.of_task(task).to_string().contains(had), "{death:?}");
            }
        }
    }

    #[test]
    fn a_cap_kills_and_a_foreign_signal_crashes() {
        let memory = Death { out_of_memory: true, signal: Some(9), ..Death::default() };
        assert_eq!(memory.of_task(TaskId(1)).outcome(), Outcome::Killed);
        let foreign = Death { signal: Some(11), last_words: "oh".to_owned(), ..Death::default() };
        let error = foreign.of_task(TaskId(1));
        assert_eq!(error.outcome(), Outcome::Crashed);
        assert!(
            error.to_string().contains("signal 11") && error.to_string().contains("last words: oh"),
            "{error}"
        );
    }

    /// What we ended it for: how its tasks ended, whether one may be tried again, and what is said of it.
    #[test]
    fn what_it_was_ended_for_decides_for_all_its_tasks() {
        let task = TaskId(1);
        let (memory, protocol): (Arc<str>, Arc<str>) = ("memory: 2 GiB".into(), "a second START".into());
        for (verdict, outcome, again, word) in [
            (Verdict::Task(task, None), Outcome::Killed, false, "by force for task"),
            (Verdict::Aborted, Outcome::Killed, false, "the pool was aborted"),
            (Verdict::Memory(memory), Outcome::Killed, false, "memory: 2 GiB"),
            (Verdict::Protocol(protocol), Outcome::Crashed, true, "a second START"),
            (Verdict::Leaving, Outcome::Crashed, true, "did not go"),
        ] {
            let death = Death { verdict: Some(verdict), signal: Some(9), ..Death::default() };
            assert!(death.was_forced() && death.how().contains(word), "{death:?}");
            let error = death.of_task(task);
            assert_eq!((error.outcome(), death.is_crash_for(task)), (outcome, again), "{death:?}");
        }
        let aborted = Death { verdict: Some(Verdict::Aborted), ..Death::default() };
        assert!(aborted.of_task(task).to_string().contains("the pool was aborted"));
        // The cap is the kernel's, who asks nobody; a verdict of ours says more.
        let (verdict, out_of_memory) = (Some(Verdict::Memory("ours".into())), true);
        let both = Death { verdict, out_of_memory, ..Death::default() };
        assert!(both.of_task(task).to_string().contains("ours"));
    }

    #[test]
    fn nobody_is_to_blame_for_an_end_of_its_own() {
        let task = TaskId(1);
        for (death, again, word) in [
            (Death { exit_code: Some(3), ..Death::default() }, true, "code 3"),
            (Death { signal: Some(11), ..Death::default() }, true, "signal 11"),
            (Death::default(), true, "not known"),
            (Death { signal: Some(9), out_of_memory: true, ..Death::default() }, false, "memory cap"),
        ] {
            assert!(!death.was_forced() && death.how().contains(word), "{death:?}: {}", death.how());
            assert_eq!(death.is_crash_for(task), again, "{death:?}");
        }
    }
}
