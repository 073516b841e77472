//! The pools people write themselves, about forty lines each, on crossbeam-channel, kanal, flume and a mutex with a condition variable.
//!
//! What they leave out is the point: no accounting, no deadline, no cancel, a panicking task costs a worker. Tasks are boxed closures; a value
//! comes back through a `oneshot` channel. Draining is dropping the sender and joining the threads.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
};

use crate::contender::{Contender, NotOffered, Reply, Room, Setup, replying};

type Job = Box<dyn FnOnce() + Send>;

/// A channel of jobs and threads that empty it.
macro_rules! channel_pool {
    ($(#[$about:meta])* $name:ident, $channel:ident) => {
        $(#[$about])*
        pub(crate) struct $name {
            jobs: $channel::Sender<Job>,
            threads: Vec<JoinHandle<()>>,
        }

        impl Contender for $name {
            fn start(setup: Setup) -> Result<Self, NotOffered> {
                let (jobs, receiver) = match setup.queue {
                    Room::Plenty(_) => $channel::unbounded::<Job>(),
                    Room::Bounded(capacity) => $channel::bounded::<Job>(capacity),
                };
                let work = |_| {
                    let receiver = receiver.clone();
                    std::thread::spawn(move || {
                        while let Ok(job) = receiver.recv() {
                            job();
                        }
                    })
                };
                Ok(Self { jobs, threads: (0..setup.workers).map(work).collect() })
            }

            fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
                assert!(self.jobs.send(Box::new(task)).is_ok(), "the workers live");
            }

            fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
                let (task, reply) = replying(task);
                self.execute(task);
                reply
            }

            fn drain(self) -> Result<(), NotOffered> {
                drop(self.jobs);
                join(self.threads);
                Ok(())
            }
        }
    };
}

channel_pool!(
    /// On `crossbeam-channel`.
    Crossbeam, crossbeam_channel
);
channel_pool!(
    /// On `flume`.
    Flume, flume
);
channel_pool!(
    /// On `kanal`.
    Kanal, kanal
);

/// On `Mutex<VecDeque>` with two condition variables; a wake-up for each job while somebody is idle.
pub(crate) struct Locked {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    line: Mutex<Line>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    idle: usize,
    waiting: usize,
    closed: bool,
}

impl Shared {
    fn put(&self, job: Job) {
        let mut line = self.line.lock().expect("nobody panics under it");
        while line.jobs.len() >= self.capacity {
            line.waiting += 1;
            line = self.emptied.wait(line).expect("nobody panics under it");
            line.waiting -= 1;
        }
        line.jobs.push_back(job);
        let wake = line.idle > 0;
        drop(line);
        if wake {
            self.filled.notify_one();
        }
    }

    fn take(&self) -> Option<Job> {
        let mut line = self.line.lock().expect("nobody panics under it");
        loop {
            if let Some(job) = line.jobs.pop_front() {
                let wake = line.waiting > 0;
                drop(line);
                if wake {
                    self.emptied.notify_one();
                }
                return Some(job);
            }
            if line.closed {
                return None;
            }
            line.idle += 1;
            line = self.filled.wait(line).expect("nobody panics under it");
            line.idle -= 1;
        }
    }
}

impl Contender for Locked {
    fn start(setup: Setup) -> Result<Self, NotOffered> {
        let capacity = match setup.queue {
            Room::Plenty(_) => usize::MAX,
            Room::Bounded(capacity) => capacity,
        };
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { line: Mutex::default(), filled, emptied, capacity });
        let work = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                while let Some(job) = shared.take() {
                    job();
                }
            })
        };
        let threads = (0..setup.workers).map(work).collect();
        Ok(Self { shared, threads })
    }

    fn execute<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.shared.put(Box::new(task));
    }

    fn submit<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, task: F) -> Reply<T> {
        let (task, reply) = replying(task);
        self.execute(task);
        reply
    }

    fn drain(mut self) -> Result<(), NotOffered> {
        let threads = std::mem::take(&mut self.threads);
        drop(self);
        join(threads);
        Ok(())
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.shared.line.lock().expect("nobody panics under it").closed = true;
        self.shared.filled.notify_all();
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        assert!(thread.join().is_ok(), "a worker of a hand-written pool panicked");
    }
}
