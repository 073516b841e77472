//! The thread that listens to one worker process, from READY to its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ebbtide_worker::frame::{FLAG_NONE, Frame, FrameType, JSON, ids, meta};

use super::{
    death::{Death, Verdict},
    desk::{Answer, Desk, Stage},
    ear::{CUT, Ear, Heard, LINE},
    frames,
    memory::Ruling,
    outgoing::{Left, Patience},
    worker_error::WorkerError,
};
use crate::{
    clock::Moment,
    policy::LOOK,
    sync,
    task::{
        entry::Body,
        error::TaskError,
        id::TaskId,
        isolation::{Isolation, Parcel},
        outcome::Outcome,
        panics,
        post::Post,
        seat::Order,
        spin::Rest,
    },
    worker::{
        output::OutputSource,
        process::Ended,
        reason::RetireReason,
        thread::{Notice, Tally},
    },
};

/// A task that runs for so long is asked after, and again after as long.
const PING: Duration = Duration::from_secs(1);
/// How often it is looked whether a task holds up others that were sent behind it.
const LOOK_BLOCKED: Duration = Duration::from_millis(5);
/// How long a process is waited for that has closed its socket, before it is ended.
const AFTER_END: Duration = Duration::from_secs(1);
/// How long one is waited for that got SIGKILL; the kernel needs 60 ms for a gibibyte.
const AFTER_KILL: Duration = Duration::from_secs(10);
/// From so many on, tasks under way are a stream.
const STREAM: usize = 4;
/// So often a stream is looked at before it is waited for.
const LINGER: u32 = 3;
/// A worker has answered by then, or waits itself: who had the core for longer is a stranger.
const LATE: Duration = Duration::from_micros(500);
/// After so many single tasks the driver listens for the next ones itself.
const SINGLES: u32 = 4;
/// So many chunks of output are read after its end.
const LAST_CHUNKS: usize = 32;

pub(super) struct Reader<I: Isolation> {
    desk: Arc<Desk<I>>,
    ear: Ear,
    tally: Tally,
    looked: Moment,
    /// A task has ended since memory was looked at last.
    ended: bool,
    /// It was told that it is above its soft limit.
    due: bool,
    pinged: Moment,
    /// What came was no frame, or could not be: what came behind it was not read.
    lost: bool,
    /// The process is no more.
    over: bool,
    /// So many times in a row the last thing that was heard was the end of the only task under way.
    singles: u32,
    /// Many are under way: the next answer will not be long.
    streams: bool,
    rest: Rest,
}

/// Who listens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The driver, at most so long.
    Driver(Duration),
    /// The reader, as long as it should.
    Reader,
    /// The reader, for what is there already.
    Glance,
}

/// What follows from a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    GoOn,
    Over,
}

/// The worker did not keep to the protocol.
type Violation = String;

impl<I: Isolation> Reader<I> {
    pub(super) fn new(desk: Arc<Desk<I>>, ear: Ear) -> Self {
        Self {
            desk,
            ear,
            tally: Tally::default(),
            looked: Moment::default(),
            ended: false,
            due: false,
            pinged: Moment::default(),
            lost: false,
            over: false,
            singles: 0,
            streams: false,
            rest: Rest::new(),
        }
    }

    /// Listens once and does what follows from what was heard.
    pub(super) fn turn(&mut self, who: Who) -> Turn {
        if self.over {
            return Turn::Over;
        }
        // A panic here would be a fault of ours; the pool must not wait for ever for it.
        let turn = panics::quietly(|| self.turn_once(who)).unwrap_or_else(|| {
            self.desk.wire.kill(Verdict::Protocol("a panic of its reader".into()));
            self.lost = true;
            Turn::Over
        });
        self.over = turn == Turn::Over;
        turn
    }

    fn turn_once(&mut self, who: Who) -> Turn {
        let heard = if who == Who::Reader { self.linger() } else { Heard::Nothing };
        let patience = match who {
            _ if heard == Heard::Frames => None,
            Who::Reader => self.patience(),
            Who::Glance => Some(Duration::ZERO),
            Who::Driver(patience) => Some(patience),
        };
        let heard = if heard == Heard::Frames { heard } else { self.listen(patience) };
        match heard {
            Heard::End => return Turn::Over,
            Heard::Frames => {
                if let Err(violation) = self.take_frames() {
                    self.desk.wire.kill(Verdict::Protocol(violation.into()));
                    self.lost = true;
                    return Turn::Over;
                }
                self.after_frames(who);
            }
            Heard::Nothing => {}
        }
        self.look();
        Turn::GoOn
    }

    /// The process has ended: deals with what was under way.
    pub(super) fn end(&mut self) {
        let death = self.bury();
        // Also where it ended within a frame, for what it began may be in there: garbage reads like the head of one.
        if self.lost || self.ear.decoder.pending() > 0 {
            self.look_for_starts();
        }
        if panics::quietly(|| self.desk.die(death)).is_none() {
            // A fault of ours. What is left of it is given up, so that the driver at least goes.
            self.desk.give_up(&|| self.desk.seat().count_shared(Outcome::Abandoned));
        }
    }

    /// It may have gone on after its fault until it was ended. Whoever it began then was begun, and must not be given to another worker.
    fn look_for_starts(&mut self) {
        let rest = self.ear.rest(&self.desk.wire);
        let began = |id| frames::have_start(rest, id);
        self.desk.book.lock().flights.begin_those(began, Moment::now());
    }

    /// Exactly one task is under way, and nothing else is waited for.
    pub(super) fn has_one(&self) -> bool {
        let book = self.desk.book.lock();
        book.flights.len() == 1 && book.stage == Stage::Open && book.snapshot == Answer::NotAsked
    }

    /// Single tasks come, and just now none: the driver can listen for the next.
    pub(super) fn may_rest(&self) -> bool {
        let book = self.desk.book.lock();
        let calm = book.stage == Stage::Open && book.snapshot == Answer::NotAsked;
        self.singles >= SINGLES && calm && book.flights.len() == 0
    }

    /// No more tasks come for now.
    pub(super) fn wake_up(&mut self) {
        self.singles = 0;
    }

    /// In a stream: gives the core away and looks what has come since. Whoever waits on the socket is woken by every single answer, which costs the
    /// worker more than the answer itself. Not for a while where the core came back late: then it is not ours who have it.
    fn linger(&mut self) -> Heard {
        if !self.streams || !self.rest.is_over() {
            return Heard::Nothing;
        }
        let begun = Moment::now();
        for _ in 0..LINGER {
            sync::yield_now();
            let heard = self.ear.glance(&self.desk.wire);
            if Moment::now().since(begun) > LATE {
                self.rest.begin();
                return heard;
            }
            self.rest.went_well();
            if heard == Heard::Frames {
                return heard;
            }
        }
        self.streams = false;
        Heard::Nothing
    }

    fn patience(&self) -> Option<Duration> {
        let book = self.desk.book.lock();
        match book.flights.len() {
            0 => None,
            _ if book.flights.has_waiting() => Some(LOOK_BLOCKED),
            _ => Some(LOOK),
        }
    }

    fn listen(&mut self, patience: Option<Duration>) -> Heard {
        let desk = &self.desk;
        if !desk.employer().is_heard() {
            return self.ear.listen(&desk.wire, patience, None);
        }
        let mut tell = |source, text| desk.tell_line(source, text);
        self.ear.listen(&desk.wire, patience, Some(&mut tell))
    }

    fn take_frames(&mut self) -> Result<(), Violation> {
        let now = Moment::now();
        loop {
            let ended = if let Some((long, whole)) = self.ear.take_long() {
                let body = whole.slice(long.body()..);
                self.desk.hear(&long.frame(&whole), Some(body), now)?
            } else {
                match self.ear.decoder.next() {
                    Ok(Some(frame)) => self.desk.hear(&frame, None, now)?,
                    Ok(None) => return Ok(()),
                    Err(malformed) => return Err(malformed.to_string()),
                }
            };
            if let Some(outcome) = ended {
                self.ended = true;
                self.desk.worker.look_at_limits(outcome, None, &mut self.tally);
            }
        }
    }

    /// Sends what may be sent now, and wakes the driver where that is its to do.
    fn after_frames(&mut self, who: Who) {
        self.desk.arm_next();
        self.desk.refill();
        let left = self.desk.flush(Patience::DoNotWait);
        let under_way = self.desk.under_way();
        self.streams = under_way >= STREAM;
        let alone = under_way == 0;
        self.singles = if alone { self.singles.saturating_add(1) } else { 0 };
        let driver = matches!(who, Who::Driver(_));
        if !driver && (left != Left::Nothing || self.desk.wants_driver()) {
            self.desk.wake();
        }
    }

    /// Between two waits: memory, and whether somebody is held up.
    fn look(&mut self) {
        let desk = &self.desk;
        let now = Moment::now();
        if desk.book.lock().flights.is_blocked(now) {
            desk.recall();
        }
        self.ping(now);
        let desk = &self.desk;
        let limited = desk.plan.wishes.memory != super::Memory::default();
        if !(self.ended && limited || now.since(self.looked) >= LOOK) {
            return;
        }
        (self.looked, self.ended) = (now, false);
        let let_go = desk.book.lock().flights.let_go();
        if let_go {
            desk.refill();
            if desk.flush(Patience::DoNotWait) != Left::Nothing {
                desk.wake();
            }
        }
        if let Some(size) = desk.wire.look() {
            self.judge(size);
        }
    }

    /// Asks a worker that runs a task for long whether it is there. Where the question before was not answered, that is the answer.
    fn ping(&mut self, now: Moment) {
        let desk = &self.desk;
        let long = |since: Moment| now.since(since) >= PING && now.since(self.pinged) >= PING;
        if !desk.shown_since().is_some_and(long) {
            return;
        }
        self.pinged = now;
        let unanswered = {
            let mut book = desk.book.lock();
            std::mem::replace(&mut book.pinged, true)
        };
        if unanswered {
            desk.seat().set_pulse(Some(false));
        } else {
            desk.say(|frame| frames::ping(frame, 1));
        }
    }

    fn judge(&mut self, size: u64) {
        let desk = &self.desk;
        desk.employer().size(desk.seat(), size);
        let limits = desk.plan.wishes.memory;
        if let Some(most) = limits.hard.filter(|&most| size > most) {
            let shown = |bytes| bytesize::ByteSize::b(bytes).display().iec();
            let why = format!("memory: its worker used {}, more than kill_at({})", shown(size), shown(most));
            desk.wire.kill(Verdict::Memory(why.into()));
            return;
        }
        // One that is asked for its state gives it first, and takes no tasks meanwhile.
        let waits = self.due && desk.seat().ordered() == Order::None;
        if waits && limits.brink().is_some_and(|brink| size > brink) {
            desk.employer().due_now(desk.seat(), RetireReason::Size);
        }
        let Some(soft) = limits.soft.filter(|&soft| size > soft && !self.due) else { return };
        match desk.plan.guard.above(self.tally.tasks, soft) {
            Ruling::Retire => {
                self.due = true;
                desk.employer().due(desk.seat(), RetireReason::Size);
            }
            Ruling::GiveUp(why) => desk.employer().tell(Notice::LimitIgnored { why }),
            Ruling::Ignore => {}
        }
    }

    /// Waits for the end of the process, and writes down how it was.
    fn bury(&mut self) -> Death {
        let wire = &self.desk.wire;
        let mut exit = wire.kin.wait(AFTER_END);
        if exit.is_none() {
            wire.kill(Verdict::Leaving);
            exit = wire.kin.wait(AFTER_KILL);
        }
        let mut tell = |source, text| self.desk.tell_line(source, text);
        for _ in 0..LAST_CHUNKS {
            let before = wire.tail.len();
            self.ear.read_outputs(wire, Some(&mut tell));
            if wire.tail.len() == before {
                break;
            }
        }
        self.ear.finish(&mut tell);
        // What it has started may hold its end of the socket: a driver that waits for somebody to read would wait for ever.
        wire.socket.hang_up();
        let (exit_code, signal) = match exit.map(|exit| exit.ended) {
            Some(Ended::Exited { code }) => (Some(code), None),
            Some(Ended::Signaled { signal, .. }) => (None, Some(signal)),
            Some(Ended::Lost) | None => (None, None),
        };
        let out_of_memory = wire.cap.as_ref().is_some_and(super::machine::Cap::has_killed);
        Death {
            verdict: wire.verdict(),
            exit_code,
            signal,
            out_of_memory,
            last_words: wire.tail.last_words(),
        }
    }
}

impl<I: Isolation> Desk<I> {
    pub(super) fn tell_line(&self, source: OutputSource, text: String) {
        if self.employer().is_heard() {
            self.employer().tell(Notice::Output { worker: self.seat().id, task: self.shown(), source, text });
        }
    }

    /// True if there is something that only the driver does: it is idle, leaves, or waits for an answer.
    fn wants_driver(&self) -> bool {
        let book = self.book.lock();
        book.flights.len() == 0
            || book.stage != Stage::Open
            || matches!(book.snapshot, Answer::Given(_))
            || self.seat().ordered() != Order::None
    }

    /// One frame; with its body in memory of its own, if that is long. Gives how a task ended, if one did.
    fn hear(
        &self,
        frame: &Frame<'_>,
        long: Option<Bytes>,
        now: Moment,
    ) -> Result<Option<Outcome>, Violation> {
        let id = TaskId(frame.id);
        match frame.kind {
            FrameType::Start => self.begins(id, now)?,
            FrameType::Result => return self.result(id, frame, long, now).map(Some),
            FrameType::Error => return self.error(id, frame, now).map(Some),
            FrameType::Returned => self.returned(frame)?,
            FrameType::State => {
                let state = (frame.flags & FLAG_NONE == 0).then(|| frame.body.to_vec());
                let mut book = self.book.lock();
                if !(1..=book.asked).contains(&frame.id) {
                    return Err("a SNAPSHOT that nobody asked for".to_owned());
                }
                // An answer that comes late is not a fault, and not that to a later question.
                if frame.id == book.asked && book.snapshot == Answer::Asked {
                    book.snapshot = Answer::Given(state);
                }
            }
            FrameType::Progress => {
                let text = meta_cut(frame.body);
                if self.shown() == Some(id) {
                    self.seat().set_progress(text);
                }
            }
            FrameType::Log => self.log(frame),
            FrameType::Pong => {
                let mut book = self.book.lock();
                book.pinged = false;
                if book.flights.len() > 0 {
                    self.seat().set_pulse(Some(true));
                }
            }
            other => return Err(format!("a {} after READY", other.name())),
        }
        Ok(None)
    }

    fn begins(&self, id: TaskId, now: Moment) -> Result<(), Violation> {
        let cell = {
            let mut book = self.book.lock();
            let flight = book.flights.begin(id, now)?;
            let Body::Cell(cell) = &flight.entry.body else { return Ok(()) };
            let cell = (cell.header().has_timeout() && !flight.armed).then(|| Arc::clone(cell));
            self.show(&mut book);
            cell
        };
        if let Some(cell) = cell {
            self.arm(id, &cell);
        }
        Ok(())
    }

    fn result(
        &self,
        id: TaskId,
        frame: &Frame<'_>,
        long: Option<Bytes>,
        now: Moment,
    ) -> Result<Outcome, Violation> {
        let meta = meta::ResultMeta::read(frame.meta).map_err(|malformed| malformed.to_string())?;
        let flight = self.book.lock().flights.end(id, now)?;
        if flight.begun.is_none() {
            let violation = format!("a RESULT of task {id}, which it did not start");
            // Before anybody hears of it: who submits then must not be sent to this worker, and begun by it.
            self.wire.kill(Verdict::Protocol(violation.clone().into()));
            self.conclude(
                flight,
                Err(TaskError::failed(format!("its worker broke the protocol with {violation}").into())),
            );
            return Err(violation);
        }
        self.wire.pardon(|verdict| matches!(verdict, Verdict::Task(guilty, _) if *guilty == id));
        let content_type = (meta.content_type != JSON).then_some(&*meta.content_type);
        let reply = long.map_or(Parcel::Short(frame.body), Parcel::Long);
        Ok(self.conclude(flight, Ok((content_type, reply))))
    }

    fn error(&self, id: TaskId, frame: &Frame<'_>, now: Moment) -> Result<Outcome, Violation> {
        let meta = meta::ErrorMeta::read(frame.meta).map_err(|malformed| malformed.to_string())?;
        let flight = self.book.lock().flights.end(id, now)?;
        self.wire.pardon(|verdict| matches!(verdict, Verdict::Task(guilty, _) if *guilty == id));
        let asked = self.asked(&flight).filter(|_| meta.cancelled);
        let error = match asked {
            Some(reason) => TaskError::cancelled(reason),
            None => TaskError::failed(Box::new(WorkerError {
                name: meta.name.into_owned(),
                message: meta.message.into_owned(),
                stack: meta.stack.into_owned(),
                retryable: meta.retryable,
            })),
        };
        Ok(self.conclude(flight, Err(error)))
    }

    fn returned(&self, frame: &Frame<'_>) -> Result<(), Violation> {
        let ids = ids(frame.body).map_err(|malformed| malformed.to_string())?;
        let back = self.book.lock().flights.returned(frame.id, ids)?;
        self.give_back(back);
        Ok(())
    }

    fn log(&self, frame: &Frame<'_>) {
        if !self.employer().is_heard() {
            return;
        }
        let level = meta::LogMeta::read(frame.meta).unwrap_or_default();
        let source = match &*level.level {
            "debug" => OutputSource::Debug,
            "warn" => OutputSource::Warn,
            "error" => OutputSource::Error,
            _ => OutputSource::Info,
        };
        let task = (frame.id != 0).then_some(TaskId(frame.id));
        let text = meta_cut(frame.body);
        self.employer().tell(Notice::Output { worker: self.seat().id, task, source, text });
    }

    /// The process has ended: whoever had begun ends with it, the others go back.
    fn die(&self, death: Death) {
        let (flights, expected) = {
            let mut book = self.book.lock();
            let expected = book.stage != Stage::Open && book.flights.len() == 0;
            book.stage = Stage::Dead;
            (book.flights.take_all(), expected)
        };
        let mut unbegun = Vec::new();
        for flight in flights {
            let id = flight.entry.id;
            if flight.begun.is_none() {
                unbegun.push(flight);
            } else if self.deserves_another(&flight) && death.is_crash_for(id) {
                // It begins once more, on the same seat.
                self.show_no_more(id);
                self.book.lock().suspects.push(flight);
            } else {
                self.conclude(flight, Err(death.of_task(id)));
            }
        }
        self.give_back(unbegun);
        if !expected {
            self.employer().tell(Notice::Died { worker: self.seat().id, how: death.how().into() });
        }
        self.book.lock().death = Some(death);
        self.seat().order(Order::Leave);
        self.employer().rouse(self.seat());
    }

    fn deserves_another(&self, flight: &super::flights::Flight<I>) -> bool {
        let Body::Cell(cell) = &flight.entry.body else { return false };
        let idempotent = cell.header().extras().is_some_and(|extras| extras.idempotent);
        idempotent && flight.attempt == 1 && self.asked(flight).is_none()
    }
}

/// Of texts that a worker sends, as much as is shown.
fn meta_cut(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE)]).into_owned();
    if bytes.len() > LINE {
        text.push(CUT);
    }
    text
}
