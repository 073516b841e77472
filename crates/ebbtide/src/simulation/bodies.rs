//! What tasks and worker states do in a simulation: everything that people's code does, the bad things more often.

use std::{
    panic::resume_unwind,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use super::{
    director::Dice,
    ledger::{End, Ledger, Ticket, Work},
};
use crate::{
    clock::Moment,
    sync,
    task::{
        context::Context,
        error::{BoxError, Cancelled},
        isolation::Threads,
    },
    worker::{craft::WorkerInfo, reason::RetireReason},
};

/// A worker's state; its end is counted.
pub(super) struct State {
    ledger: Arc<Ledger>,
    pub(super) learnt: u64,
}

/// What a body does.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Plain,
    /// Takes so long, unless it is asked to cancel.
    Nap(Duration),
    /// Takes so long, whatever it is asked.
    Stubborn(Duration),
    /// Does not end before the simulation lets it.
    Stick,
    Fail,
    Panic,
    /// Looks once whether it was asked.
    Look,
    /// Submits children, and waits for them or not.
    Spawn {
        children: usize,
        waits: bool,
    },
    /// Cancels another.
    Cancel(usize),
}

pub(super) type Here = Threads<State>;

impl Deed {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        match dice.below(24) {
            0..=6 => Self::Plain,
            7..=9 => Self::Nap(dice.span() / 8),
            10 | 11 => Self::Stubborn(dice.span() / 8),
            12 => Self::Stick,
            13 | 14 => Self::Fail,
            15 | 16 => Self::Panic,
            17 => Self::Look,
            18..=20 => Self::Spawn { children: 1 + dice.below(3), waits: dice.once_in(2) },
            21 => Self::Cancel(dice.below(64)),
            _ => Self::Nap(dice.span()),
        }
    }
}

/// The body itself.
pub(super) fn body(
    work: Work,
    deed: Deed,
) -> impl FnOnce(&mut State, &Context<'_, Here>) -> Result<(), BoxError> + Send + 'static {
    move |state, task| {
        work.page.start();
        state.learnt += 1;
        let end = perform(&work.ledger, &deed, task);
        work.page.end(end);
        match end {
            End::Value => Ok(()),
            End::Error => Err("on purpose".into()),
            End::Obeyed => Err(Box::new(Cancelled)),
            End::Panic | End::NotYet => resume_unwind(Box::new("on purpose")),
        }
    }
}

fn perform(ledger: &Arc<Ledger>, deed: &Deed, task: &Context<'_, Here>) -> End {
    match deed {
        Deed::Plain => End::Value,
        Deed::Nap(span) if task.sleep(*span).is_err() => End::Obeyed,
        Deed::Nap(_) => End::Value,
        Deed::Stubborn(span) => {
            let until = Moment::now().plus(*span);
            while Moment::now() < until {
                sync::park_timeout(until.since(Moment::now()));
            }
            End::Value
        }
        Deed::Stick => {
            if ledger.faults.load(SeqCst) {
                ledger.stick();
            }
            End::Value
        }
        Deed::Fail => End::Error,
        Deed::Panic => End::Panic,
        Deed::Look if task.check().is_err() => End::Obeyed,
        Deed::Look => End::Value,
        Deed::Spawn { children, waits } => {
            for _ in 0..*children {
                child(ledger, task, *waits);
            }
            End::Value
        }
        Deed::Cancel(number) => {
            ledger.disturb(*number, true);
            End::Value
        }
    }
}

fn child(ledger: &Arc<Ledger>, task: &Context<'_, Here>, waits: bool) {
    let deed = ledger.roll(|dice| dice.pick(&[Deed::Plain, Deed::Fail, Deed::Panic, Deed::Look]));
    let work = ledger.work();
    let page = Arc::clone(&work.page);
    match task.submit_fallible(body(work, deed)) {
        Ok(handle) => {
            let watch = handle.watch();
            ledger.accept(page, Ticket::Handle(None, watch));
            if waits {
                // Its own end is somebody else's affair; that it comes is not.
                drop(handle.wait());
            }
        }
        Err(_) => ledger.reject(),
    }
}

/// Builds a state, or does not.
pub(super) fn build(ledger: &Arc<Ledger>, _: &WorkerInfo) -> Result<State, BoxError> {
    if ledger.faults.load(SeqCst) {
        match ledger.roll(|dice| (dice.below(24), dice.span())) {
            (0 | 1, _) => return Err("on purpose".into()),
            (2, _) => resume_unwind(Box::new("on purpose")),
            (3..=5, span) => sync::park_timeout(span / 8),
            (6, _) if ledger.roll(|dice| dice.once_in(4)) => ledger.stick(),
            _ => {}
        }
    }
    ledger.state_built();
    Ok(State { ledger: Arc::clone(ledger), learnt: 0 })
}

pub(super) fn restore(ledger: &Arc<Ledger>, learnt: u64) -> Result<State, BoxError> {
    ledger.state_built();
    Ok(State { ledger: Arc::clone(ledger), learnt })
}

/// What a retire hook may do.
pub(super) fn retire(state: &mut State, _: RetireReason) {
    let ledger = Arc::clone(&state.ledger);
    if ledger.faults.load(SeqCst) {
        match ledger.roll(|dice| (dice.below(12), dice.span())) {
            (0, _) => resume_unwind(Box::new("on purpose")),
            (1, span) => sync::park_timeout(span / 8),
            _ => {}
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.ledger.state_dropped();
    }
}
