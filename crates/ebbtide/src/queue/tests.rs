//! What of the queue needs neither threads nor a pool.

use std::{sync::Arc, time::Duration};

use super::{
    room::Queue,
    terms::{Arrival, Take},
    tray::Tray,
};
use crate::{
    clock::Moment,
    policy::{Priority, Timing, WhenFull},
    sync,
    task::{
        cell::{AnyCell, TaskCell},
        context::Context,
        entry::Offer,
        gate::{Entrance, HomeId},
        header::Header,
        id::{TaskId, WorkerId},
        isolation::{Job, Plain, Stateless},
        outcome::Outcome,
    },
};

const LANE: u32 = 1;
const MANY: usize = 40;

type Cell<J> = Arc<TaskCell<Stateless, J>>;

fn cell() -> Cell<impl Job<Stateless, Output = ()>> {
    TaskCell::new(
        Header::new(HomeId::unique(), Priority::Normal, None),
        Plain::new(|_: &Context<'_, Stateless>| ()),
    )
}

/// `MANY` tasks wait.
fn queue() -> (Queue<Stateless>, Vec<Cell<impl Job<Stateless, Output = ()>>>) {
    let queue = Queue::new(1024, 0, WhenFull::Wait, Timing::Off);
    assert!(!queue.set_may_grow(|_| false));
    let cells: Vec<_> = (0..MANY).map(|_| cell()).collect();
    for cell in &cells {
        let (accepted, _) = queue.accept(Priority::Normal, Entrance::Try, &mut |ticket| cell.enter(ticket));
        assert!(accepted.is_ok());
    }
    (queue, cells)
}

/// As if its worker had run short tasks of late.
fn short(tray: &Tray<Stateless>) {
    let mut now = Moment::from_nanos(1);
    for _ in 0..12 {
        let count = tray.pace() + 1;
        tray.step(count, now);
        now = now.plus(Duration::from_nanos(10 * count as u64));
    }
    tray.rest();
}

fn take(queue: &Queue<Stateless>, tray: &Tray<Stateless>) -> Option<TaskId> {
    match queue.take(tray, Arrival::FromRun, &sync::current()).0 {
        Take::Task(entry) => Some(entry.id),
        _ => None,
    }
}

fn cancel(queue: &Queue<Stateless>, cell: &Cell<impl Job<Stateless, Output = ()>>) {
    assert!(cell.header().claim());
    let _ = queue.ended(cell.header().place(), Outcome::Cancelled);
}

#[test]
fn who_lives_is_found_behind_any_number_of_tombstones_on_a_tray() {
    for cancelled in [0, 1, 19, 20, 21, 30, 38] {
        let (queue, cells) = queue();
        let busy = queue.hire(WorkerId(1), LANE);
        short(&busy);
        assert_eq!(take(&queue, &busy), Some(TaskId(1)), "a long one, and everything else lies behind it");
        assert!(!busy.is_empty());
        cells[1..=cancelled].iter().for_each(|cell| cancel(&queue, cell));
        let idle = queue.hire(WorkerId(2), LANE);
        assert_eq!(take(&queue, &idle), Some(TaskId(cancelled as u64 + 2)), "{cancelled} are cancelled");
        assert_eq!(queue.counts().queued, MANY - cancelled - 2);
    }
}
