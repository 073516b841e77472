//! Decision: what follows from workers that do not start, or die at once: a pause, and past the restart intensity the end.

use std::{sync::Arc, time::Duration};

use super::{Action, Roster, Stage};
use crate::{clock::Moment, task::id::WorkerId, worker::reason::RetireReason};

impl Roster {
    pub(crate) fn start_failed(&mut self, id: WorkerId, cause: &Arc<str>, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.start_ended(id) {
            self.note_failure(None, cause, now, &mut actions);
        }
        actions
    }

    /// A worker ended before it was ready. False if it was none of these.
    pub(crate) fn start_ended(&mut self, id: WorkerId) -> bool {
        let Some(member) = self.members.remove(&id) else { return false };
        if let Stage::Starting { replaces: Some(old) } = member.stage
            && let Some(old) = self.members.get_mut(&old)
        {
            // It serves on; the next review tries again.
            old.handing_over = false;
        }
        true
    }

    /// A worker ended by itself before it had done anything: as bad as one that did not start. It is still on its way out, and serves nobody.
    pub(crate) fn died_young(&mut self, id: WorkerId, cause: &Arc<str>, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        self.note_failure(Some(id), cause, now, &mut actions);
        actions
    }

    fn note_failure(
        &mut self,
        dead: Option<WorkerId>,
        cause: &Arc<str>,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        self.failed_in_a_row += 1;
        self.arrived = 0;
        self.failures.push_back(now);
        let since = now.minus(self.settings.period);
        while self.failures.front().is_some_and(|failure| *failure < since) {
            self.failures.pop_front();
        }
        let mut pause = self.backoff();
        if self.failures.len() > self.settings.intensity as usize {
            pause = self.settings.backoff_max;
            if self.rolling {
                self.give_up_rolling(cause, actions);
            }
            if self.nobody_serves(dead) {
                self.break_down(cause, actions);
            }
        }
        self.backoff_until = Some(now.plus(pause));
    }

    pub(super) fn repair(&mut self) {
        self.broken = None;
        self.failures.clear();
        self.backoff_until = None;
        self.failed_in_a_row = 0;
    }

    fn give_up_rolling(&mut self, cause: &Arc<str>, actions: &mut Vec<Action>) {
        self.stop_rolling(&format!("replacements did not start: {cause}"), actions);
        for member in self.members.values_mut().filter(|member| member.due == Some(RetireReason::Rolling)) {
            member.due = None;
        }
    }

    pub(super) fn break_down(&mut self, cause: &Arc<str>, actions: &mut Vec<Action>) {
        if self.broken.is_none() {
            self.broken = Some(Arc::clone(cause));
            self.stop_rolling(&format!("the pool broke: {cause}"), actions);
            actions.push(Action::Break { cause: Arc::clone(cause) });
        }
    }

    fn backoff(&self) -> Duration {
        let doublings = self.failed_in_a_row.saturating_sub(1).min(16);
        (self.settings.backoff_min * 2_u32.pow(doublings)).min(self.settings.backoff_max)
    }
}
