//! What laps share: which one is run, pools that are warm, gates that hold workers, producers that begin together.

use std::{
    hint::black_box,
    sync::{Arc, Barrier, Condvar, Mutex},
    time::{Duration, Instant},
};

use super::{latency, memory, shapes, stop, throughput};
use crate::{
    contender::{Contender, NotOffered, Room, Setup, Wait},
    count,
    lap::{Kind, Lap, Values},
};

/// A worker that waits here has begun and does not end.
#[derive(Clone)]
pub(super) struct Gate(Arc<(Mutex<Held>, Condvar)>);

#[derive(Default)]
struct Held {
    waiting: usize,
    open: bool,
}

/// Runs one lap.
pub(crate) fn run<C: Contender>(lap: Lap) -> Result<Values, NotOffered> {
    match lap.kind {
        Kind::Fire => throughput::fire::<C>(lap, Room::Plenty(lap.size)),
        Kind::Bounded => throughput::fire::<C>(lap, Room::Bounded(128)),
        Kind::Handle => throughput::handle::<C>(lap),
        Kind::Many => throughput::many::<C>(lap),
        Kind::ManyCall => throughput::many_call::<C>(lap),
        Kind::Millions => throughput::millions::<C>(lap),
        Kind::Burst => shapes::burst::<C>(lap),
        Kind::Fan => shapes::fan::<C>(lap),
        Kind::Uneven => shapes::uneven::<C>(lap),
        Kind::Json => shapes::json::<C>(lap),
        Kind::PingPong => latency::ping_pong::<C>(lap),
        Kind::Idle => latency::idle::<C>(lap),
        Kind::IdleCpu => latency::idle_cpu::<C>(lap),
        Kind::Late => latency::late::<C>(lap),
        Kind::Drain => stop::drain::<C>(lap),
        Kind::Stretch => stop::stretch::<C>(lap),
        Kind::Abort => stop::abort::<C>(lap),
        Kind::MemoryQueued => memory::queued::<C>(lap),
        Kind::MemoryHandle => memory::with_handle::<C>(lap),
        Kind::MemoryWorker => memory::worker::<C>(lap),
        _ => Err(NotOffered("this scenario is one of processes")),
    }
}

/// A pool whose workers have all run something.
pub(super) fn warm<C: Contender>(lap: Lap, queue: Room) -> Result<C, NotOffered> {
    let pool = C::start(Setup { workers: lap.workers, queue })?;
    let before = count::total();
    let mut begun = 0;
    for _ in 0..50 {
        let handles: Vec<_> = (0..20).map(|number| pool.submit(small(number))).collect();
        begun += handles.len();
        handles.into_iter().for_each(Wait::wait);
    }
    count::wait_for(before, begun);
    Ok(pool)
}

/// The task of most scenarios: captures 16 bytes, as a small closure does, and does nothing but be counted.
#[inline]
pub(super) fn small(number: u64) -> impl FnOnce() + Send + 'static {
    let captured = [number, !number];
    move || {
        black_box(captured);
        count::ended();
    }
}

/// Lets every producer submit its share, from the same moment on, and gives that moment.
pub(super) fn produce(producers: usize, size: usize, submit: impl Fn(usize) + Sync) -> Instant {
    if producers == 1 {
        let begin = Instant::now();
        submit(size);
        return begin;
    }
    let barrier = Barrier::new(producers);
    let run = || {
        barrier.wait();
        let begin = Instant::now();
        submit(size / producers);
        begin
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..producers).map(|_| scope.spawn(run)).collect();
        let begins = threads.into_iter().map(|thread| thread.join().expect("submitting does not panic"));
        begins.min().expect("there is a producer")
    })
}

pub(super) fn per(elapsed: Duration, count: usize) -> f64 {
    elapsed.as_nanos() as f64 / count as f64
}

impl Gate {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::default(), Condvar::new())))
    }

    /// Occupies every worker of a pool, and returns when all of them wait here.
    pub(super) fn hold<C: Contender>(pool: &C, workers: usize) -> Self {
        let gate = Self::new();
        for _ in 0..workers {
            let gate = gate.clone();
            pool.execute(move || gate.wait());
        }
        let (held, changed) = &*gate.0;
        let held = held.lock().expect("nobody panics under it");
        drop(changed.wait_while(held, |held| held.waiting < workers).expect("nobody panics under it"));
        gate
    }

    pub(super) fn open(&self) {
        self.0.0.lock().expect("nobody panics under it").open = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let (held, changed) = &*self.0;
        let mut held = held.lock().expect("nobody panics under it");
        held.waiting += 1;
        changed.notify_all();
        drop(changed.wait_while(held, |held| !held.open).expect("nobody panics under it"));
    }
}
