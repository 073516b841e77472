//! What the pool has to tell, in the order in which it was decided: events, reports, and that there will be no more.
//!
//! It is put in under the control lock, which is what gives it its order, and told after that lock is released, by one thread at
//! a time: whoever finds nobody telling. So no two threads' events overtake each other, and a report comes after the events that led to it.

use std::{collections::VecDeque, sync::Arc};

use super::{closing::Shared, core::Core, events::Event};
use crate::{
    report::Report,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::isolation::Isolation,
};

pub(crate) enum Parcel {
    Event(Event),
    Report(Arc<Shared>, Box<Report>),
    /// There will be no more events.
    Close,
}

pub(crate) struct Outbox {
    parcels: Mutex<VecDeque<Parcel>>,
    /// Somebody is telling; they will see what is put in meanwhile.
    telling: AtomicBool,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { parcels: Mutex::new(VecDeque::new()), telling: AtomicBool::new(false) }
    }

    pub(crate) fn put(&self, parcel: Parcel) {
        self.parcels.lock().push_back(parcel);
    }

    fn is_empty(&self) -> bool {
        self.parcels.lock().is_empty()
    }

    fn next(&self) -> Option<Parcel> {
        self.parcels.lock().pop_front()
    }
}

impl<I: Isolation> Core<I> {
    /// Tells an event that no decision was made about.
    pub(crate) fn send(&self, event: Event) {
        self.outbox.put(Parcel::Event(event));
        self.tell();
    }

    /// Tells what is in the outbox, unless somebody does already. Never under a lock of the pool's.
    pub(crate) fn tell(&self) {
        // After the last look at the box and before `telling` is taken back somebody may have put something in, and gone.
        while !self.outbox.is_empty() {
            if self.outbox.telling.swap(true, Ordering::AcqRel) {
                return;
            }
            while let Some(parcel) = self.outbox.next() {
                self.deliver(parcel);
            }
            self.outbox.telling.store(false, Ordering::Release);
        }
    }

    fn deliver(&self, parcel: Parcel) {
        match parcel {
            Parcel::Event(event) => {
                self.hub.send(&event);
                self.renewal.saw(self, &event);
            }
            Parcel::Report(shared, report) => shared.resolve(*report),
            Parcel::Close => {
                self.publish();
                self.hub.close();
            }
        }
    }
}
