//! The life of a worker whose state is a process: on the thread that the pool gave it.
//!
//! It asks the pool for work while nothing is under way, and becomes idle like any other worker; what comes while something is under way the
//! [reader](super::reader) fetches. It sends what the reader could not without waiting, and it is the one who leaves.

use std::{sync::Arc, time::Duration};

use super::{
    death::{Death, Verdict},
    desk::{Answer, Desk, Stage},
    ear::Ear,
    flights::Flight,
    frames,
    listener::Listener,
    outgoing::{Left, Patience},
    plan::Plan,
    process::{Wire, WorkerProcess},
    reader::Reader,
};
use crate::{
    clock::Moment,
    sync::{self, JoinHandle},
    task::{isolation::Isolation, post::Post, seat::Order},
    worker::{
        craft::WorkerInfo,
        process::Signal,
        reason::RetireReason,
        thread::{Came, Next, Notice, ThreadWorker},
    },
};

/// The reader's stack: it decodes replies.
const READER_STACK: usize = 512 << 10;

/// Serves until it is time to go, and sees the process off.
pub(crate) fn serve<I: Isolation<State = WorkerProcess>>(worker: &ThreadWorker<I>, state: WorkerProcess) {
    let WorkerProcess { wire, ear, plan } = state;
    if let Some(why) = plan.guard.baseline(wire.size(), plan.wishes.memory.soft) {
        worker.employer.tell(Notice::LimitIgnored { why });
    }
    worker.employer.size(&worker.seat, wire.size());
    let Some(Opened { desk, listener, reader }) = open(worker, wire, ear, &plan) else {
        worker.employer.leaves(&worker.seat, RetireReason::Crashed);
        return;
    };
    let why = drive(worker, &desk, &listener);
    if desk.stage() == Stage::Dead {
        let _ = reader.join();
        died(worker, &desk);
        return;
    }
    part(&desk, why);
    let _ = reader.join();
    // One that was told to go may have died while it still had tasks.
    try_again(worker, &desk);
}

struct Opened<I: Isolation> {
    desk: Arc<Desk<I>>,
    listener: Arc<Listener<I>>,
    reader: JoinHandle<()>,
}

/// Begins to listen.
fn open<I: Isolation>(
    worker: &ThreadWorker<I>,
    wire: Arc<Wire>,
    mut ear: Ear,
    plan: &Arc<Plan>,
) -> Option<Opened<I>> {
    let desk = Desk::new(worker, Arc::clone(&wire), Arc::clone(plan));
    std::mem::take(&mut ear.early).tell(&mut |source, line| desk.tell_line(source, line));
    let post: Arc<dyn Post> = Arc::clone(&desk) as _;
    worker.seat.set_post(Arc::downgrade(&post));
    if worker.seat.is_aborted() {
        wire.kill(Verdict::Aborted);
    }
    let listener = Listener::new(Reader::new(Arc::clone(&desk), ear), Arc::clone(&desk.calls));
    let listener = Arc::new(listener);
    let listens = Arc::clone(&listener);
    match sync::spawn(format!("{}-in", worker.seat.name), Some(READER_STACK), move || listens.run()) {
        Ok(reader) => Some(Opened { desk, listener, reader }),
        Err(error) => {
            wire.kill(Verdict::Leaving);
            let how = format!("its reader could not be started: {error}");
            worker.employer.tell(Notice::Died { worker: worker.seat.id, how: how.into() });
            None
        }
    }
}

/// Asks for work and sends it, until it is to leave or its process has died. Gives why it leaves.
fn drive<I: Isolation>(worker: &ThreadWorker<I>, desk: &Desk<I>, listener: &Listener<I>) -> RetireReason {
    let mut came = Came::Fresh;
    loop {
        if desk.flush(Patience::Wait) == Left::Gone {
            // The reader will know how.
            desk.wire.kill(Verdict::Leaving);
        }
        if desk.under_way() > 0 {
            if worker.seat.ordered() == Order::Leave {
                return worker.employer.why(&worker.seat);
            }
            if desk.out.is_empty() {
                sync::park();
            }
            continue;
        }
        match worker.next(came) {
            Next::Leave => return worker.employer.why(&worker.seat),
            Next::Snapshot => {
                let state = snapshot(desk);
                worker.seat.snapshot_done();
                worker.employer.snapshot(&worker.seat, state.map(|state| Box::new(state) as _));
                came = Came::FromSnapshot;
            }
            Next::Task(entry) => {
                came = Came::FromTask;
                desk.send(entry);
                if desk.flush(Patience::DoNotWait) == Left::Nothing && desk.under_way() == 1 {
                    listener.listen_for_one();
                } else {
                    desk.calls.call();
                }
            }
        }
    }
}

/// Asks for the state, and waits for it for as long as that may take. What it gives is kept, too, where that is wanted.
fn snapshot<I: Isolation>(desk: &Desk<I>) -> Option<Vec<u8>> {
    let number = {
        let mut book = desk.book.lock();
        book.snapshot = Answer::Asked;
        book.asked += 1;
        book.asked
    };
    desk.say(|frame| frames::snapshot(frame, number));
    let until = Moment::now().plus(desk.plan.snapshot_box);
    let state = loop {
        let _ = desk.flush(Patience::Wait);
        {
            let mut book = desk.book.lock();
            if let Answer::Given(state) = &mut book.snapshot {
                let state = state.take();
                book.snapshot = Answer::NotAsked;
                break state;
            }
            if book.stage == Stage::Dead {
                return None;
            }
        }
        let left = until.since(Moment::now());
        if left.is_zero() {
            desk.book.lock().snapshot = Answer::NotAsked;
            return None;
        }
        sync::park_timeout(left);
    };
    if let Some(state) = &state
        && let Err(error) = desk.plan.state.write(state)
    {
        let (worker, why) = (desk.seat().id, error.to_string().into());
        desk.employer().tell(Notice::StateNotKept { worker, why });
    }
    state
}

/// Sees a living process off: what has not begun comes back, what runs ends, its state is kept, and it is told to go.
fn part<I: Isolation>(desk: &Desk<I>, why: RetireReason) {
    desk.book.lock().stage = Stage::Closing;
    loop {
        desk.recall();
        let _ = desk.flush(Patience::Wait);
        let book = desk.book.lock();
        if book.flights.len() == 0 || book.stage == Stage::Dead {
            break;
        }
        drop(book);
        sync::park();
    }
    let calm = why != RetireReason::Crashed && !desk.seat().is_aborted();
    if calm && desk.plan.state.is_kept() && desk.stage() != Stage::Dead {
        let _ = snapshot(desk);
    }
    desk.say(frames::stop);
    let _ = desk.flush(Patience::Wait);
    if desk.wire.kin.wait(patience(desk)).is_none() {
        desk.wire.kill(Verdict::Leaving);
    }
}

/// How long a process has to go after it was told to: its grace, and no time at all where its generation was aborted.
fn patience<I: Isolation>(desk: &Desk<I>) -> Duration {
    if desk.seat().is_aborted() { desk.plan.grace.min(Duration::from_millis(100)) } else { desk.plan.grace }
}

/// The process died under the pool: who was under way and may be tried again is, alone.
fn died<I: Isolation<State = WorkerProcess>>(worker: &ThreadWorker<I>, desk: &Desk<I>) {
    let (death, suspects) = {
        let book = desk.book.lock();
        (book.death.clone().unwrap_or_default(), book.suspects.len())
    };
    let why = if death.was_forced() { RetireReason::Killed } else { RetireReason::Crashed };
    worker.employer.leaves(&worker.seat, why);
    if !death.was_forced() && suspects == 0 && worker.seat.outcomes().total() == 0 {
        let cause = format!("{} {}, before its first task", worker.seat.name, death.how());
        worker.employer.died_young(&worker.seat, &cause.into());
    }
    try_again(worker, desk);
}

/// Those whose worker died under them, and who may be tried again, are, one after the other.
fn try_again<I: Isolation<State = WorkerProcess>>(worker: &ThreadWorker<I>, desk: &Desk<I>) {
    let (death, suspects) = {
        let mut book = desk.book.lock();
        (book.death.clone().unwrap_or_default(), std::mem::take(&mut book.suspects))
    };
    for suspect in suspects {
        again(worker, desk, suspect, &death);
    }
}

/// Tries a task once more whose worker died under it, alone in a fresh process: a second death is the task's own, and takes nobody along.
fn again<I: Isolation<State = WorkerProcess>>(
    worker: &ThreadWorker<I>,
    old: &Desk<I>,
    suspect: Flight<I>,
    death: &Death,
) {
    let id = suspect.entry.id;
    worker.employer.tell(Notice::Quarantined { task: id, attempt: suspect.attempt + 1 });
    let fresh = old.plan.start(&WorkerInfo::of(&worker.seat), None);
    let opened = fresh.ok().and_then(|WorkerProcess { wire, ear, plan }| open(worker, wire, ear, &plan));
    let Some(Opened { desk, reader, .. }) = opened else {
        old.conclude(suspect, Err(death.of_task(id)));
        return;
    };
    desk.book.lock().before = Some(death.clone());
    let Flight { entry, attempt, sent, begun, armed } = suspect;
    if let Err(entry) = desk.send_alone(entry, attempt + 1) {
        old.conclude(Flight { entry, attempt, sent, begun, armed }, Err(death.of_task(id)));
    }
    loop {
        let _ = desk.flush(Patience::Wait);
        if desk.under_way() == 0 {
            break;
        }
        sync::park();
    }
    desk.book.lock().stage = Stage::Closing;
    desk.wire.kin.signal(Signal::KILL);
    let _ = reader.join();
}
