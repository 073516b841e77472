//! Joins threads that have said their last word.
//!
//! Joining waits for the destructors of a thread's locals, which are the user's: it must not be done by the one that rings alarms,
//! and one that hangs there must not hold up the threads of other pools. So there is one reaper, and another when it is held up.

use crate::sync::{self, JoinHandle};

#[cfg(not(any(shuttle, loom)))]
mod imp {
    use std::{
        collections::VecDeque,
        sync::{Condvar, Mutex, MutexGuard, PoisonError},
        time::Duration,
    };

    use super::{JoinHandle, sync};
    use crate::{clock::Moment, task::panics, timer::Alarm};

    /// How long a thread's end may hold up those who wait to be joined after it.
    const PATIENCE: Duration = Duration::from_millis(50);

    type Job = (JoinHandle<()>, Box<dyn FnOnce() + Send>);

    struct Reapers {
        jobs: VecDeque<Job>,
        /// Threads of ours, and how many of them have nothing to do.
        alive: usize,
        idle: usize,
    }

    static REAPERS: Mutex<Reapers> = Mutex::new(Reapers { jobs: VecDeque::new(), alive: 0, idle: 0 });
    static CALL: Condvar = Condvar::new();

    fn reapers() -> MutexGuard<'static, Reapers> {
        REAPERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(thread: JoinHandle<()>, then: impl FnOnce() + Send + 'static) {
        let mut reapers = reapers();
        reapers.jobs.push_back((thread, Box::new(then)));
        if reapers.alive == 0 {
            let let_go = reapers.hire();
            drop(reapers);
            let_go.into_iter().for_each(|(thread, then)| {
                drop(thread);
                then();
            });
        } else if reapers.jobs.len() <= reapers.idle {
            CALL.notify_one();
        } else {
            drop(reapers);
            look_after();
        }
    }

    /// Sees later whether the reapers are held up, and has another one help them then.
    fn look_after() {
        let look = || {
            let mut reapers = reapers();
            if !reapers.jobs.is_empty() {
                let _nobody = reapers.hire();
                drop(reapers);
                look_after();
            }
        };
        Alarm::at(Moment::now().plus(PATIENCE), look).leave();
    }

    impl Reapers {
        /// Starts another reaper. Where there is none and none can be started, gives what is to be let go instead of joined: a
        /// machine that can start no thread has worse troubles.
        fn hire(&mut self) -> VecDeque<Job> {
            let started = sync::spawn("ebbtide-reaper".to_owned(), Some(256 * 1024), run);
            self.alive += usize::from(started.is_ok());
            if self.alive == 0 { std::mem::take(&mut self.jobs) } else { VecDeque::new() }
        }
    }

    fn run() {
        let mut waiting = reapers();
        loop {
            while let Some((thread, then)) = waiting.jobs.pop_front() {
                drop(waiting);
                // A worker's own panics are caught inside it; one from a thread-local's destructor ends nothing else.
                let _ = thread.join().map_err(panics::bury);
                let _ = panics::quietly(then);
                waiting = reapers();
            }
            if waiting.idle > 0 {
                waiting.alive -= 1;
                return;
            }
            waiting.idle += 1;
            waiting = CALL.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

#[cfg(any(shuttle, loom))]
mod imp {
    use super::{JoinHandle, sync};

    pub(crate) fn join(thread: JoinHandle<()>, then: impl FnOnce() + Send + 'static) {
        let body = move || {
            drop(thread.join());
            then();
        };
        drop(sync::spawn(String::new(), None, body));
    }
}

pub(crate) use imp::join;
