//! When a worker has done enough.

use std::time::Duration;

use crate::{error::BuildError, worker::craft::Limits};

/// When a worker is retired: between two tasks, only the worker concerned, its replacement warm first.
///
/// The limits are looked at after a task, so a worker runs *at least* so many tasks, gets *at least* so old. Until its
/// replacement is ready it serves on. Every limit is lowered by up to [`jitter`](Self::jitter), differently for each worker, so
/// that they do not go together. Default: no limits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "pass it to `retire` on the pool's builder"]
pub struct Retirement {
    limits: Option<Limits>,
}

impl Retirement {
    /// No limits.
    pub const fn new() -> Self {
        Self { limits: None }
    }

    /// After so many tasks. Not a cap: it serves on until its replacement is ready, under load for some tasks more.
    #[doc(alias = "max_requests")]
    #[doc(alias = "maxtasksperchild")]
    pub fn after_tasks(mut self, tasks: u64) -> Self {
        self.limits().tasks = Some(tasks);
        self
    }

    /// After so long a life, also when it is idle then.
    #[doc(alias = "max_lifetime")]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.limits().age = Some(age);
        self
    }

    /// When its state reports more than `bytes`. Needs `size` on the pool's builder: a limit without a source is a build
    /// error. A state that is larger before its first task is not retired for it, with an [`Event::LimitIgnored`](crate::Event::LimitIgnored):
    /// a replacement would be no smaller.
    #[doc(alias = "reload-on-rss")]
    pub fn larger_than(mut self, bytes: u64) -> Self {
        self.limits().size = Some(bytes);
        self
    }

    /// After so many tasks in a row that failed, panicked or timed out.
    pub fn after_failures(mut self, failures: u32) -> Self {
        self.limits().failures = Some(failures);
        self
    }

    /// How far tasks and age are spread over the workers, in parts of one. Default: 0.1.
    #[doc(alias = "max_requests_jitter")]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.limits().jitter = jitter;
        self
    }

    fn limits(&mut self) -> &mut Limits {
        self.limits.get_or_insert_with(|| Limits { jitter: crate::policy::JITTER, ..Limits::default() })
    }

    pub(crate) fn check(&self, has_size: HasSize) -> Result<Limits, BuildError> {
        let limits = self.limits.unwrap_or(Limits { jitter: crate::policy::JITTER, ..Limits::default() });
        let wrong = |problem: &str| Err(BuildError::new("retire", problem));
        if limits.tasks == Some(0) {
            return wrong("a worker that is retired after 0 tasks could never run one; say at least 1");
        }
        if limits.age.is_some_and(|age| age.is_zero()) {
            return wrong("an age of zero would retire every worker at once");
        }
        if limits.failures == Some(0) {
            return wrong("after 0 failures means always; say at least 1");
        }
        if limits.size.is_some() && has_size == HasSize::No {
            return wrong("larger_than needs a source: give the builder `size(|state| …)`");
        }
        if !(0.0..=1.0).contains(&limits.jitter) {
            return wrong("jitter is a part of one: between 0.0 and 1.0");
        }
        Ok(limits)
    }
}

/// Whether the pool's states report a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HasSize {
    Yes,
    No,
}
