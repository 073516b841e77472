//! The worker's side: what comes from a pool, a decoder and the inbox behind it, with tasks that begin and end in between.
//!
//! The first byte says how the stream is cut, and whether tasks begin while it comes.
#![no_main]

use ebbtide_worker::frame;

#[path = "../../crates/ebbtide-worker/src/cancel.rs"]
mod cancel;
#[path = "../../crates/ebbtide-worker/src/failure.rs"]
mod failure;

/// Of the worker's crate what the inbox needs of it, without what speaks to a socket.
mod function {
    use crate::frame::{FrameType, meta::ErrorMeta, write_frame};

    pub(crate) fn write_error(out: &mut Vec<u8>, id: u64, error: &ErrorMeta<'_>) {
        write_frame(out, FrameType::Error, 0, id, &error.to_bytes(), b"").expect("it is cut to fit");
    }
}

mod startup {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Restore {
        Comes,
        Not,
    }
}

#[path = "."]
mod link {
    #[path = "../../crates/ebbtide-worker/src/link/inbox.rs"]
    mod inbox;

    use std::collections::BTreeMap;

    use self::inbox::{Inbox, Next, Waiting};
    use crate::{
        cancel::Cancel,
        frame::{Decoder, FrameType, batch, ids},
        startup::Restore,
    };

    pub(crate) fn look(bytes: &[u8]) {
        let Some((&turns, mut rest)) = bytes.split_first() else { return };
        let restore = if turns & 1 == 1 { Restore::Comes } else { Restore::Not };
        let (mut inbox, cancel, mut decoder) =
            (Inbox::new(restore), Cancel::default(), Decoder::with_limit(1 << 16));
        let (mut replies, mut books, mut running) = (Vec::new(), Books::default(), None);
        while !rest.is_empty() {
            let space = decoder.space();
            let n = space.len().min(rest.len()).min(1 + usize::from(turns) * 8);
            space[..n].copy_from_slice(&rest[..n]);
            decoder.filled(n);
            rest = &rest[n..];
            loop {
                let Ok(next) = decoder.next() else { return };
                let Some(frame) = next else { break };
                if inbox.take(&frame, &cancel, &mut replies).is_err() {
                    return;
                }
                match frame.kind {
                    FrameType::Task => books.came(frame.id),
                    FrameType::Batch => {
                        batch(frame.body).expect("it was taken").for_each(|(id, _)| books.came(id))
                    }
                    _ => {}
                }
            }
            if turns & 2 == 2 {
                turn(&mut inbox, &cancel, &mut running, &mut books);
            }
        }
        drop(inbox.take_restored());
        while turn(&mut inbox, &cancel, &mut running, &mut books) {}
        books.balance(&replies);
    }

    /// Ends the task that runs, or begins the next. False if there is nothing to do.
    fn turn(inbox: &mut Inbox, cancel: &Cancel, running: &mut Option<Waiting>, books: &mut Books) -> bool {
        if let Some(task) = running.take() {
            inbox.ended(task.request, cancel);
            assert!(!cancel.is_asked(), "no request outlives its task");
            return true;
        }
        match inbox.next() {
            Next::Run(task) => {
                #[cfg(feature = "canary")]
                assert!(task.terms.as_ref().is_none_or(|terms| terms.attempt != 3), "the canary");
                books.went(task.id);
                *running = Some(task);
                true
            }
            Next::Snapshot(_) => true,
            Next::Stop | Next::Nothing => false,
        }
    }

    /// Tasks that came and have neither begun nor been given back, by their number: a hostile pool uses one twice.
    #[derive(Default)]
    struct Books(BTreeMap<u64, i64>);

    impl Books {
        fn came(&mut self, id: u64) {
            *self.0.entry(id).or_default() += 1;
        }

        fn went(&mut self, id: u64) {
            *self.0.entry(id).or_default() -= 1;
        }

        /// Every task that came has begun, was cancelled unbegun, or was given back.
        fn balance(&mut self, replies: &[u8]) {
            let mut decoder = Decoder::with_limit(u32::MAX);
            let mut rest = replies;
            while !rest.is_empty() {
                let space = decoder.space();
                let n = space.len().min(rest.len());
                space[..n].copy_from_slice(&rest[..n]);
                decoder.filled(n);
                rest = &rest[n..];
                while let Some(frame) = decoder.next().expect("what it answers is sound") {
                    match frame.kind {
                        FrameType::Error => self.went(frame.id),
                        FrameType::Returned => ids(frame.body).expect("ids").for_each(|id| self.went(id)),
                        FrameType::Pong => {}
                        other => panic!("a {} is no answer", other.name()),
                    }
                }
            }
            assert!(self.0.values().all(|count| *count == 0), "{:?}", self.0);
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| link::look(bytes));
