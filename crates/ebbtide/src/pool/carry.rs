//! Does what was put off until the control lock was released: whatever may call the user's code, in order.

use std::sync::Weak;

use super::{
    control::{Do, Todo},
    core::Core,
    outbox::Parcel,
    reaper,
    shelf::Side,
};
use crate::{
    report::Turn,
    task::{entry::Entry, isolation::Isolation, outcome::ReturnReason, panics, wait},
};

/// So many are claimed, counted and ended together: one turn at the queue's lock for all, and their headers are still at hand.
const TOGETHER: usize = 512;

impl<I: Isolation> Core<I> {
    /// Does what was put off until the lock was released.
    pub(crate) fn finish(&self, todo: Todo) {
        for item in todo.list {
            // A panic in what is the user's here must not keep those from being told who come after.
            let _ = panics::quietly(|| self.carry_out(item));
        }
        self.tell();
    }

    fn carry_out(&self, item: Do) {
        match item {
            Do::Unpark(thread) => thread.unpark(),
            Do::Call(wakers) => wakers.into_iter().for_each(wait::wake),
            Do::Return(lane, reason) => self.return_waiting(lane, &reason),
            Do::Abort(seat, grace) => {
                seat.abort();
                if let Some(post) = seat.post() {
                    post.ask_all(grace);
                }
            }
            Do::Recall(post) => post.recall(),
            Do::Nudge(post) => post.nudge(),
            Do::EndAll(lane) => self.end_all(lane),
            Do::GiveUp(lane) => self.give_up_all(lane),
            Do::Join(id, thread) => {
                let me = Weak::clone(&self.me);
                reaper::join(thread, move || {
                    if let Some(core) = me.upgrade() {
                        core.worker_joined(id);
                    }
                });
            }
            Do::Send(event) => self.outbox.put(Parcel::Event(event)),
            // Put in only now: before it is told, what it reports (resources let go, closures handed back) must be done.
            Do::Resolve(shared, report) => self.outbox.put(Parcel::Report(shared, report)),
            Do::CloseEvents => self.outbox.put(Parcel::Close),
            Do::Release => {
                let release = self.release.lock().take();
                release.into_iter().for_each(|release| release());
            }
            Do::Drop(thing) => panics::drop_quietly(thing),
        }
    }

    fn return_waiting(&self, lane: u32, reason: &ReturnReason) {
        let (mut taken, mut returned) = (0, 0);
        for (level, entries) in self.queue.take_all(lane) {
            taken += entries.len();
            returned += self.end_all_returned(lane, level, entries.into(), reason);
        }
        // Only now may the report say that they are back.
        self.queue.arrived(lane, taken);
        let effect = self.queue.relieve();
        self.apply(effect);
        self.drive(|control, now, _| {
            if returned > 0 {
                control.note_lane(lane, &Turn::Returned { tasks: returned as u64 }, now);
            }
            (Vec::new(), ())
        });
    }

    /// Ends what waited in one level as returned, and lays it where `take_returned` finds it, in its order. Gives how many have ended.
    fn end_all_returned(
        &self,
        lane: u32,
        level: usize,
        mut entries: Vec<Entry<I>>,
        reason: &ReturnReason,
    ) -> usize {
        let (mut kept, mut returned, mut claimed) = (0, 0, Vec::with_capacity(TOGETHER));
        let mut laying = self.returned.lay();
        for from in (0..entries.len()).step_by(TOGETHER) {
            let till = entries.len().min(from + TOGETHER);
            claimed.clear();
            claimed.extend(entries[from..till].iter().map(Entry::claim));
            let count = claimed.iter().filter(|claimed| **claimed).count();
            // Counted before their handles resolve.
            self.queue.returned(lane, level, count);
            returned += count;
            for (place, claimed) in (from..till).zip(&claimed) {
                if *claimed && laying.end(&entries[place], reason) {
                    entries.swap(kept, place);
                    kept += 1;
                }
            }
        }
        let rest = entries.split_off(kept);
        laying.down(entries, Side::Back);
        panics::drop_quietly(rest);
        returned
    }
}
