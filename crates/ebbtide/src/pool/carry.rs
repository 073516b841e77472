//! Does what was put off until the control lock was released: whatever may call the user's code, in order.

use std::sync::Weak;

use super::{
    control::{Do, Todo},
    core::Core,
    outbox::Parcel,
    reaper,
};
use crate::{
    report::Turn,
    task::{isolation::Isolation, outcome::ReturnReason, panics, wait},
};

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
            Do::Abort(seat) => seat.abort(),
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
        let (entries, effect) = self.queue.take_all(lane);
        let tasks = entries.len();
        let kept: Vec<_> = entries.into_iter().filter_map(|entry| entry.end_returned(reason)).collect();
        self.returned.lock().extend(kept);
        // Only now may the report say that they are back.
        self.queue.arrived(lane, tasks);
        self.apply(effect);
        self.drive(|control, now, _| {
            if tasks > 0 {
                control.note_lane(lane, &Turn::Returned { tasks: tasks as u64 }, now);
            }
            (Vec::new(), ())
        });
    }
}
