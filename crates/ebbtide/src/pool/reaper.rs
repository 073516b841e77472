//! The thread that joins threads that have said their last word.
//!
//! Joining waits for the destructors of a thread's locals, which are the user's: it must not be done by the one that rings alarms.

use crate::sync::{self, JoinHandle};

#[cfg(not(shuttle))]
mod imp {
    use std::sync::{Mutex, PoisonError, mpsc};

    use super::{JoinHandle, sync};

    type Job = (JoinHandle<()>, Box<dyn FnOnce() + Send>);

    static REAPER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

    pub(crate) fn join(thread: JoinHandle<()>, then: impl FnOnce() + Send + 'static) {
        let mut job: Job = (thread, Box::new(then));
        let mut reaper = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            if reaper.is_none() {
                *reaper = start();
            }
            let Some(sender) = reaper.as_ref() else { break };
            match sender.send(job) {
                Ok(()) => return,
                Err(mpsc::SendError(back)) => job = back,
            }
            *reaper = None;
        }
        let_go(job);
    }

    fn start() -> Option<mpsc::Sender<Job>> {
        let (sender, receiver) = mpsc::channel::<Job>();
        let body = move || receiver.into_iter().for_each(run);
        sync::spawn("ebbtide-reaper".to_owned(), Some(256 * 1024), body).ok()?;
        Some(sender)
    }

    /// Without a reaper the thread is let go instead of joined: a machine that can start no thread has worse troubles.
    fn let_go((thread, then): Job) {
        drop(thread);
        then();
    }

    fn run((thread, then): Job) {
        // A worker's own panics are caught inside it; one from a thread-local's destructor ends nothing else.
        drop(thread.join());
        let call = std::panic::AssertUnwindSafe(then);
        drop(std::panic::catch_unwind(call));
    }
}

#[cfg(shuttle)]
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
