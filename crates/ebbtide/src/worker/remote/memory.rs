//! How much memory a worker process uses, and how much it may.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use bytesize::ByteSize;

use crate::error::BuildError;

/// Limits on the memory of each worker process.
///
/// What is measured is the resident set of the process, whatever it is made of: a V8 heap, Buffers outside of it, a C library's. It is looked at
/// after every task, and every 100 ms during one, so it may be above a limit for a moment; what its own children use is not in it.
///
/// ```
/// use ebbtide::{ByteSize, Memory};
/// let memory = Memory::retire_at(ByteSize::mib(400)).kill_at(ByteSize::mib(512));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "pass it to `memory` on the pool's builder"]
pub struct Memory {
    pub(super) soft: Option<u64>,
    pub(super) hard: Option<u64>,
}

impl Memory {
    /// A worker above this is retired after its task, its replacement warm first. Where there is a hard limit, too, one that is halfway to it takes no more tasks:
    /// it goes although its replacement is not ready, rather than be killed with somebody's task.
    #[doc(alias = "reload-on-rss")]
    #[doc(alias = "maxMemoryLimitBeforeRecycle")]
    pub const fn retire_at(size: ByteSize) -> Self {
        Self { soft: Some(size.as_u64()), hard: None }
    }

    /// A worker above this is killed, and its task ends `Killed`. Where the machine lets us (a control group, or a limit on data for Python), the kernel
    /// holds it too, exactly; `ebbtide doctor` says which. Without one it can be passed for up to 100 ms.
    #[doc(alias = "resourceLimits")]
    #[doc(alias = "evil-reload-on-rss")]
    pub const fn kill_above(size: ByteSize) -> Self {
        Self { soft: None, hard: Some(size.as_u64()) }
    }

    /// The same on top of a gentler limit.
    pub const fn kill_at(mut self, size: ByteSize) -> Self {
        self.hard = Some(size.as_u64());
        self
    }

    /// The same, with a gentle limit where it has none.
    pub(crate) fn or_retire_at(mut self, bytes: u64) -> Self {
        self.soft.get_or_insert(bytes);
        self
    }

    /// Who is above this does not wait for a replacement.
    pub(super) fn brink(&self) -> Option<u64> {
        Some(self.soft?.midpoint(self.hard?))
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let wrong = |problem: String| Err(BuildError::new("memory", problem));
        match (self.soft, self.hard) {
            (Some(0), _) | (_, Some(0)) => wrong("a limit of 0 bytes could never be kept".to_owned()),
            (Some(soft), Some(hard)) if soft >= hard => wrong(format!(
                "retire_at({}) must be below kill_at({})",
                ByteSize::b(soft).display().iec(),
                ByteSize::b(hard).display().iec()
            )),
            _ => Ok(()),
        }
    }
}

/// Holds the soft limit to account: one that workers pass before they have done anything is wrong, and retiring for it would never end.
#[derive(Debug, Default)]
pub(super) struct Guard {
    ignored: AtomicBool,
    /// Workers in a row that passed it within their first tasks.
    early: AtomicU32,
}

/// A worker that passes its limit within so many tasks has not leaked.
const EARLY: u64 = 3;
/// After so many of them in a row the limit is wrong.
const IN_A_ROW: u32 = 3;

/// What to do about a worker above its soft limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Retire,
    /// The limit is wrong and was just given up; why.
    GiveUp(Arc<str>),
    Ignore,
}

impl Guard {
    pub(super) fn is_ignored(&self) -> bool {
        self.ignored.load(Ordering::Relaxed)
    }

    /// A worker has become ready and uses so much.
    pub(super) fn baseline(&self, size: u64, soft: Option<u64>) -> Option<Arc<str>> {
        let soft = soft?;
        if size <= soft || self.ignored.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(
            format!(
                "memory: a worker that has done nothing yet uses {}, more than retire_at({}): not retired for it. Raise the limit",
                ByteSize::b(size).display().iec(),
                ByteSize::b(soft).display().iec()
            )
            .into(),
        )
    }

    /// A worker that has run so many tasks is above the soft limit.
    pub(super) fn above(&self, tasks: u64, soft: u64) -> Ruling {
        if self.is_ignored() {
            return Ruling::Ignore;
        }
        if tasks > EARLY {
            self.early.store(0, Ordering::Relaxed);
            return Ruling::Retire;
        }
        if self.early.fetch_add(1, Ordering::Relaxed) + 1 < IN_A_ROW {
            return Ruling::Retire;
        }
        self.ignored.store(true, Ordering::Relaxed);
        Ruling::GiveUp(
            format!(
                "memory: {IN_A_ROW} workers in a row passed retire_at({}) within their first {EARLY} tasks: not retired for it any \
                 more. Raise the limit",
                ByteSize::b(soft).display().iec()
            )
            .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_replacements_pass_at_once_is_given_up_once() {
        let guard = Guard::default();
        assert_eq!(guard.above(1, 10), Ruling::Retire);
        assert_eq!(guard.above(50, 10), Ruling::Retire);
        assert_eq!(guard.above(1, 10), Ruling::Retire);
        assert_eq!(guard.above(3, 10), Ruling::Retire);
        assert!(matches!(guard.above(2, 10), Ruling::GiveUp(_)));
        assert_eq!(guard.above(99, 10), Ruling::Ignore);
    }

    #[test]
    fn a_limit_below_the_baseline_is_told_once() {
        let guard = Guard::default();
        assert_eq!(guard.baseline(5, None), None);
        assert_eq!(guard.baseline(5, Some(10)), None);
        assert!(guard.baseline(15, Some(10)).is_some_and(|why| why.contains("Raise the limit")));
        assert_eq!(guard.baseline(15, Some(10)), None);
    }
}
