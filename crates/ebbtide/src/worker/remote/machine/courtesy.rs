//! Who is started beside others that serve steps back behind them: an interpreter that starts takes a whole core for a tenth of a second, which
//! the tasks of everybody else would wait for.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use rustix::process::{Pid, getpriority_pgrp, getpriority_process, setpriority_pgrp, setpriority_process};

use super::Kin;
use crate::sync;

/// So much nicer than it will be: it gets a tenth of what somebody else gets who wants the same core.
const STEP: i32 = 10;
/// The stack of the thread that tries it out.
const STACK: usize = 64 << 10;

/// The group of a process has a low priority as long as this is kept.
#[derive(Debug)]
pub(crate) struct Courtesy {
    group: Pid,
    nice: i32,
}

impl Courtesy {
    /// `None` where a priority that was lowered could not be raised again.
    pub(crate) fn show(kin: &Kin) -> Option<Self> {
        if !can_be_taken_back() {
            return None;
        }
        let group = Pid::from_raw(i32::try_from(kin.pid()).ok()?)?;
        let nice = getpriority_pgrp(Some(group)).ok()?;
        setpriority_pgrp(Some(group), nice + STEP).ok()?;
        Some(Self { group, nice })
    }
}

impl Drop for Courtesy {
    fn drop(&mut self) {
        // One that has ended has no priority.
        let _ = setpriority_pgrp(Some(self.group), self.nice);
    }
}

/// Needs `CAP_SYS_NICE` or a limit (`RLIMIT_NICE`), and which of them counts depends on the user namespace: so it is tried, once, on a thread that
/// then ends.
fn can_be_taken_back() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let there_and_back = || {
            let nice = getpriority_process(None)?;
            // To Linux, the process that is called `None` is the calling thread.
            setpriority_process(None, nice + 1)?;
            setpriority_process(None, nice)
        };
        let can = Arc::new(AtomicBool::new(false));
        let found = Arc::clone(&can);
        let tries = move || found.store(there_and_back().is_ok(), Ordering::Relaxed);
        let ended = sync::spawn("ebbtide-nice".to_owned(), Some(STACK), tries).map(sync::JoinHandle::join);
        ended.is_ok() && can.load(Ordering::Relaxed)
    })
}
