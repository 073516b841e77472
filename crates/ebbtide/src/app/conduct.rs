//! The hands of the plan: one thread that hears everything, asks the plan, and does what it says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    board::{Board, Doing},
    builder::{Declaration, Embedded, Options, Significant},
    draft::{Draft, Frame},
    hooks::{Fault, Hooks, Message, Panicked},
    notify::Notifier,
    order::Order,
    plan::{self, Action, Delay, Event, How, Limits, Plan, Why},
    runtime::Runtime,
    signal::{self, FromTerminal, Heard},
    status::{AppState, Status},
    watchdog::{self, Watchdog},
};
use crate::{
    clock::Moment,
    component::{Monitor, Starting, Stopping},
    policy::WATCHDOG_MARGIN,
    report::{
        AppReport, AppTurn, ComponentEnd, ComponentKind, ForcedBy, Mode, SignalMeaning, StopReason, exit,
    },
    sync::mpsc,
    task::panics,
};

/// How often a stop looks whether progress is made, and tells the supervisor.
const BEAT: Duration = Duration::from_millis(500);
/// Who was not running for so much longer than it meant to sleep was stopped by somebody.
const STOOD: Duration = Duration::from_millis(1_500);

/// How many applications run that hear signals.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Conductor {
    options: Options,
    board: Arc<Board>,
    order: Order,
    plan: Plan,
    draft: Draft,
    status: Status,
    hooks: Hooks,
    receiver: mpsc::Receiver<Message>,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
    next_beat: Option<Moment>,
}

impl Conductor {
    pub(crate) fn new(
        options: Options,
        parts: Vec<Declaration>,
        order: Order,
        warnings: Vec<String>,
        status: Status,
        runtime: Runtime,
        (sender, receiver): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
    ) -> Self {
        let limits = parts.iter().map(|part| Limits {
            kind: part.kind,
            start_within: part.start_within,
            stop_within: part.stop_within,
            under_users: part.under_users,
        });
        let plan = Plan::new(order.clone(), limits.collect(), options.deadline, options.deregistration_delay);
        let draft = Draft::new(parts.len(), warnings, Moment::now());
        Self {
            board: Arc::new(Board::new(parts)),
            options,
            order,
            plan,
            draft,
            status,
            hooks: Hooks::new(sender, runtime),
            receiver,
            notifier: Notifier::silent(),
            watchdog: None,
            next_beat: None,
        }
    }

    pub(crate) fn conduct(mut self) -> AppReport {
        if self.options.embedded == Embedded::No
            && let Err(problem) = self.take_the_process()
        {
            self.tell_who_never_started();
            return AppReport::refused(&self.options.name, problem);
        }
        let board = Arc::clone(&self.board);
        self.status.set_ask(Some(Arc::new(move || board.describe())));
        let mut event = Some(Event::Begin);
        while !self.feed(event.take()) {
            let now = Moment::now();
            let wake = [self.plan.next_tick(), self.next_beat, self.notifier.keep_alive(now)];
            let message = match wake.into_iter().flatten().min() {
                Some(at) => self.receiver.recv_timeout(at.since(now)).ok(),
                None => self.receiver.recv().ok(),
            };
            self.beat(Moment::now());
            event = message.map_or(Some(Event::Tick), |message| self.hear(message));
        }
        self.finish()
    }

    /// Signals and the watchdog: from here on the process is the application's.
    fn take_the_process(&mut self) -> Result<(), String> {
        match Notifier::from_environment() {
            Ok(notifier) => self.notifier = notifier,
            Err(problem) => self.draft.warn(problem),
        }
        let watchdog =
            Watchdog::start().map_err(|error| format!("the watchdog could not be started: {error}"))?;
        watchdog.prepare(exit::HOOK, "");
        let (dog, sender) = (watchdog.clone(), self.hooks.sender.clone());
        let act = move |heard: Heard| {
            let third = heard.meaning == SignalMeaning::End;
            let gone = sender.send(Message::Signal(heard)).is_err();
            // One that has ended leaves signals to those that still run, whatever it has counted before.
            if gone && RUNNING.load(Ordering::SeqCst) > 0 {
                return;
            }
            // The third, or one that comes when nobody listens any more.
            if third {
                dog.end(Some(exit::FORCED));
            }
            if gone {
                dog.end(None);
            }
        };
        signal::listen(act).map_err(|error| format!("signals cannot be listened to: {error}"))?;
        RUNNING.fetch_add(1, Ordering::SeqCst);
        self.watchdog = Some(watchdog);
        for warning in self.draft.warnings() {
            watchdog::say(&format!("{}: warning: {warning}\n", self.options.name).into());
        }
        Ok(())
    }

    /// What a message means to the plan.
    fn hear(&mut self, message: Message) -> Option<Event> {
        let now = Moment::now();
        match message {
            Message::Started(who, Ok(())) => {
                self.draft.started(who, now);
                self.board.set(who, Doing::Serving);
                Some(Event::Started(who))
            }
            Message::Started(who, Err(fault)) => {
                self.draft.start_failed(who, &fault.text, now);
                self.board.set(who, Doing::Nothing);
                let component = Arc::clone(self.board.name(who));
                self.draft.reason(StopReason::StartFailed { component, error: fault.text });
                Some(Event::StartFailed(who))
            }
            Message::Stopped(who, how) => {
                self.stopped(who, how, now);
                Some(Event::Stopped(who))
            }
            Message::Ended(who, how) => self.ended(who, how),
            Message::Stop(reason) => {
                self.draft.reason(reason);
                Some(Event::Stop(Delay::Keep))
            }
            Message::Force => {
                self.draft.reason(StopReason::Asked);
                self.draft.force(now);
                Some(Event::Force)
            }
            Message::Signal(heard) => Some(self.signal(heard, now)),
        }
    }

    fn signal(&mut self, heard: Heard, now: Moment) -> Event {
        self.draft.signal(Arc::clone(&heard.signal), heard.meaning, now);
        self.draft.reason(StopReason::Signal { signal: heard.signal });
        match (heard.meaning, heard.from_terminal) {
            (SignalMeaning::Stop, FromTerminal::No) => Event::Stop(Delay::Keep),
            (SignalMeaning::Stop, FromTerminal::Yes) => Event::Stop(Delay::Skip),
            _ => {
                self.draft.force(now);
                Event::Force
            }
        }
    }

    /// Whether the application can be without it. A pool that is broken can be repaired.
    fn can_be_without(&self, who: usize, error: Option<&String>) -> bool {
        let part = self.board.part(who);
        part.significant == Significant::No && (error.is_none() || part.kind == ComponentKind::Pool)
    }

    /// A component has ended although nobody had stopped it.
    fn ended(&mut self, who: usize, how: Result<(), String>) -> Option<Event> {
        let error = how.err();
        if self.plan.is_stopping() || self.can_be_without(who, error.as_ref()) {
            return None;
        }
        self.draft.ended_by_itself(who, error.clone());
        let component = Arc::clone(self.board.name(who));
        self.draft.reason(StopReason::ComponentEnded { component, error });
        Some(Event::Stop(Delay::Keep))
    }

    fn stopped(&mut self, who: usize, how: Result<(), Fault>, now: Moment) {
        if !self.board.is(who, Doing::Stopping) {
            return;
        }
        self.board.set(who, Doing::Nothing);
        let (end, error) = match how {
            Ok(()) => (ComponentEnd::Stopped, None),
            Err(fault) if fault.panicked == Panicked::Yes => (ComponentEnd::StopPanicked, Some(fault.text)),
            Err(fault) if fault.held_by.is_empty() => (ComponentEnd::StopFailed, Some(fault.text)),
            Err(fault) => {
                self.draft.held_by(who, fault.held_by);
                (ComponentEnd::KeptOpen, Some(fault.text))
            }
        };
        self.draft.stopped(who, &Arc::clone(self.board.name(who)), end, error, now);
    }

    /// Asks the plan and does what it says. True when it is over.
    fn feed(&mut self, event: Option<Event>) -> bool {
        let Some(event) = event else { return false };
        let now = Moment::now();
        let actions = self.plan.step(event, now);
        let over = actions.contains(&Action::Over);
        let forced = event == Event::Force;
        for action in actions {
            self.obey(action, now);
        }
        if forced {
            self.arm();
        }
        over
    }

    fn obey(&mut self, action: Action, now: Moment) {
        match action {
            Action::Start { who, within } => self.start(who, within, now),
            Action::Ready => {
                self.draft.ready(now);
                self.status.enter(AppState::Ready);
                self.notifier.ready();
            }
            Action::Late(who) => {
                let (component, within) =
                    (Arc::clone(self.board.name(who)), self.board.part(who).start_within);
                let error = format!("it did not start within {within:?}");
                self.draft.reason(StopReason::StartFailed { component, error });
            }
            Action::CallOff(who) => drop(self.board.start_token(who).cancel_with("the start was called off")),
            Action::LeaveStart(who) => {
                self.board.set(who, Doing::Left);
                self.draft.start_left(who);
            }
            Action::Tell => self.tell(now),
            Action::DelayOver => self.draft.delay_over(now),
            Action::Stop { who, within, how, after } => self.stop(who, within, how, after, now),
            Action::Force { who, why } => {
                let why = match why {
                    Why::Caller => ForcedBy::Caller,
                    Why::Budget => ForcedBy::Budget,
                };
                let name = Arc::clone(self.board.name(who));
                self.draft.component_forced(who, &name, why, now);
                self.board.stop_token(who).cancel_with("the stop is forced");
                self.hooks.force(&name, Arc::clone(&self.board.part(who).component));
            }
            Action::LeaveStop(who) => {
                self.board.set(who, Doing::Left);
                let (name, error) =
                    (Arc::clone(self.board.name(who)), "it did not stop in its time".to_owned());
                self.draft.stopped(who, &name, ComponentEnd::Hung, Some(error), now);
            }
            Action::Keep { who, user } => {
                let (name, user) = (Arc::clone(self.board.name(who)), Arc::clone(self.board.name(user)));
                let error = format!("it was not closed: {user} may still use it");
                self.draft.held_by(who, vec![user]);
                self.draft.stopped(who, &name, ComponentEnd::KeptOpen, Some(error), now);
            }
            Action::Over => {}
        }
    }

    fn start(&mut self, who: usize, within: Duration, now: Moment) {
        self.draft.starting(who, now);
        self.board.set(who, Doing::Starting);
        let sender = self.hooks.sender.clone();
        let starting = Starting {
            name: Arc::clone(self.board.name(who)),
            until: now.plus(within),
            token: self.board.start_token(who).clone(),
            monitor: Monitor::new(move |how| drop(sender.send(Message::Ended(who, how)))),
        };
        self.hooks.start(who, Arc::clone(&self.board.part(who).component), starting);
    }

    fn tell(&mut self, now: Moment) {
        self.draft.asked(now);
        // Before anybody is told: an action that a user hung on the status runs here.
        self.set_watchdog();
        self.status.enter(AppState::Stopping);
        self.notifier.stopping();
        self.next_beat = Some(now.plus(BEAT));
        self.arm();
        // Progress counts from here.
        let _ = self.board.progressed();
        self.hooks.tell(self.board.serving());
    }

    fn stop(&mut self, who: usize, within: Duration, how: How, after: Option<usize>, now: Moment) {
        let name = Arc::clone(self.board.name(who));
        self.draft.stopping(who, &name, within, after, now);
        self.board.set(who, Doing::Stopping);
        let token = self.board.stop_token(who).clone();
        let mode = match how {
            How::Orderly => self.board.part(who).mode,
            How::Forced => {
                self.draft.component_forced(who, &name, ForcedBy::Caller, now);
                token.cancel_with("the stop is forced");
                Mode::Abort
            }
        };
        let said = Arc::clone(self.board.said(who));
        let stopping = Stopping { name, mode, until: now.plus(within), token, said };
        self.hooks.stop(who, Arc::clone(&self.board.part(who).component), stopping);
        self.arm();
    }

    fn set_watchdog(&self) {
        if let (Some(watchdog), Some(deadline)) = (&self.watchdog, self.plan.deadline_at()) {
            watchdog.arm(deadline.plus(WATCHDOG_MARGIN));
        }
    }

    /// The watchdog bites after the deadline, and knows what to say.
    fn arm(&self) {
        // Before the components are asked: one that does not answer must not keep it from biting.
        self.set_watchdog();
        if let Some(watchdog) = &self.watchdog {
            let still = self.board.describe().join("\n  ");
            let words = format!(
                "{}: the deadline has passed and the process is ended; still there:\n  {still}\n",
                self.options.name
            );
            watchdog.prepare(exit::HOOK, words);
        }
    }

    /// From time to time during a stop: is progress made, and were we running at all?
    fn beat(&mut self, now: Moment) {
        let Some(due) = self.next_beat.filter(|due| now >= *due) else { return };
        let late = now.since(due);
        if late >= STOOD {
            self.draft.turn(AppTurn::Stood { span: late }, now);
        }
        if self.board.progressed() {
            self.notifier.extend();
        }
        self.notifier.status(&self.board.describe().join("; "));
        self.arm();
        self.next_beat = Some(now.plus(BEAT));
    }

    fn tell_who_never_started(&self) {
        for who in (0..self.board.len()).filter(|&who| self.draft.never_started(who)) {
            let _ = panics::quietly(|| self.board.part(who).component.not_started());
        }
    }

    /// Nobody hears of a start any more that comes from here on, nor of one that came just now: they are stopped all the same.
    fn close(&self) {
        self.hooks.close();
        while let Ok(message) = self.receiver.recv_timeout(Duration::ZERO) {
            if let Message::Started(who, Ok(())) = message {
                let component = Arc::clone(&self.board.part(who).component);
                self.hooks.stop_too_late(who, self.board.name(who), component);
            }
        }
    }

    fn finish(mut self) -> AppReport {
        self.close();
        self.tell_who_never_started();
        for who in 0..self.board.len() {
            let text = self.board.progress(who).text;
            self.draft.progress(who, text);
        }
        let details = (0..self.board.len()).map(|who| {
            let component = &self.board.part(who).component;
            panics::quietly(|| component.report()).flatten()
        });
        let frame = Frame {
            app: &self.options.name,
            parts: self.board.parts(),
            needs: &self.order.needs,
            sequence: &self.order.sequence,
            deadline: self.options.deadline,
            reserve: plan::reserve(self.options.deadline),
            details: details.collect(),
        };
        let report = self.draft.finish(frame, Moment::now());
        self.status.set_ask(None);
        self.status.enter(AppState::Ended);
        let left = self.board.anybody_left() || exit::cut_off(&report);
        if let Some(watchdog) = &self.watchdog {
            watchdog.prepare(report.exit_code, report.to_string());
        }
        // While the watchdog watches: these are the user's destructors.
        if let Some(board) = Arc::into_inner(self.board) {
            board.into_parts().into_iter().for_each(panics::drop_quietly);
        }
        if let Some(watchdog) = &self.watchdog {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            if !left {
                watchdog.disarm();
            }
        }
        report
    }
}
